// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
)

// batch is the maximum number of members in one PATCH of a group.
const batch = 500

// PutMemberships implements portalapi.PoolWriter: a few PATCHes of one group. The roles of the
// members are written by the members' own passes.
func (c *Client) PutMemberships(ctx context.Context, ownerUID string, items []portalapi.MembershipWrite, seen []portalapi.GroupRevision) ([]portalapi.MembershipResult, error) {
	if err := c.writable(ctx); err != nil {
		return nil, err
	}
	if len(items) > portalapi.MaxMemberships {
		return nil, refuse(http.StatusBadRequest, portalapi.CodeInvalid, "%d memberships in one call; send at most %d", len(items), portalapi.MaxMemberships)
	}
	defer c.locks.lock("owner " + ownerUID)()
	defer c.lockPool(ownerUID, nil)()
	defer c.lockAccounts(items)()
	c.mu.Lock()
	p := c.book.ownedPool(ownerUID)
	err := c.scimOn()
	switch {
	case err != nil:
	case p == nil:
		err = refuse(http.StatusNotFound, portalapi.CodeNotFound, "the owner %q has no pool; write the pool first", ownerUID)
	case p.id == defaultPool:
		err = refuse(http.StatusConflict, portalapi.CodeDefaultPool, "every active user is a member of the default pool; its members cannot be changed")
	}
	if err != nil {
		c.mu.Unlock()
		return nil, cmp.Or(c.stillLeads(ctx), err)
	}
	m := c.planMembers(p, items)
	c.mu.Unlock()
	if err := c.count(ctx, m.removed); err != nil {
		return nil, err
	}
	if err := c.changeGroup(ctx, p.id, m.in, m.out); err != nil {
		return nil, err
	}
	c.mu.Lock()
	for i, r := range m.results {
		if a := c.book.accounts[r.AccountID]; a != nil {
			m.results[i].Revision = a.revision
		}
	}
	c.mu.Unlock()
	return m.results, c.see(ctx, p, seen)
}

// lockAccounts locks the accounts of the items, in the order of their ids.
func (c *Client) lockAccounts(items []portalapi.MembershipWrite) (unlock func()) {
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = item.AccountID
	}
	slices.Sort(ids)
	var locked []func()
	for _, id := range slices.Compact(ids) {
		locked = append(locked, c.locks.lock("account "+id))
	}
	return func() {
		for _, f := range locked {
			f()
		}
	}
}

// members is what PutMemberships does.
type members struct {
	results []portalapi.MembershipResult
	in, out []string
	removed []removal
}

// planMembers decides each item. The caller has locked mu.
func (c *Client) planMembers(p *pool, items []portalapi.MembershipWrite) members {
	m := members{results: make([]portalapi.MembershipResult, len(items))}
	is := map[string]bool{} // after the items so far
	for i, item := range items {
		a, r := c.book.accounts[item.AccountID], &m.results[i]
		r.AccountID = item.AccountID
		if a == nil {
			r.Outcome = portalapi.MembershipUnknown
			continue
		}
		in, changed := is[a.id]
		if !changed {
			in = a.pools[p.id]
		}
		switch {
		case a.record.Owner.UID == "":
			r.Outcome = portalapi.MembershipNotOwned
		case item.Add == in:
			r.Outcome = portalapi.MembershipUnchanged
		case changed || item.IfRevision != a.revision: // an item before changes the revision
			r.Outcome = portalapi.MembershipStale
		default:
			r.Outcome, is[a.id] = portalapi.MembershipDone, item.Add
		}
		if r.Outcome != portalapi.MembershipDone {
			continue
		}
		if item.Add {
			m.in = append(m.in, a.id)
			continue
		}
		m.out = append(m.out, a.id)
		if a.active() {
			m.removed = append(m.removed, removal{Account: a.id, Pool: p.id})
			if slices.Contains(p.record.Roles, portalapi.RoleManager) && !c.book.managesBy(a, p) {
				m.removed = append(m.removed, removal{Account: a.id})
			}
		}
	}
	return m
}

// changeGroup adds users to the group and removes others, in batches.
func (c *Client) changeGroup(ctx context.Context, id string, in, out []string) error {
	defer c.locks.lock("members " + id)()
	for part := range slices.Chunk(in, batch) {
		if err := c.changeMembers(ctx, id, part, nil); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(out, batch) {
		if err := c.changeMembers(ctx, id, nil, part); err != nil {
			return err
		}
	}
	return nil
}

// changeMembers changes one batch, at the target and then in the book.
func (c *Client) changeMembers(ctx context.Context, id string, in, out []string) error {
	var ops []patch.Operation
	if len(in) > 0 {
		list := make([]any, len(in))
		for i, user := range in {
			list[i] = scim.Object{"value": user}
		}
		ops = append(ops, patch.Operation{Op: patch.Add, Path: "members", Value: list, HasValue: true})
	}
	for _, user := range out {
		ops = append(ops, patch.Operation{Op: patch.Remove, Path: `members[value eq "` + user + `"]`})
	}
	if c.can.groups {
		err := c.changeGroupBy(ctx, id, patch.Body(ops), func(o scim.Object) {
			var list []any
			for _, user := range union(slices.DeleteFunc(memberIDs(o), func(u string) bool { return slices.Contains(out, u) }), in) {
				list = append(list, scim.Object{"value": user})
			}
			o["members"] = list
		})
		if err != nil {
			return err
		}
	}
	c.mu.Lock()
	entries := map[string]any{}
	for _, user := range slices.Concat(in, out) {
		a := c.book.accounts[user]
		if a == nil {
			continue
		}
		if slices.Contains(in, user) {
			a.pools[id] = true
		} else {
			delete(a.pools, id)
		}
		if !c.can.groups {
			a.record.Pools = slices.DeleteFunc(c.book.in(a), func(p string) bool { return p == defaultPool })
			entries[a.key] = a.record
		}
		c.touched(a)
		a.changed = c.book.next
	}
	if p := c.book.pools[id]; p != nil {
		p.changed = c.book.next
	}
	c.mu.Unlock()
	if len(entries) == 0 {
		return nil
	}
	return c.put(ctx, entries)
}

// see raises the revisions in the pool's pins of these groups.
func (c *Client) see(ctx context.Context, p *pool, seen []portalapi.GroupRevision) error {
	c.mu.Lock()
	after := p.record
	after.Pins = slices.Clone(after.Pins)
	for i := range after.Pins {
		for _, g := range seen {
			if g.Group == after.Pins[i].ID {
				after.Pins[i].Revision = max(after.Pins[i].Revision, g.Revision)
			}
		}
	}
	same := slices.Equal(after.Pins, p.record.Pins)
	c.mu.Unlock()
	if same {
		return nil
	}
	if err := c.put(ctx, map[string]any{p.key: after}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.record.Pins = after.Pins
	return nil
}
