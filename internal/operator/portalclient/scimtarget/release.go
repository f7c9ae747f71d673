// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/scim/patch"
)

// ReleaseAccount implements portalapi.AccountWriter. The ledger is written last: until then the
// owner still has the account, so that the release can be repeated.
func (c *Client) ReleaseAccount(ctx context.Context, owner portalapi.Owner, mode portalapi.ReleaseMode) error {
	if err := c.writable(ctx); err != nil {
		return err
	}
	if owner.UID == "" {
		return refuse(http.StatusBadRequest, portalapi.CodeInvalid, "the release names no owner")
	}
	defer c.locks.lock("owner " + owner.UID)()
	if err := c.findCreated(ctx, owner.UID); err != nil {
		return err
	}
	defer c.lockAccount(owner.UID, nil)()
	c.mu.Lock()
	a := c.book.byOwner[owner.UID]
	err := c.releasable(a, owner, mode)
	c.mu.Unlock()
	switch {
	case err != nil:
		return err
	case a == nil:
		return c.stopWaiting(ctx, owner)
	}
	if mode != portalapi.ReleaseOrphan {
		if err := c.takeAway(ctx, a, mode); err != nil {
			return err
		}
	}
	var entry any
	after := userRecord{ID: a.id, UserName: a.record.UserName, ExternalID: a.record.ExternalID, Sent: a.record.Sent, Released: true}
	if mode == portalapi.ReleaseDeactivate {
		entry = after
	} else {
		after = userRecord{}
	}
	released := portalapi.Owner{Name: a.record.Owner.Name, Revision: owner.Revision}
	if err := c.putReleased(ctx, map[string]any{a.key: entry}, released, ""); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.book
	b.retired[owner.UID] = true
	b.unindex(a)
	if mode == portalapi.ReleaseDelete {
		b.drop(a)
		c.touch(portalapi.ChangeAccount, a.id)
		return nil
	}
	a.record, a.wrote, a.stale = after, nil, false
	b.index(a)
	c.touched(a)
	a.changed = b.next
	return nil
}

// releasable checks the release of a, which may be nil. The caller has locked mu.
func (c *Client) releasable(a *account, owner portalapi.Owner, mode portalapi.ReleaseMode) error {
	switch mode {
	case portalapi.ReleaseDeactivate, portalapi.ReleaseDelete, portalapi.ReleaseOrphan:
	default:
		return refuse(http.StatusBadRequest, portalapi.CodeInvalid, "unknown release mode %q; use Deactivate, Delete or Orphan", mode)
	}
	if a == nil {
		return nil
	}
	if mode != portalapi.ReleaseOrphan {
		if err := c.scimOn(); err != nil {
			return err
		}
	}
	if owner.Revision < a.record.Owner.Revision {
		return refuse(http.StatusConflict, portalapi.CodeStaleRevision, "revision %d of this owner is already written; %d is older", a.record.Owner.Revision, owner.Revision)
	}
	return nil
}

