// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// feed is the change feed of this process: its own writes, and the differences that listings find.
// It has the last change of each record. Another process, or this one after a restart, has another
// epoch, so its followers list again.
type feed struct {
	epoch    string
	sequence int64
	last     map[entry]int64
	more     chan struct{} // closed at the next change
}

type entry struct {
	kind portalapi.ChangeKind
	id   string
}

// longestWait is the maximum time for which Changes waits. It is short, because the follower looks
// only between two calls whether it is time to list the target.
const longestWait = time.Second

// maxChanges is the maximum number of changes in one response.
const maxChanges = 1000

// touch records that the record changed. The caller has locked Client.mu.
func (c *Client) touch(kind portalapi.ChangeKind, id string) {
	f := &c.feed
	f.sequence++
	f.last[entry{kind, id}] = f.sequence
	close(f.more)
	f.more = make(chan struct{})
}

// listAgain makes the followers of the feed list again. The caller has locked Client.mu.
func (c *Client) listAgain() {
	c.feed.epoch = uuid.NewString()
	close(c.feed.more)
	c.feed.more = make(chan struct{})
}

// touched gives the account a new revision, and records the change.
func (c *Client) touched(a *account) {
	a.revision = c.book.revision()
	c.touch(portalapi.ChangeAccount, a.id)
}

func (c *Client) poolTouched(p *pool) {
	p.revision = c.book.revision()
	c.touch(portalapi.ChangePool, p.id)
}

// Position implements portalapi.Reader.
func (c *Client) Position(ctx context.Context) (portalapi.Position, error) {
	if err := c.ready(ctx); err != nil {
		return portalapi.Position{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return portalapi.Position{Epoch: c.feed.epoch, Sequence: c.feed.sequence}, nil
}

// Changes implements portalapi.Reader. It sends no request to the target: differences there are
// found by listing.
func (c *Client) Changes(ctx context.Context, from portalapi.Position, wait time.Duration) ([]portalapi.Change, portalapi.Position, error) {
	timer := time.NewTimer(min(wait, longestWait))
	defer timer.Stop()
	for {
		c.mu.Lock()
		at := portalapi.Position{Epoch: c.feed.epoch, Sequence: c.feed.sequence}
		if from == (portalapi.Position{}) {
			from = at
		}
		if from.Epoch != at.Epoch || from.Sequence > at.Sequence {
			c.mu.Unlock()
			return nil, from, &portalapi.Error{Status: 410, Code: portalapi.CodeFeedTruncated, Message: "another process of the operator had this feed; list again"}
		}
		changes := c.changesAfter(from.Sequence)
		more := c.feed.more
		c.mu.Unlock()
		if n := len(changes); n > 0 {
			if n == maxChanges {
				at.Sequence = changes[n-1].Sequence
			}
			return changes, at, nil
		}
		select {
		case <-ctx.Done():
			return nil, from, ctx.Err()
		case <-timer.C:
			return nil, at, nil
		case <-more:
		}
	}
}

// changesAfter returns the first changes after the sequence. The caller has locked mu.
func (c *Client) changesAfter(sequence int64) []portalapi.Change {
	var out []portalapi.Change
	for e, at := range c.feed.last {
		if at > sequence {
			out = append(out, portalapi.Change{Sequence: at, Kind: e.kind, ID: e.id})
		}
	}
	slices.SortFunc(out, func(a, b portalapi.Change) int { return cmp.Compare(a.Sequence, b.Sequence) })
	out = out[:min(len(out), maxChanges)]
	for i := range out {
		change := &out[i]
		switch change.Kind {
		case portalapi.ChangeAccount:
			if a := c.book.accounts[change.ID]; a != nil {
				view := c.view(a)
				change.Account = &view
			}
			change.Gone = change.Account == nil
		case portalapi.ChangePool:
			if p := c.book.pools[change.ID]; p != nil {
				view := c.book.poolView(p)
				change.Pool = &view
			}
			change.Gone = change.Pool == nil
		case portalapi.ChangeConfiguration:
			change.Configuration = c.configuration()
		}
	}
	return out
}
