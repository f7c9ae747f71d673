// SPDX-License-Identifier: Apache-2.0

// Package portaltest starts portals for tests: the real service behind the real REST server on
// loopback.
package portaltest

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/portal/api"
	"lightrun.com/scim-operator/internal/portal/store"
)

// The secrets of the API keys, one for each scope, that every portal of this package has.
const (
	ManageKey       = "demo-manage-key-0123456789"
	ReadKey         = "demo-read-key-0123456789"
	ProvisioningKey = "demo-provisioning-key-0123456789"
	SCIMKey         = "demo-scim-key-0123456789"
)

// The first local manager, which every portal of this package has.
const (
	AdminUser     = "admin@example.test"
	AdminPassword = "demo admin password"
)

// Clock is a clock that tests move. The zero Clock shows the real time.
type Clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

// Now returns the time that the clock was set to.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Advance moves the clock forward.
func (c *Clock) Advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += by
}

// Options configure the portal.
type Options struct {
	Database    string // empty means in memory
	Clock       *Clock // nil means a new clock
	Unreachable string // an issuer whose SSO cannot be turned on

	RequireSecondFactor bool // of managers with a password
}

// Store opens a portal's service with the keys and the manager, and closes it at the end of the
// test.
func Store(t testing.TB, o Options) *store.Store {
	t.Helper()
	if o.Database == "" {
		o.Database = store.Memory
	}
	if o.Clock == nil {
		o.Clock = &Clock{}
	}
	ctx := context.Background() // the cleanup closes what the test's context would
	keys, err := store.ParseKeyring(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	if err != nil {
		t.Fatalf("make the key of the portal's audit: %v", err)
	}
	s, err := store.Open(ctx, store.Options{Database: o.Database, Now: o.Clock.Now, AuditKeys: keys, RequireSecondFactor: o.RequireSecondFactor, CheckSSO: func(_ context.Context, sso portalapi.SSO) error {
		if o.Unreachable != "" && sso.Issuer == o.Unreachable {
			return errors.New("the issuer cannot be reached")
		}
		return nil
	}})
	if err != nil {
		t.Fatalf("open the portal: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the portal: %v", err)
		}
	})
	actor := store.SystemActor("test")
	if err := s.EnsureManager(ctx, actor, AdminUser, AdminPassword); err != nil {
		t.Fatalf("make the portal's manager: %v", err)
	}
	for scope, secret := range map[store.Scope]string{store.ScopeManage: ManageKey, store.ScopeRead: ReadKey,
		store.ScopeProvisioning: ProvisioningKey, store.ScopeSCIM: SCIMKey} {
		key := store.NewKey{Name: "test-" + string(scope), Scope: scope}
		if scope == store.ScopeSCIM {
			key.Provider.Type = provider.Okta
		}
		if err := s.EnsureKey(ctx, actor, key, secret); err != nil {
			t.Fatalf("make the portal's keys: %v", err)
		}
	}
	return s
}

// Serve serves the REST API of the service and returns its URL.
func Serve(t testing.TB, s *store.Store) string {
	t.Helper()
	handler, err := api.New(api.Options{Store: s, Log: logr.Discard()})
	if err != nil {
		t.Fatalf("make the portal's API: %v", err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}
