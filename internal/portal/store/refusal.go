// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// statuses are the HTTP statuses of the codes whose status is not 409 Conflict.
var statuses = map[portalapi.Code]int{
	portalapi.CodeUnknownRole:      http.StatusBadRequest,
	portalapi.CodeRoleNotGrantable: http.StatusBadRequest,
	portalapi.CodeUnknownPool:      http.StatusBadRequest,
	portalapi.CodeInvalid:          http.StatusBadRequest,
	portalapi.CodeUnauthenticated:  http.StatusUnauthorized,
	portalapi.CodeIdentityChanged:  http.StatusUnauthorized,
	portalapi.CodeForbidden:        http.StatusForbidden,
	portalapi.CodeNotFound:         http.StatusNotFound,
	portalapi.CodeFeedTruncated:    http.StatusGone,
	portalapi.CodeRateLimited:      http.StatusTooManyRequests,
	portalapi.CodeOverloaded:       http.StatusServiceUnavailable,
	portalapi.CodeInternal:         http.StatusInternalServerError,
}

// refuse returns the error of a refused request. The message names the remedy.
func refuse(code portalapi.Code, format string, args ...any) *portalapi.Error {
	status, ok := statuses[code]
	if !ok {
		status = http.StatusConflict
	}
	return &portalapi.Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// spoken returns the duration for the end of a sentence, rounded up.
func spoken(d time.Duration) string {
	n, unit := int(math.Ceil(d.Seconds())), "second"
	if n > 90 {
		n, unit = (n+59)/60, "minute"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// staleTag refuses an edit that is based on an old revision.
func staleTag(what string, have, got int64) *portalapi.Error {
	e := refuse(portalapi.CodeStaleRevision, "%s has changed: it is at revision %d, not %d; read it again and repeat the change", what, have, got)
	e.Status = http.StatusPreconditionFailed
	return e
}

// asRefusal returns the refusal in err's chain, or nil.
func asRefusal(err error) *portalapi.Error {
	var e *portalapi.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
