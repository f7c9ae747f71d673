// SPDX-License-Identifier: Apache-2.0

package scim

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// ErrorType is the scimType of an error (RFC 7644 §3.12 table 9, RFC 9865 §4 for the cursor ones).
type ErrorType string

// The error types. Their status is 400, except Uniqueness (409) and Sensitive (403).
const (
	InvalidFilter ErrorType = "invalidFilter" // the filter is malformed, or compares what can't be compared
	TooMany       ErrorType = "tooMany"       // the query takes too long or has too many results
	Uniqueness    ErrorType = "uniqueness"    // another resource has the value
	Mutability    ErrorType = "mutability"    // the attribute is read-only or immutable
	InvalidSyntax ErrorType = "invalidSyntax" // the body is malformed, or not a message of that kind
	InvalidPath   ErrorType = "invalidPath"   // the path is malformed or names no attribute
	NoTarget      ErrorType = "noTarget"      // the path of a PATCH selects nothing that can be changed
	InvalidValue  ErrorType = "invalidValue"  // a value is missing, of a wrong type or beyond a bound
	InvalidVers   ErrorType = "invalidVers"   // the URL names a version that is not supported
	Sensitive     ErrorType = "sensitive"     // the URL has sensitive values, which belong into a body
	InvalidCursor ErrorType = "invalidCursor" // the cursor is not one of this service
	ExpiredCursor ErrorType = "expiredCursor" // the cursor is older than its time
	InvalidCount  ErrorType = "invalidCount"  // count is too large, or differs from that of the first page
)

// Error is the error response to a client: RFC 7644 §3.12. Detail is a sentence for the
// administrator of the client: what is wrong, where, and what to do.
type Error struct {
	// Status is the HTTP status, 400 to 599.
	Status int
	// Type is the scimType; empty where the RFC defines none.
	Type ErrorType
	// Detail is sent to the client unchanged, so it must contain no secret and no other client's
	// data.
	Detail string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Type == "" {
		return strconv.Itoa(e.Status) + ": " + e.Detail
	}
	return strconv.Itoa(e.Status) + " " + string(e.Type) + ": " + e.Detail
}

// MarshalJSON renders the body of RFC 7644 §3.12, in which status is a string.
func (e *Error) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Schemas []string  `json:"schemas"`
		Status  string    `json:"status"`
		Type    ErrorType `json:"scimType,omitempty"`
		Detail  string    `json:"detail,omitempty"`
	}{[]string{SchemaError}, strconv.Itoa(e.Status), e.Type, e.Detail})
}

// BadRequest returns a 400 with the given type.
func BadRequest(t ErrorType, format string, args ...any) *Error {
	return &Error{Status: 400, Type: t, Detail: fmt.Sprintf(format, args...)}
}

// NotFound returns a 404.
func NotFound(format string, args ...any) *Error {
	return &Error{Status: 404, Detail: fmt.Sprintf(format, args...)}
}

// Conflict returns a 409 uniqueness: another resource has the value.
func Conflict(format string, args ...any) *Error {
	return &Error{Status: 409, Type: Uniqueness, Detail: fmt.Sprintf(format, args...)}
}

// Failure returns an error with any status, without a scimType.
func Failure(status int, format string, args ...any) *Error {
	return &Error{Status: status, Detail: fmt.Sprintf(format, args...)}
}
