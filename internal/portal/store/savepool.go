// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// savePool changes the record from before to after. before is nil for a new record. A change of
// roles applies to all members in the same transaction. If nothing differs, it writes nothing. It
// adds the changes to ev.
func (t *tx) savePool(ev *event, before, after *Pool) (err error) {
	if err := after.validate(); err != nil {
		return err
	}
	if before == nil || !slices.Equal(before.Roles, after.Roles) {
		if after.Roles, err = t.grantable(after.Roles); err != nil {
			return err
		}
	}
	after.Ungranted = ungrantedAfter(before, after)
	if before != nil && before.Default && before.Name != after.Name {
		return refuse(portalapi.CodeDefaultPool, "the default pool %s keeps its name; change its description or its roles instead", quoted(before.Name))
	}
	if err := t.freePoolName(before, after); err != nil {
		return err
	}
	ev.targetKind, ev.targetID, ev.targetName = "Pool", after.ID, after.Name
	ev.changes = append(poolDifference(before, after), ev.changes...)
	if before != nil && len(ev.changes) == 0 {
		return nil
	}
	return t.writePool(before, after)
}

// ungrantedAfter returns the roles that an owned pool has after this write without a grant of its
// owner.
func ungrantedAfter(before, after *Pool) []string {
	if after.granting || after.Owner.UID == "" || before == nil {
		return nil
	}
	var out []string
	for _, r := range after.Roles {
		if !slices.Contains(before.Roles, r) || slices.Contains(before.Ungranted, r) {
			out = append(out, r)
		}
	}
	return out
}

// grants reports whether the pool grants the role: its owner or, without an owner, a person gave
// it.
func (p *Pool) grants(role string) bool {
	return slices.Contains(p.Roles, role) && !slices.Contains(p.Ungranted, role)
}

func (t *tx) freePoolName(before, after *Pool) error {
	folded := names.Fold(after.Name)
	if before != nil && names.Fold(before.Name) == folded {
		return nil
	}
	taken, err := t.yes(`SELECT 1 FROM pools WHERE name_folded = ? AND id <> ?`, folded, after.ID)
	if err == nil && taken {
		err = refuse(portalapi.CodeDuplicatePool, "the pool %s already exists", quoted(after.Name))
	}
	return err
}

func (t *tx) writePool(before, after *Pool) error {
	after.Revision++
	after.UpdatedAt = t.now
	pins, err := pinsColumn(after.Pins)
	if err != nil {
		return err
	}
	var owner any
	if after.Owner.UID != "" {
		owner = after.Owner.UID
	}
	if err := t.changePoolOwner(before, after); err != nil {
		return err
	}
	if before == nil {
		after.CreatedAt = t.now
		if _, err = t.exec(`INSERT INTO pools (id, name, name_folded, description, is_default, owner_uid, owner_name, owner_binding, owner_revision, created_by_owner, handed_over,
			held, held_state, held_decision, held_at, pins, revision, created_at, updated_at) VALUES (`+marks(19)+`)`, append(append([]any{after.ID, after.Name, names.Fold(after.Name), after.Description, false,
			owner, after.Owner.Name, after.Owner.Binding, after.Owner.Revision, after.Created, after.HandedOver}, columns(after.Mark)...), pins, after.Revision, micros(t.now), micros(t.now))...); err != nil {
			return err
		}
		before = &Pool{}
	} else if _, err := t.exec(`UPDATE pools SET name = ?, name_folded = ?, description = ?, owner_uid = ?, owner_name = ?, owner_binding = ?, owner_revision = ?, created_by_owner = ?,
		handed_over = ?, held = ?, held_state = ?, held_decision = ?, held_at = ?, pins = ?, revision = ?, updated_at = ? WHERE id = ?`,
		append(append([]any{after.Name, names.Fold(after.Name), after.Description, owner, after.Owner.Name, after.Owner.Binding, after.Owner.Revision, after.Created,
			after.HandedOver}, columns(after.Mark)...), pins, after.Revision, micros(t.now), after.ID)...); err != nil {
		return err
	}
	if err := t.touch(portalapi.ChangePool, after.ID, false); err != nil {
		return err
	}
	if !slices.Equal(before.Roles, after.Roles) {
		if err := t.changePoolRoles(before, after); err != nil {
			return err
		}
	}
	return t.markGranted("pool_roles", "pool_id", after.ID, after.granting)
}

