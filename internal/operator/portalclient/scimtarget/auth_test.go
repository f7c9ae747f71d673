// SPDX-License-Identifier: Apache-2.0

package scimtarget_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"lightrun.com/scim-operator/internal/operator/portalclient/scimtarget"
	"lightrun.com/scim-operator/test/framework/scimtargets"
)

// TestOAuth gets a token with the client's secret, once for several requests.
func TestOAuth(t *testing.T) {
	tokens := 0
	issuer := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		tokens++
		id, secret, _ := r.BasicAuth()
		if err := r.ParseForm(); err != nil || id != "client" || secret != "client-secret" || r.Form.Get("grant_type") != "client_credentials" ||
			r.Form.Get("scope") != "scim.write" || r.Form.Get("audience") != "app" {
			t.Errorf("%v: %q %v", err, id, r.Form)
		}
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]any{"access_token": scimtargets.Token, "token_type": "Bearer", "expires_in": 3600})
	}))
	t.Cleanup(issuer.Close)
	target := scimtargets.Gateway(t)
	c, err := scimtarget.New(scimtarget.Options{
		URL: target.URL, Ledger: &scimtarget.MemoryLedger{}, Roles: true, Groups: true,
		HTTP: &http.Client{Transport: scimtarget.OAuth(http.DefaultTransport, scimtarget.ClientCredentials{
			TokenURL: issuer.URL, ClientID: "client", Secret: "client-secret", Scopes: []string{"scim.write"}, Audience: "app",
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Pools(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tokens != 1 {
		t.Errorf("%d tokens for one listing", tokens)
	}
}

func TestOptions(t *testing.T) {
	for name, tc := range map[string]struct{ reason, url string }{
		"Relative":    {"A URL without a host has no target.", "/scim/v2"},
		"Credentials": {"Credentials in a URL end in logs.", "https://user:secret@app.example.test/scim"},
		"Query":       {"Paths are appended to the URL.", "https://app.example.test/scim?tenant=1"},
		"Scheme":      {"SCIM is HTTP.", "ldap://app.example.test"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := scimtarget.New(scimtarget.Options{URL: tc.url, Ledger: &scimtarget.MemoryLedger{}}); err == nil {
				t.Error(tc.reason)
			}
		})
	}
}
