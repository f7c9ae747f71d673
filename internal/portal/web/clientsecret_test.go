// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"net/http"
	"testing"
)

// TestClientSecretIsNotShown follows a typed client secret over every page until it is saved.
func TestClientSecretIsNotShown(t *testing.T) {
	const secret = "typed-client-secret"
	c := newCompany(t)
	boss := c.manager()
	typed := []string{"sso", "on", "issuer", "https://demo.example.test", "clientId", "portal"} // turns SCIM off, which asks first
	stored := func() string {
		t.Helper()
		sso, err := c.store.SSO(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return sso.ClientSecret
	}
	draft := boss.post(methodsPath, c.form("preview", append(typed, "clientSecret", secret)...)).mustBe(http.StatusOK).mustNotSay(secret)
	sealed := hidden(draft.html, "save").Get("sealedSecret")
	if sealed == "" || stored() != "s" {
		t.Fatalf("the draft keeps the typed secret as %q; the stored one is %q", sealed, stored())
	}
	boss.post(methodsPath, c.form("test", "issuer", "http://127.0.0.1:1", "sealedSecret", sealed)).mustBe(http.StatusConflict).mustSay("Typed; leave empty to use it").mustNotSay(secret)
	summary := boss.post(methodsPath, c.form("save", append(typed, "sealedSecret", sealed)...)).mustBe(http.StatusOK).mustSay("no longer follow").mustNotSay(secret)
	if stored() != "s" {
		t.Error("the summary saved the secret")
	}
	boss.post(methodsPath, hidden(summary.html, "save")).mustBe(http.StatusOK).mustSay("saved and take effect now").mustNotSay(secret)
	if stored() != secret {
		t.Errorf("the stored secret is %q", stored())
	}

	t.Log("another session cannot use the field, and it is not taken for an empty one")
	other := c.manager()
	other.post(methodsPath, c.form("save", append(typed, "sealedSecret", sealed)...)).mustBe(http.StatusBadRequest).mustSay("Type it again")
	t.Log("a secret that is typed again wins")
	boss.post(methodsPath, c.form("save", append(typed, "sealedSecret", sealed, "clientSecret", "typed-again")...)).mustBe(http.StatusOK).mustNotSay("typed-again")
	if stored() != "typed-again" {
		t.Errorf("the stored secret is %q", stored())
	}
}
