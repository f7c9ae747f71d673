package store

import (
	"errors"
	"fmt"
	"net/http"

	"lightrun.com/scim-operator/internal/portal"
)

// statuses are the HTTP statuses of the codes whose status is not 409 Conflict.
var statuses = map[portal.Code]int{
	portal.CodeUnknownRole:      http.StatusBadRequest,
	portal.CodeRoleNotGrantable: http.StatusBadRequest,
	portal.CodeUnknownPool:      http.StatusBadRequest,
	portal.CodeInvalid:          http.StatusBadRequest,
	portal.CodeUnauthenticated:  http.StatusUnauthorized,
	portal.CodeForbidden:        http.StatusForbidden,
	portal.CodeNotFound:         http.StatusNotFound,
	portal.CodeFeedTruncated:    http.StatusGone,
	portal.CodeRateLimited:      http.StatusTooManyRequests,
	portal.CodeInternal:         http.StatusInternalServerError,
}

// refuse returns the error of a refused request. The message says what to do.
func refuse(code portal.Code, format string, args ...any) *portal.Error {
	status, ok := statuses[code]
	if !ok {
		status = http.StatusConflict
	}
	return &portal.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// staleTag refuses an edit that is based on an old revision.
func staleTag(what string, have, got int64) *portal.Error {
	e := refuse(portal.CodeStaleRevision, "%s has changed: it is at revision %d, not %d; read it again and repeat the change", what, have, got)
	e.Status = http.StatusPreconditionFailed
	return e
}

// asRefusal returns the refusal in err's chain, or nil.
func asRefusal(err error) *portal.Error {
	var e *portal.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
