// SPDX-License-Identifier: Apache-2.0

package web

import (
	"sync"
	"time"
)

const (
	// refusalsWindow is the time for which a refusal counts.
	refusalsWindow = 15 * time.Minute
	// refusalsAudited is the number of refusals of one kind from one network that are audited
	// within the window; limitedAudited is the number of those that reached a limit of attempts.
	refusalsAudited, limitedAudited = 100, 10
	// refusalsCounted is the maximum number of counters, which limits the memory.
	refusalsCounted = 20_000
)

// refusals counts what visitors who are not signed in are refused, so that they cannot fill the
// audit. It is kept in the memory of the process.
type refusals struct {
	now func() time.Time

	mu     sync.Mutex
	counts map[string]count
}

type count struct {
	n     int
	until time.Time
}

func newRefusals(now func() time.Time) *refusals {
	return &refusals{now: now, counts: map[string]count{}}
}

// count reports whether one more refusal with the key is among the first n within the window.
func (r *refusals) count(key string, n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if len(r.counts) >= refusalsCounted {
		r.forget(now)
	}
	c := r.counts[key]
	if !c.until.After(now) {
		c = count{until: now.Add(refusalsWindow)}
	}
	c.n++
	r.counts[key] = c
	return c.n <= n
}

// forget makes room: it removes expired counters, or else all counters.
func (r *refusals) forget(now time.Time) {
	for key, c := range r.counts {
		if !c.until.After(now) {
			delete(r.counts, key)
		}
	}
	if len(r.counts) >= refusalsCounted {
		clear(r.counts)
	}
}
