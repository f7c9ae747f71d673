// SPDX-License-Identifier: Apache-2.0

package mirror

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/go-logr/logr"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Source is the interface that the mirror reads from.
type Source interface {
	portalapi.Reader
	portalapi.Releases
	Configuration(ctx context.Context) (*portalapi.Configuration, error)
}

// Options configure how the mirror reads.
type Options struct {
	PageSize int           // accounts per page; default 500
	Wait     time.Duration // how long the portal may delay the response to a feed request without changes; default 20 s
	Relist   time.Duration // interval of the full listing; default 10 min
	Backoff  time.Duration // first pause after a failure, doubled up to 30 s; default 500 ms
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if o.PageSize == 0 {
		o.PageSize = 500
	}
	set(&o.Wait, 20*time.Second)
	set(&o.Relist, 10*time.Minute)
	set(&o.Backoff, 500*time.Millisecond)
	return o
}

const maxBackoff = 30 * time.Second

// Follow keeps the mirror up to date with src until ctx ends. It retries after failures; meanwhile
// Unreachable returns the failure.
func (m *Mirror) Follow(ctx context.Context, src Source, o Options) {
	o = o.withDefaults()
	log := logr.FromContextOrDiscard(ctx)
	backoff := o.Backoff
	var at *portalapi.Position // nil before the first listing, and after the feed was lost
	var relist time.Time
	for ctx.Err() == nil {
		var err error
		if at == nil || time.Now().After(relist) {
			var p portalapi.Position
			if p, err = m.list(ctx, src, o); err == nil {
				at, relist = &p, time.Now().Add(o.Relist+rand.N(o.Relist/10+1))
			}
		} else {
			var p portalapi.Position
			if p, err = m.follow(ctx, src, *at, o); err == nil {
				at = &p
			}
		}
		switch {
		case err == nil:
			backoff = o.Backoff
			m.reached(nil)
			continue
		case ctx.Err() != nil:
			return
		case portalapi.CodeOf(err) == portalapi.CodeFeedTruncated:
			log.Info("The portal's change feed is truncated before our position, listing again")
			at = nil
			sleep(ctx, backoff/2+rand.N(backoff)) // do not list in a tight loop if the feed is truncated again immediately
			backoff = min(2*backoff, maxBackoff)
			continue
		}
		m.reached(err)
		log.Error(err, "Cannot follow the portal, trying again", "after", backoff.String())
		sleep(ctx, retryAfter(err, backoff))
		backoff = min(2*backoff, maxBackoff)
	}
}

