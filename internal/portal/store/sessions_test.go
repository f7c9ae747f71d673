// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
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
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now = &at
	s, err := Open(t.Context(), Options{Database: Memory, Now: func() time.Time { return *now }})
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

func TestAccountForSSO(t *testing.T) {
	s, _ := signInStore(t)
	for name, c := range map[string]struct {
		user, email string
		ok          bool
	}{
		"by user name":                  {"Ada@Example.test", "", true},
		"by verified address":           {"other-name", "ADA@mail.example.test", true},
		"unknown name and address":      {"unknown", "unknown@example.test", false},
		"neither user name nor address": {"", "", false},
	} {
		account, err := s.AccountForSSO(t.Context(), c.user, c.email)
		if c.ok && (err != nil || account.UserName != "ada@example.test") || !c.ok && portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
			t.Errorf("%s: got %v, %v", name, account, err)
		}
	}
	if err := s.ReleaseAccount(t.Context(), operator, portalapi.Owner{UID: "u-ada", Revision: 1}, portalapi.ReleaseDeactivate); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AccountForSSO(t.Context(), "ada@example.test", ""); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
		t.Errorf("a deactivated person: %v", err)
	}
	if sso, err := s.SSO(t.Context()); err != nil || sso.ClientSecret != "swordfish" {
		t.Errorf("the sign-in has the secret %q (%v)", sso.ClientSecret, err)
	}
}

func TestSessions(t *testing.T) {
	s, now := signInStore(t)
	account, err := s.AccountForSSO(t.Context(), "ada@example.test", "")
	if err != nil {
		t.Fatal(err)
	}
	start := func() string {
		token, err := s.StartSession(t.Context(), account, MethodSSO, time.Hour)
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
	*now = now.Add(time.Hour)
	ended("after its lifetime", token)
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
