// SPDX-License-Identifier: Apache-2.0

// Package scimtargets runs SCIM service providers for tests of the SCIM driver. None is written for
// the driver: this project's own webhook on a directory in memory, a server of the library
// elimity-com/scim, and one of the npm package SCIMMY. A gate in front of each counts the requests
// and fails on demand.
package scimtargets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/test/framework/servertest"
)

// Token is the bearer token that the targets accept.
const Token = "target-token"

// Target is one service provider behind its gate.
type Target struct {
	Name string
	URL  string // SCIM base URL, of the gate

	t    testing.TB
	real http.Handler // without the gate

	mu     sync.Mutex
	calls  []string
	before func(http.ResponseWriter, *http.Request) bool
	after  func(*http.Request) bool
}

// Gateway runs the webhook's own server on a directory in memory.
func Gateway(t testing.TB) *Target {
	t.Helper()
	m := servertest.New()
	return serve(t, "webhook", server.BasePath, server.New(server.Options{
		Users: m.Users(), Groups: m.Groups(), Log: logr.Discard(), Tokens: oneToken{},
		Configuration: func() server.Configuration { return server.Configuration{Known: true, SCIM: true, Groups: true} },
	}))
}

type oneToken struct{}

func (oneToken) Authenticate(_ context.Context, token string) (server.Identity, error) {
	if token != Token {
		return server.Identity{}, errors.New("the bearer token is not known")
	}
	return server.Identity{Name: "test"}, nil
}

// proxy returns a handler that forwards to the server at the URL.
func proxy(t testing.TB, base string) http.Handler {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return httputil.NewSingleHostReverseProxy(u)
}

func serve(t testing.TB, name, path string, h http.Handler) *Target {
	t.Helper()
	target := &Target{Name: name, t: t, real: h}
	web := httptest.NewServer(http.HandlerFunc(target.gate))
	t.Cleanup(web.Close)
	target.URL = web.URL + path
	return target
}

func (t *Target) gate(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	t.calls = append(t.calls, r.Method+" "+t.place(r.URL))
	before, after := t.before, t.after
	t.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	if after == nil {
		t.real.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	t.real.ServeHTTP(answer, r)
	if after(r) {
		panic(http.ErrAbortHandler) // the target did it, and its answer is lost
	}
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes()) // the client may have gone
}

// place returns the resource type of the request, such as "/Users" or "/Groups/id".
func (t *Target) place(u *url.URL) string {
	for _, kind := range []string{"/Users", "/Groups"} {
		if i := strings.Index(u.Path, kind); i >= 0 {
			if len(u.Path) > i+len(kind) {
				return kind + "/id"
			}
			return kind
		}
	}
	return u.Path[strings.LastIndex(u.Path, "/"):]
}

// Before runs f before each request; true means that f answered. nil stops it.
func (t *Target) Before(f func(http.ResponseWriter, *http.Request) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.before = f
}

// Lose loses the answer of each request for which f returns true, after the target did it. nil
// stops it.
func (t *Target) Lose(f func(*http.Request) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.after = f
}

// Calls returns the requests since the last call of Forget, such as "POST /Users".
func (t *Target) Calls() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string{}, t.calls...)
}

// Forget forgets the requests.
func (t *Target) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls = nil
}

// Do sends a request to the target as another client of it would, without the gate. Any status but
// success ends the test.
func (t *Target) Do(method, path string, body scim.Object) scim.Object {
	t.t.Helper()
	status, o := t.Try(method, path, body)
	if status/100 != 2 {
		t.t.Fatalf("%s: %s %s answers %d %v", t.Name, method, path, status, o)
	}
	return o
}

// Try is Do for a request that may be refused.
func (t *Target) Try(method, path string, body scim.Object) (int, scim.Object) {
	t.t.Helper()
	var reader io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	r := httptest.NewRequestWithContext(t.t.Context(), method, t.URL+path, reader)
	r.Header.Set("Authorization", "Bearer "+Token)
	r.Header.Set("Content-Type", "application/scim+json")
	answer := httptest.NewRecorder()
	t.real.ServeHTTP(answer, r)
	if answer.Body.Len() == 0 {
		return answer.Code, nil
	}
	o, err := scim.DecodeJSON(answer.Body.Bytes(), scim.Limits{Values: 10_000_000})
	if err != nil {
		t.t.Fatalf("%s: %s %s answers %d with %.200s", t.Name, method, path, answer.Code, answer.Body)
	}
	return answer.Code, o
}

// All returns the target's resources at the path, by id, in pages.
func (t *Target) All(path string) map[string]scim.Object {
	t.t.Helper()
	out := map[string]scim.Object{}
	for start := 1; ; {
		page := t.Do("GET", fmt.Sprintf("%s?startIndex=%d&count=100", path, start), nil)
		list, _ := page["Resources"].([]any)
		for _, e := range list {
			o := e.(scim.Object)
			out[o["id"].(string)] = o
		}
		start += len(list)
		if total, _ := page["totalResults"].(int64); len(list) == 0 || start > int(total) {
			return out
		}
	}
}

// Reset deletes everything at the target, as if it were restored from nothing.
func (t *Target) Reset() {
	t.t.Helper()
	for _, path := range []string{"/Groups", "/Users"} {
		for id := range t.All(path) {
			t.Do("DELETE", path+"/"+id, nil)
		}
	}
}
