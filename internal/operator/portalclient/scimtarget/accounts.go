// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// change is what PutAccount does about one account.
type change struct {
	account *account // to change; nil: create one
	began   *account // an earlier attempt to create it, without a known result; nil if there is none
	adopt   bool     // from another owner, or none
	want    scim.Object
	roles   []string
	join    []string // pools
	leave   []string
	record  userRecord // after the write
	ops     []patch.Operation
	to      scim.Object // the target's user afterwards
	removed []removal
	changes bool // the write changes more than the revision
}

// PutAccount implements portalapi.AccountWriter.
func (c *Client) PutAccount(ctx context.Context, w portalapi.AccountWrite) (*portalapi.Account, error) {
	if err := c.writable(ctx); err != nil {
		return nil, err
	}
	if w.Owner.UID == "" {
		return nil, refuse(http.StatusBadRequest, portalapi.CodeInvalid, "the write names no owner")
	}
	if err := names.Validate(w.UserName); err != nil {
		return nil, refuse(http.StatusBadRequest, portalapi.CodeInvalid, "invalid user name: %v", err)
	}
	defer c.locks.lock("owner " + w.Owner.UID)()
	defer c.lockAccount(w.Owner.UID, w.Adopt)()
	var profile scim.Object
	if c.options.Profiles != nil {
		var err error
		if profile, err = c.options.Profiles.Profile(ctx, w.Owner.Name); err != nil {
			return nil, fmt.Errorf("read the profile of ScimUser %s: %w", w.Owner.Name, err)
		}
	}
	c.mu.Lock()
	p, err := c.planAccount(w, profile)
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if p.account == nil {
		return c.create(ctx, w, p)
	}
	return c.update(ctx, w, p)
}

// lockAccount is lockPool for an account.
func (c *Client) lockAccount(ownerUID string, adopt *portalapi.Adopt) (unlock func()) {
	return c.lockRecord("account ", ownerUID, func() string {
		if a := c.book.byOwner[ownerUID]; a != nil {
			return a.id
		}
		return adopted(adopt)
	})
}

// planAccount decides what the write changes. The caller has locked mu.
func (c *Client) planAccount(w portalapi.AccountWrite, profile scim.Object) (*change, error) {
	if err := c.scimOn(); err != nil {
		return nil, err
	}
	b, p := c.book, &change{}
	if err := c.findAccount(w, p); err != nil {
		return nil, err
	}
	a := p.account
	p.began = b.creating[w.Owner.UID]
	if other := b.byName[names.Fold(w.UserName)]; other != nil && other != a {
		if !other.managed() {
			return nil, refuse(http.StatusConflict, portalapi.CodeLocalAccount, "the user name belongs to the target's user %s, which this operator does not manage", other.id)
		}
		return nil, refuse(http.StatusConflict, portalapi.CodeDuplicateUser, "the user name already belongs to the user %s", other.id)
	}
	pools := map[string]bool{}
	for _, id := range w.Pools {
		switch {
		case id == defaultPool:
		case b.pools[id] == nil:
			return nil, refuse(http.StatusBadRequest, portalapi.CodeUnknownPool, "there is no pool %q", id)
		default:
			pools[id] = true
		}
	}
	p.roles = b.rolesIn(append(slices.Collect(maps.Keys(pools)), defaultPool))
	p.want = wantedUser(profile, w, p.roles, c.can, c.managerAt)
	for id := range pools {
		if a == nil || !a.pools[id] {
			p.join = append(p.join, id)
		}
	}
	if a != nil {
		for id := range a.pools {
			if !pools[id] && b.pools[id] != nil {
				p.leave = append(p.leave, id)
			}
		}
		p.to = target(a.have, p.want, a.record.Sent)
		p.ops = patch.Diff(c.users, a.have, p.to)
	}
	slices.Sort(p.join)
	slices.Sort(p.leave)
	c.recordOf(w, p)
	return p, c.decidedOn(w, p)
}

