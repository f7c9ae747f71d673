package agentpool

import (
	"sync"
	"time"
)

// counted remembers when a pool's member count was last written.
type counted struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (c *counted) last(pool string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[pool]
}

func (c *counted) set(pool string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		c.at = map[string]time.Time{}
	}
	c.at[pool] = at
}

func (c *counted) forget(pool string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.at, pool)
}

// whileLoading is the pause before a count that is not complete yet is looked at again.
const whileLoading = 200 * time.Millisecond

// count renews status.memberCount: along with another change, or by itself at most twice a minute.
func (p *pass) count(writing bool) {
	now := p.Clock.Now()
	n, complete := p.Book.Count(p.pool.Name)
	switch {
	case !complete:
		p.lookAgain(whileLoading)
		return
	case p.pool.Status.MemberCount == int64(n) || p.view.Block != nil || p.view.Unknown:
		return
	}
	if wait := countEvery - now.Sub(p.counted.last(p.pool.Name)); wait > 0 && !writing {
		p.lookAgain(wait)
		return
	}
	p.pool.Status.MemberCount = int64(n)
	p.counted.set(p.pool.Name, now)
}

// lookAgain brings the pool back after wait, or sooner if it comes back sooner anyway.
func (p *pass) lookAgain(wait time.Duration) {
	if p.result.RequeueAfter == 0 || wait < p.result.RequeueAfter {
		p.result.RequeueAfter = wait
	}
}
