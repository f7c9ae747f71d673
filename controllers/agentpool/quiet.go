// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"slices"
	"sync"
	"time"
)

// A removal that arrives in several writes is whole when it has not changed for settled, and at the
// latest after longest: a replacement that broke off never completes by itself.
const (
	settled = time.Second
	longest = 15 * time.Second
)

// quiet records since when the set of users that must leave a pool is unchanged. It is safe for
// concurrent use; the zero value is ready.
type quiet struct {
	mu    sync.Mutex
	pools map[string]arriving
}

type arriving struct {
	set          string
	first, since time.Time
}

// left is how much longer to wait for the rest of the set; 0: it is whole. complete: nothing is
// known to be under way. A clock that is set back begins the wait again.
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
// all of them have left. After a restart the rest is held. It is safe for concurrent use; the zero
// value is ready.
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

// includes reports whether there is a user and all of them were released.
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
