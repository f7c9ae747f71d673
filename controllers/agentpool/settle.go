// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"sync"
	"time"
)

// The webhook stores a large removal by several writes, and the guard decides about all of it as
// one set. The set of users that must leave a pool is taken for complete if it has not changed for
// settleTime. It is also taken for complete maxWait after its first change, because the rest of a
// replacement that was interrupted may never arrive.
const (
	settleTime = time.Second
	maxWait    = 15 * time.Second
)

// settleTimer records, for each pool, the time of the last change of the set of users that must
// leave it. It is safe for concurrent use. The zero value is ready for use.
type settleTimer struct {
	mu    sync.Mutex
	pools map[string]pendingSet
}

type pendingSet struct {
	set     string    // identifies the set
	first   time.Time // when the first set of this wait came
	changed time.Time // when this set came
}

// remaining returns the time to wait for the rest of the set. It returns 0 if the set has settled
// and replacementsComplete is true, and after maxWait in every case. If the clock was set back, the
// wait begins again.
func (t *settleTimer) remaining(pool, set string, now time.Time, replacementsComplete bool) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, known := t.pools[pool]
	switch {
	case !known || now.Before(p.changed):
		p = pendingSet{set: set, first: now, changed: now}
	case p.set != set:
		p.set, p.changed = set, now
	}
	if t.pools == nil {
		t.pools = map[string]pendingSet{}
	}
	t.pools[pool] = p
	untilMax := maxWait - now.Sub(p.first)
	if !replacementsComplete {
		return max(0, min(settleTime, untilMax))
	}
	return max(0, min(settleTime-now.Sub(p.changed), untilMax))
}

// reset ends the wait for the pool's set.
func (t *settleTimer) reset(pool string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.pools, pool)
}