// findAccount finds the account that the write is about, as the port requires.
func (c *Client) findAccount(w portalapi.AccountWrite, p *change) error {
	b := c.book
	if a := b.byOwner[w.Owner.UID]; a != nil {
		if w.Owner.Revision < a.record.Owner.Revision {
			return refuse(http.StatusConflict, portalapi.CodeStaleRevision, "revision %d of this owner is already written; %d is older", a.record.Owner.Revision, w.Owner.Revision)
		}
		if w.Adopt != nil && w.Adopt.ID != a.id {
			return refuse(http.StatusConflict, portalapi.CodeStaleRevision, "this owner already has the user %s and cannot also adopt %s", a.id, w.Adopt.ID)
		}
		p.account = a
		return nil
	}
	if b.retired[w.Owner.UID] {
		return refuse(http.StatusConflict, portalapi.CodeStaleRevision, "the owner %s is retired: its record was released or belongs to another owner", w.Owner.UID)
	}
	if err := b.notReleasedSince(w); err != nil {
		return err
	}
	if w.Adopt == nil {
		return nil
	}
	a := b.accounts[w.Adopt.ID]
	switch {
	case a == nil:
		return refuse(http.StatusNotFound, portalapi.CodeNotFound, "the target has no user %s", w.Adopt.ID)
	case a.record.Owner.UID != w.Adopt.OwnerUID:
		return refuse(http.StatusConflict, portalapi.CodeStaleRevision, "the user %s has %s now, not %s", a.id, ownerCalled(a.record.Owner.UID), ownerCalled(w.Adopt.OwnerUID))
	case !a.managed() && !b.state.LoginMethods.ProvisionExistingUsers:
		return refuse(http.StatusConflict, portalapi.CodeLocalAccount, "the user %s was created at the target; set spec.loginMethods.scim.provisionExistingUsers to adopt such users", a.id)
	}
	p.account, p.adopt = a, true
	return nil
}

// recordOf sets the record after the write, whether anything but the revision changes, and what is
// removed. The caller has locked mu.
func (c *Client) recordOf(w portalapi.AccountWrite, p *change) {
	b, a := c.book, p.account
	var before userRecord
	if a != nil {
		before = a.record
	}
	r := before
	r.UserName, r.ExternalID, r.Owner = w.UserName, w.ExternalID, w.Owner
	r.Owner.Binding = b.binding()
	r.WaitingFor, r.Released, r.Creating = portalapi.Owner{}, false, false
	sameName := p.adopt && before.Owner.UID != "" && before.Owner.Name == w.Owner.Name
	if !w.KeepMark && !sameName {
		r.Mark = nil
	}
	r.Sent = union(before.Sent, listed(p.want))
	if !c.can.groups {
		r.Pools = slices.DeleteFunc(slices.Clone(w.Pools), func(id string) bool { return id == defaultPool })
		slices.Sort(r.Pools)
	}
	p.record = r
	p.changes = a == nil || p.adopt || len(p.ops)+len(p.join)+len(p.leave) > 0 || (before.Mark == nil) != (r.Mark == nil) || c.drifted(a, p.roles)
	if a == nil || !a.active() {
		return
	}
	had, has := b.managesBy(a, nil), slices.Contains(p.roles, portalapi.RoleManager)
	if !a.managed() {
		had = slices.Contains(rolesOf(a.have), portalapi.RoleManager)
	}
	if a.managed() && !w.Active || had && !has {
		p.removed = append(p.removed, removal{Account: a.id})
	}
	if before.Owner.UID != "" {
		for _, id := range p.leave {
			p.removed = append(p.removed, removal{Account: a.id, Pool: id})
		}
	}
}

// managesBy reports whether a pool other than except gives the account ROLE_MANAGER.
func (b *book) managesBy(a *account, except *pool) bool {
	for _, id := range b.in(a) {
		if p := b.pools[id]; p != except && slices.Contains(p.record.Roles, portalapi.RoleManager) {
			return true
		}
	}
	return false
}

// binding returns the id of the current binding; empty if no operator is bound.
func (b *book) binding() string {
	if b.state.Binding == nil {
		return ""
	}
	return b.state.Binding.ID
}

