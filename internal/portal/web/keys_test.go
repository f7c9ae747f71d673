// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/portal/store"
)

func TestKeys(t *testing.T) {
	s := newSite(t)
	boss := s.manager()
	form := url.Values{"name": {"Okta SCIM"}, "scope": {"scim"}, "expires": {"90"}}
	boss.post("/api-keys", form).mustBe(http.StatusBadRequest).mustSay("is for one identity provider")
	form["providerType"], form["providerName"] = []string{"Okta"}, []string{"acme"}
	got := boss.post("/api-keys", form).mustBe(http.StatusCreated).mustSay("Copy the secret of “Okta SCIM” now", "for Okta/acme only")
	_, secret, _ := strings.Cut(got.html, `id="secret" readonly value="`)
	secret, _, _ = strings.Cut(secret, `"`)
	key, err := s.store.Authenticate(t.Context(), secret)
	if err != nil || !key.May(store.ScopeSCIM) {
		t.Fatalf("the shown secret %q is %+v, %v", secret, key, err)
	}
	boss.get("/api-keys").mustSay("Okta SCIM", "for Okta/acme", "does not report its use").mustNotSay(secret)
	boss.post("/api-keys", url.Values{"name": {"reader"}, "scope": {"read"}, "expires": {"90"}, "providerType": {"Okta"}}).mustBe(http.StatusCreated)
	t.Log("the form offers the provider that is integrated")
	if _, err := s.store.Bind(t.Context(), operator, portalapi.Binding{Cluster: "c", Namespace: "n", Name: "default", UID: "u", ProviderType: "EntraID", ProviderName: "globex"}); err != nil {
		t.Fatal(err)
	}
	boss.get("/api-keys?scope=scim").mustSay(`<option value="EntraID" selected`, `name="providerName" value="globex"`)
	boss.get("/audit").mustSay("Created the API key Okta SCIM").mustNotSay(secret)
	for name, bad := range map[string]url.Values{
		"no scope": {"name": {"x"}, "expires": {"90"}}, "no name": {"scope": {"scim"}, "expires": {"90"}, "providerType": {"Okta"}},
		"no expiry": {"name": {"x"}, "scope": {"scim"}, "providerType": {"Okta"}}, "past": {"name": {"x"}, "scope": {"scim"}, "providerType": {"Okta"}, "expires": {"-1"}},
		"unknown provider": {"name": {"x"}, "scope": {"scim"}, "providerType": {"Acme"}, "expires": {"90"}},
	} {
		t.Run(name, func(*testing.T) { boss.post("/api-keys", bad).mustBe(http.StatusBadRequest) })
	}
	path := "/api-keys/" + key.ID + "/delete"
	boss.get(path).mustBe(http.StatusOK).mustSay("Delete the API key “Okta SCIM”?")
	boss.post(path, nil).mustBe(http.StatusOK).mustSay("The API key was deleted").mustNotSay(`<span class="name"><bdi>Okta SCIM`)
	boss.get(path).mustBe(http.StatusNotFound)
	if _, err := s.store.Authenticate(t.Context(), secret); err == nil {
		t.Error("a deleted key still works")
	}
}

// shownSecret returns the secret of a key on the page that shows it once.
func (a *answer) shownSecret() string {
	_, secret, _ := strings.Cut(a.html, `id="secret" readonly value="`)
	secret, _, _ = strings.Cut(secret, `"`)
	return secret
}

func TestRotateKeyPage(t *testing.T) {
	s := newSite(t)
	boss := s.manager()
	form := url.Values{"name": {"Okta SCIM"}, "scope": {"scim"}, "expires": {"90"}, "providerType": {"Okta"}}
	old := boss.post("/api-keys", form).mustBe(http.StatusCreated).shownSecret()
	key, err := s.store.Authenticate(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	path := "/api-keys/" + key.ID + "/rotate"
	boss.get("/api-keys").mustSay(path)
	boss.get(path).mustBe(http.StatusOK).mustSay("Rotate the API key “", "Put the new key into Okta as its SCIM token", "Not longer than before")
	boss.post(path, url.Values{"overlap": {"soon"}}).mustBe(http.StatusBadRequest).mustSay("Choose how long the old key works")
	boss.post(path, url.Values{"overlap": {"99999999"}}).mustBe(http.StatusBadRequest).mustSay("at most 30 days longer")
	made := boss.post(path, url.Values{"overlap": {"86400"}}).mustBe(http.StatusCreated).mustSay("Copy the secret of “Okta SCIM” now", "Replaced").shownSecret()
	for name, secret := range map[string]string{"old": old, "new": made} {
		if _, err := s.store.Authenticate(t.Context(), secret); err != nil {
			t.Errorf("the %s key during the overlap: %v", name, err)
		}
	}
	boss.post(path, url.Values{"overlap": {"86400"}}).mustBe(http.StatusBadRequest).mustSay("was rotated before")
	boss.get("/api-keys").mustNotSay(path, made)
	boss.get("/audit").mustSay("Rotated the API key Okta SCIM", "The old key works until")
	boss.get("/api-keys/none/rotate").mustBe(http.StatusNotFound)
	boss.post("/api-keys/none/rotate", url.Values{"overlap": {"0"}}).mustBe(http.StatusNotFound)
}

func TestKeysOfLeaversPage(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	lea, err := c.store.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "lea-uid", Name: "lea-scim", Revision: 1}, UserName: "lea@example.test", Active: true, Pools: []string{c.support.ID}})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []store.NewKey{{Name: "Lea reads", Scope: store.ScopeRead}, {Name: "Okta SCIM", Scope: store.ScopeSCIM, Provider: provider.ID{Type: "Okta"}}} {
		if _, _, err := c.store.CreateKey(t.Context(), store.ActorOf(lea, ""), n); err != nil {
			t.Fatal(err)
		}
	}
	boss.get("/api-keys").mustNotSay("Ended", "Rotate 1 key")
	leaves := operator
	leaves.RequestID = "push-of-the-leaver"
	if err := c.store.ReleaseAccount(t.Context(), leaves, lea.Owner, portalapi.ReleaseDeactivate); err != nil {
		t.Fatal(err)
	}
	boss.get("/api-keys").mustSay("Rotate 1 key.", "they keep working until you rotate them", "Ended", "The user who made it was deactivated")
	boss.get("/audit?user="+lea.ID).mustSay("API keys ended: Lea reads", "API keys to rotate: Okta SCIM", "push-of-the-leaver")
	boss.get("/users/" + lea.ID).mustSay("API keys ended: Lea reads")
}
