// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

func refusal(status int, code portalapi.Code, message string) *portalapi.Error {
	return &portalapi.Error{Status: status, Code: code, Message: message}
}

func invalid(format string, args ...any) *portalapi.Error {
	return refusal(http.StatusBadRequest, portalapi.CodeInvalid, fmt.Sprintf(format, args...))
}

// malformed responds to requests that the generated code cannot read.
func malformed(w http.ResponseWriter, r *http.Request, err error) {
	failed(w, r, invalid("%v", err))
}

// failed writes err as {code, message}. An error that is not a refusal is logged and reported as an
// internal error.
func failed(w http.ResponseWriter, r *http.Request, err error) {
	var e *portalapi.Error
	switch {
	case errors.As(err, &e):
	case r.Context().Err() != nil, store.IsBusy(err):
		e = refusal(http.StatusServiceUnavailable, portalapi.CodeInternal, "the portal did not respond in time; try again")
		e.RetryAfter = time.Second
	default:
		e = refusal(http.StatusInternalServerError, portalapi.CodeInternal, "internal error in the portal; its log has the reason under the request id "+requestID(r.Context()))
	}
	if o := observed(r.Context()); o != nil {
		o.code = e.Code
		if e.Code == portalapi.CodeInternal {
			o.fault = err
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="portal"`)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	w.WriteHeader(e.Status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(portalv1.Error{Code: string(e.Code), Message: e.Message})
}
