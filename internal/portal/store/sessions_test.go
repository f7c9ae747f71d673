// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

const demoPassword = "demo password, long enough"

// signInStore returns a portal with SSO and SCIM on, a clock, and one local and one SCIM-managed
// user with the same password.
func signInStore(t *testing.T) (s *Store, now *time.Time) {
	t.Helper()
	return signInStoreWith(t, Options{})
}

// signInStoreWith is signInStore with further options.
func signInStoreWith(t *testing.T, o Options) (s *Store, now *time.Time) {
	t.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now = &at
	o.Database, o.Now = Memory, func() time.Time { return *now }
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	system := SystemActor("test")
	if err := s.EnsureManager(t.Context(), system, "local@example.test", demoPassword); err != nil {
		t.Fatal(err)
	}
	ada, err := s.CreateAccount(t.Context(), system, NewAccount{UserName: "ada@example.test", Email: "ada@mail.example.test", Password: demoPassword})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.SaveLoginMethods(t.Context(), system, portalapi.LoginMethods{SCIMEnabled: true, ProvisionExistingUsers: true,
		SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal", ClientSecret: "swordfish"}}, nil, false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-ada", Revision: 1}, UserName: "ada@example.test",
		Email: "ada@mail.example.test", Active: true, Adopt: &portalapi.Adopt{ID: ada.ID}}); err != nil {
		t.Fatal(err)
	}
	return s, now
}

func TestCheckPassword(t *testing.T) {
	s, _ := signInStore(t)
	for name, c := range map[string]struct {
		user, password string
		ok             bool
	}{
		"a local manager signs in with a password also while SSO is on": {"LOCAL@example.test", demoPassword, true},
		"a wrong password":                          {"local@example.test", "another password", false},
		"no password":                               {"local@example.test", "", false},
		"an unknown user name":                      {"unknown@example.test", demoPassword, false},
		"an adopted user signs in only through SSO": {"ada@example.test", demoPassword, false},
	} {
		account, err := s.CheckPassword(t.Context(), c.user, c.password)
		switch {
		case c.ok && (err != nil || account == nil):
			t.Errorf("%s: %v", name, err)
		case !c.ok && portalapi.CodeOf(err) != portalapi.CodeUnauthenticated:
			t.Errorf("%s: got %v, %v", name, account, err)
		}
	}
}

func TestPasswordEndsWithAdoption(t *testing.T) {
	off := portalapi.LoginMethods{}
	handOver, password := true, "another demo password"
	local := func(t *testing.T, s *Store) *Account {
		account, err := s.CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: "bob@example.test", Password: demoPassword})
		if err != nil {
			t.Fatal(err)
		}
		return account
	}
	for name, c := range map[string]struct {
		reason string
		act    func(t *testing.T, s *Store) error
	}{
		"Adopted": {
			reason: "The adoption ends the password, also when all existing users are provisioned.",
			act: func(t *testing.T, s *Store) error {
				_, err := s.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-bob", Revision: 1},
					UserName: "bob@example.test", Active: true, Adopt: &portalapi.Adopt{ID: local(t, s).ID}})
				return err
			},
		},
		"HandedOver": {
			reason: "The page says of the hand-over that the password stops working.",
			act: func(t *testing.T, s *Store) error {
				account := local(t, s)
				config, err := s.Configuration(t.Context())
				if err != nil {
					return err
				}
				m := config.LoginMethods
				m.ProvisionExistingUsers = false
				if _, _, err := s.SaveLoginMethods(t.Context(), SystemActor("test"), m, nil, false); err != nil {
					return err
				}
				if _, err := s.UpdateAccount(t.Context(), SystemActor("test"), account.ID, nil, AccountPatch{HandedOver: &handOver}); err != nil {
					return err
				}
				_, err = s.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-bob", Revision: 1},
					UserName: "bob@example.test", Active: true, Adopt: &portalapi.Adopt{ID: account.ID}})
				return err
			},
		},
		"Released": {
			reason: "A release makes the account local again, without its former password.",
			act: func(t *testing.T, s *Store) error {
				account := local(t, s)
				owner := portalapi.Owner{UID: "u-bob", Revision: 1}
				if _, err := s.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: owner, UserName: "bob@example.test", Active: true,
					Adopt: &portalapi.Adopt{ID: account.ID}}); err != nil {
					return err
				}
				return s.ReleaseAccount(t.Context(), operator, owner, portalapi.ReleaseOrphan)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := signInStore(t)
			if err := c.act(t, s); err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.SaveLoginMethods(t.Context(), SystemActor("test"), off, nil, false); err != nil {
				t.Fatal(err)
			}
			bob, err := s.AccountByName(t.Context(), "bob@example.test")
			if err != nil || bob.HasPassword() {
				t.Errorf("%s\nthe account has a password: %v (%v)", c.reason, bob.HasPassword(), err)
			}
			if _, err := s.CheckPassword(t.Context(), "bob@example.test", demoPassword); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
				t.Errorf("%s\nthe former password signs in once SSO is off: %v", c.reason, err)
			}
			events, err := s.AuditEvents(t.Context(), AuditFilter{TargetID: bob.ID}, 0, 10)
			if err != nil || !slices.ContainsFunc(events, func(e AuditEvent) bool {
				return slices.Contains(e.Changes, FieldChange{Field: "password", From: "set"})
			}) {
				t.Errorf("%s\nthe audit does not say that the password ended: %+v (%v)", c.reason, events, err)
			}
		})
	}
	t.Run("NoNewOne", func(t *testing.T) {
		s, _ := signInStore(t)
		if _, _, err := s.SaveLoginMethods(t.Context(), SystemActor("test"), off, nil, false); err != nil {
			t.Fatal(err)
		}
		ada, err := s.AccountByName(t.Context(), "ada@example.test")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.UpdateAccount(t.Context(), SystemActor("test"), ada.ID, nil, AccountPatch{Password: &password}); portalapi.CodeOf(err) != portalapi.CodeInvalid {
			t.Errorf("a SCIM-managed account gets a password: %v", err)
		}
	})
}

