// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Pool is an agent pool, as the pages and the REST server show it.
type Pool struct {
	portalapi.Pool
	ReadOnly       bool // managed by an AgentPool while SCIM is on
	ReadOnlyReason string
	CreatedAt      time.Time
	UpdatedAt      time.Time

	granting bool // this write of its owner grants all roles that the pool has afterwards
}

// NewPool is a pool to create.
type NewPool struct {
	Name, Description string
	Roles             []string
}

// PoolPatch changes the fields that are not nil.
type PoolPatch struct {
	Name, Description *string
	Roles             *[]string
	HandedOver        *bool // an AgentPool with the pool's name may adopt it
}

// poolReason is the reason why a pool is read-only in the portal.
const poolReason = "Managed by an AgentPool object: change it in Kubernetes; the portal follows"

// Pools returns all pools in the order of names.
func (s *Store) Pools(ctx context.Context) (all []Pool, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		all, err = c.pools(`ORDER BY name_folded`)
		return err
	})
	return all, err
}

// Pool returns the pool with the id, or NOT_FOUND.
func (s *Store) Pool(ctx context.Context, id string) (pool *Pool, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		pool, err = c.pool(id)
		return err
	})
	return pool, err
}

func (c *conn) pool(id string) (*Pool, error) {
	found, err := c.maybePool(`WHERE id = ?`, id)
	if err == nil && found == nil {
		err = refuse(portalapi.CodeNotFound, "there is no pool %s", id)
	}
	return found, err
}

