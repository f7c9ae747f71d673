// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"slices"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
)

func (p *portalTest) end() portalapi.Position {
	p.Helper()
	end, err := p.Client.Position(p.Context())
	p.ok(err)
	return end
}

func (p *portalTest) changes(from portalapi.Position) ([]portalapi.Change, portalapi.Position) {
	p.Helper()
	changes, end, err := p.Client.Changes(p.Context(), from, 0)
	p.ok(err)
	if !slices.IsSortedFunc(changes, func(a, b portalapi.Change) int { return int(a.Sequence - b.Sequence) }) {
		p.Errorf("the feed is out of order: %+v", changes)
	}
	return changes, end
}

var feedTests = map[string]func(*portalTest){
	"Changes are in order, with each record's newest state": func(p *portalTest) {
		p.scimOn()
		start := p.end()
		ada, bob := p.put(person("ada")), p.put(person("bob"))
		pool := p.putPool(team("Payments"))
		w := person("ada", pool.ID)
		w.Owner.Revision = 2
		p.put(w)
		changes, end := p.changes(start)
		var order []string
		for _, c := range changes {
			order = append(order, c.ID)
		}
		p.equal("order", order, []string{bob.ID, pool.ID, ada.ID})
		p.equal("ada's pools", changes[2].Account.Pools, sorted(pool.ID, p.defaultPool().ID))
		if changes[1].Pool == nil || changes[1].Pool.Owner.UID != "o-Payments" {
			p.Errorf("the pool in the feed: %+v", changes[1].Pool)
		}
		p.equal("end", end, p.end())
		if rest, again := p.changes(end); len(rest) > 0 || again != end {
			p.Errorf("after the end there are %+v", rest)
		}
	},
	"A deleted record leaves a tombstone": func(p *portalTest) {
		p.scimOn()
		ada := p.put(person("ada"))
		pool := p.pool("Payments")
		start := p.end()
		p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Revision: 1}, portalapi.ReleaseDelete))
		p.manage("DELETE", "/pools/"+pool.ID, nil, nil)
		changes, _ := p.changes(start)
		if len(changes) != 2 || !changes[0].Gone || changes[0].ID != ada.ID || changes[0].Account != nil || !changes[1].Gone || changes[1].Kind != portalapi.ChangePool {
			p.Errorf("tombstones: %+v", changes)
		}
	},
	"The feed reports configuration, binding and keys": func(p *portalTest) {
		start := p.end()
		p.scimOn()
		changes, end := p.changes(start)
		if len(changes) != 1 || changes[0].Kind != portalapi.ChangeConfiguration || changes[0].Configuration == nil || !changes[0].Configuration.SCIMEnabled {
			p.Errorf("configuration: %+v", changes)
		}
		if !p.has(portalapi.CapabilityFeed) {
			return
		}
		p.ok(p.bind(binding("one")))
		changes, end = p.changes(end)
		if len(changes) != 1 || changes[0].Configuration.Binding == nil {
			p.Errorf("binding: %+v", changes)
		}
		var made portalv1.APIKeyWithSecret
		p.manage("POST", "/api-keys", portalv1.APIKeyCreate{Name: "okta", Scope: portalv1.ScopeSCIM, ProviderType: provider.Okta}, &made)
		changes, end = p.changes(end)
		if len(changes) != 1 || changes[0].Kind != portalapi.ChangeKey || changes[0].ID != made.Key.ID || changes[0].Gone {
			p.Errorf("key: %+v", changes)
		}
		p.manage("DELETE", "/api-keys/"+made.Key.ID, nil, nil)
		if changes, _ = p.changes(end); len(changes) != 1 || !changes[0].Gone {
			p.Errorf("deleted key: %+v", changes)
		}
	},
	"A waiting reader returns at the first change": func(p *portalTest) {
		p.scimOn()
		start := p.end()
		type result struct {
			changes []portalapi.Change
			err     error
		}
		read := make(chan result, 1)
		began := time.Now()
		go func() {
			changes, _, err := p.Client.Changes(p.Context(), start, 30*time.Second)
			read <- result{changes, err}
		}()
		ada := p.put(person("ada"))
		got := <-read
		p.ok(got.err)
		if len(got.changes) != 1 || got.changes[0].ID != ada.ID {
			p.Errorf("woke with %+v", got.changes)
		}
		if took := time.Since(began); took > 15*time.Second {
			p.Errorf("woke after %v", took)
		}
	},
	"A reader whose wait ends gets no change and the same position": func(p *portalTest) {
		start := p.end()
		changes, end, err := p.Client.Changes(p.Context(), start, time.Second)
		p.ok(err)
		if len(changes) != 0 || end != start {
			p.Errorf("got %+v up to %v", changes, end)
		}
	},
	"No position means the current end": func(p *portalTest) {
		p.scimOn()
		changes, end, err := p.Client.Changes(p.Context(), portalapi.Position{}, 0)
		p.ok(err)
		if len(changes) != 0 || end != p.end() {
			p.Errorf("got %+v up to %v", changes, end)
		}
	},
	"An unknown epoch is refused": func(p *portalTest) {
		p.scimOn()
		start := p.end()
		for _, at := range []portalapi.Position{{Epoch: "unknown", Sequence: start.Sequence}, {Epoch: start.Epoch, Sequence: start.Sequence + 1000}} {
			_, _, err := p.Client.Changes(p.Context(), at, 0)
			p.refused(err, portalapi.CodeFeedTruncated)
		}
	},
	"A truncated position is refused": func(p *portalTest) {
		if p.lacks("a feed that it can truncate", p.Truncate != nil) {
			return
		}
		p.scimOn()
		start := p.end()
		p.put(person("ada"))
		p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Revision: 1}, portalapi.ReleaseDelete))
		p.put(person("bob"))
		p.Truncate(1)
		if changes, _ := p.changes(start); len(changes) != 2 {
			p.Errorf("a tombstone to keep was deleted: %+v", changes)
		}
		p.Truncate(0)
		_, _, err := p.Client.Changes(p.Context(), start, 0)
		p.refused(err, portalapi.CodeFeedTruncated)
		if changes, _ := p.changes(p.end()); len(changes) != 0 {
			p.Errorf("after the end there are %+v", changes)
		}
	},
	"A new epoch makes every reader list again": func(p *portalTest) {
		if p.lacks("a feed whose epoch it can change", p.NewEpoch != nil) {
			return
		}
		start := p.end()
		p.NewEpoch()
		_, _, err := p.Client.Changes(p.Context(), start, 0)
		p.refused(err, portalapi.CodeFeedTruncated)
		if now := p.end(); now.Epoch == start.Epoch || now.Epoch == "" {
			p.Errorf("epoch %q after %q", now.Epoch, start.Epoch)
		}
	},
	"A long feed is read in pages": func(p *portalTest) {
		p.scimOn()
		start := p.end()
		for i := range 25 {
			p.put(person(number(i)))
		}
		at, seen := start.Sequence, 0
		for {
			var page portalv1.ChangePage
			p.manage("GET", "/changes?epoch="+start.Epoch+"&after="+itoa(at)+"&limit=10", nil, &page)
			if len(page.Items) == 0 {
				break
			}
			seen += len(page.Items)
			at = page.Position
		}
		if seen != 25 || at != p.end().Sequence {
			p.Errorf("read %d changes up to %d", seen, at)
		}
	},
}
