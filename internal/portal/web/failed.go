// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"unicode"
	"unicode/utf8"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// failure is the content of the error page.
type failure struct {
	Heading, Text, Path, Link, RequestID string
}

// failed shows err as a page. An error that is not a refusal is logged and shown as an internal
// error.
func (s *site) failed(v *visit, err error) {
	f := failure{Heading: "Something went wrong", Path: "/", Link: "Go to the first page"}
	status := http.StatusInternalServerError
	e := asRefusal(err)
	switch {
	case e != nil:
		status, f.Text = e.Status, sentenceOf(e.Message)
		retryAfter(v.w, e)
		f.Heading = headings[status]
		if f.Heading == "" {
			f.Heading = "The request was refused"
		}
	case v.Context().Err() != nil, store.IsBusy(err):
		status, f.Text, f.RequestID = http.StatusServiceUnavailable, "The portal did not respond in time. Try again in a moment.", v.id
		v.w.Header().Set("Retry-After", "1")
	default:
		f.Text, f.RequestID = "Internal error in the portal. Its log has the reason under this request id:", v.id
		s.log.Error(err, "Page failed", "request", v.id, "route", v.Pattern)
	}
	if v.session == nil {
		f.Path, f.Link = "/sign-in", "Go to sign-in"
	}
	if err := s.show(v, status, "error", view{Title: f.Heading, Body: f}); err != nil {
		s.log.Error(err, "Show a failure", "request", v.id)
		http.Error(v.w, f.Text, status)
	}
}

// retryAfter says in the response when a refused request may be repeated.
func retryAfter(w http.ResponseWriter, e *portalapi.Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
}

var headings = map[int]string{
	http.StatusNotFound:  "Not found",
	http.StatusForbidden: "Not allowed",

	http.StatusUnauthorized: "This does not work any more",
}

// asRefusal returns the service's refusal in err's chain, or nil.
func asRefusal(err error) *portalapi.Error {
	var e *portalapi.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// sentenceOf converts an error message to a sentence.
func sentenceOf(message string) string {
	first, size := utf8.DecodeRuneInString(message)
	if size == 0 {
		return ""
	}
	text := string(unicode.ToUpper(first)) + message[size:]
	switch text[len(text)-1] {
	case '.', '!', '?':
		return text
	}
	return text + "."
}
