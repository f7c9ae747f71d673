// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
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
	Keys      []store.APIKey
	Rotate    []store.APIKey // that work, and whose makers left
	Form      keyForm
	Lifetimes []string // pairs of value and label
	Scopes    []scopeChoice
	Created   *store.APIKey // with Secret: shown only once
	Secret    string
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
	form := keyForm{Expires: strconv.Itoa(days(min(store.KeyLifetime, s.store.MaxKeyLifetime())))}
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
	body.Scopes, body.Lifetimes = scopes, lifetimes(s.store.MaxKeyLifetime())
	for _, k := range body.Keys {
		if k.Works(time.Now()) && !k.RotateSince.IsZero() && k.ReplacedBy == "" {
			body.Rotate = append(body.Rotate, k)
		}
	}
	return s.show(v, status, "keys", view{Title: "API Keys", Section: "keys", Problem: problem, Secret: body.Secret != "", Body: body})
}

func days(d time.Duration) int { return int(d.Hours() / 24) }

// lifetimes returns the choices for the lifetime of a key, in days: at most longest.
func lifetimes(longest time.Duration) []string {
	var pairs []string
	for _, n := range []int{7, 30, 90, 180, 365} {
		if n < days(longest) {
			pairs = append(pairs, strconv.Itoa(n), fmt.Sprintf("%d days", n))
		}
	}
	n := strconv.Itoa(days(longest))
	return append(pairs, n, n+" days, the limit")
}

// createKey responds with the secret directly and does not redirect, because the secret is not
// stored.
func (s *site) createKey(v *visit) error {
	f := keyForm{
		Name: v.text("name"), Scope: v.PostFormValue("scope"), Expires: v.PostFormValue("expires"),
		ProviderType: v.PostFormValue("providerType"), ProviderName: v.text("providerName"),
	}
	expires, err := f.expires(time.Now(), s.store.MaxKeyLifetime())
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

// expires returns the expiry of the key.
func (f keyForm) expires(now time.Time, longest time.Duration) (time.Time, error) {
	n, err := strconv.Atoi(f.Expires)
	if err != nil || n < 1 || n > days(longest) {
		return time.Time{}, refusal(http.StatusBadRequest, portalapi.CodeInvalid, fmt.Sprintf("Choose after how many days the key expires, at most %d.", days(longest)))
	}
	return now.Add(time.Duration(n) * 24 * time.Hour), nil
}

// findKey returns the key in the page's address.
func (s *site) findKey(v *visit) (*store.APIKey, error) {
	all, err := s.store.Keys(v.Context())
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(all, func(k store.APIKey) bool { return k.ID == v.PathValue("id") })
	if at < 0 {
		return nil, refusal(http.StatusNotFound, portalapi.CodeNotFound, "There is no such API key. It may have been deleted already.")
	}
	return &all[at], nil
}

// overlaps are the choices for how long a rotated key works, as pairs of seconds and label.
var overlaps = []string{"604800", "7 days", "86400", "1 day", "3600", "1 hour", "2592000", "30 days", "0", "Not at all"}

// rotation is the content of the page that rotates a key.
type rotation struct {
	Key      *store.APIKey
	Overlaps []string
	Text     string
}

func (s *site) askRotateKey(v *visit) error { return s.showRotation(v, http.StatusOK, "") }

func (s *site) showRotation(v *visit, status int, problem string) error {
	key, err := s.findKey(v)
	if err != nil {
		return err
	}
	text := "Give the new key to the program that uses the old one, within the time that you choose."
	if key.Scope == store.ScopeSCIM {
		text = "Put the new key into " + key.Provider.String() + " as its SCIM token, within the time that you choose. No push fails meanwhile: both keys work."
	}
	return s.show(v, status, "rotate_key", view{Title: "Rotate an API key", Section: "keys", Crumbs: way("Rotate", toKeys), Problem: problem,
		Body: rotation{Key: key, Overlaps: overlaps, Text: text}})
}

// rotateKey responds with the secret of the new key, as createKey does.
func (s *site) rotateKey(v *visit) error {
	seconds, err := strconv.Atoi(v.PostFormValue("overlap"))
	if err != nil {
		return s.showRotation(v, http.StatusBadRequest, "Choose how long the old key works.")
	}
	key, secret, err := s.store.RotateKey(v.Context(), v.actor(), v.PathValue("id"), time.Duration(seconds)*time.Second)
	if e := asRefusal(err); e != nil && e.Code != portalapi.CodeNotFound {
		return s.showRotation(v, e.Status, sentenceOf(e.Message))
	}
	if err != nil {
		return err
	}
	form, err := s.newKeyForm(v)
	if err != nil {
		return err
	}
	return s.showKeys(v, http.StatusCreated, "", keyPage{Form: form, Created: key, Secret: secret})
}

func (s *site) confirmDeleteKey(v *visit) error {
	key, err := s.findKey(v)
	if err != nil {
		return err
	}
	text := "Programs that use this key are refused immediately. This cannot be undone."
	if key.Scope == store.ScopeSCIM {
		text = "An identity provider that still uses this key as its SCIM token is refused within seconds. Configure a new token there first. This cannot be undone."
	}
	return s.show(v, http.StatusOK, "confirm", view{Title: "Delete an API key", Section: "keys", Crumbs: way("Delete", toKeys), Body: confirmation{
		Heading: "Delete the API key “" + key.Name + "”?", Submit: "Delete key", Action: "/api-keys/" + key.ID + "/delete", Back: "/api-keys", Text: []string{text},
	}})
}

func (s *site) deleteKey(v *visit) error {
	if err := s.store.DeleteKey(v.Context(), v.actor(), v.PathValue("id")); err != nil {
		return err
	}
	return s.done(v, "key-deleted", "/api-keys")
}
