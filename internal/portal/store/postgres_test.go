// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/postgres"
)

// Two processes on one PostgreSQL: each sees the other's commits, and their writers are serialized.
func TestTwoProcessesOnOnePostgreSQL(t *testing.T) {
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

	began := time.Now()
	woke := make(chan error, 1)
	go func() {
		changes, _, err := reader.Changes(t.Context(), position, 10, 30*time.Second)
		if err == nil && len(changes) == 0 {
			err = fmt.Errorf("woke without a change")
		}
		woke <- err
	}()
	if _, err := writer.PutAccount(t.Context(), operator, benchWrite(0)); err != nil {
		t.Fatal(err)
	}
	if err := <-woke; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the other process's change arrived after %v", took)
	}

	var wait sync.WaitGroup
	for i := range 40 {
		wait.Go(func() {
			if _, err := stores[i%2].PutAccount(t.Context(), operator, benchWrite(1+i/2)); err != nil {
				t.Errorf("write %d: %v", i, err)
			}
		})
	}
	wait.Wait()
	if n, err := reader.CountAccounts(t.Context(), AccountFilter{}); n != 21 || err != nil {
		t.Errorf("%d accounts, want 21 (%v)", n, err)
	}
	changes, _, err := reader.Changes(t.Context(), position, 100, 0)
	if err != nil || len(changes) != 21 {
		t.Errorf("%d changes, want 21 (%v)", len(changes), err)
	}
}
