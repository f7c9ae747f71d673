// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// affectedShown is the number of users that a RoleEffect names.
const affectedShown = 20

// PoolEffects is what a change of a pool gives to its members and takes from them. ID identifies
// what was shown: other roles, counts or users have another ID.
type PoolEffects struct {
	ID    string
	Leave int // number of members who leave the pool because it is deleted
	All   []RoleEffect
}

// RoleEffect is a role that members of a pool lose or gain, with the number of them. A member who
// has the role from another pool as well, or directly, is not affected.
type RoleEffect struct {
	Role   string
	Gained bool
	Count  int
	Users  []Account // the first 20 in the order of user names, without pools and roles
}

// Loses reports whether the change takes something away.
func (e *PoolEffects) Loses() bool {
	return e.Leave > 0 || slices.ContainsFunc(e.All, func(r RoleEffect) bool { return !r.Gained })
}

// UpdateSeenPool is UpdatePool for a page that shows the effects before it saves. If the change has
// effects, and seen is not the ID of the effects as they are now, it changes nothing and returns
// the effects. It returns nil if it has saved.
func (s *Store) UpdateSeenPool(ctx context.Context, actor Actor, id string, ifRevision *int64, p PoolPatch, seen string) (unseen *PoolEffects, err error) {
	_, err = s.updatePool(ctx, actor, id, ifRevision, p, func(t *tx, before, after *Pool) error {
		effects, err := t.poolEffects(before, sortedSet(after.Roles))
		if err == nil && len(effects.All) > 0 && effects.ID != seen {
			unseen = effects
		}
		return err
	}, func() error {
		if unseen != nil {
			return errDryRun // the refusals of the change come before its effects
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		return unseen, nil
	}
	return nil, err
}

// DeletionEffects returns the effects of the deletion of the pool. Refusals: NOT_FOUND,
// SCIM_MANAGED_READ_ONLY, DEFAULT_POOL_PROTECTED.
func (s *Store) DeletionEffects(ctx context.Context, id string) (pool *Pool, effects *PoolEffects, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		pool, err = c.pool(id)
		switch {
		case err != nil:
			return err
		case pool.ReadOnly:
			return refuse(portalapi.CodeReadOnly, "%s", pool.ReadOnlyReason)
		case pool.Default:
			return defaultStays()
		}
		effects, err = c.deletionEffects(pool)
		return err
	})
	return pool, effects, err
}

// DeleteSeenPool is DeletePool for a page that shows the effects before: if seen is not their ID as
// they are now, it refuses with STALE_REVISION.
func (s *Store) DeleteSeenPool(ctx context.Context, actor Actor, id string, ifRevision *int64, seen string) error {
	return s.removePool(ctx, actor, id, ifRevision, func(t *tx, before *Pool) error {
		effects, err := t.deletionEffects(before)
		if err == nil && effects.ID != seen {
			err = refuse(portalapi.CodeStaleRevision, "what the deletion takes away has changed since you looked at it; check it again")
		}
		return err
	})
}

func (c *conn) deletionEffects(pool *Pool) (*PoolEffects, error) {
	effects, err := c.poolEffects(pool, nil)
	if err != nil {
		return nil, err
	}
	effects.Leave = pool.Members
	effects.identify(pool)
	return effects, nil
}

// poolEffects returns what members gain and lose if the pool's roles become these, losses first.
func (c *conn) poolEffects(before *Pool, roles []string) (*PoolEffects, error) {
	e := &PoolEffects{}
	add := func(role string, gained bool) error {
		if role == portalapi.RoleUser {
			return nil // every user has it
		}
		effect := RoleEffect{Role: role, Gained: gained}
		// Users who have the role from elsewhere keep it, and gain nothing.
		const affected = `m.pool_id = ? AND m.account_id NOT IN (SELECT account_id FROM account_roles WHERE role = ?
			UNION ALL SELECT o.account_id FROM pool_roles r JOIN memberships o ON o.pool_id = r.pool_id WHERE r.role = ? AND r.pool_id <> ?)`
		args := []any{before.ID, role, role, before.ID}
		if err := c.row(`SELECT COUNT(*) FROM memberships m WHERE `+affected, args...).Scan(&effect.Count); err != nil || effect.Count == 0 {
			return err
		}
		err := c.each(func(rows *sql.Rows) error {
			var a Account
			err := rows.Scan(&a.ID, &a.UserName, &a.DisplayName, &a.GivenName, &a.FamilyName)
			effect.Users = append(effect.Users, a)
			return err
		}, `SELECT a.id, a.user_name, a.display_name, a.given_name, a.family_name FROM memberships m JOIN accounts a ON a.id = m.account_id
			WHERE `+affected+` ORDER BY a.user_name_folded LIMIT ?`, append(args, affectedShown)...)
		e.All = append(e.All, effect)
		return err
	}
	for _, role := range before.Roles {
		if !slices.Contains(roles, role) {
			if err := add(role, false); err != nil {
				return nil, err
			}
		}
	}
	for _, role := range roles {
		if !slices.Contains(before.Roles, role) {
			if err := add(role, true); err != nil {
				return nil, err
			}
		}
	}
	e.identify(before)
	return e, nil
}

func (e *PoolEffects) identify(pool *Pool) {
	text := fmt.Appendf(nil, "%q %d", pool.ID, e.Leave)
	for _, r := range e.All {
		text = fmt.Appendf(text, "\n%q %t %d", r.Role, r.Gained, r.Count)
		for _, u := range r.Users {
			text = fmt.Appendf(text, " %q", u.ID)
		}
	}
	sum := sha256.Sum256(text)
	e.ID = hex.EncodeToString(sum[:8])
}
