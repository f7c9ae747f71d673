// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// PutMemberships adds users to the pool of ownerUID and removes users from it, in one transaction.
// Each item has its own result, in the order of items; items that are not Done change nothing.
// Roles are derived, so they change with the memberships. Refusals of the whole call: NOT_FOUND
// without such a pool, DEFAULT_POOL_PROTECTED, INVALID, SCIM_REQUIRED, STALE_LEADER.
//
// seen raises the revisions in the pool's pins of those groups, without an audit event.
func (s *Store) PutMemberships(
	ctx context.Context, actor Actor, ownerUID string, items []portalapi.MembershipWrite, seen []portalapi.GroupRevision,
) ([]portalapi.MembershipResult, error) {
	ev := event{action: "pool.members", targetKind: "Pool"}
	var results []portalapi.MembershipResult
	err := s.provision(ctx, actor, &ev, func(t *tx) error {
		if err := t.requireSCIM(); err != nil {
			return err
		}
		if len(items) > portalapi.MaxMemberships {
			return refuse(portalapi.CodeInvalid, "%d memberships in one call; send at most %d", len(items), portalapi.MaxMemberships)
		}
		pool, err := t.maybePool(`WHERE owner_uid = ?`, ownerUID)
		switch {
		case err != nil:
			return err
		case pool == nil:
			return refuse(portalapi.CodeNotFound, "the owner %q has no pool; write the pool first", ownerUID)
		case pool.Default:
			return refuse(portalapi.CodeDefaultPool, "every active user is a member of the default pool; its members cannot be changed")
		}
		ev.targetID, ev.targetName = pool.ID, pool.Name
		if results, err = t.changeByRequest(ev, pool, items); err != nil {
			return err
		}
		return t.raisePins(pool, seen)
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// changeByRequest carries out those items that fit, with one audit event for each request that
// caused some of them.
func (t *tx) changeByRequest(ev event, pool *Pool, items []portalapi.MembershipWrite) ([]portalapi.MembershipResult, error) {
	var requests []string
	at := map[string][]int{} // request → indexes of its items
	for i, item := range items {
		if at[item.Request] == nil {
			requests = append(requests, item.Request)
		}
		at[item.Request] = append(at[item.Request], i)
	}
	own, cause, results := t.actor.RequestID, t.actor.Cause, make([]portalapi.MembershipResult, len(items))
	for _, request := range requests {
		part := make([]portalapi.MembershipWrite, len(at[request]))
		for i, place := range at[request] {
			part[i] = items[place]
		}
		one := ev
		done, err := t.changeMembers(&one, pool, part)
		if err != nil {
			return nil, err
		}
		for i, place := range at[request] {
			results[place] = done[i]
		}
		if len(one.changes) == 0 {
			continue
		}
		t.actor.RequestID, t.actor.Cause = cmp.Or(request, own), cause
		if request != "" {
			t.actor.Cause = CauseProvider
		}
		if err := t.audit(&one, nil); err != nil {
			return nil, err
		}
		t.auditID++
		t.audited = true
	}
	return results, nil
}

// member contains the facts about a user that a change of a membership needs.
type member struct {
	revision int64
	owned    bool
	active   bool
	in       bool // the user is a member of the pool, added by any writer
	granted  bool // the user's owner added the user to the pool
	manager  bool // another pool grants ROLE_MANAGER
}

// changeMembers applies the items whose preconditions match.
func (t *tx) changeMembers(ev *event, pool *Pool, items []portalapi.MembershipWrite) ([]portalapi.MembershipResult, error) {
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = item.AccountID
	}
	people, err := t.members(pool.ID, sortedSet(ids))
	if err != nil {
		return nil, err
	}
	results := make([]portalapi.MembershipResult, len(items))
	var in, out, removed, managers, touched []string
	for i, item := range items {
		m := people[item.AccountID]
		results[i] = portalapi.MembershipResult{AccountID: item.AccountID, Outcome: m.outcome(item)}
		if m != nil {
			results[i].Revision = m.revision
		}
		if results[i].Outcome != portalapi.MembershipDone {
			continue
		}
		if item.Add {
			in = append(in, item.AccountID)
		} else {
			out = append(out, item.AccountID)
			if m.granted && m.active {
				removed = append(removed, item.AccountID)
				if pool.grants(portalapi.RoleManager) && !m.manager {
					managers = append(managers, item.AccountID)
				}
			}
		}
		touched = append(touched, item.AccountID)
		m.in, m.granted = item.Add, item.Add
		m.revision++
		results[i].Revision = m.revision
	}
	if len(touched) == 0 {
		return results, nil
	}
	ev.changes = append(ev.changes, memberChanges(in, out)...)
	return results, t.writeMembers(pool, in, out, removed, managers, touched)
}

// outcome returns the result of one item.
func (m *member) outcome(item portalapi.MembershipWrite) portalapi.MembershipOutcome {
	switch {
	case m == nil:
		return portalapi.MembershipUnknown
	case !m.owned:
		return portalapi.MembershipNotOwned
	case item.Add && m.in && m.granted, !item.Add && !m.in && !m.granted:
		return portalapi.MembershipUnchanged // also at another revision: a caller repeats the same call if the response was lost
	case item.IfRevision != m.revision:
		return portalapi.MembershipStale
	}
	return portalapi.MembershipDone
}

// members reads the facts about these accounts in relation to the pool.
func (t *tx) members(poolID string, ids []string) (map[string]*member, error) {
	found := make(map[string]*member, len(ids))
	for part := range slices.Chunk(ids, portalapi.MaxMemberships) {
		err := t.each(func(rows *sql.Rows) error {
			var id string
			var m member
			err := rows.Scan(&id, &m.revision, &m.owned, &m.active, &m.in, &m.granted, &m.manager)
			found[id] = &m
			return err
		}, `SELECT a.id, a.revision, a.owner_uid IS NOT NULL, a.status = 'Active', m.pool_id IS NOT NULL, COALESCE(m.granted, FALSE),
			EXISTS (SELECT 1 FROM memberships o JOIN pool_roles r ON r.pool_id = o.pool_id JOIN pools p ON p.id = o.pool_id
				WHERE o.account_id = a.id AND o.pool_id <> ? AND o.granted AND r.role = 'ROLE_MANAGER' AND (r.granted OR p.owner_uid IS NULL))
			FROM accounts a LEFT JOIN memberships m ON m.account_id = a.id AND m.pool_id = ? WHERE a.id IN (`+marks(len(part))+`)`,
			append([]any{poolID, poolID}, list(part)...)...)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// memberChanges returns the audit's field changes for the added and the removed users, by id: the
// audit shows their names when it is read.
func memberChanges(in, out []string) []FieldChange {
	var d difference
	d.list("membersAdded", nil, sortedSet(in))
	d.list("membersRemoved", sortedSet(out), nil)
	return d
}

// writeMembers changes the rows, in a few statements for all items. An account that is added and
// removed in one call is touched once.
func (t *tx) writeMembers(pool *Pool, in, out, removed, managers, touched []string) error {
	at := micros(t.now)
	for part := range slices.Chunk(out, portalapi.MaxMemberships) {
		if _, err := t.exec(`DELETE FROM memberships WHERE pool_id = ? AND account_id IN (`+marks(len(part))+`)`, append([]any{pool.ID}, list(part)...)...); err != nil {
			return err
		}
	}
	err := t.insertEach(`INSERT INTO memberships (account_id, pool_id, granted) VALUES `, `ON CONFLICT (account_id, pool_id) DO UPDATE SET granted = TRUE`, in,
		func(id string) []any { return []any{id, pool.ID, true} })
	if err != nil {
		return err
	}
	err = t.insertEach(`INSERT INTO audit_pool_removals (event_id, pool_id, account_id, at) VALUES `, ``, removed,
		func(id string) []any { return []any{t.auditID, pool.ID, id, at} })
	if err != nil {
		return err
	}
	err = t.insertEach(`INSERT INTO audit_removals (event_id, account_id, at) VALUES `, ``, managers,
		func(id string) []any { return []any{t.auditID, id, at} })
	if err != nil {
		return err
	}
	for part := range slices.Chunk(touched, portalapi.MaxMemberships) {
		if _, err := t.exec(`UPDATE accounts SET revision = revision + 1, updated_at = ? WHERE id IN (`+marks(len(part))+`)`, append([]any{at}, list(part)...)...); err != nil {
			return err
		}
	}
	t.changed = true
	return t.insertEach(`INSERT INTO feed (kind, id, sequence, gone) VALUES `, `ON CONFLICT (kind, id) DO UPDATE SET sequence = excluded.sequence, gone = FALSE`, touched,
		func(id string) []any {
			t.sequence++
			return []any{string(portalapi.ChangeAccount), id, t.sequence, false}
		})
}

// insertEach runs one INSERT for many rows.
func (t *tx) insertEach(insert, conflict string, ids []string, row func(id string) []any) error {
	for part := range slices.Chunk(ids, portalapi.MaxMemberships) {
		var values []string
		var args []any
		for _, id := range part {
			columns := row(id)
			values, args = append(values, "("+marks(len(columns))+")"), append(args, columns...)
		}
		if _, err := t.exec(insert+strings.Join(values, ", ")+" "+conflict, args...); err != nil {
			return fmt.Errorf("write %d rows: %w", len(part), err)
		}
	}
	return nil
}

// leftPools records the pools from which the operator removed a user who remains active.
func (t *tx) leftPools(before, after *Account) error {
	if before == nil || after.Owner.UID == "" || before.Owner.UID == "" || !before.active() {
		return nil
	}
	for _, p := range before.PoolRefs {
		if !p.membership || p.Default || slices.Contains(after.Pools, p.ID) {
			continue
		}
		if _, err := t.exec(`INSERT INTO audit_pool_removals (event_id, pool_id, account_id, at) VALUES (?, ?, ?, ?)`,
			t.auditID, p.ID, after.ID, micros(t.now)); err != nil {
			return err
		}
	}
	return nil
}
