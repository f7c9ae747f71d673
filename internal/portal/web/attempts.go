// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net"
	"net/http"
	"sync"
	"time"

	"lightrun.com/scim-operator/internal/kernel/names"
)

const (
	// window is the time for which a failed sign-in counts.
	window = 15 * time.Minute
	// perName is the maximum number of failures for one name from one address within the window;
	// perAddress is the maximum from one address for all names. A name is never blocked for every
	// address, so failed attempts cannot lock the managers out.
	perName, perAddress = 10, 100
	// remembered is the maximum number of entries, which limits the memory.
	remembered = 20_000
	// atOnce limits the number of concurrent password checks: each takes 19 MiB.
	atOnce = 4
)

// attempts slows down password guessing. It is kept in the memory of the process: n replicas allow
// n times as many attempts.
type attempts struct {
	now   func() time.Time
	turns chan struct{}

	mu     sync.Mutex
	failed map[string]count
}

type count struct {
	n     int
	until time.Time
}

func newAttempts(now func() time.Time) *attempts {
	return &attempts{now: now, turns: make(chan struct{}, atOnce), failed: map[string]count{}}
}

// wait returns the time to wait before the next attempt for the name from the request's address;
// zero if there is none.
func (a *attempts) wait(r *http.Request, name string) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	var longest time.Duration
	for key, limit := range keysOf(r, name) {
		if c := a.failed[key]; c.n >= limit && c.until.After(now) {
			longest = max(longest, c.until.Sub(now))
		}
	}
	return longest
}

// fail records a failed attempt.
func (a *attempts) fail(r *http.Request, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if len(a.failed) >= remembered {
		a.forget(now)
	}
	for key := range keysOf(r, name) {
		c := a.failed[key]
		if !c.until.After(now) {
			c = count{until: now.Add(window)}
		}
		c.n++
		a.failed[key] = c
	}
}

// succeed clears the failures for the name from the request's address.
func (a *attempts) succeed(r *http.Request, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.failed, nameKey(r, name))
}

// audited reports whether one more refusal with the key may be audited: n within the window.
func (a *attempts) audited(key string, n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if len(a.failed) >= remembered {
		a.forget(now)
	}
	c := a.failed[key]
	if !c.until.After(now) {
		c = count{until: now.Add(window)}
	}
	c.n++
	a.failed[key] = c
	return c.n <= n
}

// forget makes room: it removes expired entries, or else all entries.
func (a *attempts) forget(now time.Time) {
	for key, c := range a.failed {
		if !c.until.After(now) {
			delete(a.failed, key)
		}
	}
	if len(a.failed) >= remembered {
		clear(a.failed)
	}
}

func keysOf(r *http.Request, name string) map[string]int {
	return map[string]int{nameKey(r, name): perName, "address " + address(r): perAddress}
}

func nameKey(r *http.Request, name string) string {
	return "name " + address(r) + " " + names.Digest(name)
}

func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
