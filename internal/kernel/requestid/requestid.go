// SPDX-License-Identifier: Apache-2.0

// Package requestid identifies a request across all programs: in the response header, the webhook's
// log line, the annotation of the object that it changed, the manager's log and events, and the
// portal's log and audit.
package requestid

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Header contains the id in requests and responses.
const Header = "X-Request-Id"

// maxLength is the maximum length of an id, in bytes.
const maxLength = 128

// Usable reports whether a client may use this id: 1 to 128 letters, digits, dots, underscores,
// colons and hyphens. That is safe in a header, a log and an annotation, and is no e-mail address.
func Usable(id string) bool {
	if id == "" || len(id) > maxLength {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("._:-", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// Of returns the id of a request: the client's X-Request-Id if it is usable, else the trace id of
// its traceparent (W3C Trace Context §3.2), else a new UUID.
func Of(h http.Header) string {
	if id := h.Get(Header); Usable(id) {
		return id
	}
	if id := traceID(h.Get("Traceparent")); id != "" {
		return id
	}
	return uuid.NewString()
}

// traceID returns the trace id of a traceparent, such as
// 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01; empty for an invalid one.
func traceID(parent string) string {
	parts := strings.Split(parent, "-")
	if len(parts) < 4 || len(parts[0]) != 2 || len(parts[1]) != 32 || len(parts[2]) != 16 || len(parts[3]) != 2 {
		return ""
	}
	for _, p := range parts[:4] {
		if strings.Trim(p, "0123456789abcdef") != "" {
			return ""
		}
	}
	if parts[0] == "ff" || strings.Trim(parts[1], "0") == "" || strings.Trim(parts[2], "0") == "" {
		return ""
	}
	return parts[1]
}

type key struct{}

// With returns a context with the id.
func With(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, key{}, id)
}

// From returns the id in ctx; empty if there is none.
func From(ctx context.Context) string {
	id, _ := ctx.Value(key{}).(string)
	return id
}

// Stamp returns the value of v1alpha1.AnnotationRequest: the revision that the request wrote, and
// its id.
func Stamp(revision int64, id string) string { return strconv.FormatInt(revision, 10) + "/" + id }

// Stamped returns the id in the result of Stamp, and "" if it is for another revision: a later
// write without an id must not be attributed to an earlier request.
func Stamped(stamp string, revision int64) string {
	at, id, ok := strings.Cut(stamp, "/")
	if !ok || at != strconv.FormatInt(revision, 10) || !Usable(id) {
		return ""
	}
	return id
}
