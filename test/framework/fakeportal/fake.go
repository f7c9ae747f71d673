// SPDX-License-Identifier: Apache-2.0

// Package fakeportal is a portal for tests of its clients. It is the real service on an in-memory
// database, so it refuses what the portal refuses; it also records calls and fails on demand.
package fakeportal

import (
	"context"
	"encoding/base64"
	"slices"
	"sync"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// Call is one call of the port.
type Call struct {
	Method string // for example PutAccount
	ID     string // the owner's UID, the account's id or the configuration's UID; empty for lists
	Write  bool   // whether it can change something
}

// Portal is a portalapi.Client. Its methods are safe for concurrent use.
type Portal struct {
	// Store is the service behind the fake, for changes that people make in the portal. Use Manager
	// as their actor.
	Store *store.Store
	// Leader names the operator's process that calls; empty if there is none.
	Leader string
	// Before runs before each call. An error ends the call without effect, as if the portal were
	// unreachable.
	Before func(context.Context, Call) error
	// After runs after each call that had its effect, with the call's own error. The caller gets
	// its result; an error simulates a lost response.
	After func(context.Context, Call, error) error

	mu    sync.Mutex
	calls []Call
}

var _ portalapi.Client = (*Portal)(nil)

// Options set the initial state. The zero Options are a portal with SSO and SCIM on, and the real
// clock.
type Options struct {
	Now     func() time.Time
	SCIMOff bool // SSO and SCIM are off, as in a new portal
}

// Manager returns a person with all permissions of a local manager.
func Manager() store.Actor {
	return store.Actor{Kind: store.Person, Name: "manager@example.test", Scopes: []store.Scope{store.ScopeManage}}
}

// auditKeys returns a key of the audit's chain.
func auditKeys(t testing.TB) *store.Keyring {
	t.Helper()
	keys, err := store.ParseKeyring(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	if err != nil {
		t.Fatalf("make the key of the fake portal's audit: %v", err)
	}
	return keys
}

func (p *Portal) operator(ctx context.Context) store.Actor {
	return store.Actor{
		Kind: store.Operator, ID: "operator", Name: "operator", Scopes: []store.Scope{store.ScopeProvisioning},
		Leader: p.Leader, DecidedBy: portalapi.DecidedBy(ctx), Cause: store.Cause(portalapi.CauseOf(ctx)),
	}
}

// New returns a portal that is closed at the end of the test.
func New(t testing.TB, o Options) *Portal {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Database: store.Memory, Now: o.Now, AuditKeys: auditKeys(t)})
	if err != nil {
		t.Fatalf("open the fake portal: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the fake portal: %v", err)
		}
	})
	if !o.SCIMOff {
		if _, _, err := s.SaveLoginMethods(context.Background(), Manager(), SCIMOn(), nil, false); err != nil {
			t.Fatalf("turn SCIM on in the fake portal: %v", err)
		}
	}
	return &Portal{Store: s}
}

// SCIMOn returns login methods with SSO and SCIM on.
func SCIMOn() portalapi.LoginMethods {
	return portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal"}, SCIMEnabled: true}
}

// Calls returns the calls so far, in order.
func (p *Portal) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Writes returns the calls so far that can change something.
func (p *Portal) Writes() []Call {
	return slices.DeleteFunc(p.Calls(), func(c Call) bool { return !c.Write })
}

// Forget clears the recorded calls.
func (p *Portal) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = nil
}

// do records a call and runs it between the hooks.
func do[T any](ctx context.Context, p *Portal, c Call, f func() (T, error)) (T, error) {
	p.mu.Lock()
	p.calls = append(p.calls, c)
	p.mu.Unlock()
	var none T
	if p.Before != nil {
		if err := p.Before(ctx, c); err != nil {
			return none, err
		}
	}
	result, err := f()
	if p.After != nil {
		err = p.After(ctx, c, err)
	}
	if err != nil {
		return none, err
	}
	return result, nil
}

// run is do for calls without a result.
func run(ctx context.Context, p *Portal, c Call, f func() error) error {
	_, err := do(ctx, p, c, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

// SCIMOff turns SCIM off on the portal's page "Login methods".
func (p *Portal) SCIMOff(tb testing.TB) {
	tb.Helper()
	c, err := p.Store.Configuration(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	off := c.LoginMethods
	off.SCIMEnabled = false
	if _, _, err := p.Store.SaveLoginMethods(tb.Context(), Manager(), off, nil, false); err != nil {
		tb.Fatal(err)
	}
}