func pinsColumn(pins []portalapi.Pin) (string, error) {
	if len(pins) == 0 {
		return "", nil
	}
	all, err := json.Marshal(pins)
	return string(all), err
}

// raised returns the pins with the higher revision of each group, theirs or the seen one.
func raised(pins []portalapi.Pin, seen []portalapi.GroupRevision) []portalapi.Pin {
	out := slices.Clone(pins)
	for i := range out {
		for _, g := range seen {
			if g.Group == out[i].ID {
				out[i].Revision = max(out[i].Revision, g.Revision)
			}
		}
	}
	return out
}

// revisionsOf returns the revisions in the pins of the pool, which may be nil.
func revisionsOf(p *Pool) (out []portalapi.GroupRevision) {
	if p == nil {
		return nil
	}
	for _, pin := range p.Pins {
		out = append(out, portalapi.GroupRevision{Group: pin.ID, Revision: pin.Revision})
	}
	return out
}

// raisePins raises the revisions in the pool's pins. Like the revision of an owner, they change
// neither the record's revision nor the audit.
func (t *tx) raisePins(before *Pool, seen []portalapi.GroupRevision) error {
	after := raised(before.Pins, seen)
	if slices.Equal(before.Pins, after) {
		return nil
	}
	pins, err := pinsColumn(after)
	if err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE pools SET pins = ? WHERE id = ?`, pins, before.ID); err != nil {
		return err
	}
	t.audited = true // what else changed has its events
	return t.touch(portalapi.ChangePool, before.ID, false)
}

// markGranted marks every remaining row of the record as granted by the owner.
func (t *tx) markGranted(table, keyColumn, key string, granting bool) error {
	if !granting {
		return nil
	}
	_, err := t.exec(`UPDATE `+table+` SET granted = TRUE WHERE `+keyColumn+` = ? AND NOT granted`, key)
	return err
}

// changePoolRoles sets the pool's roles, and advances the revision and the feed sequence of every
// member.
func (t *tx) changePoolRoles(before, after *Pool) error {
	write := func() error {
		if err := t.replaceSet("pool_roles", "pool_id", "role", after.ID, before.Roles, after.Roles); err != nil {
			return err
		}
		return t.touchMembers(after.ID)
	}
	if !slices.Contains(before.Roles, portalapi.RoleManager) || slices.Contains(after.Roles, portalapi.RoleManager) {
		return write()
	}
	return t.withoutManagers(before, write)
}

// withoutManagers runs f, which takes ROLE_MANAGER from the pool. It refuses f if the last local
// manager would lose the role, and adds the removals to the guard's count if the operator takes
// away a granted role.
func (t *tx) withoutManagers(pool *Pool, f func() error) error {
	return t.keepManager(func() error {
		if t.actor.Kind == Operator && pool.grants(portalapi.RoleManager) {
			if err := t.countManagers(pool.ID); err != nil {
				return err
			}
		}
		return f()
	})
}

// countManagers records a removal for each SCIM-managed member that had ROLE_MANAGER granted by
// this pool only. A role without a grant does not count: it is removed without using the budget.
func (t *tx) countManagers(poolID string) error {
	_, err := t.exec(`INSERT INTO audit_removals (event_id, account_id, at)
		SELECT CAST(? AS BIGINT), m.account_id, CAST(? AS BIGINT) FROM memberships m JOIN accounts a ON a.id = m.account_id
		WHERE m.pool_id = ? AND m.granted AND a.managed_by = 'SCIM' AND a.status = 'Active'
		AND NOT EXISTS (SELECT 1 FROM memberships o JOIN pool_roles r ON r.pool_id = o.pool_id JOIN pools p ON p.id = o.pool_id
			WHERE o.account_id = m.account_id AND o.pool_id <> m.pool_id AND o.granted AND r.role = 'ROLE_MANAGER' AND (r.granted OR p.owner_uid IS NULL))`,
		t.auditID, micros(t.now), poolID)
	return err
}

// deletePool deletes the pool, with its memberships and the roles that only it gave.
func (t *tx) deletePool(ev *event, before *Pool) error {
	ev.targetID, ev.targetName = before.ID, before.Name
	if before.Default {
		return defaultStays()
	}
	remove := func() error {
		if t.actor.Kind == Operator {
			if _, err := t.exec(`INSERT INTO audit_pool_removals (event_id, pool_id, account_id, at)
				SELECT CAST(? AS BIGINT), m.pool_id, m.account_id, CAST(? AS BIGINT) FROM memberships m JOIN accounts a ON a.id = m.account_id
				WHERE m.pool_id = ? AND m.granted AND a.owner_uid IS NOT NULL AND a.status = 'Active'`, t.auditID, micros(t.now), before.ID); err != nil {
				return err
			}
		}
		if err := errors.Join(t.changePoolOwner(before, nil), t.touchMembers(before.ID)); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM pools WHERE id = ?`, before.ID); err != nil {
			return err
		}
		return t.touch(portalapi.ChangePool, before.ID, true)
	}
	if !slices.Contains(before.Roles, portalapi.RoleManager) {
		return remove()
	}
	return t.withoutManagers(before, remove)
}

