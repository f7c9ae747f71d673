// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"fmt"
	"strings"
	"sync"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

// OneLine joins names for a column. If there are many, it joins the first few and adds how many
// more there are.
func OneLine(names []string) string {
	const most = 4
	if len(names) <= most {
		return strings.Join(names, ",")
	}
	return fmt.Sprintf("%s +%d", strings.Join(names[:most], ","), len(names)-most)
}

// countEvery is the minimum time between two status writes that change only the count.
const countEvery = 30 * time.Second

// whileLoading is the pause before a count that is not complete yet is repeated.
const whileLoading = 200 * time.Millisecond

// Counts contains the time when each object's member count was last written. It is safe for
// concurrent use. The zero value is ready for use.
type Counts struct {
	mu sync.Mutex
	at map[string]time.Time
}

// Renew sets have, the count in the object's status, to n. If writing is true, the status is
// written anyway, and Renew always sets it. Otherwise it sets it at most twice a minute. It returns
// the pause after which the caller reconciles again; 0 if it need not.
func (c *Counts) Renew(name string, have *int64, n int, complete, writing bool, now time.Time) time.Duration {
	switch {
	case !complete:
		return whileLoading
	case *have == int64(n):
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if wait := countEvery - now.Sub(c.at[name]); wait > 0 && !writing {
		return wait
	}
	if c.at == nil {
		c.at = map[string]time.Time{}
	}
	*have, c.at[name] = int64(n), now
	return 0
}

// Forget removes the entry of an object that no longer exists.
func (c *Counts) Forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.at, name)
}

// RequeueWithin sets r.RequeueAfter to wait, unless r requeues the object earlier. 0 changes
// nothing.
func RequeueWithin(r *ctrl.Result, wait time.Duration) {
	if wait > 0 && (r.RequeueAfter == 0 || wait < r.RequeueAfter) {
		r.RequeueAfter = wait
	}
}
