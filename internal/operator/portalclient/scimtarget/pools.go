// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// PutPool implements portalapi.PoolWriter. The roles of a pool are in the ledger: the target has
// them in the attribute roles of each member, which the members' own passes write.
func (c *Client) PutPool(ctx context.Context, w portalapi.PoolWrite) (*portalapi.Pool, error) {
	if err := c.writable(ctx); err != nil {
		return nil, err
	}
	if w.Owner.UID == "" {
		return nil, refuse(http.StatusBadRequest, portalapi.CodeInvalid, "the write names no owner")
	}
	roles, err := c.grantable(ctx, w.Roles)
	if err != nil {
		return nil, err
	}
	defer c.locks.lock("owner " + w.Owner.UID)()
	defer c.lockPool(w.Owner.UID, w.Adopt)()
	c.mu.Lock()
	p, after, err := c.planPool(w, roles)
	if err != nil {
		c.mu.Unlock()
		return nil, err
	}
	var removed []removal
	if p != nil {
		removed = c.managersLost(p, after.Roles)
	}
	began := c.book.pending[w.Owner.UID]
	c.mu.Unlock()
	if p == nil {
		return c.createPool(ctx, w, after, began)
	}
	if err := c.count(ctx, removed); err != nil {
		return nil, err
	}
	return c.updatePool(ctx, w, p, after)
}

// lockPool locks the pool of the owner, or the one to adopt if the owner has none. A write decides
// about the pool after it has the lock, because an adoption by another owner may have had it
// before.
func (c *Client) lockPool(ownerUID string, adopt *portalapi.Adopt) (unlock func()) {
	return c.lockRecord("pool ", ownerUID, func() string {
		if p := c.book.ownedPool(ownerUID); p != nil {
			return p.id
		}
		return adopted(adopt)
	})
}

// grantable returns the roles, sorted, and refuses those that no pool can give.
func (c *Client) grantable(ctx context.Context, roles []string) ([]string, error) {
	all, err := c.Roles(ctx)
	if err != nil {
		return nil, err
	}
	for _, name := range roles {
		i := slices.IndexFunc(all, func(r portalapi.Role) bool { return r.Name == name })
		if i < 0 {
			return nil, refuse(http.StatusBadRequest, portalapi.CodeUnknownRole, "there is no role %q", name)
		}
		if !all[i].Grantable {
			return nil, refuse(http.StatusBadRequest, portalapi.CodeRoleNotGrantable, "the role %q is reserved for the vendor", name)
		}
	}
	return union(roles, nil), nil
}

// planPool returns the pool that the write changes, or nil for a new one, and the record that the
// pool has after the write. The caller has locked mu.
func (c *Client) planPool(w portalapi.PoolWrite, roles []string) (*pool, poolRecord, error) {
	var none poolRecord
	if err := c.scimOn(); err != nil {
		return nil, none, err
	}
	p, err := c.findPool(w)
	if err != nil {
		return nil, none, err
	}
	if isDefault := p != nil && p.id == defaultPool; isDefault != w.Default {
		return nil, none, refuse(http.StatusConflict, portalapi.CodeDefaultPool, "Default must be set for the default pool and for no other pool")
	}
	if other := c.book.namedPool(w.Name); other != nil && other != p && !w.Default {
		return nil, none, refuse(http.StatusConflict, portalapi.CodeDuplicatePool, "the pool %q already exists", w.Name)
	}
	var before poolRecord
	have := int64(0)
	if p != nil {
		before, have = p.record, p.revision
	}
	after := c.poolAfter(p, before, w, roles)
	changes := p == nil || p.name != after.Name || !sameRecords(withoutRevisions(before), withoutRevisions(after))
	if changes && w.IfRevision != nil && *w.IfRevision != have {
		return nil, none, refuse(http.StatusPreconditionFailed, portalapi.CodeStaleRevision, "the pool has revision %d, but the write is based on revision %d", have, *w.IfRevision)
	}
	return p, after, nil
}

// poolAfter returns the record of p, which may be nil, after the write. The caller has locked mu.
func (c *Client) poolAfter(p *pool, before poolRecord, w portalapi.PoolWrite, roles []string) poolRecord {
	after := before
	after.Name, after.Description, after.Owner, after.Roles = w.Name, w.Description, w.Owner, roles
	if w.Default {
		after.Name = p.name
	}
	after.Owner.Binding = c.book.binding()
	after.Pins = raised(w.Pins, before.Pins)
	sameName := before.Owner.Name == w.Owner.Name
	after.Created = p == nil || before.Created && (sameName || w.Adopt != nil && w.Adopt.Inherit && before.Owner.UID != "")
	adoptsOwn := sameName && before.Owner.UID != "" && before.Owner.UID != w.Owner.UID
	if !w.KeepMark && !adoptsOwn {
		after.Mark = nil
	}
	return after
}

