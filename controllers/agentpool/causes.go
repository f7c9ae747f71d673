// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"sync"
	"time"
)

// causeAge is how long a SCIM request is taken for the cause of a write that it may lead to. What
// is written later has another cause, such as a change of the pool or an edit in the portal.
const causeAge = time.Minute

// causes remembers which SCIM requests a pool's next writes follow from. One
// that was carried out is forgotten. It is safe for concurrent use; the zero value is ready.
type causes struct {
	mu     sync.Mutex
	all    map[effect]cause
	tidied time.Time
}

// effect is what a request can lead to in a pool: of is the name of a user who joins or leaves, or
// the id of a group that came, went or was renamed.
type effect struct{ pool, of string }

type cause struct {
	request string
	at      time.Time
}

// counts reports whether the cause is recent. A clock that was set back ends it.
func (c cause) counts(now time.Time) bool {
	age := now.Sub(c.at)
	return c.request != "" && age >= 0 && age <= causeAge
}

// note remembers the request, unless it has no id.
func (c *causes) note(pool, request string, now time.Time, of ...string) {
	if request == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all, c.tidied = map[effect]cause{}, now
	}
	if since := now.Sub(c.tidied); since < 0 || since > causeAge {
		c.tidied = now
		for k, v := range c.all {
			if !v.counts(now) {
				delete(c.all, k)
			}
		}
	}
	for _, o := range of {
		c.all[effect{pool, o}] = cause{request, now}
	}
}

// newest returns the newest request that one of these effects follows from; empty if there is none.
func (c *causes) newest(pool string, now time.Time, of ...string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var newest cause
	for _, o := range of {
		if one := c.all[effect{pool, o}]; one.at.After(newest.at) {
			newest = one
		}
	}
	if !newest.counts(now) {
		return ""
	}
	return newest.request
}

// done forgets what was carried out.
func (c *causes) done(pool string, of ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range of {
		delete(c.all, effect{pool, o})
	}
}
