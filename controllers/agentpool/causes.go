// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"sync"
	"time"
)

// causeAge is the time in which a SCIM request counts as the cause of a write. A later write has
// another cause, such as a change of the pool or an edit in the portal.
const causeAge = time.Minute

// causes contains the SCIM requests that cause the next writes of pools, until the writes are made.
// It is safe for concurrent use. The zero value is ready for use.
type causes struct {
	mu     sync.Mutex
	all    map[effect]cause
	tidied time.Time
}

// effect is what a request can change in a pool: of is the name of a user who joins or leaves, or
// the id of a group that was created, deleted or renamed.
type effect struct{ pool, of string }

type cause struct {
	request string
	at      time.Time
}

// counts reports whether the cause is recent. It is false if the clock was set back.
func (c cause) counts(now time.Time) bool {
	age := now.Sub(c.at)
	return c.request != "" && age >= 0 && age <= causeAge
}

// note records the request as the cause, unless its id is empty.
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

// newest returns the newest request that causes one of these effects; empty if there is none.
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

// done removes the causes of effects that were carried out.
func (c *causes) done(pool string, of ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range of {
		delete(c.all, effect{pool, o})
	}
}
