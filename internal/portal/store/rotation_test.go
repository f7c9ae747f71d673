// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
)

const day = 24 * time.Hour

func TestKeysMakeNoMightierKeys(t *testing.T) {
	person := Actor{Kind: Person, Name: "boss", Scopes: []Scope{ScopeManage}}
	s, now := signInStore(t)
	key := func(expires time.Duration) Actor {
		a := Actor{Kind: Key, Name: "manage", Scopes: []Scope{ScopeManage}}
		if expires != 0 {
			a.Expires = now.Add(expires)
		}
		return a
	}
	for name, c := range map[string]struct {
		reason  string
		actor   Actor
		scope   Scope
		expires time.Duration // from now; 0 chooses none
		want    time.Duration // from now
		code    portalapi.Code
	}{
		"Default":             {reason: "Without a choice a key lives 90 days.", actor: person, scope: ScopeRead, want: 90 * day},
		"DeploymentKey":       {reason: "A key of the deployment never expires, but what it makes does.", actor: key(0), scope: ScopeManage, want: 90 * day},
		"Chosen":              {reason: "A shorter life can be chosen.", actor: person, scope: ScopeProvisioning, expires: 30 * day, want: 30 * day},
		"Longest":             {reason: "The limit itself is allowed.", actor: person, scope: ScopeRead, expires: 365 * day, want: 365 * day},
		"TooLong":             {reason: "Not beyond the limit.", actor: person, scope: ScopeRead, expires: 365*day + time.Second, code: portalapi.CodeInvalid},
		"Past":                {reason: "Not in the past.", actor: person, scope: ScopeRead, expires: -day, code: portalapi.CodeInvalid},
		"KeyMakesSCIM":        {reason: "A manager's key makes the token for the provider.", actor: key(0), scope: ScopeSCIM, want: 90 * day},
		"KeyMakesOperator":    {reason: "Only the operator writes as the owner of records.", actor: key(0), scope: ScopeProvisioning, code: portalapi.CodeForbidden},
		"NotLongerByDefault":  {reason: "No key outlives the key that makes it.", actor: key(20 * day), scope: ScopeRead, want: 20 * day},
		"NotLongerByChoice":   {reason: "No key outlives the key that makes it.", actor: key(20 * day), scope: ScopeRead, expires: 21 * day, code: portalapi.CodeInvalid},
		"ShorterThanItsMaker": {reason: "A key may make a shorter-lived one.", actor: key(20 * day), scope: ScopeManage, expires: 5 * day, want: 5 * day},
	} {
		t.Run(name, func(t *testing.T) {
			n := NewKey{Name: "new", Scope: c.scope}
			if c.scope == ScopeSCIM {
				n.Provider = provider.ID{Type: provider.Okta}
			}
			if c.expires != 0 {
				n.Expires = now.Add(c.expires)
			}
			made, _, err := s.CreateKey(t.Context(), c.actor, n)
			if portalapi.CodeOf(err) != c.code {
				t.Fatalf("%s: %v", c.reason, err)
			}
			if err == nil && !made.ExpiresAt.Equal(now.Add(c.want)) {
				t.Errorf("%s: it expires %v, want %v", c.reason, made.ExpiresAt, now.Add(c.want))
			}
		})
	}
}

