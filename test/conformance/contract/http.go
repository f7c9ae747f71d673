// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"regexp"
	"strings"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// fill replaces each parameter of a path by an id that no record has.
func fill(path string) string { return pathParameter.ReplaceAllString(path, "some-id") }

var httpTests = map[string]func(*portalTest){
	"The error of an invalid request names what is invalid": func(p *portalTest) {
		for _, c := range []struct{ method, path, body, want string }{
			{"POST", "/users", `{"userName":"ada@example.test","surname":"x"}`, "surname"},
			{"POST", "/users", `{"userName":5}`, "userName"},
			{"POST", "/users", `{}`, "userName"},
			{"POST", "/users", `{"userName":"ada@example.test"`, "body"},
			{"POST", "/users", `[]`, "body"},
			{"POST", "/users", " ", "body"},
			{"POST", "/users", "{\"userName\":\"\xff\"}", "UTF-8"},
			{"POST", "/api-keys", `{"name":"x","scope":"root"}`, "scope"},
			{"GET", "/users?limit=0", "", "limit"},
			{"GET", "/users?limit=1001", "", "limit"},
			{"GET", "/users?limit=x", "", "limit"},
			{"GET", "/users?status=Gone", "", "status"},
			{"GET", "/users?username=ada", "", "username"},
			{"GET", "/users?limit=1&limit=2", "", "limit"},
			{"GET", "/audit-events?after=x", "", "after"},
			{"GET", "/changes?after=5", "", "epoch"},
			{"GET", "/changes?epoch=x&waitSeconds=31", "", "waitSeconds"},
		} {
			var body any
			if c.body != "" {
				body = c.body
			}
			a := p.http(p.Keys.Manage, c.method, c.path, body)
			if a.Status != 400 || a.code() != portalapi.CodeInvalid || !strings.Contains(string(a.Body), c.want) {
				p.Errorf("%s %s %s answers %d %s, want 400 INVALID with %s", c.method, c.path, c.body, a.Status, a.Body, c.want)
			}
		}
	},
	"Unknown paths and methods return the API's error body": func(p *portalTest) {
		p.refusedWith(p.http(p.Keys.Manage, "GET", "/nothing", nil), 404, portalapi.CodeNotFound)
		a := p.http(p.Keys.Manage, "PUT", "/users", nil)
		p.refusedWith(a, 405, portalapi.CodeInvalid)
		p.equal("Allow", a.Header.Get("Allow"), "GET, POST")
	},
	"A body is JSON of at most one MiB": func(p *portalTest) {
		p.refusedWith(p.http(p.Keys.Manage, "POST", "/users", "userName=ada", "Content-Type", "application/x-www-form-urlencoded"), 415, portalapi.CodeInvalid)
		long := `{"userName":"` + strings.Repeat("x", 1<<20) + `"}`
		p.refusedWith(p.http(p.Keys.Manage, "POST", "/users", long), 413, portalapi.CodeInvalid)
	},
	"An invalid Authorization header is refused, and the scheme is case-insensitive": func(p *portalTest) {
		for _, header := range []string{"", "Bearer", "Bearer unknown-key", "Basic " + p.Keys.Manage, p.Keys.Manage} {
			a := p.http("", "GET", "/users", nil, "Authorization", header)
			p.refusedWith(a, 401, portalapi.CodeUnauthenticated)
			if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
				p.Errorf("Authorization %q: WWW-Authenticate is %q, want a challenge for Bearer", header, a.Header.Get("WWW-Authenticate"))
			}
		}
		if a := p.http("", "GET", "/users", nil, "Authorization", "bearer "+p.Keys.Manage); a.Status != 200 {
			p.Errorf("the scheme bearer is answered with %d, want 200", a.Status)
		}
	},
	"The OpenAPI document is served without a key": func(p *portalTest) {
		a := p.http("", "GET", "/openapi.yaml", nil)
		if a.Status != 200 || !bytes.Equal(a.Body, portalv1.Document) {
			p.Errorf("got %d with %d bytes, want 200 with the document of %d bytes", a.Status, len(a.Body), len(portalv1.Document))
		}
	},
	"A response repeats a usable X-Request-Id and replaces another one": func(p *portalTest) {
		a := p.http(p.Keys.Manage, "GET", "/users", nil, "X-Request-Id", "demo-1")
		p.equal("request id", a.Header.Get("X-Request-Id"), "demo-1")
		if id := p.http("", "GET", "/users", nil, "X-Request-Id", "not usable!").Header.Get("X-Request-Id"); id == "" || id == "not usable!" {
			p.Errorf("the request id is %q, want a new one", id)
		}
	},
	"A user contains the names of the pools, and empty lists are not null": func(p *portalTest) {
		a := p.http(p.Keys.Manage, "GET", "/users/"+p.local("ada").ID, nil)
		for _, part := range []string{`"pools":[{"id":"`, `"name":"` + p.defaultPool().Name + `"`, `"roles":["ROLE_USER"]`, `"directRoles":[]`, `"externalId":""`} {
			if !strings.Contains(string(a.Body), part) {
				p.Errorf("the user is %s, want it to contain %s", a.Body, part)
			}
		}
		for _, path := range []string{"/users?status=Deactivated", "/users?userName=unknown", "/audit-events?actor=unknown"} {
			if a := p.http(p.Keys.Manage, "GET", path, nil); !strings.Contains(string(a.Body), `"items":[]`) {
				p.Errorf("%s answers %s, want \"items\":[]", path, a.Body)
			}
		}
	},
}
