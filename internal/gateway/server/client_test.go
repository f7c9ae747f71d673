// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"

	"lightrun.com/scim-operator/internal/kernel/provider"
)

const (
	oktaAgent  = "Okta SCIM Client 1.0.0"
	entraAgent = "Microsoft Azure AD SCIM provisioning"
)

func TestProviders(t *testing.T) {
	acme, globex := provider.ID{Type: provider.Okta, Name: "acme"}, provider.ID{Type: provider.Okta, Name: "globex"}
	okta, entra := provider.ID{Type: provider.Okta}, provider.ID{Type: provider.EntraID}
	cases := map[string]struct {
		reason       string
		bound, token provider.ID
		status       int
	}{
		"Bound":        {"A token of the bound provider works.", okta, okta, http.StatusOK},
		"Second":       {"A token of a second provider is refused.", okta, entra, http.StatusForbidden},
		"Organisation": {"A token of another organisation of the same type is refused: it is another provider.", acme, globex, http.StatusForbidden},
		"Type":         {"A token without an organisation is valid for its type.", acme, okta, http.StatusOK},
		"Nameless":     {"A token with an organisation is refused if the bound provider has none.", okta, acme, http.StatusForbidden},
		"None":         {"A token without a provider is refused.", okta, provider.ID{}, http.StatusForbidden},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newService(t, func(s *service) {
				s.config.Provider = tc.bound
				s.options.Tokens = tokenList{"good": {Name: "good", Provider: tc.token}}
			})
			a := s.do("GET", "/scim/v2/Users", nil)
			if a.status != tc.status {
				t.Errorf("%s It is %d: %s", tc.reason, a.status, a.raw)
			}
			if tc.status == http.StatusForbidden && !strings.Contains(string(a.raw), tc.bound.String()+" is integrated") {
				t.Errorf("it does not say who is first: %s", a.raw)
			}
			if a := s.do("POST", "/scim/v2/Users", map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": "ada@example.test"}); (a.status == http.StatusCreated) != (tc.status == http.StatusOK) {
				t.Errorf("%s A push is %d: %s", tc.reason, a.status, a.raw)
			}
		})
	}
}

func TestSecondClient(t *testing.T) {
	const patchUser = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Replace","path":"displayName","value":"Ada"}]}`
	type request struct {
		agent, body string
		status      int
	}
	cases := map[string]struct {
		reason   string
		token    provider.ID
		refuse   bool
		requests []request
		counted  float64
		logged   int
	}{
		"Own":             {"A client of the token's own provider is served.", provider.ID{Type: provider.Okta}, true, []request{{agent: oktaAgent, status: 200}}, 0, 0},
		"Unknown":         {"A client with no User-Agent or an unknown one is not a second kind of client.", provider.ID{Type: provider.Okta}, true, []request{{agent: "curl/8.5.0", status: 200}, {status: 200}}, 0, 0},
		"Reported":        {"A second kind of client is served and reported: each request is counted and one is logged.", provider.ID{Type: provider.Okta}, false, []request{{agent: oktaAgent, status: 200}, {agent: entraAgent, status: 200}, {agent: entraAgent, status: 200}}, 2, 1},
		"Refused":         {"A second kind of client is refused if so configured; the first keeps working.", provider.ID{Type: provider.Okta}, true, []request{{agent: entraAgent, status: 403}, {agent: oktaAgent, status: 200}}, 1, 1},
		"Dialect":         {"A client without a User-Agent is recognised by its dialect and refused if so configured.", provider.ID{Type: provider.Okta}, true, []request{{body: patchUser, status: 403}}, 1, 1},
		"DialectReported": {"A client without a User-Agent is recognised by its dialect, reported and served.", provider.ID{Type: provider.Okta}, false, []request{{body: patchUser, status: 200}}, 1, 1},
		"CountedOnce":     {"The User-Agent and the dialect of one request are counted once.", provider.ID{Type: provider.Okta}, false, []request{{agent: entraAgent, body: patchUser, status: 200}}, 1, 1},
		"EntraOwn":        {"Entra ID's dialect with its own token is served.", provider.ID{Type: provider.EntraID}, true, []request{{agent: entraAgent, body: patchUser, status: 200}}, 0, 0},
		"OtherFirst":      {"A token without a known kind of client belongs to the first kind that uses it.", provider.ID{Type: provider.Other}, true, []request{{agent: entraAgent, status: 200}, {agent: oktaAgent, status: 403}, {agent: entraAgent, status: 200}}, 1, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var lines []string
			registry := prometheus.NewRegistry()
			s := newService(t, func(s *service) {
				s.config.Provider, s.config.RefuseSecondClient = tc.token, tc.refuse
				s.options.Tokens = tokenList{"good": {Name: "good", Provider: tc.token, Secret: [32]byte{1}}, "setup": {Name: "setup", Provider: tc.token, Secret: [32]byte{2}}}
				s.options.Registry = registry
				s.options.Log = funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
			})
			made := s.do("POST", "/scim/v2/Users", map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": "ada@example.test"}, "Authorization", "Bearer setup")
			path := "/scim/v2/Users/" + made.is(201).at("id").(string)
			for i, r := range tc.requests {
				method, body := "GET", any(nil)
				if r.body != "" {
					method, body = "PATCH", r.body
				}
				if a := s.do(method, path, body, "User-Agent", r.agent); a.status != r.status {
					t.Errorf("%s request %d is %d: %s", tc.reason, i+1, a.status, a.raw)
				}
			}
			if got := counted(t, registry); got != tc.counted {
				t.Errorf("%s %v counted", tc.reason, got)
			}
			logged := 0
			for _, line := range lines {
				if strings.Contains(line, "second kind of client") {
					logged++
				}
				if strings.Contains(line, "ada@example.test") {
					t.Errorf("personal data in the log: %s", line)
				}
			}
			if logged != tc.logged {
				t.Errorf("%s %d line(s) in the log: %q", tc.reason, logged, lines)
			}
			if tc.refuse && tc.counted > 0 {
				if a := s.do("GET", path, nil, "Authorization", "Bearer setup"); a.at("displayName") != nil {
					t.Errorf("what was refused was stored: %s", a.raw)
				}
			}
		})
	}
}

// counted returns how many requests of a second kind of client the metric counts.
func counted(t *testing.T, r *prometheus.Registry) (n float64) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "scim_second_client_requests_total" {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}
