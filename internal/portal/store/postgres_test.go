// SPDX-License-Identifier: Apache-2.0

package store

import (
	"slices"
	"sync"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/postgres"
)

// TestTwoStoresOnOnePostgreSQL: a change that one store commits wakes the readers of the other, and
// concurrent writes of both succeed one after the other.
func TestTwoStoresOnOnePostgreSQL(t *testing.T) {
	const (
		rounds   = 3  // the start of a store wakes its readers once, also without a notification
		accounts = 20 // that both stores write
		// A notification takes milliseconds; on a busy machine the commit before it takes longer.
		bound = 15 * time.Second
	)
	database := postgres.Start(t).Database(t)
	stores := make([]*Store, 2)
	for i := range stores {
		s, err := Open(t.Context(), Options{Database: database})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		stores[i] = s
	}
	reader, writer := stores[0], stores[1]
	if _, _, err := writer.SaveLoginMethods(t.Context(), SystemActor("test"), portalapi.LoginMethods{SCIMEnabled: true,
		SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal"}}, nil, false); err != nil {
		t.Fatal(err)
	}
	position, err := reader.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	for i := range rounds {
		rung := reader.bell.rung() // Changes waits for it
		if _, err := writer.PutAccount(t.Context(), operator, testWrite(i)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-rung:
		case <-time.After(bound):
			t.Fatalf("write %d of the other store woke no reader within %v", i, bound)
		}
		changes, next, err := reader.Changes(t.Context(), position, 10, 0)
		if err != nil || len(changes) != 1 {
			t.Fatalf("write %d: got %d changes, want 1 (%v)", i, len(changes), err)
		}
		position = next
	}

	var wait sync.WaitGroup
	for i := range accounts {
		for _, s := range stores {
			wait.Go(func() {
				if _, err := s.PutAccount(t.Context(), operator, testWrite(rounds+i)); err != nil {
					t.Errorf("write of account %d: %v", rounds+i, err)
				}
			})
		}
	}
	wait.Wait()
	if n, err := reader.CountAccounts(t.Context(), AccountFilter{}); n != rounds+accounts || err != nil {
		t.Errorf("got %d accounts, want %d (%v)", n, rounds+accounts, err)
	}
	changes, _, err := reader.Changes(t.Context(), position, 10*accounts, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got, want []int64
	for i, c := range changes {
		got, want = append(got, c.Sequence), append(want, position.Sequence+1+int64(i))
	}
	if len(got) != accounts || !slices.Equal(got, want) {
		t.Errorf("the changes have the sequence numbers %v, want %d numbers without a gap after %d", got, accounts, position.Sequence)
	}
}