// retryAfter returns the portal's Retry-After, else backoff with jitter.
func retryAfter(err error, backoff time.Duration) time.Duration {
	if pause, _ := portalapi.Failure(err); pause > 0 {
		return min(pause, time.Minute)
	}
	return backoff/2 + rand.N(backoff)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// reached records that the portal responded, or err.
func (m *Mirror) reached(err error) {
	m.mu.Lock()
	again := m.unreachable != nil && err == nil
	changed := m.unreachable == nil && portalapi.CodeOf(err) == portalapi.CodeTargetChanged
	if m.unreachable = err; err == nil {
		m.read = time.Now()
	}
	m.mu.Unlock()
	if again {
		m.notify(Event{Reachable: true})
	}
	if changed {
		m.notify(Event{Configuration: true}) // its controller stops all writes, and reports it
	}
}

// follow waits for the next changes and applies them.
func (m *Mirror) follow(ctx context.Context, src Source, at portalapi.Position, o Options) (portalapi.Position, error) {
	wait := o.Wait
	if m.Unreachable() != nil {
		wait = 0 // after a failure, do not wait: the response shows that the portal is reachable again
	}
	changes, next, err := src.Changes(ctx, at, wait)
	if err != nil {
		return at, fmt.Errorf("follow the portal's changes: %w", err)
	}
	m.apply(changes)
	return next, nil
}

func (m *Mirror) apply(changes []portalapi.Change) {
	var events []Event
	m.mu.Lock()
	for _, c := range changes {
		switch c.Kind {
		case portalapi.ChangeAccount:
			if c.Gone || c.Account == nil {
				if before := m.dropAccount(c.ID); before != nil {
					events = append(events, Event{Account: &AccountEvent{Before: before}})
				}
			} else if before, changed := m.setAccount(c.Account); changed {
				events = append(events, Event{Account: &AccountEvent{Before: before, After: c.Account}})
			}
		case portalapi.ChangePool:
			if c.Gone || c.Pool == nil {
				if before := m.dropPool(c.ID); before != nil {
					events = append(events, Event{Pool: &PoolEvent{Before: before}})
				}
			} else if before, changed := m.setPool(c.Pool); changed {
				events = append(events, Event{Pool: &PoolEvent{Before: before, After: c.Pool}})
			}
		case portalapi.ChangeConfiguration:
			if c.Configuration != nil && m.setConfiguration(c.Configuration) {
				events = append(events, Event{Configuration: true})
			}
		case portalapi.ChangeKey:
			events = append(events, Event{Keys: true})
		}
	}
	m.mu.Unlock()
	for _, e := range events {
		m.notify(e)
	}
}

func (m *Mirror) dropPool(id string) *portalapi.Pool {
	before := m.pools[id]
	if before == nil {
		return nil
	}
	next := make(map[string]*portalapi.Pool, len(m.pools))
	for k, p := range m.pools {
		if k != id {
			next[k] = p
		}
	}
	m.setPoolOwner(before, nil)
	m.indexPools(next)
	return before
}

// Read lists everything once, for callers that do not follow the portal.
func (m *Mirror) Read(ctx context.Context, src Source) error {
	_, err := m.list(ctx, src, Options{}.withDefaults())
	return err
}

// list reads everything. It takes the feed position first, so that changes during the listing are
// in the feed after it.
func (m *Mirror) list(ctx context.Context, src Source, o Options) (portalapi.Position, error) {
	fail := func(what string, err error) (portalapi.Position, error) {
		return portalapi.Position{}, fmt.Errorf("list the portal's %s: %w", what, err)
	}
	m.begin()
	at, err := src.Position(ctx)
	if err != nil {
		return fail("feed position", err)
	}
	configuration, err := src.Configuration(ctx)
	if err != nil {
		return fail("identity configuration", err)
	}
	roles, err := src.Roles(ctx)
	if err != nil {
		return fail("roles", err)
	}
	pools, err := src.Pools(ctx)
	if err != nil {
		return fail("pools", err)
	}
	var accounts []portalapi.Account
	for after := ""; ; {
		page, next, err := src.Accounts(ctx, after, o.PageSize)
		if err != nil {
			return fail("accounts", err)
		}
		accounts = append(accounts, page...)
		if next == "" {
			break
		}
		after = next
	}
	released, releasedPins, err := listReleased(ctx, src, o.PageSize)
	if err != nil {
		return portalapi.Position{}, err
	}
	m.replace(configuration, roles, pools, accounts, released, releasedPins)
	return at, nil
}

// listReleased lists the released users and pools. It runs after the accounts and pools are listed:
// what is released meanwhile is in both lists, and never in none.
func listReleased(ctx context.Context, src Source, limit int) (users map[string]int64, pools map[string][]portalapi.Pin, err error) {
	users, pools = map[string]int64{}, map[string][]portalapi.Pin{}
	for after, more := "", true; more; more = after != "" {
		var page []portalapi.ReleasedOwner
		if page, after, err = src.Released(ctx, after, limit); err != nil {
			return nil, nil, fmt.Errorf("list the portal's released users: %w", err)
		}
		for _, o := range page {
			users[o.Name] = o.Revision
		}
	}
	for after, more := "", true; more; more = after != "" {
		var page []portalapi.ReleasedPool
		if page, after, err = src.ReleasedPools(ctx, after, limit); err != nil {
			return nil, nil, fmt.Errorf("list the portal's released pools: %w", err)
		}
		for _, o := range page {
			pools[o.Name] = o.Pins
		}
	}
	return users, pools, nil
}

// begin starts recording the operator's own writes, because they may be newer than the listing that
// follows.
func (m *Mirror) begin() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written = &written{accounts: map[string]bool{}, pools: map[string]bool{}, owners: map[string]bool{}}
}

