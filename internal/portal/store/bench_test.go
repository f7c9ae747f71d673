// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

var operator = Actor{Kind: Operator, ID: "operator", Name: "operator", Scopes: []Scope{ScopeProvisioning}}

// benchStore opens a portal on a file, with SCIM on and n accounts, half of them in a pool.
func benchStore(b *testing.B, n int) (s *Store, poolID string) {
	b.Helper()
	ctx := context.Background()
	s, err := Open(ctx, Options{Database: filepath.Join(b.TempDir(), "portal.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	manager := SystemActor("bench")
	if _, _, err := s.SaveLoginMethods(ctx, manager, portalapi.LoginMethods{SCIMEnabled: true,
		SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal"}}, nil, false); err != nil {
		b.Fatal(err)
	}
	pool, err := s.PutPool(ctx, operator, portalapi.PoolWrite{Owner: portalapi.Owner{UID: "pool"}, Name: "Half", Roles: []string{portalapi.RoleIgnoreQuota}})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.inTx(ctx, func(t *tx) error { return t.fillBench(n, pool.ID) }); err != nil {
		b.Fatal(err)
	}
	return s, pool.ID
}

// fillBench writes n accounts in one transaction, through the code that writes a single account.
func (t *tx) fillBench(n int, poolID string) error {
	t.actor = operator
	for i := range n {
		w := testWrite(i)
		if i%2 == 0 {
			w.Pools = []string{poolID}
		}
		after := &Account{Account: portalapi.Account{ID: newID()}}
		after.take(w)
		if err := t.saveAccount(&event{}, nil, after); err != nil {
			return err
		}
	}
	return nil
}

func BenchmarkPutAccount(b *testing.B) {
	s, _ := benchStore(b, 10_000)
	next := 10_000
	put := func(b *testing.B, w portalapi.AccountWrite) {
		if _, err := s.PutAccount(b.Context(), operator, w); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("create", func(b *testing.B) {
		for b.Loop() {
			put(b, testWrite(next))
			next++
		}
	})
	revision := int64(1)
	b.Run("update", func(b *testing.B) {
		for b.Loop() {
			w := testWrite(0)
			revision++
			w.Owner.Revision, w.DisplayName = revision, fmt.Sprint(revision)
			put(b, w)
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		w := testWrite(1)
		for b.Loop() {
			put(b, w)
		}
	})
}

func BenchmarkPoolRoles(b *testing.B) {
	s, _ := benchStore(b, 20_000) // 10,000 of them in the pool
	roles := [][]string{{portalapi.RoleManager}, {portalapi.RoleIgnoreQuota}}
	i := 0
	for b.Loop() {
		if _, err := s.PutPool(b.Context(), operator, portalapi.PoolWrite{Owner: portalapi.Owner{UID: "pool"}, Name: "Half", Roles: roles[i%2]}); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkAt100000Accounts(b *testing.B) {
	s, poolID := benchStore(b, 100_000)
	list := func(b *testing.B, f AccountFilter, limit int) {
		after, found := "", 0
		for b.Loop() {
			page, next, err := s.Accounts(b.Context(), f, after, limit)
			if err != nil {
				b.Fatal(err)
			}
			after, found = next, found+len(page)
		}
		b.ReportMetric(float64(found)/b.Elapsed().Seconds(), "accounts/s")
	}
	b.Run("pages of 1000 by id", func(b *testing.B) { list(b, AccountFilter{}, 1000) })
	b.Run("pages of 50 by name", func(b *testing.B) { list(b, AccountFilter{ByName: true}, 50) })
	b.Run("pages of 50 of a pool by name", func(b *testing.B) { list(b, AccountFilter{ByName: true, PoolID: poolID}, 50) })
	b.Run("pages of 50 of a pool by id", func(b *testing.B) { list(b, AccountFilter{PoolID: poolID}, 50) })
	b.Run("page of an empty pool by name", func(b *testing.B) { list(b, AccountFilter{ByName: true, PoolID: "none"}, 50) })
	b.Run("search", func(b *testing.B) { list(b, AccountFilter{ByName: true, Search: "son09999"}, 50) })
	b.Run("one user name", func(b *testing.B) { list(b, AccountFilter{UserName: "PERSON012345@example.test"}, 50) })
	b.Run("pools", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Pools(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("removals", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Removals(b.Context(), 1); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("feed page of 1000", func(b *testing.B) {
		end, err := s.Position(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if changes, _, err := s.Changes(b.Context(), portalapi.Position{Epoch: end.Epoch}, 1000, 0); err != nil || len(changes) != 1000 {
				b.Fatal(len(changes), err)
			}
		}
	})
}