func TestRotateKey(t *testing.T) {
	s, now := signInStore(t)
	boss := Actor{Kind: Person, Name: "boss", Scopes: []Scope{ScopeManage}}
	old, oldSecret, err := s.CreateKey(t.Context(), boss, NewKey{Name: "Okta", Scope: ScopeSCIM, Provider: provider.ID{Type: provider.Okta, Name: "acme"}, Expires: now.Add(200 * day)})
	if err != nil {
		t.Fatal(err)
	}
	digests := func() (n int) {
		t.Helper()
		keys, err := s.SCIMKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(keys)
	}
	works := func(secret string) bool {
		_, err := s.Authenticate(t.Context(), secret)
		return err == nil
	}
	if _, _, err := s.RotateKey(t.Context(), boss, old.ID, MaxKeyOverlap+time.Second); portalapi.CodeOf(err) != portalapi.CodeInvalid {
		t.Errorf("an overlap beyond the limit: %v", err)
	}
	made, secret, err := s.RotateKey(t.Context(), boss, old.ID, 7*day)
	if err != nil {
		t.Fatal(err)
	}
	if made.Name != old.Name || made.Scope != old.Scope || made.Provider != old.Provider || !made.ExpiresAt.Equal(now.Add(200*day)) {
		t.Errorf("the new key is %+v, want the old one's name, scope, provider and lifetime %+v", made, old)
	}
	if !works(oldSecret) || !works(secret) || digests() != 2 {
		t.Error("both keys work during the overlap")
	}
	if _, _, err := s.RotateKey(t.Context(), boss, old.ID, day); portalapi.CodeOf(err) != portalapi.CodeInvalid {
		t.Errorf("a key is rotated twice: %v", err)
	}
	*now = now.Add(7 * day)
	if works(oldSecret) || !works(secret) || digests() != 1 {
		t.Error("after the overlap only the new key works")
	}
	if _, _, err := s.RotateKey(t.Context(), boss, old.ID, day); portalapi.CodeOf(err) != portalapi.CodeInvalid {
		t.Errorf("a key that has ended is rotated: %v", err)
	}
	if _, _, err := s.RotateKey(t.Context(), boss, "none", day); portalapi.CodeOf(err) != portalapi.CodeNotFound {
		t.Errorf("an unknown key: %v", err)
	}

	t.Log("the old key does not work longer than before")
	short, shortSecret, err := s.CreateKey(t.Context(), boss, NewKey{Name: "short", Scope: ScopeRead, Expires: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.RotateKey(t.Context(), boss, short.ID, 7*day); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(time.Hour)
	if works(shortSecret) {
		t.Error("the rotation prolongs the old key")
	}

	t.Log("a key rotates no mightier key, and does not prolong itself")
	provisioning, _, err := s.CreateKey(t.Context(), boss, NewKey{Name: "operator", Scope: ScopeProvisioning})
	if err != nil {
		t.Fatal(err)
	}
	own, ownSecret, err := s.CreateKey(t.Context(), boss, NewKey{Name: "terraform", Scope: ScopeManage, Expires: now.Add(10 * day)})
	if err != nil {
		t.Fatal(err)
	}
	actor, err := s.Authenticate(t.Context(), ownSecret)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.RotateKey(t.Context(), actor, provisioning.ID, day); portalapi.CodeOf(err) != portalapi.CodeForbidden {
		t.Errorf("a manage key rotates the operator's key: %v", err)
	}
	if next, _, err := s.RotateKey(t.Context(), actor, own.ID, day); err != nil || next.ExpiresAt.After(own.ExpiresAt) {
		t.Errorf("a key rotates itself to %+v, %v", next, err)
	}
}

func TestEnsureKeyThatHasEnded(t *testing.T) {
	s, now := signInStore(t)
	const secret = "demo-secret-of-the-deployment"
	n := NewKey{Name: "bootstrap-read", Scope: ScopeRead}
	if err := s.EnsureKey(t.Context(), SystemActor("bootstrap"), n, secret); err != nil {
		t.Fatal(err)
	}
	keys, err := s.Keys(t.Context())
	if err != nil || !keys[0].ExpiresAt.IsZero() {
		t.Fatalf("the deployment ends its own keys: %+v, %v", keys, err)
	}
	if _, _, err := s.RotateKey(t.Context(), SystemActor("test"), keys[0].ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureKey(t.Context(), SystemActor("bootstrap"), n, secret); err != nil {
		t.Errorf("during the overlap: %v", err)
	}
	*now = now.Add(time.Hour)
	if err := s.EnsureKey(t.Context(), SystemActor("bootstrap"), n, secret); portalapi.CodeOf(err) != portalapi.CodeInvalid {
		t.Errorf("a start with the secret of a key that has ended says nothing: %v", err)
	}
}
