// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"sync"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// TestResetLink makes a link for bob, lets something happen, and uses the link.
func TestResetLink(t *testing.T) {
	off, on, password := false, true, "third demo password"
	update := func(patches ...AccountPatch) func(*testing.T, *Store, *Account, *time.Time) error {
		return func(t *testing.T, s *Store, bob *Account, _ *time.Time) error {
			for _, p := range patches {
				if _, err := s.UpdateAccount(t.Context(), SystemActor("test"), bob.ID, nil, p); err != nil {
					return err
				}
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		reason string
		act    func(t *testing.T, s *Store, bob *Account, now *time.Time) error
		use    string
		code   portalapi.Code
	}{
		"Used":     {reason: "The user sets a new password.", use: otherPassword},
		"TooShort": {reason: "The rule of all passwords; the link remains.", use: "short", code: portalapi.CodeInvalid},
		"Empty":    {reason: "A link removes no password.", code: portalapi.CodeInvalid},
		"Expired":  {reason: "A link works for an hour.", use: otherPassword, code: portalapi.CodeUnauthenticated, act: func(_ *testing.T, _ *Store, _ *Account, now *time.Time) error { *now = now.Add(ResetFor); return nil }},
		"JustInTime": {reason: "A link works for an hour.", use: otherPassword, act: func(_ *testing.T, _ *Store, _ *Account, now *time.Time) error {
			*now = now.Add(ResetFor - 1)
			return nil
		}},
		"Deactivated": {reason: "A deactivated user gets no password.", use: otherPassword, code: portalapi.CodeUnauthenticated, act: update(AccountPatch{Active: &off})},
		"AndActive":   {reason: "Who may sign in was decided again since.", use: otherPassword, code: portalapi.CodeUnauthenticated, act: update(AccountPatch{Active: &off}, AccountPatch{Active: &on})},
		"NewPassword": {reason: "The password was set in another way.", use: otherPassword, code: portalapi.CodeUnauthenticated, act: update(AccountPatch{Password: &password})},
		"Adopted": {reason: "A SCIM-managed user has no password.", use: otherPassword, code: portalapi.CodeUnauthenticated, act: func(t *testing.T, s *Store, bob *Account, _ *time.Time) error {
			_, err := s.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-bob", Revision: 1}, UserName: bob.UserName, Active: true, Adopt: &portalapi.Adopt{ID: bob.ID}})
			return err
		}},
		"Deleted": {reason: "The link goes with the user.", use: otherPassword, code: portalapi.CodeUnauthenticated, act: func(t *testing.T, s *Store, bob *Account, _ *time.Time) error {
			return s.DeleteAccount(t.Context(), SystemActor("test"), bob.ID, nil)
		}},
		"Replaced": {reason: "A second link replaces the first.", use: otherPassword, code: portalapi.CodeUnauthenticated, act: func(t *testing.T, s *Store, bob *Account, _ *time.Time) error {
			_, _, err := s.CreateReset(t.Context(), SystemActor("test"), bob.ID)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s, now := signInStore(t)
			bob, err := s.CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: "bob@example.test", Password: demoPassword})
			if err != nil {
				t.Fatal(err)
			}
			session := signedIn(t, s, bob.UserName, demoPassword)
			token, expires, err := s.CreateReset(t.Context(), SystemActor("test"), bob.ID)
			if err != nil || !expires.Equal(now.Add(ResetFor)) {
				t.Fatalf("the link expires at %v (%v)", expires, err)
			}
			if c.act != nil {
				if err := c.act(t, s, bob, now); err != nil {
					t.Fatal(err)
				}
			}
			browser, err := s.ResetPassword(t.Context(), "demo-1", token, c.use)
			if portalapi.CodeOf(err) != c.code || err != nil && c.code == "" {
				t.Fatalf("%s\ngot %v, want %q", c.reason, err, c.code)
			}
			if c.code != "" {
				return
			}
			if _, err := s.Session(t.Context(), session); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
				t.Errorf("the session continues: %v", err)
			}
			if _, err := s.CheckPassword(t.Context(), bob.UserName, demoPassword); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
				t.Errorf("the former password still signs in: %v", err)
			}
			signedIn(t, s, bob.UserName, c.use)
			if known, err := s.knownBrowser(t.Context(), bob.UserName, browser); known == "" || err != nil {
				t.Errorf("the browser is not known (%v)", err)
			}
			if _, err := s.ResetPassword(t.Context(), "", token, password); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
				t.Errorf("the link works twice: %v", err)
			}
			events, err := s.AuditEvents(t.Context(), AuditFilter{TargetID: bob.ID}, 0, 10)
			for _, action := range []string{"password.reset-link", "password.reset"} {
				if err != nil || !slices.ContainsFunc(events, func(e AuditEvent) bool { return e.Action == action && !e.Refused() }) {
					t.Errorf("the audit has no %s: %+v (%v)", action, events, err)
				}
			}
		})
	}
}

func TestWhoMakesResetLinks(t *testing.T) {
	s, _ := signInStore(t)
	off := false
	account := func(name string) *Account {
		a, err := s.AccountByName(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, name := range []string{"bob@example.test", "inactive@example.test"} {
		if _, err := s.CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: name}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.UpdateAccount(t.Context(), SystemActor("test"), account("inactive@example.test").ID, nil, AccountPatch{Active: &off}); err != nil {
		t.Fatal(err)
	}
	boss := account("local@example.test")
	for name, c := range map[string]struct {
		actor  Actor
		target string
		code   portalapi.Code
	}{
		"a manager for a user without a password": {ActorOf(boss, ""), account("bob@example.test").ID, ""},
		"a manager for the own account":           {ActorOf(boss, ""), boss.ID, portalapi.CodeForbidden},
		"a user":                                  {ActorOf(account("bob@example.test"), ""), boss.ID, portalapi.CodeForbidden},
		"for a SCIM-managed user":                 {ActorOf(boss, ""), account("ada@example.test").ID, portalapi.CodeInvalid},
		"for a deactivated user":                  {ActorOf(boss, ""), account("inactive@example.test").ID, portalapi.CodeInvalid},
		"for nothing":                             {ActorOf(boss, ""), "unknown", portalapi.CodeNotFound},
	} {
		token, _, err := s.CreateReset(t.Context(), c.actor, c.target)
		if portalapi.CodeOf(err) != c.code || err != nil && c.code == "" || (token == "") != (err != nil) {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
		events, err := s.AuditEvents(t.Context(), AuditFilter{}, 0, 1)
		if err != nil || events[0].Action != "password.reset-link" || events[0].TargetID != c.target || events[0].Code != c.code {
			t.Errorf("%s: audited %+v (%v)", name, events, err)
		}
	}
}

// TestResetLinkAtTheSameTime uses one link twice at the same time, on two replicas.
func TestResetLinkAtTheSameTime(t *testing.T) {
	onBoth(t, func(t *testing.T, replica func() *Store, _ *clock) {
		replicas := []*Store{replica(), replica()}
		bob, err := replicas[0].CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: "bob@example.test"})
		if err != nil {
			t.Fatal(err)
		}
		token, _, err := replicas[0].CreateReset(t.Context(), SystemActor("test"), bob.ID)
		if err != nil {
			t.Fatal(err)
		}
		var together sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			together.Go(func() { _, errs[i] = replicas[i].ResetPassword(t.Context(), "", token, otherPassword) })
		}
		together.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("one link was used twice, or never: %v", errs)
		}
	})
}
