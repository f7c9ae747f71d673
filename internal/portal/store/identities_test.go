// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// asserted is an identity at the provider of signInStore.
func asserted(subject, userName string) Asserted {
	return assertedBy("https://idp.example.test", "portal", subject, userName)
}

func assertedBy(issuer, clientID, subject, userName string) Asserted {
	return Asserted{Issuer: issuer, Under: portalapi.SSO{Type: "OIDC", Issuer: issuer, ClientID: clientID}, Subject: subject, UserName: userName}
}

// push provisions a user of the store with the externalId.
func push(t *testing.T, s *Store, name, externalID string, revision int64) {
	t.Helper()
	if _, err := s.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-" + name, Revision: revision},
		UserName: name + "@example.test", ExternalID: externalID, Active: true}); err != nil {
		t.Fatal(err)
	}
}

func TestIdentityBinding(t *testing.T) {
	const adaID, otherID = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555"
	type attempt struct {
		who  Asserted
		want portalapi.Code // empty: signed in
		as   string         // the user name of the account
	}
	for name, c := range map[string]struct {
		reason   string
		attempts []attempt
	}{
		"LocalManager": {"A name at the provider opens no local account.", []attempt{
			{asserted("mallory", "local@example.test"), portalapi.CodeUnauthenticated, ""}}},
		"ByUserName": {"A SCIM-managed account without an id of the provider is bound by its name, once.", []attempt{
			{asserted("00u-1", "Ada@Example.test"), "", "ada@example.test"},
			{asserted("00u-1", "renamed@example.test"), "", "ada@example.test"},
			{asserted("00u-2", "ada@example.test"), portalapi.CodeIdentityChanged, ""},
			{asserted("00u-1", "ada@example.test"), "", "ada@example.test"}}},
		"ByExternalID": {"The id that the provider pushed finds the account, whatever the name says.", []attempt{
			{asserted(adaID, "local@example.test"), "", "grace@example.test"}}},
		"AnotherID": {"The name has moved to another person: the pushed id says so before the first sign-in too.", []attempt{
			{asserted(otherID, "grace@example.test"), portalapi.CodeIdentityChanged, ""},
			{asserted(adaID, "grace@example.test"), "", "grace@example.test"}}},
		"OtherKindOfID": {"An externalId of another kind than the identity's says nothing, so the name counts.", []attempt{
			{asserted("auth0|1", "grace@example.test"), "", "grace@example.test"}}},
		"NameOfABoundUser": {"A bound identity cannot move by changing its name.", []attempt{
			{asserted("00u-1", "ada@example.test"), "", "ada@example.test"},
			{asserted("00u-1", "grace@example.test"), "", "ada@example.test"}}},
		"Unknown":     {"The portal has no such user.", []attempt{{asserted("00u-9", "unknown@example.test"), portalapi.CodeUnauthenticated, ""}}},
		"NoName":      {"A name is needed at the first sign-in only.", []attempt{{asserted("00u-9", ""), portalapi.CodeUnauthenticated, ""}}},
		"NoSubject":   {"An identity without an id is no identity.", []attempt{{asserted("", "ada@example.test"), portalapi.CodeUnauthenticated, ""}}},
		"OtherIssuer": {"The settings changed while the user signed in.", []attempt{{assertedBy("https://other.example.test", "portal", "00u-1", "ada@example.test"), portalapi.CodeUnauthenticated, ""}}},
		"OtherClient": {"The settings changed while the user signed in.", []attempt{{assertedBy("https://idp.example.test", "other", "00u-1", "ada@example.test"), portalapi.CodeUnauthenticated, ""}}},
		"Deactivated": {"A deactivated user is refused and not bound.", []attempt{{asserted("00u-3", "eve@example.test"), portalapi.CodeUnauthenticated, ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := signInStore(t)
			push(t, s, "grace", adaID, 1)
			push(t, s, "eve", "", 1)
			if err := s.ReleaseAccount(t.Context(), operator, portalapi.Owner{UID: "u-eve", Revision: 1}, portalapi.ReleaseDeactivate); err != nil {
				t.Fatal(err)
			}
			for i, a := range c.attempts {
				token, err := s.StartSSOSession(t.Context(), a.who, "request-1", time.Hour)
				if portalapi.CodeOf(err) != a.want || err != nil && a.want == "" {
					t.Fatalf("%s\nattempt %d: %v, want %q", c.reason, i, err, a.want)
				}
				events, auditErr := s.AuditEvents(t.Context(), AuditFilter{}, 0, 1)
				if auditErr != nil || len(events) != 1 || events[0].Action != "session.start" || events[0].Code != a.want || events[0].RequestID != "request-1" {
					t.Errorf("%s\nattempt %d is audited as %+v (%v)", c.reason, i, events, auditErr)
				}
				if err != nil {
					continue
				}
				session, err := s.Session(t.Context(), token)
				if err != nil || session.Account.UserName != a.as || session.Method != MethodSSO {
					t.Errorf("%s\nattempt %d signed in as %+v (%v)", c.reason, i, session, err)
				}
			}
		})
	}
}

func TestChangedIdentity(t *testing.T) {
	s, now := signInStore(t)
	signIn := func(subject string) error {
		_, err := s.StartSSOSession(t.Context(), asserted(subject, "ada@example.test"), "", time.Hour)
		return err
	}
	if err := signIn("00u-1"); err != nil {
		t.Fatal(err)
	}
	if err := signIn("00u-2"); portalapi.CodeOf(err) != portalapi.CodeIdentityChanged {
		t.Fatalf("another identity: %v", err)
	}
	ada, err := s.AccountByName(t.Context(), "ada@example.test")
	if err != nil {
		t.Fatal(err)
	}
	bound, err := s.Identities(t.Context(), ada.ID)
	if err != nil || len(bound) != 1 || bound[0].Subject != "00u-1" || !bound[0].RefusedAt.Equal(*now) {
		t.Errorf("a manager sees %+v (%v)", bound, err)
	}
	local, err := s.AccountByName(t.Context(), "local@example.test")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ForgetIdentity(t.Context(), ActorOf(ada, ""), local.ID); portalapi.CodeOf(err) != portalapi.CodeForbidden {
		t.Errorf("a user without the manager role forgets another user's identity: %v", err)
	}
	if err := s.ForgetIdentity(t.Context(), ActorOf(ada, ""), ada.ID); portalapi.CodeOf(err) != portalapi.CodeForbidden {
		t.Errorf("a stolen session of a SCIM-managed user makes room for another identity: %v", err)
	}
	if err := s.ForgetIdentity(t.Context(), ActorOf(local, ""), ada.ID); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Sessions(t.Context(), must(s.Account(t.Context(), ada.ID))); err != nil || len(all) != 0 {
		t.Errorf("%d sessions of the forgotten identity continue (%v)", len(all), err)
	}
	if err := signIn("00u-2"); err != nil {
		t.Errorf("after the former identity is forgotten: %v", err)
	}
	if err := signIn("00u-1"); portalapi.CodeOf(err) != portalapi.CodeIdentityChanged {
		t.Errorf("the forgotten identity: %v", err)
	}
}

func must(a *Account, err error) *Account {
	if err != nil {
		panic(err)
	}
	return a
}

func TestLinkIdentity(t *testing.T) {
	s, _ := signInStore(t)
	push(t, s, "grace", "00u-grace", 1)
	local, ada := must(s.AccountByName(t.Context(), "local@example.test")), must(s.AccountByName(t.Context(), "ada@example.test"))
	if _, err := s.StartSSOSession(t.Context(), asserted("00u-ada", "ada@example.test"), "", time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reason string
		actor  *Account
		who    Asserted
		want   portalapi.Code
	}{
		{"An identity of another user is taken.", local, asserted("00u-ada", "x"), portalapi.CodeIdentityTaken},
		{"So is one that the provider pushed for another user who has not signed in yet.", local, asserted("00u-grace", "x"), portalapi.CodeIdentityTaken},
		{"A SCIM-managed user is bound by the provider.", ada, asserted("00u-9", "x"), portalapi.CodeInvalid},
		{"The settings changed meanwhile.", local, assertedBy("https://other.example.test", "portal", "00u-local", "x"), portalapi.CodeUnauthenticated},
		{"The holder links the own identity, whatever its name is.", local, asserted("00u-local", "x"), ""},
		{"Again.", local, asserted("00u-local", "x"), ""},
		{"A second one is refused.", local, asserted("00u-second", "x"), portalapi.CodeIdentityChanged},
	} {
		if err := s.LinkIdentity(t.Context(), ActorOf(c.actor, ""), c.who); portalapi.CodeOf(err) != c.want || err != nil && c.want == "" {
			t.Errorf("%s\ngot %v, want %q", c.reason, err, c.want)
		}
	}
	token, err := s.StartSSOSession(t.Context(), asserted("00u-local", "x"), "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if session, err := s.Session(t.Context(), token); err != nil || session.Account.ID != local.ID {
		t.Errorf("the linked identity signs in as %+v (%v)", session, err)
	}
	events, err := s.AuditEvents(t.Context(), AuditFilter{TargetID: local.ID}, 0, 20)
	if err != nil || !slices.ContainsFunc(events, func(e AuditEvent) bool { return e.Action == "identity.link" && !e.Refused() }) {
		t.Errorf("audited %+v (%v)", events, err)
	}
	t.Log("the adoption ends the link: the provider says who the user is from then on")
	if err := s.EnsureManager(t.Context(), SystemActor("test"), "local@example.test", demoPassword); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateAccount(t.Context(), SystemActor("test"), NewAccount{UserName: "second@example.test", Password: demoPassword, DirectRoles: []string{portalapi.RoleManager}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-local", Revision: 1}, UserName: "local@example.test",
		Active: true, Adopt: &portalapi.Adopt{ID: local.ID}}); err != nil {
		t.Fatal(err)
	}
	if bound, err := s.Identities(t.Context(), local.ID); err != nil || len(bound) != 0 {
		t.Errorf("after the adoption the link is %+v (%v)", bound, err)
	}
}
