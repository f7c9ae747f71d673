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

// fill replaces the parameters of a path.
func fill(path string) string { return pathParameter.ReplaceAllString(path, "some-id") }

var httpTests = map[string]func(*portalTest){
	"The error of an invalid request names the place": func(p *portalTest) {
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
	"Unknown paths and methods get an error in the same form": func(p *portalTest) {
		p.no(p.http(p.Keys.Manage, "GET", "/nothing", nil), 404, portalapi.CodeNotFound)
		a := p.http(p.Keys.Manage, "PUT", "/users", nil)
		p.no(a, 405, portalapi.CodeInvalid)
		p.equal("Allow", a.Header.Get("Allow"), "GET, POST")
	},
	"A body is JSON of at most one MiB": func(p *portalTest) {
		p.no(p.http(p.Keys.Manage, "POST", "/users", "userName=ada", "Content-Type", "application/x-www-form-urlencoded"), 415, portalapi.CodeInvalid)
		long := `{"userName":"` + strings.Repeat("x", 1<<20) + `"}`
		p.no(p.http(p.Keys.Manage, "POST", "/users", long), 413, portalapi.CodeInvalid)
	},
	"Without a valid key every request is refused": func(p *portalTest) {
		for _, header := range []string{"", "Bearer", "Bearer unknown-key", "Basic " + p.Keys.Manage, p.Keys.Manage} {
			a := p.http("", "GET", "/users", nil, "Authorization", header)
			p.no(a, 401, portalapi.CodeUnauthenticated)
			if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
				p.Errorf("%q gets no WWW-Authenticate", header)
			}
		}
		if a := p.http("", "GET", "/users", nil, "Authorization", "bearer "+p.Keys.Manage); a.Status != 200 {
			p.Errorf("the scheme is compared case-sensitively: %d", a.Status)
		}
	},
	"The document is served, and every response has a request id": func(p *portalTest) {
		a := p.http("", "GET", "/openapi.yaml", nil)
		if a.Status != 200 || !bytes.Equal(a.Body, portalv1.Document) {
			p.Errorf("the document: %d", a.Status)
		}
		a = p.http(p.Keys.Manage, "GET", "/users", nil, "X-Request-Id", "demo-1")
		p.equal("request id", a.Header.Get("X-Request-Id"), "demo-1")
		if id := p.http("", "GET", "/users", nil, "X-Request-Id", "not usable!").Header.Get("X-Request-Id"); id == "" || id == "not usable!" {
			p.Errorf("request id %q", id)
		}
	},
	"A user contains pools by name, and lists are never null": func(p *portalTest) {
		a := p.http(p.Keys.Manage, "GET", "/users/"+p.local("ada").ID, nil)
		for _, part := range []string{`"pools":[{"id":"`, `"name":"` + p.defaultPool().Name + `"`, `"roles":["ROLE_USER"]`, `"directRoles":[]`, `"externalId":""`} {
			if !strings.Contains(string(a.Body), part) {
				p.Errorf("%s lacks %s", a.Body, part)
			}
		}
		for _, path := range []string{"/users?status=Deactivated", "/users?userName=unknown", "/audit-events?actor=unknown"} {
			if a := p.http(p.Keys.Manage, "GET", path, nil); !strings.Contains(string(a.Body), `"items":[]`) {
				p.Errorf("%s answers %s", path, a.Body)
			}
		}
	},
}