// PutPool creates, adopts or updates the pool of w.Owner, and returns it as it is afterwards.
// Repeating a write changes nothing. Refusals: STALE_REVISION, STALE_LEADER, DUPLICATE_POOL,
// UNKNOWN_ROLE, ROLE_NOT_GRANTABLE, DEFAULT_POOL_PROTECTED, LAST_MANAGER, SCIM_REQUIRED, INVALID.
func (s *Store) PutPool(ctx context.Context, actor Actor, w portalapi.PoolWrite) (*Pool, error) {
	ev := event{action: "pool.provision", targetKind: "Pool", targetName: w.Name}
	var result *Pool
	err := s.provision(ctx, actor, &ev, func(t *tx) error {
		if err := t.requireSCIM(); err != nil {
			return err
		}
		if w.Owner.UID == "" {
			return refuse(portalapi.CodeInvalid, "the write names no owner; send the UID of the AgentPool")
		}
		before, err := t.poolFor(&ev, w)
		if err != nil {
			return err
		}
		if w.Owner.Binding, err = t.boundBy(); err != nil {
			return err
		}
		after, err := written(before, w)
		if err != nil {
			return err
		}
		result = after
		if err := t.savePool(&ev, before, after); err != nil {
			return err
		}
		if t.changed {
			return decidedOn("the pool", w.IfRevision, before.at())
		}
		if err := t.raisePins(before, revisionsOf(after)); err != nil {
			return err
		}
		if w.Owner.Revision == before.Owner.Revision {
			return nil
		}
		_, err = t.exec(`UPDATE pools SET owner_revision = ? WHERE id = ?`, w.Owner.Revision, after.ID)
		return err
	})
	if err != nil {
		return nil, err
	}
	result.ReadOnly = true // it is owned and SCIM is on
	result.ReadOnlyReason = poolReason
	return result, nil
}

// written returns the pool as w declares it; before is nil if there is none yet. Refusal:
// DEFAULT_POOL_PROTECTED.
func written(before *Pool, w portalapi.PoolWrite) (*Pool, error) {
	after, same := &Pool{Pool: portalapi.Pool{ID: newID(), Created: true}}, false
	if before != nil {
		after = before.copy()
		sameName := before.Owner.Name == w.Owner.Name
		same = sameName && before.Owner.UID != "" && before.Owner.UID != w.Owner.UID
		inherits := w.Adopt != nil && w.Adopt.Inherit && before.Owner.UID != ""
		after.Created = before.Created && (sameName || inherits)
	}
	if after.Default != w.Default {
		return nil, refuse(portalapi.CodeDefaultPool, "only the owner whose write sets Default manages the default pool, and that owner has no other pool; pool %s", quoted(w.Name))
	}
	if !after.Default {
		after.Name = w.Name
	}
	after.Description, after.Owner, after.Roles, after.granting = w.Description, w.Owner, sortedSet(w.Roles), true
	after.HandedOver, after.Pins = false, raised(w.Pins, revisionsOf(before))
	if !w.KeepMark && !same {
		after.Mark = nil // in all other cases a decision survives the loss of a cluster
	}
	return after, nil
}

