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
	CodeReadOnly         Code = "SCIM_MANAGED_READ_ONLY" // the provider or an AgentPool manages the record (409)
	CodeSSORequired      Code = "SSO_REQUIRED"           // SCIM needs single sign-on (409)
	CodeSCIMRequired     Code = "SCIM_REQUIRED"          // the write needs SCIM to be on (409)
	CodeIDPConfigured    Code = "IDP_ALREADY_CONFIGURED" // another identity provider is integrated (409)
	CodeOperatorBound    Code = "OPERATOR_ALREADY_BOUND" // another operator provisions the portal (409)
	CodeLastManager      Code = "LAST_MANAGER"           // no local manager with a password would be left (409)
	CodeDefaultPool      Code = "DEFAULT_POOL_PROTECTED" // the default pool can be neither renamed nor deleted (409)
	CodePoolKeyRotating  Code = "POOL_KEY_ROTATING"      // the pool's deprecated key still works (409)
	CodeDuplicateUser    Code = "DUPLICATE_USER"         // another account has the user name, in any case (409)
	CodeDuplicatePool    Code = "DUPLICATE_POOL"         // another pool has the name, in any case (409)
	CodeStaleRevision    Code = "STALE_REVISION"         // the record has another revision or owner than expected (409, 412)
	CodeReleasedSince    Code = "RELEASED_SINCE"         // the owner's account was released at this revision or a newer one (409)
	CodeStaleLeader      Code = "STALE_LEADER"           // another process of the operator leads (409)
	CodeLocalAccount     Code = "LOCAL_ACCOUNT_EXISTS"   // a local account has the name and may not be adopted (409)
	CodeUnknownRole      Code = "UNKNOWN_ROLE"           // not in the catalogue (400)
	CodeRoleNotGrantable Code = "ROLE_NOT_GRANTABLE"     // reserved for the vendor (400)
	CodeUnknownPool      Code = "UNKNOWN_POOL"           // no pool has the id (400)
	CodeFeedTruncated    Code = "FEED_TRUNCATED"         // the feed no longer has this position: list again (410)
	CodeManagedElsewhere Code = "MANAGED_ELSEWHERE"      // Kubernetes declares the login methods (409)
	CodeSSONotReachable  Code = "SSO_NOT_REACHABLE"      // the issuer's discovery document could not be read (409)
	CodeIdentityChanged  Code = "IDENTITY_CHANGED"       // another identity at the provider is bound to the user (401)
	CodeIdentityTaken    Code = "IDENTITY_TAKEN"         // the identity at the provider belongs to another user (409)
	CodePlanChanged      Code = "PLAN_CHANGED"           // the migration would take more than the approved plan says (409)
	CodeTargetChanged    Code = "TARGET_CHANGED"         // the SCIM target has not got most of the accounts that the operator manages (409)
	CodeUnsupported      Code = "UNSUPPORTED"            // the driver of the portal cannot do this (501)
	CodeNotFound         Code = "NOT_FOUND"              // no record has the id (404)
	CodeInvalid          Code = "INVALID"                // the request does not match the contract (400)
	CodeUnauthenticated  Code = "UNAUTHENTICATED"        // no valid key or session (401)
	CodeForbidden        Code = "FORBIDDEN"              // the key or the user lacks the right (403)
	CodeRateLimited      Code = "RATE_LIMITED"           // repeat after Retry-After (429)
	CodeOverloaded       Code = "OVERLOADED"             // too many passwords wait to be hashed: repeat after Retry-After (503)
	CodeInternal         Code = "INTERNAL"               // a fault of the portal (500)
)

// Error is a refusal by the portal.
type Error struct {
	Status     int // HTTP status
	Code       Code
	Message    string
	RetryAfter time.Duration // from Retry-After of 429 and 503; 0 if there is none
}

// Error implements error.
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

// InvalidResponseError is a response that does not parse as the portal's: a proxy's page, an object
// without a field that the contract requires, a redirect. It says nothing about the requested
// operation, so it is neither a refusal nor a success, and the call may be repeated.
type InvalidResponseError struct {
	Status     int           // HTTP status
	Problem    string        // why the response is not the portal's; it never quotes the body
	RetryAfter time.Duration // 0 if there is none
}

// Error implements error.
func (e *InvalidResponseError) Error() string {
	return fmt.Sprintf("a response with status %d %s is not from the portal: %s. Check spec.portal.url, and the proxies in front of the portal",
		e.Status, http.StatusText(e.Status), e.Problem)
}

// Failure reports whether a call failed, in contrast to a call that the portal carried out or
// refused. A call failed if there was no response, if the response is not the portal's, or if the
// portal reports a failure or asks for a pause. pause is the time to wait before the next call; 0
// if the portal does not ask for one.
func Failure(err error) (pause time.Duration, failed bool) {
	var refusal *Error
	var bad *InvalidResponseError
	switch {
	case err == nil:
		return 0, false
	case errors.As(err, &refusal):
		return refusal.RetryAfter, refusal.RetryAfter > 0 || refusal.Status >= 500 && refusal.Code != CodeUnsupported || refusal.Code == CodeRateLimited
	case errors.As(err, &bad):
		return bad.RetryAfter, true
	}
	return 0, true
}
