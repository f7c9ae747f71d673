// SPDX-License-Identifier: Apache-2.0

package portalapi

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Code is the portal's machine-readable reason for a refusal. docs/reference/errors.md lists each
// with its remedy.
type Code string

const (
	CodeReadOnly         Code = "SCIM_MANAGED_READ_ONLY"
	CodeSSORequired      Code = "SSO_REQUIRED"
	CodeSCIMRequired     Code = "SCIM_REQUIRED"
	CodeIDPConfigured    Code = "IDP_ALREADY_CONFIGURED"
	CodeOperatorBound    Code = "OPERATOR_ALREADY_BOUND"
	CodeLastManager      Code = "LAST_MANAGER"
	CodeDefaultPool      Code = "DEFAULT_POOL_PROTECTED"
	CodeDuplicateUser    Code = "DUPLICATE_USER"
	CodeDuplicatePool    Code = "DUPLICATE_POOL"
	CodeStaleRevision    Code = "STALE_REVISION"
	CodeStaleLeader      Code = "STALE_LEADER"
	CodeLocalAccount     Code = "LOCAL_ACCOUNT_EXISTS"
	CodeUnknownRole      Code = "UNKNOWN_ROLE"
	CodeRoleNotGrantable Code = "ROLE_NOT_GRANTABLE"
	CodeUnknownPool      Code = "UNKNOWN_POOL"
	CodeFeedTruncated    Code = "FEED_TRUNCATED"
	CodeManagedElsewhere Code = "MANAGED_ELSEWHERE"
	CodeSSONotReachable  Code = "SSO_NOT_REACHABLE"
	CodeNotFound         Code = "NOT_FOUND"
	CodeInvalid          Code = "INVALID"
	CodeUnauthenticated  Code = "UNAUTHENTICATED"
	CodeForbidden        Code = "FORBIDDEN"
	CodeRateLimited      Code = "RATE_LIMITED"
	CodeInternal         Code = "INTERNAL"
)

// Error is a refusal by the portal.
type Error struct {
	Status     int // HTTP status
	Code       Code
	Message    string
	RetryAfter time.Duration // from Retry-After of 429 and 503; 0 if there is none
}

func (e *Error) Error() string {
	return fmt.Sprintf("portal answered %d %s: %s", e.Status, e.Code, e.Message)
}

// CodeOf returns the portal's code in err's chain, and "" if err is not a refusal by the portal.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// BadAnswerError is a response that does not parse as the portal's: a proxy's page, an object
// without a field that the contract requires, a redirect. It says nothing about the requested
// operation, so it is neither a refusal nor a success, and the call may be repeated.
type BadAnswerError struct {
	Status     int           // HTTP status
	Problem    string        // why the response is not the portal's; it never quotes the body
	RetryAfter time.Duration // 0 if there is none
}

func (e *BadAnswerError) Error() string {
	return fmt.Sprintf("a response with status %d %s is not from the portal: %s. Check spec.portal.url, and the proxies in front of the portal",
		e.Status, http.StatusText(e.Status), e.Problem)
}

// Failure reports whether a call failed, in contrast to a call that the portal carried out or
// refused. A call failed if there was no response, if the response is not the portal's, or if the
// portal reports a failure or asks for a pause. pause is the time to wait before the next call; 0
// if the portal does not ask for one.
func Failure(err error) (pause time.Duration, failed bool) {
	var refusal *Error
	var bad *BadAnswerError
	switch {
	case err == nil:
		return 0, false
	case errors.As(err, &refusal):
		return refusal.RetryAfter, refusal.RetryAfter > 0 || refusal.Status >= 500 || refusal.Code == CodeRateLimited
	case errors.As(err, &bad):
		return bad.RetryAfter, true
	}
	return 0, true
}