// decidedOn refuses a change that was decided on another revision of the account.
func (c *Client) decidedOn(w portalapi.AccountWrite, p *change) error {
	have := int64(0)
	if p.account != nil {
		have = p.account.revision
	}
	if !p.changes || w.IfRevision == nil || *w.IfRevision == have {
		return nil
	}
	return refuse(http.StatusPreconditionFailed, portalapi.CodeStaleRevision, "the user has revision %d, and the write was decided on %d", have, *w.IfRevision)
}

// create creates the user at the target. The ledger has the intention first: if the answer is lost,
// the next attempt finds the user instead of creating a second one, also under an earlier name.
func (c *Client) create(ctx context.Context, w portalapi.AccountWrite, p *change) (*portalapi.Account, error) {
	a := &account{key: keyOf(keyUser, w.Owner.UID), pools: map[string]bool{}, record: p.record}
	o, created, err := c.createdUser(ctx, p.began)
	if err != nil {
		return nil, err
	}
	version := versionOf(o)
	switch {
	case created:
	case o != nil && names.Fold(p.began.record.UserName) == names.Fold(w.UserName):
		return nil, c.local(ctx, w.Owner.UID, o)
	default:
		answer, err := c.post(ctx, a, w, p)
		if err != nil {
			return nil, err
		}
		o, version = answer.Object, answer.Version
	}
	a.id, _ = schema.ValueOf(o, "id").(string)
	a.have, a.version = canonicalUser(c.users, o), version
	a.record.ID, a.record.Creating = a.id, false
	if err := c.putReleased(ctx, map[string]any{a.key: a.record}, portalapi.Owner{}, w.Owner.Name); err != nil {
		return nil, err
	}
	c.mu.Lock()
	delete(c.book.creating, w.Owner.UID)
	c.book.add(a)
	a.stale = created // the earlier attempt may have sent another profile
	if !a.stale {
		c.wrote(a, w, p)
	}
	c.touched(a)
	a.changed = c.book.next
	c.mu.Unlock()
	if err := c.move(ctx, a, p); err != nil {
		return nil, err
	}
	return c.shown(a, w, p), nil
}

// post sends the POST of a new user, after the ledger has the record with Creating.
func (c *Client) post(ctx context.Context, a *account, w portalapi.AccountWrite, p *change) (answer, error) {
	intent := &account{key: a.key, record: a.record}
	intent.record.Creating = true
	if err := c.put(ctx, map[string]any{a.key: intent.record}); err != nil {
		return answer{}, err
	}
	c.mu.Lock()
	c.book.creating[w.Owner.UID] = intent
	c.mu.Unlock()
	got, err := c.endpoint.do(ctx, http.MethodPost, "/Users", withSchemas(p.want), "")
	if err != nil {
		return got, c.notCreated(ctx, w, err)
	}
	if text(got.Object, "id") == "" {
		if got.Object, err = c.lookup(ctx, "/Users", "userName", w.UserName); err != nil || got.Object == nil {
			return got, fmt.Errorf("find the user that was just created: %w", orMissing(err))
		}
	}
	return got, nil
}

