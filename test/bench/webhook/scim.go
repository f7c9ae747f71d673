// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"lightrun.com/scim-operator/test/framework/idp"
)

// scim is a SCIM server under measurement: this webhook or another server.
type scim struct {
	*wire
	name string
}

func newSCIM(name, base, token string) (*scim, error) {
	w, err := newWire(base, token)
	return &scim{wire: w, name: name}, err
}

// send sends one request and passes the response to read, which must not keep it. Any status except
// 2xx is an error.
func (s *scim) send(ctx context.Context, method, path string, content []byte, read func([]byte) error) error {
	return s.do(ctx, method, path, content, func(status int, text []byte) error {
		if status >= 300 {
			return fmt.Errorf("%s: %s %.100s: %d: %.300s", s.name, method, path, status, text)
		}
		return read(text)
	})
}

// anything accepts any response.
func anything([]byte) error { return nil }

func listPath(start int) string { return fmt.Sprintf("/Users?startIndex=%d&count=100", start) }

func (s *scim) list(ctx context.Context, start int) error {
	return s.send(ctx, http.MethodGet, listPath(start), nil, func(text []byte) error {
		if len(text) < 10_000 {
			return fmt.Errorf("%s: a page of %d bytes is no page of 100", s.name, len(text))
		}
		return nil
	})
}

func (s *scim) project(ctx context.Context, start int) error {
	return s.send(ctx, http.MethodGet, listPath(start)+"&attributes=userName,active", nil, anything)
}

func (s *scim) get(ctx context.Context, i int) error {
	return s.send(ctx, http.MethodGet, "/Users/"+personID(i), nil, anything)
}

func equalPath(i int) string {
	return "/Users?filter=" + url.QueryEscape(fmt.Sprintf("userName eq %q", personName(i)))
}

func (s *scim) equal(ctx context.Context, i int) error {
	return s.send(ctx, http.MethodGet, equalPath(i), nil, func(text []byte) error {
		if !bytes.Contains(text, []byte(personID(i))) {
			return fmt.Errorf("%s: userName eq %q found %.200s", s.name, personName(i), text)
		}
		return nil
	})
}

func (s *scim) post(ctx context.Context, name string) error {
	return s.send(ctx, http.MethodPost, "/Users", body(person(name)), anything)
}

func (s *scim) patchActive(ctx context.Context, i int, active bool) error {
	return s.send(ctx, http.MethodPatch, "/Users/"+personID(i), patchBody("replace", "active", active), anything)
}

// maxMembers is the largest group that is pushed in one request. It is below the server's limits,
// 16 MiB and 600,000 JSON values (two for each member).
const maxMembers = 200_000

// group creates a group with these members and returns its id.
func (s *scim) group(ctx context.Context, name string, members []string) (string, error) {
	var made struct{ ID string }
	content := body(map[string]any{"schemas": []string{idp.SchemaGroup}, "displayName": name, "members": idp.Members(members)})
	err := s.send(ctx, http.MethodPost, "/Groups?excludedAttributes=members", content, func(text []byte) error {
		return json.Unmarshal(text, &made)
	})
	return made.ID, err
}

// patchGroup adds users to a group of this side, or removes them.
func (s *scim) patchGroup(ctx context.Context, id string, members []string, in bool) error {
	op := "remove"
	if in {
		op = "add"
	}
	return s.send(ctx, http.MethodPatch, "/Groups/"+id, patchBody(op, "members", idp.Members(members)), anything)
}

// holds checks that the server has n users.
func (s *scim) holds(ctx context.Context, n int) error {
	return s.send(ctx, http.MethodGet, "/Users?count=1", nil, func(text []byte) error {
		if !bytes.Contains(text, fmt.Appendf(nil, `"totalResults":%d,`, n)) {
			return fmt.Errorf("%s does not have %d users: %.200s", s.name, n, text)
		}
		return nil
	})
}
