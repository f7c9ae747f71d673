package web

import (
	"net"
	"net/http"
	"sync"
	"time"

	"lightrun.com/scim-operator/internal/names"
)

const (
	// window is how long a failed sign-in is remembered.
	window = 15 * time.Minute
	// perName is how many may fail for one name from one address within it; perAddress how many from one address for all names.
	// A name is never closed for every address, so that nobody can lock the managers out by failing in their name.
	perName, perAddress = 10, 100
	// remembered bounds the memory.
	remembered = 20_000
	// atOnce bounds the passwords checked at one time: each takes 19 MiB.
	atOnce = 4
)

// attempts slows down who guesses passwords. It is kept in this process's memory: several replicas allow as many times more.
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

// wait returns how long to wait before the name may be tried again from the request's address; zero: now.
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

// fail notes a failed attempt.
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

// succeed forgets what failed for the name from the request's address.
func (a *attempts) succeed(r *http.Request, name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.failed, nameKey(r, name))
}

// forget makes room: what is over, or else everything.
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
