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

// leaver makes a manager who had two keys and left. It returns the ids of the account and of the
// SCIM key, which must be rotated.
func (c *company) leaver() (account, key string) {
	c.t.Helper()
	ctx := c.t.Context()
	lea, err := c.store.PutAccount(ctx, operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "lea-uid", Name: "lea-scim", Revision: 1},
		UserName: "lea@example.test", DisplayName: "Lea Demo", Active: true, Pools: []string{c.support.ID}})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, n := range []store.NewKey{{Name: "Lea reads", Scope: store.ScopeRead}, {Name: "Okta SCIM", Scope: store.ScopeSCIM, Provider: provider.ID{Type: "Okta"}}} {
		made, _, err := c.store.CreateKey(ctx, store.ActorOf(lea, ""), n)
		if err != nil {
			c.t.Fatal(err)
		}
		key = made.ID
	}
	leaves := operator
	leaves.RequestID, leaves.Cause = "push-of-the-leaver", store.CauseProvider
	if err := c.store.ReleaseAccount(ctx, leaves, lea.Owner, portalapi.ReleaseDeactivate); err != nil {
		c.t.Fatal(err)
	}
	return lea.ID, key
}

func TestKeysOfLeaversPage(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	boss.get("/api-keys").mustNotSay("Ended", "Rotate 1 key")
	lea, key := c.leaver()
	boss.get("/api-keys").mustSay("Rotate 1 key.", "they keep working until you rotate them", "Ended", "The user who made it was deactivated", "/api-keys/"+key+"/rotate")
	boss.get("/audit?user="+lea).mustSay("API keys ended: Lea reads", "API keys to rotate: Okta SCIM", "push-of-the-leaver", "because of the identity provider")
	boss.get("/users/" + lea).mustSay("API keys ended: Lea reads")
}
