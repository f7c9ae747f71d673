// SPDX-License-Identifier: Apache-2.0

// Package usercounts keeps in memory what the controllers share about users: the number of users in
// each state, and the users whose deletion is finished.
package usercounts

import (
	"sync"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
)

// Counts contains the numbers of users by state, and of accounts and pools without their objects.
type Counts struct{ Users, Ready, Waiting, Held, Strays, StrayPools int64 }

// Counter counts users by state without listing them. It is safe for concurrent use.
type Counter struct {
	mu     sync.Mutex
	users  map[string]state
	counts Counts
	// incomplete is true until all users of the first listing are counted.
	incomplete bool
}

type state struct{ ready, waiting, held bool }

// NewCounter returns an empty counter.
func NewCounter() *Counter { return &Counter{users: map[string]state{}} }

// Complete reports whether all users are counted. It is false from the manager's start until the
// cache's first listing is processed.
func (c *Counter) Complete() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.incomplete
}

// Load records that the first listing of users begins.
func (c *Counter) Load() { c.set(true) }

// Loaded records that all users of the first listing are counted.
func (c *Counter) Loaded() { c.set(false) }

func (c *Counter) set(incomplete bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.incomplete = incomplete
}

// Record counts the user in the state that its conditions show.
func (c *Counter) Record(u *v1alpha1.ScimUser) {
	s := state{
		ready: conditions.IsTrue(u.Status.Conditions, v1alpha1.ConditionReady),
		held:  conditions.IsTrue(u.Status.Conditions, v1alpha1.ConditionDeprovisioningHeld),
	}
	if c := conditions.Find(u.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		s.waiting = c.Reason == v1alpha1.ReasonLocalAccountExists
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if before, ok := c.users[u.Name]; ok {
		c.add(before, -1)
	}
	c.users[u.Name] = s
	c.add(s, 1)
}

// Knows reports whether the user was recorded and not removed since.
func (c *Counter) Knows(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.users[name]
	return ok
}

// IsReady reports whether the user was Ready when last recorded.
func (c *Counter) IsReady(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.users[name].ready
}

// Strays records the number of accounts that this operator manages and that have no ScimUser.
func (c *Counter) Strays(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Strays = int64(n)
}

// StrayPools records the number of pools that this operator manages and that have no AgentPool.
func (c *Counter) StrayPools(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.StrayPools = int64(n)
}

// Forget removes a user that no longer exists.
func (c *Counter) Forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before, ok := c.users[name]; ok {
		c.add(before, -1)
		delete(c.users, name)
	}
}

// Counts returns the current counts.
func (c *Counter) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts
}

func (c *Counter) add(s state, n int64) {
	c.counts.Users += n
	for _, c := range []struct {
		is bool
		at *int64
	}{{s.ready, &c.counts.Ready}, {s.waiting, &c.counts.Waiting}, {s.held, &c.counts.Held}} {
		if c.is {
			*c.at += n
		}
	}
}
