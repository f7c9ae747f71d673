package portal

import (
	"errors"
	"fmt"
	"time"
)

// Code is the portal's machine-readable reason for a refusal. docs/reference/errors.md lists each with its remedy.
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

// Error is the portal's answer when it refuses.
type Error struct {
	Status     int // HTTP status
	Code       Code
	Message    string
	RetryAfter time.Duration // set with 429 and 503 when the portal said so
}

func (e *Error) Error() string {
	return fmt.Sprintf("portal answered %d %s: %s", e.Status, e.Code, e.Message)
}

// CodeOf returns the portal's code in err's chain, or "" when the portal did not answer at all.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
