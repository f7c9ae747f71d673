// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/postgres"
)

// TestUseAssertion runs on both databases: an assertion is used once, also by two requests at once,
// and is forgotten after it has ended.
func TestUseAssertion(t *testing.T) {
	for name, database := range map[string]func(*testing.T) string{
		"SQLite":     func(*testing.T) string { return Memory },
		"PostgreSQL": func(t *testing.T) string { return postgres.Start(t).Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			s, err := Open(t.Context(), Options{Database: database(t), Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			until := now.Add(time.Minute)
			use := func(issuer, id string) bool {
				t.Helper()
				first, err := s.UseAssertion(t.Context(), issuer, id, until)
				if err != nil {
					t.Fatal(err)
				}
				return first
			}
			var firsts atomic.Int64
			var wait sync.WaitGroup
			for range 8 {
				wait.Go(func() {
					if first, err := s.UseAssertion(t.Context(), "saml:a", "_1", until); err != nil {
						t.Errorf("use the assertion: %v", err)
					} else if first {
						firsts.Add(1)
					}
				})
			}
			wait.Wait()
			if firsts.Load() != 1 {
				t.Errorf("%d of 8 requests used one assertion", firsts.Load())
			}
			for i, id := range []string{"_2", "_2", "_3"} {
				if got, want := use("saml:a", id), i != 1; got != want {
					t.Errorf("use %d of %s: %t", i, id, got)
				}
			}
			if !use("saml:b", "_1") {
				t.Error("two providers may give the same id")
			}
			now = until.Add(assertionMargin)
			use("saml:a", "_4")
			var rows int
			if err := s.read.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM used_assertions").Scan(&rows); err != nil || rows != 1 {
				t.Errorf("%d assertions are remembered after their end (%v)", rows, err)
			}
		})
	}
}

func TestSAMLSettings(t *testing.T) {
	on := portalapi.SSO{Enabled: true, Type: "SAML", MetadataURL: "https://idp.example.test/metadata"}
	with := func(change func(*portalapi.SSO)) portalapi.SSO {
		sso := on
		change(&sso)
		return sso
	}
	for _, c := range []struct {
		reason string
		sso    portalapi.SSO
		want   portalapi.Code
		ends   bool // the sessions of on
	}{
		{"The provider publishes its metadata.", on, "", false},
		{"A document works as well; another provider may have made it.", with(func(s *portalapi.SSO) { s.MetadataURL, s.Metadata = "", "<EntityDescriptor/>" }), "", true},
		{"Neither is no provider.", with(func(s *portalapi.SSO) { s.MetadataURL = " " }), portalapi.CodeInvalid, false},
		{"With both, one of them would be ignored.", with(func(s *portalapi.SSO) { s.Metadata = "<EntityDescriptor/>" }), portalapi.CodeInvalid, false},
		{"The database stores no federation.", with(func(s *portalapi.SSO) { s.MetadataURL, s.Metadata = "", fmt.Sprintf("%*d", maxMetadata+1, 1) }), portalapi.CodeInvalid, false},
		{"Another attribute names other users.", with(func(s *portalapi.SSO) { s.IDAttribute = "uid" }), "", true},
		{"So does another attribute with the user name.", with(func(s *portalapi.SSO) { s.UserNameAttribute = "uid" }), "", true},
		{"What OIDC would need says nothing about SAML.", with(func(s *portalapi.SSO) { s.Issuer, s.ClientID = "https://idp.example.test", "portal" }), "", false},
		{"Another protocol is another provider.", portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal"}, "", true},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s, _ := signInStore(t)
			save := func(sso portalapi.SSO) error {
				_, _, err := s.SaveLoginMethods(t.Context(), SystemActor("test"), portalapi.LoginMethods{SSO: sso, SCIMEnabled: true}, nil, false)
				return err
			}
			if err := save(on); err != nil {
				t.Fatal(err)
			}
			ada := Asserted{Issuer: "saml:idp", Under: on, Subject: "ada", UserName: "ada@example.test"}
			token, err := s.StartSSOSession(t.Context(), ada, "", time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			if err := save(c.sso); portalapi.CodeOf(err) != c.want || err != nil && c.want == "" {
				t.Fatalf("saved: %v, want %q", err, c.want)
			}
			if _, err := s.Session(t.Context(), token); (err != nil) != c.ends {
				t.Errorf("the session: %v", err)
			}
			if _, err := s.StartSSOSession(t.Context(), ada, "", time.Hour); (err != nil) != c.ends {
				t.Errorf("what was asserted before: %v", err)
			}
			if c.want != "" {
				return
			}
			if got, err := s.SSO(t.Context()); err != nil || application(got) != application(c.sso) {
				t.Errorf("stored %+v (%v)", got, err)
			}
		})
	}
}
