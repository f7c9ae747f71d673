// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/test/framework/servertest"
	"lightrun.com/scim-operator/test/framework/session"
)

const base = "https://scim.example.test/scim/v2"

// tokenList accepts tokens by name.
type tokenList map[string]server.Identity

func (l tokenList) Authenticate(_ context.Context, token string) (server.Identity, error) {
	if token == "undecided" {
		return server.Identity{}, fmt.Errorf("%w: the issuer sleeps", server.ErrUndecided)
	}
	id, ok := l[token]
	if !ok {
		return server.Identity{}, errors.New("the bearer token is not known")
	}
	return id, nil
}

// service is a server over a directory in memory.
type service struct {
	*testing.T
	handler http.Handler
	memory  *servertest.Memory
	config  server.Configuration
	options server.Options
}

// newService makes a service with SCIM on; change may alter its options.
func newService(t *testing.T, change ...func(*service)) *service {
	t.Helper()
	s := &service{T: t, memory: servertest.New(), config: server.Configuration{Known: true, SCIM: true, Groups: true, Provider: provider.ID{Type: provider.Okta}, BaseURL: base}}
	s.options = server.Options{
		Users: s.memory.Users(), Groups: s.memory.Groups(), Log: logr.Discard(),
		Configuration: func() server.Configuration { return s.config },
		Tokens: tokenList{
			"good":  {Name: "good", Provider: provider.ID{Type: provider.Okta}, Secret: [32]byte{1}},
			"other": {Name: "other", Provider: provider.ID{Type: provider.Okta}, Secret: [32]byte{2}},
			"entra": {Name: "entra", Provider: provider.ID{Type: provider.EntraID}, Secret: [32]byte{3}},
		},
	}
	for _, c := range change {
		c(s)
	}
	s.handler = server.New(s.options)
	return s
}

// answer is a response, read.
type answer struct {
	*testing.T
	status int
	header http.Header
	raw    []byte
	body   any
}

// do sends a request with the good token. body may be a string, or anything that marshals; headers
// come as name, value.
func (s *service) do(method, path string, body any, headers ...string) answer {
	s.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	case io.Reader:
		in = b
	default:
		data, err := json.Marshal(b)
		if err != nil {
			s.Fatal(err)
		}
		in = bytes.NewReader(data)
	}
	r := httptest.NewRequest(method, "http://host.example.test"+path, in)
	r.Header.Set("Authorization", "Bearer good")
	if in != nil {
		r.Header.Set("Content-Type", "application/scim+json")
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	a := answer{T: s.T, status: w.Code, header: w.Header(), raw: w.Body.Bytes()}
	if len(a.raw) > 0 {
		if err := json.Unmarshal(a.raw, &a.body); err != nil {
			s.Fatalf("%s %s: the answer is not JSON: %v\n%s", method, path, err, a.raw)
		}
	}
	return a
}

// at looks up a JSON path, as package session describes it; nil for nothing.
func (a answer) at(path string) any {
	v, _ := session.Lookup(a.body, path)
	return v
}

// is checks the status and, as path, value pairs, the body.
func (a answer) is(status int, pairs ...any) answer {
	a.Helper()
	if a.status != status {
		a.Errorf("the status must be %d and is %d: %s", status, a.status, a.raw)
	}
	for i := 0; i < len(pairs); i += 2 {
		path, want := pairs[i].(string), pairs[i+1]
		if n, ok := want.(int); ok {
			want = float64(n)
		}
		if have := a.at(path); have != want {
			a.Errorf("%s must be %v and is %v: %s", path, want, have, a.raw)
		}
	}
	return a
}

// problem checks a SCIM error (RFC 7644 §3.12).
func (a answer) problem(status int, kind string) answer {
	a.Helper()
	a.is(status, "schemas[0]", "urn:ietf:params:scim:api:messages:2.0:Error", "status", http.StatusText(status)[:0]+itoa(status))
	if have, _ := a.at("scimType").(string); have != kind {
		a.Errorf("scimType must be %q and is %q: %s", kind, have, a.raw)
	}
	if detail, _ := a.at("detail").(string); len(detail) < 10 {
		a.Errorf("detail must say what is wrong: %s", a.raw)
	}
	if have := a.header.Get("Content-Type"); have != "application/scim+json" {
		a.Errorf("the type of an error is %q", have)
	}
	return a
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// obj is a JSON object in a test.
type obj = map[string]any

// user creates a user and returns the id.
func (s *service) user(name string, more ...any) string {
	s.Helper()
	o := obj{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": name}
	for i := 0; i < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return s.do("POST", "/scim/v2/Users", o).is(201).at("id").(string)
}

func (s *service) group(name string, members ...string) string {
	s.Helper()
	list := []obj{}
	for _, m := range members {
		list = append(list, obj{"value": m})
	}
	return s.do("POST", "/scim/v2/Groups", obj{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": name, "members": list,
	}).is(201).at("id").(string)
}

func patchOf(ops ...obj) obj {
	return obj{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, "Operations": ops}
}

// userOf adds the schema of a User.
func userOf(o obj) obj {
	o["schemas"] = []string{"urn:ietf:params:scim:schemas:core:2.0:User"}
	return o
}