// replace replaces the state with a full listing, also if its revisions are lower, for example
// because the portal was restored from a backup. The only exception is a record that the operator
// wrote during the listing: it stays if it is newer than in the listing, or missing there.
func (m *Mirror) replace(c *portalapi.Configuration, roles []portalapi.Role, pools []portalapi.Pool, accounts []portalapi.Account, released map[string]int64, releasedPins map[string][]portalapi.Pin) {
	var events []Event
	m.mu.Lock()
	first := !m.listed
	m.keepReleased(released) // before replaceAccounts, which takes the owners from older pages
	events = append(events, m.replaceAccounts(accounts)...)
	events = append(events, m.replacePools(pools)...)
	m.released, m.releasedPins = released, releasedPins
	maps.DeleteFunc(m.releasedPins, func(owner string, _ []portalapi.Pin) bool { return m.poolOf[owner] != nil }) // written meanwhile
	m.roles = make(map[string]portalapi.Role, len(roles))
	for _, r := range roles {
		m.roles[r.Name] = r
	}
	if !m.written.configuration {
		before := m.configuration
		m.configuration = nil
		if m.setConfiguration(c); before == nil || !reflect.DeepEqual(before, c) {
			events = append(events, Event{Configuration: true})
		}
	} else if m.setConfiguration(c) {
		events = append(events, Event{Configuration: true})
	}
	m.listed, m.written = true, nil
	m.mu.Unlock()
	if first { // the Listed event makes all controllers reconcile everything; single events would only repeat that
		events = []Event{{Listed: true}, {Configuration: true}, {Keys: true}}
	} else if len(events) > 0 {
		events = append(events, Event{Relisted: true})
	}
	for _, e := range events {
		m.notify(e)
	}
}

// replaceAccounts replaces the accounts with the listed ones and returns the differences. The
// caller has locked m.mu.
func (m *Mirror) replaceAccounts(accounts []portalapi.Account) []Event {
	var events []Event
	old, ours := m.accounts, m.written.accounts
	m.reset()
	for i := range accounts {
		a := &accounts[i]
		before := old[a.ID]
		if before != nil && (ours[a.ID] && before.Revision > a.Revision || sameAccount(before, a)) {
			a = before
		}
		m.setAccount(a)
		if a != before {
			events = append(events, Event{Account: &AccountEvent{Before: before, After: a}})
		}
	}
	for id, before := range old {
		switch {
		case m.accounts[id] != nil:
		case ours[id] && m.accountByName[names.Fold(before.UserName)] == nil:
			m.setAccount(before) // created while the pages were read
		default:
			events = append(events, Event{Account: &AccountEvent{Before: before}})
		}
	}
	return events
}

// keepReleased corrects the listed owners by what the operator wrote during the listing. The caller
// has locked m.mu.
func (m *Mirror) keepReleased(released map[string]int64) {
	for owner := range m.written.owners {
		if revision, ok := m.released[owner]; ok {
			released[owner] = revision
		} else {
			delete(released, owner)
		}
	}
}

// replacePools replaces the pools with the listed ones and returns the differences. The caller has
// locked m.mu.
func (m *Mirror) replacePools(pools []portalapi.Pool) []Event {
	var events []Event
	old, ours := m.pools, m.written.pools
	next := make(map[string]*portalapi.Pool, len(pools))
	for i := range pools {
		p := &pools[i]
		before := old[p.ID]
		if before != nil && ours[p.ID] && before.Revision > p.Revision {
			p = before
		}
		next[p.ID] = p
		if before == nil || !samePool(before, p) {
			events = append(events, Event{Pool: &PoolEvent{Before: before, After: p}})
		}
	}
	for id, before := range old {
		switch {
		case next[id] != nil:
		case ours[id]:
			next[id] = before
		default:
			events = append(events, Event{Pool: &PoolEvent{Before: before}})
		}
	}
	m.indexPools(next)
	return events
}
