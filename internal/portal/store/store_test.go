// SPDX-License-Identifier: Apache-2.0

package store

import (
	"path/filepath"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func TestStateSurvivesReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b%20c?.db")
	open := func() *Store {
		s, err := Open(t.Context(), Options{Database: path})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	admin := SystemActor("bootstrap")
	if err := s.EnsureManager(t.Context(), admin, "root@example.test", "correct horse battery"); err != nil {
		t.Fatal(err)
	}
	before, err := s.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	after, err := s.Position(t.Context())
	if err != nil || after != before {
		t.Fatalf("position %v after reopening, want %v (%v)", after, before, err)
	}
	account, err := s.CheckPassword(t.Context(), "ROOT@example.test", "correct horse battery")
	if err != nil || !account.IsManager() {
		t.Fatalf("sign in after reopening: %v, %v", account, err)
	}
	if _, err := s.CheckPassword(t.Context(), "root@example.test", "wrong horse battery"); portalapi.CodeOf(err) != portalapi.CodeUnauthenticated {
		t.Fatalf("the error for a wrong password is %v", err)
	}
	if err := s.EnsureManager(t.Context(), admin, "other@example.test", "correct horse battery"); err != nil {
		t.Fatal(err)
	}
	if n, err := s.CountAccounts(t.Context(), AccountFilter{}); n != 1 || err != nil {
		t.Fatalf("%d accounts, want the first manager alone (%v)", n, err)
	}
}