// createdUser returns the user with the name of an earlier attempt to create it, or nil. created is
// false if it belongs to another owner or to the target: then the attempt has not created it. began
// may be nil.
func (c *Client) createdUser(ctx context.Context, began *account) (o scim.Object, created bool, err error) {
	if began == nil {
		return nil, false, nil
	}
	if o, err = c.lookup(ctx, "/Users", "userName", began.record.UserName); err != nil {
		return nil, false, fmt.Errorf("find the user that an earlier attempt may have created: %w", err)
	}
	if o == nil {
		return nil, false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	have := c.book.accounts[text(o, "id")]
	known := have != nil && have.record.Owner.UID != began.record.Owner.UID
	return o, !known && c.matches(began.record, canonicalUser(c.users, o)), nil
}

// orMissing returns err, or an error for a response without a resource.
func orMissing(err error) error {
	if err != nil {
		return err
	}
	return &portalapi.InvalidResponseError{Status: http.StatusCreated, Problem: "the target has no such user"}
}

// notCreated handles an error of the creation.
func (c *Client) notCreated(ctx context.Context, w portalapi.AccountWrite, failure error) error {
	if _, failed := portalapi.Failure(failure); failed && portalapi.CodeOf(failure) != portalapi.CodeRateLimited {
		return fmt.Errorf("create the user: %w", failure) // the target may have created it
	}
	if portalapi.CodeOf(failure) == portalapi.CodeDuplicateUser {
		o, err := c.lookup(ctx, "/Users", "userName", w.UserName)
		if err != nil {
			return fmt.Errorf("find the user whose name is taken: %w", err)
		}
		if o != nil {
			return c.local(ctx, w.Owner.UID, o)
		}
	}
	if err := c.forgetIntent(ctx, w.Owner.UID); err != nil {
		return err
	}
	return fmt.Errorf("create the user: %w", failure)
}

// forgetIntent removes the intention to create a user, because the target has not created it.
func (c *Client) forgetIntent(ctx context.Context, uid string) error {
	if err := c.put(ctx, map[string]any{keyOf(keyUser, uid): nil}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.book.creating, uid)
	return nil
}

// local refuses to take the target's user that has the name. If another owner is creating it now,
// it is that owner's. Otherwise it was created at the target since the last listing, and local adds
// it.
func (c *Client) local(ctx context.Context, uid string, o scim.Object) error {
	if err := c.forgetIntent(ctx, uid); err != nil {
		return err
	}
	id, _ := schema.ValueOf(o, "id").(string)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ours(id, canonicalUser(c.users, o)) {
		return refuse(http.StatusConflict, portalapi.CodeDuplicateUser, "the user name already belongs to the user %s", id)
	}
	if c.book.accounts[id] == nil {
		a := &account{id: id, have: canonicalUser(c.users, o), version: versionOf(o), pools: map[string]bool{}}
		c.book.add(a)
		a.changed = c.book.next
		c.touched(a)
	}
	return refuse(http.StatusConflict, portalapi.CodeLocalAccount, "the user name belongs to the target's user %s, which this operator does not manage", id)
}

// ours reports whether an owner has the target's user, or is creating it. The caller has locked mu.
func (c *Client) ours(id string, have scim.Object) bool {
	if a := c.book.accounts[id]; a != nil {
		return a.managed()
	}
	for _, a := range c.book.creating {
		if c.matches(a.record, have) {
			return true
		}
	}
	return false
}

// withSchemas returns the body of a POST or PUT.
func withSchemas(o scim.Object) scim.Object {
	out := maps.Clone(o)
	schemas := []any{scim.SchemaUser}
	if out[scim.SchemaEnterpriseUser] != nil {
		schemas = append(schemas, scim.SchemaEnterpriseUser)
	}
	out["schemas"] = schemas
	return out
}

// update changes the user at the target.
func (c *Client) update(ctx context.Context, w portalapi.AccountWrite, p *change) (*portalapi.Account, error) {
	a := p.account
	if err := c.count(ctx, p.removed); err != nil {
		return nil, err
	}
	p.record.ID = a.id
	c.mu.Lock()
	if a.key == "" {
		a.key = keyOf(keyUser, a.id)
	}
	same, former := sameRecord(a.record, p.record), a.record.Owner
	c.mu.Unlock()
	if former.Name == w.Owner.Name {
		former = portalapi.Owner{}
	}
	if !same {
		if err := c.putReleased(ctx, map[string]any{a.key: p.record}, former, w.Owner.Name); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	if former := a.record.Owner.UID; former != "" && former != w.Owner.UID {
		c.book.retired[former] = true
	}
	c.book.unindex(a)
	a.record = p.record
	c.book.index(a)
	if a.wrote != nil && len(p.ops) > 0 {
		a.wrote, a.stale = nil, true // until the target has the change
	}
	if p.changes {
		c.touched(a)
	}
	a.changed = c.book.next
	c.mu.Unlock()
	if len(p.ops) > 0 {
		if err := c.send(ctx, a, p); err != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	c.wrote(a, w, p)
	if p.changes {
		c.touched(a)
	}
	a.changed = c.book.next // a listing that began before has the user without this change
	c.mu.Unlock()
	if err := c.move(ctx, a, p); err != nil {
		return nil, err
	}
	return c.shown(a, w, p), nil
}

// sameRecord reports whether the ledger need not be written.
func sameRecord(a, b userRecord) bool {
	sameMark := a.Mark == nil && b.Mark == nil || a.Mark != nil && b.Mark != nil && *a.Mark == *b.Mark
	return sameMark && a.ID == b.ID && a.UserName == b.UserName && a.ExternalID == b.ExternalID && a.Owner == b.Owner && a.WaitingFor == b.WaitingFor &&
		a.Released == b.Released && a.Creating == b.Creating && slices.Equal(a.Sent, b.Sent) && slices.Equal(a.Pools, b.Pools)
}

// send sends the change of the user, as PATCH or PUT.
func (c *Client) send(ctx context.Context, a *account, p *change) error {
	method, body := http.MethodPatch, patch.Body(p.ops)
	if !c.can.patch {
		method, body = http.MethodPut, withSchemas(p.to)
	}
	c.mu.Lock()
	version := c.precondition(a.version)
	c.mu.Unlock()
	answer, err := c.endpoint.do(ctx, method, "/Users/"+url.PathEscape(a.id), body, version)
	switch portalapi.CodeOf(err) {
	case "":
	case portalapi.CodeNotFound:
		return c.vanished(a)
	case portalapi.CodeStaleRevision:
		return c.reread(ctx, a)
	case portalapi.CodeDuplicateUser:
		return fmt.Errorf("change the user: %w", err)
	}
	if err != nil {
		return fmt.Errorf("change the user: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.book.unindex(a)
	a.have, a.version = p.to, answer.Version
	if id, _ := schema.ValueOf(answer.Object, "id").(string); id == a.id {
		a.have = canonicalUser(c.users, answer.Object)
	}
	c.book.index(a)
	return nil
}

// precondition returns the version for If-Match, and "" if the target has no versions.
func (c *Client) precondition(version string) string {
	if !c.can.etag {
		return ""
	}
	return version
}

// vanished handles a user that the target does not have any more. A listing, which begins at once,
// decides: if most users are missing, this one is not created again without a person's consent.
func (c *Client) vanished(a *account) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.version, a.stale, a.wrote = "", true, nil
	c.listAgain()
	return refuse(http.StatusConflict, portalapi.CodeStaleRevision, "the target has no user %s any more; it is listed again", a.id)
}

// reread reads a user that another client changed since the last listing. The next pass decides on
// what it is now.
func (c *Client) reread(ctx context.Context, a *account) error {
	o, err := c.read(ctx, "/Users", a.id)
	if err != nil {
		return fmt.Errorf("read a user that changed at the target: %w", err)
	}
	if o == nil {
		return c.vanished(a)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refresh(a, o, a.pools, nil)
	a.version = versionOf(o)
	return refuse(http.StatusPreconditionFailed, portalapi.CodeStaleRevision, "the user changed at the target; decide again")
}

// wrote records what this process wrote, and what the target has now. The caller has locked mu.
func (c *Client) wrote(a *account, w portalapi.AccountWrite, p *change) {
	a.record.Sent = listed(p.want)
	a.wrote, a.stale = &written{write: w, roles: p.roles, seen: project(a.have, a.record.Sent)}, false
}

// move adds the user to the groups of the change, and removes the user from others.
func (c *Client) move(ctx context.Context, a *account, p *change) error {
	for _, id := range p.join {
		if err := c.changeGroup(ctx, id, []string{a.id}, nil); err != nil {
			return err
		}
	}
	for _, id := range p.leave {
		if err := c.changeGroup(ctx, id, nil, []string{a.id}); err != nil {
			return err
		}
	}
	return nil
}

// shown returns the account after the write.
func (c *Client) shown(a *account, w portalapi.AccountWrite, p *change) *portalapi.Account {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.wrote != nil {
		a.wrote.write, a.wrote.roles = w, p.roles
	}
	view := c.view(a)
	return &view
}