func TestSessions(t *testing.T) {
	s, now := signInStore(t)
	account, err := s.AccountByName(t.Context(), "ada@example.test")
	if err != nil {
		t.Fatal(err)
	}
	start := func() string {
		token, err := s.StartSession(t.Context(), account, MethodSSO, time.Hour+time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	ended := func(why, token string) {
		if _, err := s.Session(t.Context(), token); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
			t.Errorf("%s: the session continues (%v)", why, err)
		}
	}
	token := start()
	session, err := s.Session(t.Context(), token)
	if err != nil || session.Account.ID != account.ID || session.Method != MethodSSO || !session.Account.LastSignInAt.Equal(*now) {
		t.Fatalf("session %+v, %v", session, err)
	}
	if session.Account.Revision != account.Revision {
		t.Errorf("signing in changed the revision from %d to %d", account.Revision, session.Account.Revision)
	}
	ended("an unknown secret", "unknown")
	if err := s.EndSession(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	ended("after signing out", token)
	token = start()
	for range 3 { // in use, so not idle
		*now = now.Add(20 * time.Minute)
		if _, err := s.Session(t.Context(), token); err != nil {
			t.Errorf("a session in use: %v", err)
		}
	}
	*now = now.Add(time.Second)
	ended("after its lifetime", token)
	token = start()
	*now = now.Add(s.idle)
	ended("without a request for the idle time", token)
	token = start()
	if err := s.ReleaseAccount(t.Context(), operator, portalapi.Owner{UID: "u-ada", Revision: 1}, portalapi.ReleaseDeactivate); err != nil {
		t.Fatal(err)
	}
	ended("of a deactivated user", token)
	if _, err := s.StartSession(t.Context(), account, MethodSSO, time.Hour); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
		t.Errorf("a deactivated person signs in: %v", err)
	}
}

func TestUserWithoutManagerRole(t *testing.T) {
	s, _ := signInStore(t)
	ada, err := s.AccountByName(t.Context(), "ada@example.test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreatePool(t.Context(), ActorOf(ada, "demo-1"), NewPool{Name: "mine"}); portalapi.CodeOf(err) != portalapi.CodeForbidden {
		t.Errorf("got %v", err)
	}
	events, err := s.AuditEvents(t.Context(), AuditFilter{Actor: "ada@example.test", Refused: true}, 0, 10)
	if err != nil || len(events) != 1 || events[0].RequestID != "demo-1" {
		t.Errorf("audited %+v (%v)", events, err)
	}
}

func TestCancelledCallKeepsMemoryDatabase(t *testing.T) {
	s, _ := signInStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.inTx(ctx, func(t *tx) error {
		if _, err := t.exec(`DELETE FROM accounts`); err != nil {
			return err
		}
		cancel()
		_, err := t.exec(`DELETE FROM pools`)
		return err
	})
	if !IsBusy(err) {
		t.Errorf("got %v", err)
	}
	if n, err := s.CountAccounts(t.Context(), AccountFilter{}); n != 2 || err != nil {
		t.Errorf("%d accounts are left (%v)", n, err)
	}
}

// TestSessionsEnd signs a local user and a SCIM-managed user in, makes one change, and checks whose
// sessions have ended.
func TestSessionsEnd(t *testing.T) {
	off, on, password, name := false, true, "another demo password", "New Name"
	sso := func(change func(*portalapi.LoginMethods)) func(*testing.T, *Store, *Account) error {
		return func(t *testing.T, s *Store, _ *Account) error {
			config, err := s.Configuration(t.Context())
			if err != nil {
				return err
			}
			m := config.LoginMethods
			change(&m)
			_, _, err = s.SaveLoginMethods(t.Context(), SystemActor("test"), m, nil, false)
			return err
		}
	}
	update := func(patches ...AccountPatch) func(*testing.T, *Store, *Account) error {
		return func(t *testing.T, s *Store, bob *Account) error {
			for _, p := range patches {
				if _, err := s.UpdateAccount(t.Context(), SystemActor("test"), bob.ID, nil, p); err != nil {
					return err
				}
			}
			return nil
		}
	}
	ada := func(changes ...func(*portalapi.AccountWrite)) func(*testing.T, *Store, *Account) error {
		return func(t *testing.T, s *Store, _ *Account) error {
			for i, change := range changes {
				w := portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-ada", Revision: int64(i + 2)}, UserName: "ada@example.test",
					Email: "ada@mail.example.test", Active: true}
				change(&w)
				if _, err := s.PutAccount(t.Context(), operator, w); err != nil {
					return err
				}
			}
			return nil
		}
	}
	release := func(mode portalapi.ReleaseMode) func(*testing.T, *Store, *Account) error {
		return func(t *testing.T, s *Store, _ *Account) error {
			return s.ReleaseAccount(t.Context(), operator, portalapi.Owner{UID: "u-ada", Revision: 1}, mode)
		}
	}
	active, inactive := func(*portalapi.AccountWrite) {}, func(w *portalapi.AccountWrite) { w.Active = false }
	for label, c := range map[string]struct {
		reason   string
		act      func(t *testing.T, s *Store, bob *Account) error
		bob, ada bool // whose sessions have ended
	}{
		"Deactivated":          {"A deactivated user is signed out everywhere.", update(AccountPatch{Active: &off}), true, false},
		"DeactivatedAndActive": {"The activation brings no session back.", update(AccountPatch{Active: &off}, AccountPatch{Active: &on}), true, false},
		"NewPassword":          {"A stolen session ends with the password.", update(AccountPatch{Password: &password}), true, false},
		"NewName":              {"A name says nothing about who may sign in.", update(AccountPatch{DisplayName: &name}), false, false},
		"NewRoles":             {"Roles are in force at the next page.", update(AccountPatch{DirectRoles: &[]string{portalapi.RoleManager}}, AccountPatch{DirectRoles: &[]string{}}), false, false},
		"HandedOver":           {"The consent changes nothing until the adoption.", update(AccountPatch{HandedOver: &on}), false, false},
		"Adopted": {"The password ends, and its sessions with it.", func(t *testing.T, s *Store, bob *Account) error {
			_, err := s.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-bob", Revision: 1}, UserName: "bob@example.test",
				Active: true, Adopt: &portalapi.Adopt{ID: bob.ID}})
			return err
		}, true, false},
		"PushedInactive":          {"The provider's deactivation signs out everywhere.", ada(inactive), false, true},
		"PushedInactiveAndActive": {"The provider's activation brings no session back.", ada(inactive, active), false, true},
		"PushedName":              {"A name says nothing about who may sign in.", ada(func(w *portalapi.AccountWrite) { w.DisplayName = name }), false, false},
		"Restored": {"A new object of the same user changes nothing for the user.", func(t *testing.T, s *Store, _ *Account) error {
			have, err := s.AccountByName(t.Context(), "ada@example.test")
			if err != nil {
				return err
			}
			_, err = s.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-ada-2", Revision: 1}, UserName: "ada@example.test",
				Email: "ada@mail.example.test", Active: true, Adopt: &portalapi.Adopt{ID: have.ID, OwnerUID: "u-ada"}})
			return err
		}, false, false},
		"Released":      {"The released account is local: who may sign in is decided again.", release(portalapi.ReleaseOrphan), false, true},
		"Deprovisioned": {"A release deactivates.", release(portalapi.ReleaseDeactivate), false, true},
		"Deleted":       {"Nothing is left to sign in as.", release(portalapi.ReleaseDelete), false, true},
		"SSOOff":        {"Sessions that SSO gave end with it; passwords are not concerned.", sso(func(m *portalapi.LoginMethods) { *m = portalapi.LoginMethods{} }), false, true},
		"SSOOffAndOn": {"Switching SSO on again brings no session back.", func(t *testing.T, s *Store, bob *Account) error {
			return errors.Join(sso(func(m *portalapi.LoginMethods) {
				m.SSO.Enabled, m.SCIMEnabled, m.ProvisionExistingUsers = false, false, false
			})(t, s, bob),
				sso(func(m *portalapi.LoginMethods) { m.SSO.Enabled = true })(t, s, bob))
		}, false, true},
		"OtherIssuer": {"Another provider decides who signs in.", sso(func(m *portalapi.LoginMethods) { m.SSO.Issuer = "https://other.example.test" }), false, true},
		"OtherClient": {"Another application decides who may use it.", sso(func(m *portalapi.LoginMethods) { m.SSO.ClientID = "other" }), false, true},
		"OtherSecret": {"The rotation of the secret changes nothing for users.", sso(func(m *portalapi.LoginMethods) { m.SSO.ClientSecret = "rotated" }), false, false},
		"SignedOutEverywhere": {"A manager ends all sessions of a user, also of a SCIM-managed one.", func(t *testing.T, s *Store, _ *Account) error {
			have, err := s.AccountByName(t.Context(), "ada@example.test")
			if err != nil {
				return err
			}
			return s.EndSessions(t.Context(), SystemActor("test"), have.ID)
		}, false, true},
	} {
		t.Run(label, func(t *testing.T) {
			s, _ := signInStore(t)
			bob, err := s.CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: "bob@example.test", Password: demoPassword})
			if err != nil {
				t.Fatal(err)
			}
			have, err := s.AccountByName(t.Context(), "ada@example.test")
			if err != nil {
				t.Fatal(err)
			}
			start := func(a *Account, method string) string {
				token, err := s.StartSession(t.Context(), a, method, time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				return token
			}
			byPassword, throughSSO := start(bob, MethodPassword), start(have, MethodSSO)
			if err := c.act(t, s, bob); err != nil {
				t.Fatal(err)
			}
			for who, want := range map[string]struct {
				token string
				ended bool
			}{"bob": {byPassword, c.bob}, "ada": {throughSSO, c.ada}} {
				_, err := s.Session(t.Context(), want.token)
				if got := portalapi.CodeOf(err) == portalapi.CodeUnauthenticated; got != want.ended || err != nil && !got {
					t.Errorf("%s\n%s: ended %v (%v), want %v", c.reason, who, got, err, want.ended)
				}
			}
		})
	}
}

