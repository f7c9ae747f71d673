// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"sync"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
)

// Counts are how many people are in which state.
type Counts struct{ Users, Ready, Waiting, Held, Strays int64 }

// Tally counts people by state without listing them. It is safe for concurrent use.
type Tally struct {
	mu     sync.Mutex
	users  map[string]state
	counts Counts
	// incomplete: not everybody of the first listing was counted yet.
	incomplete bool
}

type state struct{ ready, waiting, held bool }

// NewTally returns an empty tally.
func NewTally() *Tally { return &Tally{users: map[string]state{}} }

// Complete says whether everybody is counted. It is false from the manager's start until the
// cache's first listing was gone through.
func (t *Tally) Complete() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.incomplete
}

func (t *Tally) load()   { t.set(true) }
func (t *Tally) loaded() { t.set(false) }

func (t *Tally) set(incomplete bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.incomplete = incomplete
}

// Record notes the state that the user's conditions tell.
func (t *Tally) Record(u *v1alpha1.ScimUser) {
	s := state{
		ready: conditions.IsTrue(u.Status.Conditions, v1alpha1.ConditionReady),
		held:  conditions.IsTrue(u.Status.Conditions, v1alpha1.ConditionDeprovisioningHeld),
	}
	if c := conditions.Find(u.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		s.waiting = c.Reason == v1alpha1.ReasonLocalAccountExists
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if before, ok := t.users[u.Name]; ok {
		t.add(before, -1)
	}
	t.users[u.Name] = s
	t.add(s, 1)
}

// Knows says whether the person was looked at and is not gone since.
func (t *Tally) Knows(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.users[name]
	return ok
}

// isReady says whether the person was Ready when last looked at.
func (t *Tally) isReady(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.users[name].ready
}

// Strays notes how many accounts of ours have no user any more.
func (t *Tally) Strays(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.Strays = int64(n)
}

// Forget notes that the person is gone.
func (t *Tally) Forget(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before, ok := t.users[name]; ok {
		t.add(before, -1)
		delete(t.users, name)
	}
}

// Counts returns the counts now.
func (t *Tally) Counts() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

func (t *Tally) add(s state, n int64) {
	t.counts.Users += n
	for _, c := range []struct {
		is bool
		at *int64
	}{{s.ready, &t.counts.Ready}, {s.waiting, &t.counts.Waiting}, {s.held, &t.counts.Held}} {
		if c.is {
			*c.at += n
		}
	}
}
