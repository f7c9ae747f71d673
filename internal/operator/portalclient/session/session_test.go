// SPDX-License-Identifier: Apache-2.0

package session_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

// empty is a portal without records, whose feed has no changes. down makes every call fail.
type empty struct {
	portalapi.Client
	mu   sync.Mutex
	down error
}

func (e *empty) err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.down
}

func (e *empty) set(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.down = err
}

func (e *empty) Accounts(context.Context, string, int) ([]portalapi.Account, string, error) {
	return nil, "", e.err()
}
func (e *empty) Released(context.Context, string, int) ([]portalapi.ReleasedOwner, string, error) {
	return nil, "", e.err()
}
func (e *empty) ReleasedPools(context.Context, string, int) ([]portalapi.ReleasedPool, string, error) {
	return nil, "", e.err()
}
func (e *empty) Pools(context.Context) ([]portalapi.Pool, error) {
	return []portalapi.Pool{{ID: "d", Name: "Default", Default: true}}, e.err()
}
func (e *empty) Roles(context.Context) ([]portalapi.Role, error) { return nil, e.err() }
func (e *empty) Position(context.Context) (portalapi.Position, error) {
	return portalapi.Position{Epoch: "e"}, e.err()
}
func (e *empty) Configuration(context.Context) (*portalapi.Configuration, error) {
	return &portalapi.Configuration{Revision: 1}, e.err()
}
func (e *empty) PutMemberships(context.Context, string, []portalapi.MembershipWrite, []portalapi.GroupRevision) ([]portalapi.MembershipResult, error) {
	return nil, e.err()
}
func (e *empty) ReleasePool(context.Context, string, bool) error { return e.err() }
func (e *empty) Changes(ctx context.Context, p portalapi.Position, wait time.Duration) ([]portalapi.Change, portalapi.Position, error) {
	if err := e.err(); err != nil {
		return nil, p, err
	}
	select {
	case <-ctx.Done():
		return nil, p, ctx.Err()
	case <-time.After(wait):
		return nil, p, nil
	}
}

type recorder struct {
	mu  sync.Mutex
	all []session.Event
}

func (r *recorder) add(e session.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e)
}

func (r *recorder) take() []session.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.all
	r.all = nil
	return out
}

// A synctest bubble fails when a goroutine outlives it, so each of these tests also checks that
// Close stops all goroutines.
func bubble(t *testing.T, f func(t *testing.T, s *session.Session, r *recorder)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, r := session.New(mirror.Options{}), &recorder{}
		s.Subscribe(r.add)
		f(t, s, r)
		s.Close(session.Block{Reason: v1alpha1.ReasonNoConfiguration})
	})
}

func TestUnknownBeforeTheFirstRead(t *testing.T) {
	bubble(t, func(t *testing.T, s *session.Session, _ *recorder) {
		if v := s.View(); !v.Unknown || v.Client != nil || v.Mirror != nil {
			t.Errorf("view %+v", v)
		}
	})
}

func TestOpen(t *testing.T) {
	bubble(t, func(t *testing.T, s *session.Session, r *recorder) {
		spec := &v1alpha1.IdentityConfigurationSpec{}
		first := s.Open(t.Context(), "key", &empty{}, spec)
		synctest.Wait()
		// The mirror notifies from its own goroutine, possibly before the session's own event.
		got := r.take()
		sessions := slices.DeleteFunc(slices.Clone(got), func(e session.Event) bool { return !e.Session })
		if len(got) != 4 || len(sessions) != 1 {
			t.Errorf("events %+v", got)
		}
		again := s.Open(t.Context(), "key", &empty{}, spec.DeepCopy())
		if again.Mirror != first.Mirror || len(r.take()) != 0 {
			t.Error("opening with the same configuration must change nothing and notify no subscriber")
		}
		spec.OnDelete = v1alpha1.UserDelete
		if s.Open(t.Context(), "key", &empty{}, spec); len(r.take()) != 1 {
			t.Error("a change of the policy must notify all subscribers")
		}
		blocked := s.OpenReadOnly(t.Context(), "key", &empty{}, spec, session.Block{Reason: "r"})
		if blocked.Mirror != first.Mirror || blocked.Block == nil || len(r.take()) != 1 {
			t.Error("a block must keep the mirror and notify the subscribers")
		}
		other := s.Open(t.Context(), "another key", &empty{}, spec)
		synctest.Wait()
		if other.Mirror == first.Mirror || other.Block != nil {
			t.Error("other credentials must start a new mirror")
		}
	})
}

func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T, s *session.Session, r *recorder) {
		s.Open(t.Context(), "key", &empty{}, &v1alpha1.IdentityConfigurationSpec{})
		synctest.Wait()
		r.take()
		s.Close(session.Block{Reason: "gone"})
		if v := s.View(); v.Client != nil || v.Mirror != nil || v.Block == nil || v.Block.Reason != "gone" {
			t.Errorf("view %+v", v)
		}
		s.Close(session.Block{Reason: "gone"})
		if got := r.take(); len(got) != 1 {
			t.Errorf("closing twice must notify once, got %+v", got)
		}
	})
}

func TestBreakerClosesOnRecovery(t *testing.T) {
	bubble(t, func(t *testing.T, s *session.Session, r *recorder) {
		down, e := errors.New("refused"), &empty{}
		v := s.Open(t.Context(), "key", e, &v1alpha1.IdentityConfigurationSpec{})
		synctest.Wait()
		e.set(down)
		for range 20 { // all callers try, and most fail without a request
			_ = v.Client.ReleasePool(t.Context(), "uid", false)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		r.take()
		e.set(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		got := r.take()
		if len(got) != 1 || !got[0].Reachable {
			t.Errorf("events %+v", got)
		}
		if err := v.Client.ReleasePool(t.Context(), "uid", false); err != nil {
			t.Errorf("a subscriber that is notified of the recovery must get through: %v", err)
		}
	})
}