// findCreated finds the user that the owner may have created when the answer was lost.
func (c *Client) findCreated(ctx context.Context, uid string) error {
	c.mu.Lock()
	began := c.book.creating[uid]
	c.mu.Unlock()
	if began == nil {
		return nil
	}
	o, created, err := c.createdUser(ctx, began)
	if err != nil {
		return err
	}
	if !created {
		return c.forgetIntent(ctx, uid)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &account{id: text(o, "id"), key: began.key, record: began.record, have: canonicalUser(c.users, o), version: versionOf(o), pools: map[string]bool{}, stale: true}
	a.record.ID, a.record.Creating = a.id, false
	delete(c.book.creating, uid)
	c.book.add(a)
	c.touched(a)
	a.changed = c.book.next
	return nil
}

// takeAway deactivates or deletes the user at the target.
func (c *Client) takeAway(ctx context.Context, a *account, mode portalapi.ReleaseMode) error {
	c.mu.Lock()
	active := a.active()
	groups := slices.Sorted(maps.Keys(a.pools))
	c.mu.Unlock()
	if active {
		if err := c.count(ctx, []removal{{Account: a.id}}); err != nil {
			return err
		}
	}
	if mode == portalapi.ReleaseDelete {
		_, err := c.endpoint.do(ctx, http.MethodDelete, "/Users/"+url.PathEscape(a.id), nil, "")
		if err != nil && portalapi.CodeOf(err) != portalapi.CodeNotFound {
			return fmt.Errorf("delete the user: %w", err)
		}
		return nil
	}
	p := &change{account: a, want: a.have}
	if active {
		p.to = set(a.have, "active", false)
		p.ops = patch.Diff(c.users, a.have, p.to)
		if err := c.send(ctx, a, p); err != nil {
			return err
		}
	}
	for _, id := range groups {
		if err := c.changeGroup(ctx, id, nil, []string{a.id}); err != nil {
			return err
		}
	}
	return nil
}

// stopWaiting releases an owner without an account, and clears its marks on accounts that it waited
// to adopt. If the owner's name has an account under another UID, the release is late.
func (c *Client) stopWaiting(ctx context.Context, owner portalapi.Owner) error {
	uid := owner.UID
	c.mu.Lock()
	var waited []string
	for id, a := range c.book.accounts {
		if a.record.WaitingFor.UID == uid {
			waited = append(waited, id)
		}
	}
	if c.book.ofOwner[owner.Name] != nil {
		owner = portalapi.Owner{}
	}
	c.mu.Unlock()
	for _, id := range waited {
		err := c.mark(ctx, id, func(a *account) (userRecord, error) {
			r := a.record
			if r.WaitingFor.UID == uid { // and not adopted since
				r.WaitingFor, r.Mark = portalapi.Owner{}, nil
			}
			return r, nil
		})
		if err != nil {
			return err
		}
	}
	if err := c.putReleased(ctx, map[string]any{}, owner, ""); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.book.retired[uid] = true
	return nil
}

// MarkWaiting implements portalapi.AccountWriter. The mark is in the ledger only: the target does
// not show it.
func (c *Client) MarkWaiting(ctx context.Context, accountID string, owner portalapi.Owner) error {
	return c.mark(ctx, accountID, func(a *account) (userRecord, error) {
		r := a.record
		r.WaitingFor = portalapi.Owner{}
		if owner.UID == "" {
			return r, nil
		}
		if err := c.scimOn(); err != nil {
			return r, err
		}
		if a.managed() {
			return r, refuse(http.StatusConflict, portalapi.CodeStaleRevision, "the operator manages the user %s already", accountID)
		}
		r.WaitingFor = portalapi.Owner{UID: owner.UID, Name: owner.Name}
		return r, nil
	})
}

// MarkAccount implements portalapi.AccountWriter.
func (c *Client) MarkAccount(ctx context.Context, owner portalapi.Owner, m *portalapi.Mark) error {
	if err := c.writable(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	err := c.markable(m, portalapi.RemovalDeactivation, portalapi.RemovalDeletion, portalapi.RemovalManager)
	a := c.book.byOwner[owner.UID]
	if a == nil && owner.UID != "" {
		for _, other := range c.book.accounts {
			if other.record.WaitingFor.UID == owner.UID {
				a = other
			}
		}
	}
	c.mu.Unlock()
	if err != nil || a == nil {
		return cmp.Or(err, c.stillLeads(ctx))
	}
	return c.mark(ctx, a.id, func(a *account) (userRecord, error) {
		r := a.record
		if r.Owner.UID != owner.UID && r.WaitingFor.UID != owner.UID { // adopted since
			return r, nil
		}
		if owner.Revision < r.Owner.Revision {
			return r, refuse(http.StatusConflict, portalapi.CodeStaleRevision, "revision %d of this owner is already written; %d is older", r.Owner.Revision, owner.Revision)
		}
		r.Mark = m
		return r, nil
	})
}

// mark changes the ledger's record of an account.
func (c *Client) mark(ctx context.Context, id string, edit func(*account) (userRecord, error)) error {
	if err := c.writable(ctx); err != nil {
		return err
	}
	defer c.locks.lock("account " + id)()
	c.mu.Lock()
	a := c.book.accounts[id]
	if a == nil {
		c.mu.Unlock()
		return cmp.Or(c.stillLeads(ctx), refuse(http.StatusNotFound, portalapi.CodeNotFound, "the target has no user %s", id))
	}
	after, err := edit(a)
	after.ID = id
	if a.key == "" {
		a.key = keyOf(keyUser, id)
	}
	same := sameRecord(a.record, after)
	c.mu.Unlock()
	if err != nil || same {
		return err
	}
	var entry any
	if after.Owner.UID != "" || after.WaitingFor.UID != "" || after.Released {
		if after.UserName == "" {
			after.UserName, after.ExternalID = text(a.have, "userName"), text(a.have, "externalId")
		}
		entry = after
	}
	if err := c.put(ctx, map[string]any{a.key: entry}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a.record = after
	c.touched(a)
	return nil
}
