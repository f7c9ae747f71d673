// Package fake is a portal for tests of what talks to one. It is the real service on a database in
// memory, so that it refuses what the portal refuses, and it records calls and fails on demand.
package fake

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portalserver/store"
)

// Call is one call of the port.
type Call struct {
	Method string // such as PutAccount
	ID     string // the owner's UID, the account's id or the configuration's UID; empty for lists
	Write  bool   // whether it may change something
}

// Portal is a portal.Client. Its methods may be called at the same time.
type Portal struct {
	// Store is the service behind, to act in the portal as people do. Use Manager as their actor.
	Store *store.Store
	// Leader names the process that calls, among those of the operator; empty for none.
	Leader string
	// Before runs before each call; an error ends the call without effect, as a portal that cannot
	// be reached.
	Before func(context.Context, Call) error
	// After runs after each call that had its effect, with the call's own error; its result is what
	// the caller sees, as when an answer is lost.
	After func(context.Context, Call, error) error

	mu    sync.Mutex
	calls []Call
}

var _ portal.Client = (*Portal)(nil)

// Options say how the portal is at first. The zero Options are a portal with SSO and SCIM on, and
// the real clock.
type Options struct {
	Now     func() time.Time
	SCIMOff bool // SSO and SCIM are off, as in a new portal
}

// Manager is a person who may do everything in the portal that a local manager may.
func Manager() store.Actor {
	return store.Actor{Kind: store.Person, ID: "manager", Name: "manager@example.test", Scopes: []store.Scope{store.ScopeManage}}
}

func (p *Portal) operator() store.Actor {
	return store.Actor{Kind: store.Operator, ID: "operator", Name: "operator", Scopes: []store.Scope{store.ScopeProvisioning}, Leader: p.Leader}
}

// New returns a portal that lives as long as the test.
func New(t testing.TB, o Options) *Portal {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Database: store.Memory, Now: o.Now})
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

// SCIMOn are login methods with SSO and SCIM on.
func SCIMOn() portal.LoginMethods {
	return portal.LoginMethods{SSO: portal.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal"}, SCIMEnabled: true}
}

// Calls returns the calls so far, in order.
func (p *Portal) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// Writes returns those calls so far that may change something.
func (p *Portal) Writes() []Call {
	return slices.DeleteFunc(p.Calls(), func(c Call) bool { return !c.Write })
}

// Forget empties the record of calls.
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
