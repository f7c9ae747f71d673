// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

const (
	defaultTimeout     = 30 * time.Second
	defaultConcurrency = 8
	// maxAnswer is the maximum length of a response in bytes.
	maxAnswer = 64 << 20
	// longestPause is the maximum pause, also if the target's Retry-After is longer.
	longestPause = 5 * time.Minute
	// maxDetail is the maximum length of the target's own words in an error.
	maxDetail = 300
)

// endpoint sends requests to the target, at most a few at a time. While the target asks for a
// pause, it sends none.
type endpoint struct {
	base    string
	http    *http.Client
	timeout time.Duration
	slots   chan struct{}
	now     func() time.Time
	leads   func(context.Context) error // refuses changes of a process that does not lead

	mu     sync.Mutex
	paused time.Time // until then, the target asked to send nothing
	failed bool      // the last request got no answer of the target
	calls  int64     // requests that were sent
}

// answer is a response of the target. Object is nil if it has no body.
type answer struct {
	Status  int
	Object  scim.Object
	Version string // the resource's version; empty if the target does not give one
}

// newEndpoint returns an endpoint for the base URL.
func newEndpoint(o Options) (*endpoint, error) {
	base, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the target's URL: %w", err)
	case base.Scheme != "https" && base.Scheme != "http" || base.Host == "":
		return nil, fmt.Errorf("the target's URL %q must be absolute, such as https://app.example.com/scim/v2", o.URL)
	case base.RawQuery != "" || base.Fragment != "" || base.User != nil:
		return nil, fmt.Errorf("the target's URL must have no query, fragment or credentials")
	}
	client := http.Client{}
	if o.HTTP != nil {
		client = *o.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token is sent to no other host
	e := &endpoint{base: strings.TrimSuffix(base.String(), "/"), http: &client, timeout: o.Timeout, now: o.Now}
	if e.timeout == 0 {
		e.timeout = defaultTimeout
	}
	slots := o.Concurrency
	if slots <= 0 {
		slots = defaultConcurrency
	}
	e.slots = make(chan struct{}, slots)
	return e, nil
}

// do sends one request. Immediately before a change, it checks that this process leads. A refusal
// by the target is a *portalapi.Error. A response that is not the target's is a
// *portalapi.InvalidResponseError: it says nothing about the request. version is the precondition
// of a change; empty sends none.
func (e *endpoint) do(ctx context.Context, method, path string, body scim.Object, version string) (answer, error) {
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
	if err := e.pausing(); err != nil {
		return answer{}, err
	}
	if method != http.MethodGet {
		if err := e.leads(ctx); err != nil {
			return answer{}, err
		}
	}
	a, err := e.send(ctx, method, path, body, version)
	pause, failed := portalapi.Failure(err)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = failed
	if pause > 0 {
		e.paused = e.now().Add(pause)
	}
	return a, err
}

// patiently is do for one of many requests of the same task, such as a page of a listing: it waits
// while the target asks for a pause, so that the task need not begin again.
func (e *endpoint) patiently(ctx context.Context, method, path string, body scim.Object, version string) (answer, error) {
	for range maxPatience {
		a, err := e.do(ctx, method, path, body, version)
		pause, _ := portalapi.Failure(err)
		if pause == 0 || pause > time.Minute {
			return a, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return a, ctx.Err()
		case <-timer.C:
		}
	}
	return e.do(ctx, method, path, body, version)
}

// maxPatience is the number of pauses that one request of a task waits for.
const maxPatience = 10

// pausing returns the refusal that the target gave, while the pause that it asked for lasts.
func (e *endpoint) pausing() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if left := e.paused.Sub(e.now()); left > 0 {
		return &portalapi.Error{Status: http.StatusTooManyRequests, Code: portalapi.CodeRateLimited, Message: "the target asked for a pause", RetryAfter: left}
	}
	return nil
}

// unanswered reports whether the last request got no answer of the target.
func (e *endpoint) unanswered() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failed
}

func (e *endpoint) send(ctx context.Context, method, path string, body scim.Object, version string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return answer{}, fmt.Errorf("encode the request: %w", err)
		}
		reader = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, e.base+path, reader)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Accept", "application/scim+json, application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/scim+json")
	}
	if version != "" {
		r.Header.Set("If-Match", version)
	}
	e.mu.Lock()
	e.calls++
	e.mu.Unlock()
	response, err := e.http.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: %w", method, place(path), err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(http.MaxBytesReader(nil, response.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("%s %s: read the response: %w", method, place(path), err)
	}
	a, err := parse(response, text)
	if err != nil {
		return a, fmt.Errorf("%s %s: %w", method, place(path), err)
	}
	return a, nil
}

// place returns the path without its query, which may contain a name.
func place(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path
}

// parse decides whether the response is the target's, and what it says.
func parse(response *http.Response, body []byte) (answer, error) {
	a := answer{Status: response.StatusCode, Version: response.Header.Get("ETag")}
	pause := retryAfter(response.Header)
	bad := func(problem string) error {
		return &portalapi.InvalidResponseError{Status: response.StatusCode, Problem: problem, RetryAfter: pause}
	}
	if response.StatusCode == http.StatusNoContent {
		return a, nil
	}
	if response.StatusCode < 200 || response.StatusCode >= 300 && response.StatusCode < 400 {
		return a, bad("a SCIM target sends no such status")
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if media != "application/scim+json" && media != "application/json" {
		return a, bad("it is not application/scim+json")
	}
	o, err := scim.DecodeJSON(body, scim.Limits{Values: 20_000_000})
	if err != nil {
		return a, bad("it is not a JSON object")
	}
	if response.StatusCode >= 400 {
		return a, refusal(response.StatusCode, o, pause)
	}
	a.Object = o
	if meta, ok := schema.ValueOf(o, "meta").(scim.Object); ok {
		if v, ok := schema.ValueOf(meta, "version").(string); ok && v != "" {
			a.Version = v
		}
	}
	return a, nil
}

// refusal returns the target's error in the words of the port.
func refusal(status int, o scim.Object, pause time.Duration) error {
	detail, _ := schema.ValueOf(o, "detail").(string)
	kind, _ := schema.ValueOf(o, "scimType").(string)
	if len(detail) > maxDetail {
		detail = strings.ToValidUTF8(detail[:maxDetail], "") + "…"
	}
	e := &portalapi.Error{Status: status, Code: portalapi.CodeInvalid, Message: strings.TrimSpace("the target refuses: " + strings.TrimSpace(kind+" "+detail)), RetryAfter: pause}
	switch {
	case status == http.StatusUnauthorized:
		e.Code = portalapi.CodeUnauthenticated
	case status == http.StatusForbidden:
		e.Code = portalapi.CodeForbidden
	case status == http.StatusNotFound:
		e.Code = portalapi.CodeNotFound
	case status == http.StatusConflict:
		e.Code = portalapi.CodeDuplicateUser
	case status == http.StatusPreconditionFailed:
		e.Code = portalapi.CodeStaleRevision
	case status == http.StatusTooManyRequests:
		e.Code = portalapi.CodeRateLimited
	case status >= 500 && status != http.StatusNotImplemented:
		e.Code = portalapi.CodeInternal
	}
	return e
}

// retryAfter parses seconds or an HTTP date (RFC 9110 §10.2.3). A date is compared with the Date of
// the response, so that the clocks need not agree.
func retryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, longestPause)
	}
	at, err := http.ParseTime(value)
	sent, none := http.ParseTime(h.Get("Date"))
	if err != nil || none != nil {
		return 0
	}
	return min(max(at.Sub(sent), 0), longestPause)
}