// at returns the pool's revision, and 0 if there is no pool.
func (p *Pool) at() int64 {
	if p == nil {
		return 0
	}
	return p.Revision
}

// poolFor returns the pool that w is about: the owner's pool, the pool to adopt, or nil.
func (t *tx) poolFor(ev *event, w portalapi.PoolWrite) (*Pool, error) {
	owned, err := t.maybePool(`WHERE owner_uid = ?`, w.Owner.UID)
	switch {
	case err != nil:
		return nil, err
	case owned != nil && w.Owner.Revision < owned.Owner.Revision:
		return nil, refuse(portalapi.CodeStaleRevision, "revision %d of this owner is already written; %d is older", owned.Owner.Revision, w.Owner.Revision)
	case owned != nil && w.Adopt != nil && w.Adopt.ID != owned.ID:
		return nil, refuse(portalapi.CodeStaleRevision, "this owner already has the pool %s and cannot also adopt %s", owned.ID, w.Adopt.ID)
	case owned != nil:
		return owned, nil
	}
	if err := t.notRetired(w.Owner.UID); err != nil {
		return nil, err
	}
	if w.Adopt == nil {
		ev.action = "pool.create"
		return nil, nil
	}
	ev.action = "pool.adopt"
	found, err := t.pool(w.Adopt.ID)
	switch {
	case err != nil:
		return nil, err
	case found.Owner.UID != w.Adopt.OwnerUID:
		return nil, refuse(portalapi.CodeStaleRevision, "the pool %s belongs to %q now, not to %q; read it again", found.ID, found.Owner.UID, w.Adopt.OwnerUID)
	case found.Owner.UID != "":
		return found, t.retire(found.Owner.UID)
	}
	return found, nil
}

// ReleasePool ends the ownership of ownerUID, which may never write again. If remove is true, it
// also deletes the pool if the owner created it, and otherwise removes the roles that the owner
// granted. The pins are kept for the next pool of an owner with the same name. Releasing a record
// that has no owner is no error. Refusals: STALE_LEADER; LAST_MANAGER
// for a removal; SCIM_REQUIRED for a removal while SCIM is off.
func (s *Store) ReleasePool(ctx context.Context, actor Actor, ownerUID string, remove bool) error {
	ev := event{action: "pool.release", targetKind: "Pool"}
	return s.provision(ctx, actor, &ev, func(t *tx) error {
		if ownerUID == "" {
			return refuse(portalapi.CodeInvalid, "the release names no owner; send the UID of the AgentPool")
		}
		before, err := t.maybePool(`WHERE owner_uid = ?`, ownerUID)
		if err != nil {
			return err
		}
		if err := t.retire(ownerUID); err != nil || before == nil {
			return err
		}
		ev.targetID, ev.targetName = before.ID, before.Name
		if remove {
			if err := t.requireSCIM(); err != nil {
				return err
			}
		}
		if remove && before.Created {
			ev.action = "pool.delete"
			return t.deletePool(&ev, before)
		}
		after := before.copy()
		after.Owner, after.Created, after.Mark, after.Pins = portalapi.Owner{}, false, nil, nil
		if remove {
			after.Roles = slices.DeleteFunc(after.Roles, before.grants)
		}
		return t.savePool(&ev, before, after)
	})
}

// MarkPool is MarkAccount for the owner's pool. Refusals: STALE_REVISION, STALE_LEADER, INVALID,
// SCIM_REQUIRED for a new mark.
func (s *Store) MarkPool(ctx context.Context, actor Actor, owner portalapi.Owner, m *portalapi.Mark) error {
	ev := event{action: "pool.hold", targetKind: "Pool"}
	return s.provision(ctx, actor, &ev, func(t *tx) error {
		if err := t.markable(m, portalapi.RemovalManager, portalapi.RemovalDeletion, portalapi.RemovalMembers); err != nil {
			return err
		}
		before, err := t.maybePool(`WHERE owner_uid = ?`, owner.UID)
		if err != nil || before == nil {
			return err
		}
		if owner.Revision < before.Owner.Revision {
			return refuse(portalapi.CodeStaleRevision, "revision %d of this owner is already written; %d is older", before.Owner.Revision, owner.Revision)
		}
		after := before.copy()
		after.Mark = m
		return t.savePool(&ev, before, after)
	})
}
