// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"slices"
	"sync"
	"time"
)

// The webhook stores a large removal by several writes. The set of users counts as complete if it
// has not changed for settled, and at the latest after longest: a replacement that was interrupted
// never completes by itself.
const (
	settled = time.Second
	longest = 15 * time.Second
)

// quiet records the time of the last change of the set of users that must leave a pool. It is safe
// for concurrent use. The zero value is ready for use.
type quiet struct {
	mu    sync.Mutex
	pools map[string]arriving
}

type arriving struct {
	set          string
	first, since time.Time
}

// left returns the time to wait for the rest of the set; 0 if the set is complete. complete is true
// if no request is known to be in progress. If the clock was set back, the wait begins again.
func (q *quiet) left(pool, set string, now time.Time, complete bool) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	a, known := q.pools[pool]
	switch {
	case !known || now.Before(a.since):
		a = arriving{set: set, first: now, since: now}
	case a.set != set:
		a.set, a.since = set, now
	}
	if q.pools == nil {
		q.pools = map[string]arriving{}
	}
	q.pools[pool] = a
	last := longest - now.Sub(a.first)
	if !complete {
		return max(0, min(settled, last))
	}
	return max(0, min(settled-now.Sub(a.since), last))
}

func (q *quiet) end(pool string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.pools, pool)
}

// released records the users that may leave a pool because a person released their removal, until
// all of them have left. After a restart of the manager, the removal of the others is held. It is
// safe for concurrent use. The zero value is ready for use.
type released struct {
	mu    sync.Mutex
	users map[string][]string
}

func (r *released) note(pool string, users []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users == nil {
		r.users = map[string][]string{}
	}
	r.users[pool] = slices.Sorted(slices.Values(users))
}

// includes reports whether users is not empty and all of them were released.
func (r *released) includes(pool string, users []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.users[pool]
	return len(users) > 0 && !slices.ContainsFunc(users, func(u string) bool {
		_, found := slices.BinarySearch(all, u)
		return !found
	})
}

func (r *released) forget(pool string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.users, pool)
}