func (c *conn) maybePool(where string, args ...any) (*Pool, error) {
	found, err := c.pools(where, args...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func (c *conn) poolsByID(ids []string) (map[string]*Pool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := c.pools(`WHERE id IN (`+marks(len(ids))+`)`, list(ids)...)
	byID := make(map[string]*Pool, len(found))
	for i := range found {
		byID[found[i].ID] = &found[i]
	}
	return byID, err
}

// pools reads the pools that where selects, with roles and member counts.
func (c *conn) pools(where string, args ...any) ([]Pool, error) {
	var found []Pool
	err := c.each(func(rows *sql.Rows) error {
		var (
			p                Pool
			m                portalapi.Mark
			owner            sql.NullString
			pins             string
			created, updated int64
		)
		err := rows.Scan(&p.ID, &p.Name, &p.Description, &p.Default, &owner, &p.Owner.Name, &p.Owner.Binding, &p.Owner.Revision, &p.Created, &p.HandedOver,
			&m.What, &m.State, &m.Decision, &m.At, &pins, &p.Revision, &created, &updated, &p.Members)
		p.Mark = marked(m)
		if err == nil && pins != "" {
			err = json.Unmarshal([]byte(pins), &p.Pins)
		}
		p.Owner.UID, p.CreatedAt, p.UpdatedAt = owner.String, fromMicros(created), fromMicros(updated)
		found = append(found, p)
		return err
	}, `SELECT id, name, description, is_default, owner_uid, owner_name, owner_binding, owner_revision, created_by_owner, handed_over, held, held_state, held_decision, held_at, pins, revision, created_at, updated_at,
		(SELECT COUNT(*) FROM memberships WHERE pool_id = pools.id) FROM pools `+where, args...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].ID
	}
	roles, err := c.poolRoles(ids)
	if err != nil {
		return nil, err
	}
	for i := range found {
		p := &found[i]
		p.Roles = []string{}
		for _, r := range roles[p.ID] {
			p.Roles = append(p.Roles, r.name)
			if p.Owner.UID != "" && !r.granted {
				p.Ungranted = append(p.Ungranted, r.name)
			}
		}
	}
	return found, c.addPoolsReadOnly(found)
}

func (c *conn) addPoolsReadOnly(pools []Pool) error {
	if !slices.ContainsFunc(pools, func(p Pool) bool { return p.Owner.UID != "" }) {
		return nil
	}
	config, err := c.configuration()
	if err != nil || !config.SCIMEnabled {
		return err
	}
	for i := range pools {
		if pools[i].Owner.UID != "" {
			pools[i].ReadOnly = true
			pools[i].ReadOnlyReason = poolReason
		}
	}
	return nil
}

// poolRole is a role that a pool grants.
type poolRole struct {
	name    string
	granted bool // the pool's owner granted the role
}

// poolRoles reads the roles of the pools, sorted by name for each pool.
func (c *conn) poolRoles(ids []string) (map[string][]poolRole, error) {
	roles := map[string][]poolRole{}
	err := c.each(func(rows *sql.Rows) error {
		var pool string
		var role poolRole
		err := rows.Scan(&pool, &role.name, &role.granted)
		roles[pool] = append(roles[pool], role)
		return err
	}, `SELECT pool_id, role, granted FROM pool_roles WHERE pool_id IN (`+marks(len(ids))+`) ORDER BY role`, list(ids)...)
	return roles, err
}

// poolRefs reads the parts of these pools that accounts show; ids without a pool are omitted.
func (c *conn) poolRefs(ids []string) (map[string]PoolRef, error) {
	refs := make(map[string]PoolRef, len(ids))
	if len(ids) == 0 {
		return refs, nil
	}
	roles, err := c.poolRoles(ids)
	if err != nil {
		return nil, err
	}
	err = c.each(func(rows *sql.Rows) error {
		var p PoolRef
		var owned bool
		err := rows.Scan(&p.ID, &p.Name, &p.Default, &owned)
		for _, r := range roles[p.ID] {
			p.Roles = append(p.Roles, r.name)
			if r.granted || !owned {
				p.granted = append(p.granted, r.name)
			}
		}
		refs[p.ID] = p
		return err
	}, `SELECT id, name, is_default, owner_uid IS NOT NULL FROM pools WHERE id IN (`+marks(len(ids))+`)`, list(ids)...)
	return refs, err
}

// defaultPool returns the default pool's id.
func (c *conn) defaultPool() (id string, err error) {
	err = c.row(`SELECT id FROM pools WHERE is_default`).Scan(&id)
	return id, err
}

// CreatePool creates a pool. Refusals: DUPLICATE_POOL, UNKNOWN_ROLE, ROLE_NOT_GRANTABLE, INVALID.
func (s *Store) CreatePool(ctx context.Context, actor Actor, n NewPool) (*Pool, error) {
	ev := event{action: "pool.create", targetKind: "Pool", targetName: n.Name}
	var after *Pool
	err := s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) (err error) {
		after = &Pool{Pool: portalapi.Pool{ID: newID(), Name: n.Name, Description: n.Description, Roles: n.Roles}}
		return t.savePool(&ev, nil, after)
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// UpdatePool changes a pool that no AgentPool manages. Refusals: SCIM_MANAGED_READ_ONLY,
// DEFAULT_POOL_PROTECTED (its name), LAST_MANAGER, STALE_REVISION, NOT_FOUND and those of
// CreatePool.
func (s *Store) UpdatePool(ctx context.Context, actor Actor, id string, ifRevision *int64, p PoolPatch) (*Pool, error) {
	return s.updatePool(ctx, actor, id, ifRevision, p, func(*tx, *Pool, *Pool) error { return nil }, func() error { return nil })
}

// updatePool calls check before it writes, and last after it: an error of either undoes the change.
func (s *Store) updatePool(ctx context.Context, actor Actor, id string, ifRevision *int64, p PoolPatch, check func(t *tx, before, after *Pool) error, last func() error) (*Pool, error) {
	ev := event{action: "pool.update", targetKind: "Pool", targetID: id}
	var after *Pool
	err := s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		before, err := t.editablePool(&ev, id, ifRevision)
		if err != nil {
			return err
		}
		if after, err = before.patched(p); err != nil {
			return err
		}
		if err := check(t, before, after); err != nil {
			return err
		}
		if err := t.savePool(&ev, before, after); err != nil {
			return err
		}
		return last()
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// patched returns the pool with the changes.
func (p *Pool) patched(change PoolPatch) (*Pool, error) {
	after := p.copy()
	if change.Name != nil {
		after.Name = *change.Name
	}
	if change.Description != nil {
		after.Description = *change.Description
	}
	if change.Roles != nil {
		after.Roles = *change.Roles
	}
	if change.HandedOver != nil {
		if *change.HandedOver && (p.Default || p.Owner.UID != "") {
			return nil, refuse(portalapi.CodeInvalid, "only a pool created in the portal can be handed over; the default pool is for AgentPool/default")
		}
		after.HandedOver = *change.HandedOver
	}
	return after, nil
}

// DeletePool deletes a pool that no AgentPool manages; its members lose the roles that they had
// only through it. Refusals are those of UpdatePool.
func (s *Store) DeletePool(ctx context.Context, actor Actor, id string, ifRevision *int64) error {
	return s.removePool(ctx, actor, id, ifRevision, func(*tx, *Pool) error { return nil })
}

// removePool deletes the pool unless check returns an error.
func (s *Store) removePool(ctx context.Context, actor Actor, id string, ifRevision *int64, check func(t *tx, before *Pool) error) error {
	ev := event{action: "pool.delete", targetKind: "Pool", targetID: id}
	return s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		before, err := t.editablePool(&ev, id, ifRevision)
		if err != nil {
			return err
		}
		if before.Default {
			return defaultStays()
		}
		if err := check(t, before); err != nil {
			return err
		}
		return t.deletePool(&ev, before)
	})
}

// editablePool returns the pool if a user or an API key may change it now.
func (t *tx) editablePool(ev *event, id string, ifRevision *int64) (*Pool, error) {
	before, err := t.pool(id)
	if err != nil {
		return nil, err
	}
	ev.targetName = before.Name
	switch {
	case before.ReadOnly:
		return nil, refuse(portalapi.CodeReadOnly, "%s", before.ReadOnlyReason)
	case ifRevision != nil && *ifRevision != before.Revision:
		return nil, staleTag("the pool", before.Revision, *ifRevision)
	}
	return before, nil
}

func (p *Pool) copy() *Pool {
	q := *p
	q.Roles, q.Ungranted = slices.Clone(p.Roles), slices.Clone(p.Ungranted)
	return &q
}

func (p *Pool) validate() error {
	if err := names.Validate(p.Name); err != nil {
		return refuse(portalapi.CodeInvalid, "invalid pool name: %v", err)
	}
	return validText("description", p.Description)
}

func poolDifference(before, after *Pool) []FieldChange {
	if before == nil {
		before = &Pool{}
	}
	var d difference
	d.text("name", before.Name, after.Name)
	d.text("description", before.Description, after.Description)
	d.list("roles", before.Roles, after.Roles)
	d.list("ungranted", before.Ungranted, after.Ungranted)
	d.text("owner", before.Owner.UID, after.Owner.UID)
	d.text("ownerName", before.Owner.Name, after.Owner.Name)
	d.text("ownerBinding", before.Owner.Binding, after.Owner.Binding)
	d.flag("handedOver", before.HandedOver, after.HandedOver)
	d.mark(before.Mark, after.Mark)
	d.list("lines", pinned(before.Pins), pinned(after.Pins))
	return d
}

// pinned returns a pool's pins as the audit log shows them.
func pinned(pins []portalapi.Pin) []string {
	out := make([]string, len(pins))
	for i, p := range pins {
		out[i] = p.Line + " is " + p.ID
		if p.Deleted {
			out[i] += ", deleted"
		}
	}
	return out
}

// defaultStays refuses to delete the default pool.
func defaultStays() error {
	return refuse(portalapi.CodeDefaultPool, "the default pool cannot be deleted: every active user is a member")
}

func quoted(s string) string { return `"` + strings.TrimSpace(s) + `"` }
