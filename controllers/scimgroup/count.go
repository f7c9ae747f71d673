package scimgroup

import (
	"sync"
	"time"
)

// counted remembers when a group's member count was last written.
type counted struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (c *counted) last(group string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[group]
}

func (c *counted) set(group string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		c.at = map[string]time.Time{}
	}
	c.at[group] = at
}

func (c *counted) forget(group string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.at, group)
}

// whileLoading is the pause before a count that is not complete yet is made again.
const whileLoading = 200 * time.Millisecond

// count brings status.memberCount up to date: along with another change, or by itself at most twice a minute.
func (p *pass) count(writing bool) {
	if !p.Tally.Complete() {
		p.lookAgain(whileLoading)
		return
	}
	n := int64(p.Groups.Count(p.group.Name, p.Tally.Knows))
	if p.group.Status.MemberCount == n {
		return
	}
	now := p.Clock.Now()
	if wait := countEvery - now.Sub(p.counted.last(p.group.Name)); wait > 0 && !writing {
		p.lookAgain(wait)
		return
	}
	p.group.Status.MemberCount = n
	p.counted.set(p.group.Name, now)
}

// lookAgain brings the group back after wait, or sooner if it comes back sooner anyway.
func (p *pass) lookAgain(wait time.Duration) {
	if p.result.RequeueAfter == 0 || wait < p.result.RequeueAfter {
		p.result.RequeueAfter = wait
	}
}
