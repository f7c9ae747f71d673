// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/postgres"
)

// TestEffects checks what each change of the login methods takes away, and that it is saved only
// after it was seen.
func TestEffects(t *testing.T) {
	server := postgres.Start(t)
	for name, database := range map[string]func(*testing.T) string{
		"SQLite":     func(*testing.T) string { return Memory },
		"PostgreSQL": func(t *testing.T) string { return server.Database(t) },
	} {
		t.Run(name, func(t *testing.T) { testEffects(t, database) })
	}
}

func testEffects(t *testing.T, database func(*testing.T) string) {
	on := portalapi.LoginMethods{SCIMEnabled: true, ProvisionGroups: true,
		SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal"}}
	with := func(edit func(*portalapi.LoginMethods)) portalapi.LoginMethods {
		m := on
		edit(&m)
		return m
	}
	for name, c := range map[string]struct {
		reason string
		to     portalapi.LoginMethods
		want   []Effect
	}{
		"SSOOff": {
			reason: "Users who have no password cannot sign in, sessions through SSO end, and SCIM ends with SSO.",
			to:     portalapi.LoginMethods{ProvisionGroups: true, SSO: with(func(m *portalapi.LoginMethods) { m.SSO.Enabled = false }).SSO},
			want:   []Effect{{EffectNoSignIn, 2}, {EffectPasswordOnly, 1}, {EffectSignedOut, 1}, {EffectNotFollowed, 2}},
		},
		"SCIMOff":     {"The pools' own toggle remains on and takes nothing away.", with(func(m *portalapi.LoginMethods) { m.SCIMEnabled = false }), []Effect{{EffectNotFollowed, 2}}},
		"GroupsOff":   {"Pools stop following groups.", with(func(m *portalapi.LoginMethods) { m.ProvisionGroups = false }), []Effect{{EffectNoGroups, 1}}},
		"ExistingOn":  {"Waiting users migrate; one of the two is a manager.", with(func(m *portalapi.LoginMethods) { m.ProvisionExistingUsers = true }), []Effect{{EffectMigrated, 2}, {EffectManagerLost, 1}}},
		"OtherIssuer": {"Identities at the former issuer do not sign in.", with(func(m *portalapi.LoginMethods) { m.SSO.Issuer = "https://other.example.test" }), []Effect{{EffectSignedOut, 1}, {EffectBoundAgain, 2}}},
		"OtherClient": {"Another application ends the sessions, but identities stay.", with(func(m *portalapi.LoginMethods) { m.SSO.ClientID = "other" }), []Effect{{EffectSignedOut, 1}}},
		"NewSecret":   {"A new secret takes nothing away.", with(func(m *portalapi.LoginMethods) { m.SSO.ClientSecret = "demo" }), nil},
		"Nothing":     {"No change takes nothing away.", on, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), Options{Database: database(t)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			fillForEffects(t, s, on)
			save := func(seen string) *Effects {
				t.Helper()
				effects, err := s.SaveSeenLoginMethods(t.Context(), SystemActor("test"), c.to, nil, Seen{Effects: seen})
				if err != nil {
					t.Fatal(err)
				}
				return effects
			}
			is := func(want portalapi.LoginMethods) {
				t.Helper()
				config, err := s.Configuration(t.Context())
				want.SSO.ClientSecret = ""
				if err != nil || config.LoginMethods != want {
					t.Errorf("%s\nthe login methods are %+v, want %+v (%v)", c.reason, config.LoginMethods, want, err)
				}
			}
			first := save("")
			if c.want == nil {
				if first != nil {
					t.Errorf("%s\nnot saved: %+v", c.reason, first)
				}
				is(c.to)
				return
			}
			if first == nil {
				t.Fatalf("%s\nsaved unseen", c.reason)
			}
			if diff := cmp.Diff(c.want, first.All); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", c.reason, diff)
			}
			is(on)
			if second := save("another id"); second == nil || second.ID != first.ID {
				t.Errorf("%s\nother effects were accepted: %+v", c.reason, second)
			}
			is(on)
			if save(first.ID) != nil {
				t.Errorf("%s\nthe seen effects are not accepted", c.reason)
			}
			is(c.to)
		})
	}
}

// fillForEffects turns the login methods on and makes two active SCIM-managed users and one
// deactivated user, a local user with an identity, and two local users who wait. One SCIM-managed
// user has signed in.
func fillForEffects(t *testing.T, s *Store, on portalapi.LoginMethods) {
	t.Helper()
	system := SystemActor("test")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(s.EnsureManager(t.Context(), system, "local@example.test", demoPassword))
	_, _, err := s.SaveLoginMethods(t.Context(), system, on, nil, false)
	check(err)
	_, err = s.PutPool(t.Context(), operator, portalapi.PoolWrite{Owner: portalapi.Owner{UID: "pool", Name: "pool"}, Name: "Pool"})
	check(err)
	for i := range 3 {
		w := testWrite(i)
		w.Active = i < 2
		_, err := s.PutAccount(t.Context(), operator, w)
		check(err)
	}
	_, err = s.StartSSOSession(t.Context(), Asserted{Issuer: on.SSO.Issuer, Under: on.SSO, Subject: "0", UserName: testWrite(0).UserName}, "", time.Hour)
	check(err)
	for _, name := range []string{"linked", "waiting", "waiting-manager"} {
		n := NewAccount{UserName: name + "@example.test", Password: demoPassword}
		if name == "waiting-manager" {
			n.DirectRoles = []string{portalapi.RoleManager}
		}
		a, err := s.CreateAccount(t.Context(), system, n)
		check(err)
		if name == "linked" {
			check(s.LinkIdentity(t.Context(), ActorOf(a, ""), Asserted{Issuer: on.SSO.Issuer, Under: on.SSO, Subject: "linked"}))
			continue
		}
		check(s.MarkWaiting(t.Context(), operator, a.ID, portalapi.Owner{UID: "u-" + name, Name: name}))
	}
}