func TestSignInDuringAChange(t *testing.T) {
	s, _ := signInStore(t)
	local, err := s.CheckPassword(t.Context(), "local@example.test", demoPassword)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("the password was right when it was checked, and is another one when the session starts")
	password := "another demo password"
	if _, err := s.UpdateAccount(t.Context(), SystemActor("test"), local.ID, nil, AccountPatch{Password: &password}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.StartSession(t.Context(), local, MethodPassword, time.Hour); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
		t.Errorf("the former password signed in: %v", err)
	}
}

func TestWhoEndsSessions(t *testing.T) {
	s, _ := signInStore(t)
	ada, err := s.AccountByName(t.Context(), "ada@example.test")
	if err != nil {
		t.Fatal(err)
	}
	local, err := s.AccountByName(t.Context(), "local@example.test")
	if err != nil {
		t.Fatal(err)
	}
	start := func(a *Account) {
		if _, err := s.StartSession(t.Context(), a, MethodSSO, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	left := func(a *Account) int {
		now, err := s.Account(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		all, err := s.Sessions(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	start(ada)
	start(ada)
	start(local)
	if err := s.EndSessions(t.Context(), ActorOf(ada, ""), local.ID); portalapi.CodeOf(err) != portalapi.CodeForbidden || left(local) != 1 {
		t.Errorf("a user without the manager role ends sessions of a manager: %v, %d left", err, left(local))
	}
	if err := s.EndSessions(t.Context(), Actor{Kind: Key, ID: ada.ID, Name: "reader", Scopes: []Scope{ScopeRead}}, ada.ID); portalapi.CodeOf(err) != portalapi.CodeForbidden {
		t.Errorf("a key with the id of a user: %v", err)
	}
	if left(ada) != 2 {
		t.Errorf("%d sessions are listed, want 2", left(ada))
	}
	if err := s.EndSessions(t.Context(), ActorOf(ada, ""), ada.ID); err != nil || left(ada) != 0 || left(local) != 1 {
		t.Errorf("the user's own sessions: %v, %d left, %d of others", err, left(ada), left(local))
	}
	if err := s.EndSessions(t.Context(), ActorOf(local, ""), "unknown"); portalapi.CodeOf(err) != portalapi.CodeNotFound {
		t.Errorf("an unknown user: %v", err)
	}
	events, err := s.AuditEvents(t.Context(), AuditFilter{}, 0, 10)
	if err != nil || !slices.ContainsFunc(events, func(e AuditEvent) bool { return e.Action == "session.end-all" && e.TargetID == ada.ID && !e.Refused() }) {
		t.Errorf("audited %+v (%v)", events, err)
	}
}
