// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/portal/store"
)

// keyPage is the content of the page API Keys.
type keyPage struct {
	Keys    []store.APIKey
	Form    keyForm
	Scopes  []scopeChoice
	Created *store.APIKey // with Secret: shown only once
	Secret  string
}

type keyForm struct{ Name, Scope, ProviderType, ProviderName, Expires string }

type scopeChoice struct{ Name, Title, Hint string }

var scopes = []scopeChoice{
	{string(store.ScopeSCIM), "scim: for your identity provider", "The token with which the provider chosen below sends users and groups. It has no rights in this portal's API."},
	{string(store.ScopeRead), "read", "Reads users, pools, configuration and the audit."},
	{string(store.ScopeManage), "manage", "Does everything that a manager can do on these pages."},
	{string(store.ScopeProvisioning), "provisioning: for the operator", "Writes the users and pools that come from SCIM and Kubernetes, and reads everything."},
}

func (s *site) keys(v *visit) error {
	form, err := s.newKeyForm(v)
	if err != nil {
		return err
	}
	form.Scope = v.FormValue("scope")
	return s.showKeys(v, http.StatusOK, "", keyPage{Form: form})
}

// newKeyForm returns the initial form: for the integrated identity provider.
func (s *site) newKeyForm(v *visit) (keyForm, error) {
	form := keyForm{Expires: "365"}
	config, err := s.store.Configuration(v.Context())
	if err == nil && config.Binding != nil {
		form.ProviderType, form.ProviderName = config.Binding.ProviderType, config.Binding.ProviderName
	}
	return form, err
}

func (s *site) showKeys(v *visit, status int, problem string, body keyPage) (err error) {
	if body.Keys, err = s.store.Keys(v.Context()); err != nil {
		return err
	}
	body.Scopes = scopes
	return s.show(v, status, "keys", view{Title: "API Keys", Section: "keys", Problem: problem, Body: body})
}

// createKey responds with the secret directly and does not redirect, because the secret is not
// stored.
func (s *site) createKey(v *visit) error {
	f := keyForm{
		Name: v.text("name"), Scope: v.PostFormValue("scope"), Expires: v.PostFormValue("expires"),
		ProviderType: v.PostFormValue("providerType"), ProviderName: v.text("providerName"),
	}
	expires, err := f.expires(time.Now())
	var key *store.APIKey
	var secret string
	if err == nil {
		key, secret, err = s.store.CreateKey(v.Context(), v.actor(), store.NewKey{Name: f.Name, Scope: store.Scope(f.Scope), Provider: f.provider(), Expires: expires})
	}
	if e := asRefusal(err); e != nil {
		return s.showKeys(v, e.Status, sentenceOf(e.Message), keyPage{Form: f})
	}
	if err != nil {
		return err
	}
	next, err := s.newKeyForm(v)
	if err != nil {
		return err
	}
	return s.showKeys(v, http.StatusCreated, "", keyPage{Form: next, Created: key, Secret: secret})
}

// provider returns the provider of the key; the fields apply only to keys with the scope scim.
func (f keyForm) provider() provider.ID {
	if f.Scope != string(store.ScopeSCIM) {
		return provider.ID{}
	}
	return provider.ID{Type: f.ProviderType, Name: f.ProviderName}
}

// expires returns the expiry of the key; zero if never.
func (f keyForm) expires(now time.Time) (time.Time, error) {
	if f.Expires == "never" {
		return time.Time{}, nil
	}
	days, err := strconv.Atoi(f.Expires)
	if err != nil || days < 1 || days > 3650 {
		return time.Time{}, refusal(http.StatusBadRequest, portalapi.CodeInvalid, "Choose after how many days the key expires, or never.")
	}
	return now.AddDate(0, 0, days), nil
}

func (s *site) confirmDeleteKey(v *visit) error {
	all, err := s.store.Keys(v.Context())
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(k store.APIKey) bool { return k.ID == v.PathValue("id") })
	if at < 0 {
		return refusal(http.StatusNotFound, portalapi.CodeNotFound, "There is no such API key. It may have been deleted already.")
	}
	text := "Programs that use this key are refused immediately. This cannot be undone."
	if all[at].Scope == store.ScopeSCIM {
		text = "An identity provider that still uses this key as its SCIM token is refused within seconds. Configure a new token there first. This cannot be undone."
	}
	return s.show(v, http.StatusOK, "confirm", view{Title: "Delete an API key", Section: "keys", Crumbs: way("Delete", toKeys), Body: confirmation{
		Heading: "Delete the API key “" + all[at].Name + "”?", Submit: "Delete key", Action: "/api-keys/" + all[at].ID + "/delete", Back: "/api-keys", Text: []string{text},
	}})
}

func (s *site) deleteKey(v *visit) error {
	if err := s.store.DeleteKey(v.Context(), v.actor(), v.PathValue("id")); err != nil {
		return err
	}
	return s.done(v, "key-deleted", "/api-keys")
}
