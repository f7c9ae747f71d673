// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

const otherPassword = "another demo password"

// signedIn signs the user in with the password and returns the secret of the session.
func signedIn(t *testing.T, s *Store, userName, password string) string {
	t.Helper()
	in, err := s.SignIn(t.Context(), PasswordSignIn{UserName: userName, Password: password, Network: "192.0.2.1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return in.Session
}

func TestChangePassword(t *testing.T) {
	for name, c := range map[string]struct {
		reason           string
		current, replace string
		act              func(t *testing.T, s *Store, bob *Account) error // after the session began
		code             portalapi.Code                                   // of the refusal
	}{
		"Changed":   {reason: "The user knows the current password.", current: demoPassword, replace: otherPassword},
		"Wrong":     {reason: "A session is not enough.", current: "guess", replace: otherPassword, code: portalapi.CodeForbidden},
		"NoCurrent": {reason: "A session is not enough.", replace: otherPassword, code: portalapi.CodeForbidden},
		"TooShort":  {reason: "The rule of all passwords.", current: demoPassword, replace: "short", code: portalapi.CodeInvalid},
		"Empty":     {reason: "Users do not remove their password in this way.", current: demoPassword, code: portalapi.CodeInvalid},
		"Same":      {reason: "Nothing would change.", current: demoPassword, replace: demoPassword, code: portalapi.CodeInvalid},
		"Guessed": {reason: "A stolen session does not guess the password.", current: demoPassword, replace: otherPassword, code: portalapi.CodeRateLimited,
			act: func(t *testing.T, s *Store, bob *Account) error {
				for range 10 {
					if _, err := s.ownPassword(t.Context(), ActorOf(bob, ""), "guess"); portalapi.CodeOf(err) != portalapi.CodeForbidden {
						return err
					}
				}
				return nil
			}},
		"SCIMManaged": {reason: "The password ended with the adoption.", current: demoPassword, replace: otherPassword, code: portalapi.CodeForbidden,
			act: func(t *testing.T, s *Store, bob *Account) error {
				_, err := s.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-bob", Revision: 1}, UserName: bob.UserName,
					Active: true, Adopt: &portalapi.Adopt{ID: bob.ID}})
				return err
			}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := signInStore(t)
			bob, err := s.CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: "bob@example.test", Password: demoPassword})
			if err != nil {
				t.Fatal(err)
			}
			here, there := signedIn(t, s, bob.UserName, demoPassword), signedIn(t, s, bob.UserName, demoPassword)
			session, err := s.Session(t.Context(), here)
			if err != nil {
				t.Fatal(err)
			}
			if c.act != nil {
				if err := c.act(t, s, bob); err != nil {
					t.Fatal(err)
				}
			}
			token, err := s.ChangePassword(t.Context(), OwnChange{ActorOf(bob, "demo-1"), session, c.current, time.Hour}, c.replace)
			if portalapi.CodeOf(err) != c.code || err != nil && c.code == "" {
				t.Fatalf("%s\ngot %v, want %q", c.reason, err, c.code)
			}
			events, eventsErr := s.AuditEvents(t.Context(), AuditFilter{TargetID: bob.ID}, 0, 1)
			if eventsErr != nil || events[0].Action != "password.change" || events[0].Code != c.code || events[0].RequestID != "demo-1" {
				t.Errorf("%s\naudited %+v (%v)", c.reason, events, eventsErr)
			}
			if c.code != "" {
				return
			}
			if !slices.Equal(events[0].Changes, []FieldChange{{Field: "password", To: "set"}}) {
				t.Errorf("audited %+v", events[0].Changes)
			}
			for _, ended := range []string{here, there} {
				if _, err := s.Session(t.Context(), ended); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
					t.Errorf("a session with the former secret continues: %v", err)
				}
			}
			if now, err := s.Session(t.Context(), token); err != nil || now.Account.ID != bob.ID || now.Method != MethodPassword {
				t.Errorf("the browser is signed out: %+v (%v)", now, err)
			}
			signedIn(t, s, bob.UserName, c.replace)
			if _, err := s.CheckPassword(t.Context(), bob.UserName, demoPassword); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
				t.Errorf("the former password still signs in: %v", err)
			}
		})
	}
}

func TestOwnPasswordByAnEdit(t *testing.T) {
	s, _ := signInStore(t)
	boss, err := s.AccountByName(t.Context(), "local@example.test")
	if err != nil {
		t.Fatal(err)
	}
	password := otherPassword
	if _, err := s.UpdateAccount(t.Context(), ActorOf(boss, ""), boss.ID, nil, AccountPatch{Password: &password}); portalapi.CodeOf(err) != portalapi.CodeForbidden {
		t.Errorf("a manager changes the own password without the current one: %v", err)
	}
	key := Actor{Kind: Key, ID: boss.ID, Name: "manage", Scopes: []Scope{ScopeManage}}
	if _, err := s.UpdateAccount(t.Context(), key, boss.ID, nil, AccountPatch{Password: &password}); err != nil {
		t.Errorf("an API key sets a password: %v", err)
	}
}