func sameRecords(a, b poolRecord) bool {
	if len(a.Roles)+len(b.Roles) == 0 {
		a.Roles, b.Roles = nil, nil
	}
	if len(a.Pins)+len(b.Pins) == 0 {
		a.Pins, b.Pins = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

// findPool returns the pool of the write's owner, or the one to adopt, or nil.
func (c *Client) findPool(w portalapi.PoolWrite) (*pool, error) {
	b := c.book
	if p := b.ownedPool(w.Owner.UID); p != nil {
		switch {
		case w.Owner.Revision < p.record.Owner.Revision:
			return nil, refuse(http.StatusConflict, portalapi.CodeStaleRevision, "revision %d of this owner is already written; %d is older", p.record.Owner.Revision, w.Owner.Revision)
		case w.Adopt != nil && w.Adopt.ID != p.id:
			return nil, refuse(http.StatusConflict, portalapi.CodeStaleRevision, "this owner already has the pool %s and cannot also adopt %s", p.id, w.Adopt.ID)
		}
		return p, nil
	}
	if b.retired[w.Owner.UID] {
		return nil, refuse(http.StatusConflict, portalapi.CodeStaleRevision, "the owner %s is retired: its pool was released or belongs to another owner", w.Owner.UID)
	}
	if w.Adopt == nil {
		return nil, nil
	}
	p := b.pools[w.Adopt.ID]
	switch {
	case p == nil:
		return nil, refuse(http.StatusNotFound, portalapi.CodeNotFound, "there is no pool %s", w.Adopt.ID)
	case p.record.Owner.UID != w.Adopt.OwnerUID:
		return nil, refuse(http.StatusConflict, portalapi.CodeStaleRevision, "the pool %s has %s now, not %s", p.id, ownerCalled(p.record.Owner.UID), ownerCalled(w.Adopt.OwnerUID))
	}
	return p, nil
}

// raised returns the pins. Each gets the revision of the pin with the same ID in before, if that is
// higher.
func raised(pins, before []portalapi.Pin) []portalapi.Pin {
	out := slices.Clone(pins)
	for i := range out {
		for _, b := range before {
			if b.ID == out[i].ID {
				out[i].Revision = max(out[i].Revision, b.Revision)
			}
		}
	}
	return out
}

// managersLost returns the users who lose ROLE_MANAGER if the pool has these roles. A pool without
// an owner counts, too: a release leaves its roles valid. The caller has locked mu.
func (c *Client) managersLost(p *pool, roles []string) []removal {
	if !slices.Contains(p.record.Roles, portalapi.RoleManager) || slices.Contains(roles, portalapi.RoleManager) {
		return nil
	}
	var out []removal
	for _, a := range c.membersOf(p) {
		if a.managed() && a.active() && !c.book.managesBy(a, p) {
			out = append(out, removal{Account: a.id})
		}
	}
	return out
}

// membersOf returns the accounts in the pool, sorted by id. The caller has locked mu.
func (c *Client) membersOf(p *pool) []*account {
	var out []*account
	for _, a := range c.book.accounts {
		if a.pools[p.id] || p.id == defaultPool && !a.record.Released {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *account) int { return strings.Compare(a.id, b.id) })
	return out
}

// createPool records in the ledger that it is creating the group, and then creates it. began is the
// record of an earlier attempt without a known result, or nil. Its group may have an earlier name.
func (c *Client) createPool(ctx context.Context, w portalapi.PoolWrite, record poolRecord, began *pool) (*portalapi.Pool, error) {
	p := &pool{key: keyOf(keyPool, w.Owner.UID), name: w.Name, record: record}
	if !c.can.groups {
		p.id = "pool-" + uuid.NewString()
		return c.newPool(ctx, p)
	}
	o, created, err := c.createdGroup(ctx, began)
	if err != nil {
		return nil, err
	}
	switch {
	case created:
		p.name, _ = schema.ValueOf(o, "displayName").(string)
	case o != nil && names.Fold(began.record.Name) == names.Fold(w.Name):
		return nil, c.groupExists(ctx, p.key, w, o)
	default:
		if o, err = c.postGroup(ctx, p, w); err != nil {
			return nil, err
		}
	}
	if p.id, _ = schema.ValueOf(o, "id").(string); p.id == "" {
		return nil, &portalapi.InvalidResponseError{Status: http.StatusCreated, Problem: "the new group has no id"}
	}
	view, err := c.newPool(ctx, p)
	if err != nil || view.Name == w.Name {
		return view, err
	}
	return c.rename(ctx, p, w.Name)
}

// postGroup sends the POST of a new group, after the ledger has the record with Creating.
func (c *Client) postGroup(ctx context.Context, p *pool, w portalapi.PoolWrite) (scim.Object, error) {
	intent := p.record
	intent.Creating = true
	if err := c.put(ctx, map[string]any{p.key: intent}); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.book.pending[w.Owner.UID] = &pool{key: p.key, record: intent}
	c.mu.Unlock()
	answer, err := c.endpoint.do(ctx, http.MethodPost, "/Groups", scim.Object{"schemas": []any{scim.SchemaGroup}, "displayName": w.Name}, "")
	if err != nil {
		return nil, c.poolNotCreated(ctx, p.key, w, err)
	}
	return answer.Object, nil
}

// createdGroup returns the group with the name of an earlier attempt to create it, or nil. created
// is false if it has members or belongs to another owner or to the target: then the attempt has not
// created it. began may be nil.
func (c *Client) createdGroup(ctx context.Context, began *pool) (o scim.Object, created bool, err error) {
	if began == nil {
		return nil, false, nil
	}
	if o, err = c.lookup(ctx, "/Groups", "displayName", began.record.Name); err != nil {
		return nil, false, fmt.Errorf("find the group that an earlier attempt may have created: %w", err)
	}
	id, _ := schema.ValueOf(o, "id").(string)
	c.mu.Lock()
	defer c.mu.Unlock()
	have := c.book.pools[id]
	return o, o != nil && len(memberIDs(o)) == 0 && (have == nil || have.record.Owner.UID == began.record.Owner.UID), nil
}

// newPool adds the pool to the ledger and the book.
func (c *Client) newPool(ctx context.Context, p *pool) (*portalapi.Pool, error) {
	p.record.ID, p.record.Creating = p.id, false
	entries := map[string]any{p.key: p.record}
	c.mu.Lock()
	owned := c.book.changePoolOwner(entries, poolRecord{}, p.record.Owner)
	c.mu.Unlock()
	if err := c.put(ctx, entries); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	owned()
	delete(c.book.pending, p.record.Owner.UID)
	c.book.pools[p.id] = p
	c.poolTouched(p)
	p.changed = c.book.next
	view := c.book.poolView(p)
	return &view, nil
}

func (c *Client) poolNotCreated(ctx context.Context, key string, w portalapi.PoolWrite, failure error) error {
	if _, failed := portalapi.Failure(failure); failed && portalapi.CodeOf(failure) != portalapi.CodeRateLimited {
		return fmt.Errorf("create the group: %w", failure) // the target may have created it
	}
	if portalapi.CodeOf(failure) == portalapi.CodeDuplicateUser {
		o, err := c.lookup(ctx, "/Groups", "displayName", w.Name)
		if err != nil {
			return fmt.Errorf("find the group whose name is taken: %w", err)
		}
		if o != nil {
			return c.groupExists(ctx, key, w, o)
		}
	}
	if err := c.forgetPool(ctx, key, w.Owner.UID); err != nil {
		return err
	}
	return fmt.Errorf("create the group: %w", failure)
}

// forgetPool removes the record of an attempt to create a group.
func (c *Client) forgetPool(ctx context.Context, key, ownerUID string) error {
	if err := c.put(ctx, map[string]any{key: nil}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.book.pending, ownerUID)
	return nil
}

// groupExists refuses to adopt a group of the target. It removes the intent from the ledger, and
// adds the group to the book if it is missing there and no other owner is creating it now.
func (c *Client) groupExists(ctx context.Context, key string, w portalapi.PoolWrite, o scim.Object) error {
	if err := c.forgetPool(ctx, key, w.Owner.UID); err != nil {
		return err
	}
	id, _ := schema.ValueOf(o, "id").(string)
	c.mu.Lock()
	defer c.mu.Unlock()
	creating := slices.ContainsFunc(slices.Collect(maps.Values(c.book.pending)), func(p *pool) bool { return names.Fold(p.record.Name) == names.Fold(w.Name) })
	if c.book.pools[id] == nil && !creating {
		p := &pool{id: id, name: w.Name}
		c.book.pools[id] = p
		for _, user := range memberIDs(o) {
			if a := c.book.accounts[user]; a != nil {
				a.pools[id] = true
				c.touched(a)
			}
		}
		c.poolTouched(p)
	}
	return refuse(http.StatusConflict, portalapi.CodeDuplicatePool, "the target has a group %q that this operator does not manage", w.Name)
}

// updatePool writes the record, and renames the group. The caller has locked the pool.
func (c *Client) updatePool(ctx context.Context, w portalapi.PoolWrite, p *pool, after poolRecord) (*portalapi.Pool, error) {
	after.ID = p.id
	c.mu.Lock()
	if p.key == "" {
		p.key = keyOf(keyPool, p.id)
	}
	before := p.record
	entries := map[string]any{p.key: after}
	owned := c.book.changePoolOwner(entries, before, after.Owner)
	c.mu.Unlock()
	if !sameRecords(before, after) {
		if err := c.put(ctx, entries); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	owned()
	if former := before.Owner.UID; former != "" && former != w.Owner.UID {
		c.book.retired[former] = true
	}
	p.record = after
	if !sameRecords(withoutRevisions(before), withoutRevisions(after)) {
		c.poolTouched(p)
	}
	if !slices.Equal(before.Roles, after.Roles) {
		for _, a := range c.membersOf(p) {
			c.touched(a)
		}
	}
	p.changed = c.book.next
	view := c.book.poolView(p)
	c.mu.Unlock()
	if view.Name != after.Name {
		return c.rename(ctx, p, after.Name)
	}
	return &view, nil
}

// withoutRevisions returns the record without the owner's revision and the revisions of the pins.
// If only those change, the pool's own revision stays.
func withoutRevisions(r poolRecord) poolRecord {
	r.Owner.Revision = 0
	r.Pins = slices.Clone(r.Pins)
	for i := range r.Pins {
		r.Pins[i].Revision = 0
	}
	return r
}

// rename renames the group, and then the pool in the book. The caller has locked the pool.
func (c *Client) rename(ctx context.Context, p *pool, name string) (*portalapi.Pool, error) {
	if c.can.groups {
		defer c.locks.lock("members " + p.id)() // a PUT has both
		body := patch.Body([]patch.Operation{{Op: patch.Replace, Path: "displayName", Value: name, HasValue: true}})
		if err := c.changeGroupBy(ctx, p.id, body, func(o scim.Object) { o["displayName"] = name }); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.name = name
	c.poolTouched(p)
	p.changed = c.book.next // a listing that began before has the old name
	view := c.book.poolView(p)
	return &view, nil
}

// changeGroupBy sends a PATCH of the group, or a PUT if the target has no PATCH.
func (c *Client) changeGroupBy(ctx context.Context, id string, body scim.Object, edit func(scim.Object)) error {
	path := "/Groups/" + url.PathEscape(id)
	var err error
	if c.can.patch {
		_, err = c.endpoint.patiently(ctx, http.MethodPatch, path, body, "")
	} else {
		var o scim.Object
		if o, err = c.read(ctx, "/Groups", id); err == nil && o == nil {
			err = refuse(http.StatusNotFound, portalapi.CodeNotFound, "the target has no group %s", id)
		}
		if err == nil {
			delete(o, "meta")
			edit(o)
			_, err = c.endpoint.patiently(ctx, http.MethodPut, path, o, c.precondition(versionOf(o)))
		}
	}
	switch portalapi.CodeOf(err) {
	case portalapi.CodeNotFound:
		c.mu.Lock()
		c.listAgain()
		c.mu.Unlock()
		return refuse(http.StatusConflict, portalapi.CodeStaleRevision, "the target no longer has the group %s; the driver lists the target again", id)
	case portalapi.CodeDuplicateUser:
		return refuse(http.StatusConflict, portalapi.CodeDuplicatePool, "another group of the target has the name")
	}
	if err != nil {
		return fmt.Errorf("change the group: %w", err)
	}
	return nil
}

// ReleasePool implements portalapi.PoolWriter.
func (c *Client) ReleasePool(ctx context.Context, ownerUID string, remove bool) error {
	if err := c.writable(ctx); err != nil {
		return err
	}
	if ownerUID == "" {
		return refuse(http.StatusBadRequest, portalapi.CodeInvalid, "the release names no owner")
	}
	defer c.locks.lock("owner " + ownerUID)()
	if err := c.findCreatedPool(ctx, ownerUID); err != nil {
		return err
	}
	defer c.lockPool(ownerUID, nil)()
	c.mu.Lock()
	p := c.book.ownedPool(ownerUID)
	if p == nil {
		c.book.retired[ownerUID] = true
		c.mu.Unlock()
		return c.stillLeads(ctx)
	}
	var err error
	if remove {
		err = c.scimOn()
	}
	deletes := remove && p.record.Created && p.id != defaultPool
	removed := c.lostBy(p, remove, deletes)
	after := poolRecord{ID: p.id, Name: p.name, Description: p.record.Description, Roles: p.record.Roles}
	if remove {
		after.Roles = nil
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if err := c.count(ctx, removed); err != nil {
		return err
	}
	if deletes && c.can.groups {
		_, err := c.endpoint.do(ctx, http.MethodDelete, "/Groups/"+url.PathEscape(p.id), nil, "")
		if err != nil && portalapi.CodeOf(err) != portalapi.CodeNotFound {
			return fmt.Errorf("delete the group: %w", err)
		}
	}
	var entry any
	if !deletes && len(after.Roles) > 0 {
		entry = after
	}
	entries := map[string]any{p.key: entry}
	c.mu.Lock()
	owned := c.book.changePoolOwner(entries, p.record, portalapi.Owner{})
	c.mu.Unlock()
	if err := c.put(ctx, entries); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	owned()
	c.book.retired[ownerUID] = true
	c.released(p, after, remove, deletes)
	return nil
}

// findCreatedPool adds the group that the owner may have created when the answer was lost to the
// book, or removes the intent from the ledger. The caller has locked the owner.
func (c *Client) findCreatedPool(ctx context.Context, ownerUID string) error {
	c.mu.Lock()
	began := c.book.pending[ownerUID]
	c.mu.Unlock()
	if began == nil {
		return nil
	}
	o, created, err := c.createdGroup(ctx, began)
	if err != nil {
		return err
	}
	if !created {
		return c.forgetPool(ctx, began.key, ownerUID)
	}
	p := &pool{key: began.key, record: began.record}
	p.id, _ = schema.ValueOf(o, "id").(string)
	p.name, _ = schema.ValueOf(o, "displayName").(string)
	_, err = c.newPool(ctx, p)
	return err
}

// lostBy returns the removals that the guard counts for this release. The caller has locked mu.
func (c *Client) lostBy(p *pool, remove, deletes bool) (out []removal) {
	if remove {
		out = c.managersLost(p, nil)
	}
	if !deletes {
		return out
	}
	for _, a := range c.membersOf(p) {
		if a.record.Owner.UID != "" && a.active() {
			out = append(out, removal{Account: a.id, Pool: p.id})
		}
	}
	return out
}

// released applies a release in the book after the ledger has it. The caller has locked mu.
func (c *Client) released(p *pool, after poolRecord, remove, deletes bool) {
	members := c.membersOf(p)
	p.record = after
	if deletes {
		delete(c.book.pools, p.id)
		c.touch(portalapi.ChangePool, p.id)
	} else {
		c.poolTouched(p)
	}
	for _, a := range members {
		if deletes {
			delete(a.pools, p.id)
		}
		if deletes || remove {
			c.touched(a)
			a.changed = c.book.next
		}
	}
	p.changed = c.book.next
}

// MarkPool implements portalapi.PoolWriter.
func (c *Client) MarkPool(ctx context.Context, owner portalapi.Owner, m *portalapi.Mark) error {
	if err := c.writable(ctx); err != nil {
		return err
	}
	defer c.locks.lock("owner " + owner.UID)()
	defer c.lockPool(owner.UID, nil)()
	c.mu.Lock()
	p := c.book.ownedPool(owner.UID)
	err := c.markable(m, portalapi.RemovalManager, portalapi.RemovalDeletion, portalapi.RemovalMembers)
	if err == nil && p != nil && owner.Revision < p.record.Owner.Revision {
		err = refuse(http.StatusConflict, portalapi.CodeStaleRevision, "revision %d of this owner is already written; %d is older", p.record.Owner.Revision, owner.Revision)
	}
	if err != nil || p == nil {
		c.mu.Unlock()
		return cmp.Or(err, c.stillLeads(ctx))
	}
	after := p.record
	after.Mark = m
	same := sameRecords(p.record, after)
	c.mu.Unlock()
	if same {
		return nil
	}
	if err := c.put(ctx, map[string]any{p.key: after}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.record = after
	c.poolTouched(p)
	p.changed = c.book.next
	return nil
}

// markable refuses an invalid mark, and a new mark while SCIM is off. The caller has locked mu.
func (c *Client) markable(m *portalapi.Mark, known ...portalapi.Removal) error {
	switch {
	case m == nil:
		return nil
	case !slices.Contains(known, m.What):
		return refuse(http.StatusBadRequest, portalapi.CodeInvalid, "the subject of a mark must be one of %v, not %q", known, m.What)
	case m.State != portalapi.MarkHeld && m.State != portalapi.MarkDropped:
		return refuse(http.StatusBadRequest, portalapi.CodeInvalid, "the state of a mark must be Held or Dropped, not %q", m.State)
	}
	return c.scimOn()
}
