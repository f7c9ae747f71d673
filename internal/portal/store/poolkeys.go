// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// A pool's keys let agents join it. A pool has at most one active key. Rotation makes a new one and
// deprecates the former, which works until a date, so that agents can be changed one after another.
// Managers have the keys also of pools that an AgentPool manages: Kubernetes does not know them.

// PoolKey is a key of a pool without its secret.
type PoolKey struct {
	ID         string
	PoolID     string
	Hint       string    // the last four characters of the secret
	EndsAt     time.Time // of a deprecated key; zero if the key is active
	CreatedAt  time.Time
	CreatedBy  string
	LastUsedAt time.Time // zero if never; accurate to a minute
}

// Active reports whether the key is the one that new agents get.
func (k PoolKey) Active() bool { return k.EndsAt.IsZero() }

// EndedAt reports whether the key does not work any more at this time.
func (k PoolKey) EndedAt(now time.Time) bool { return !k.Active() && !now.Before(k.EndsAt) }

// MaxOverlap is the longest time for which a deprecated key works.
const MaxOverlap = 90 * 24 * time.Hour

// hintLength is the number of characters of a secret that pages show.
const hintLength = 4

// PoolKeys returns the keys of a pool, the active one first.
func (s *Store) PoolKeys(ctx context.Context, poolID string) (all []PoolKey, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		all, err = c.poolKeys(`WHERE pool_id = ?`, poolID)
		return err
	})
	return all, err
}

func (c *conn) poolKeys(where string, args ...any) ([]PoolKey, error) {
	var all []PoolKey
	err := c.each(func(rows *sql.Rows) error {
		var k PoolKey
		var ends, created, used int64
		err := rows.Scan(&k.ID, &k.PoolID, &k.Hint, &ends, &created, &k.CreatedBy, &used)
		k.EndsAt, k.CreatedAt, k.LastUsedAt = fromMicros(ends), fromMicros(created), fromMicros(used)
		all = append(all, k)
		return err
	}, `SELECT id, pool_id, hint, ends_at, created_at, created_by, last_used_at FROM pool_keys `+where+` ORDER BY ends_at, id`, args...)
	return all, err
}

// RotatePoolKey makes a new active key of the pool and returns its secret, which the portal does
// not store. The former active key is deprecated and works for the time overlap. active is the id
// of the key that the manager saw as active, and empty if there was none. Refusals: NOT_FOUND,
// STALE_REVISION, INVALID, and POOL_KEY_ROTATING if the key before the former still works.
func (s *Store) RotatePoolKey(ctx context.Context, actor Actor, poolID, active string, overlap time.Duration) (*PoolKey, string, error) {
	secret := "lra_" + randomText()
	key := &PoolKey{ID: newID(), PoolID: poolID, Hint: secret[len(secret)-hintLength:], CreatedBy: actor.Name}
	ev := event{action: "pool-key.rotate", targetKind: "Pool", targetID: poolID}
	err := s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		if overlap < 0 || overlap > MaxOverlap {
			return refuse(portalapi.CodeInvalid, "the former key can work for at most %d days", int(MaxOverlap.Hours()/24))
		}
		current, former, err := t.keysOf(&ev, poolID)
		if err != nil {
			return err
		}
		if current.orNone().ID != active {
			return keysChanged()
		}
		if former != nil && !former.EndedAt(t.now) {
			return refuse(portalapi.CodePoolKeyRotating, "the key that ends in %s is deprecated and still works: revoke it, or make it active again, before the next rotation", former.Hint)
		}
		if former != nil {
			if err := t.removePoolKey(former); err != nil {
				return err
			}
		}
		var d difference
		d.text("poolKey", current.orNone().Hint, key.Hint)
		if current != nil {
			current.EndsAt = t.now.Add(overlap)
			d.text("formerKeyEnds", "", current.EndsAt.Format(time.RFC3339))
			if err := t.endPoolKey(current); err != nil {
				return err
			}
		}
		ev.changes = d
		key.CreatedAt = t.now
		t.changed = true
		_, err = t.exec(`INSERT INTO pool_keys (id, pool_id, sha256, hint, ends_at, created_at, created_by, last_used_at) VALUES (`+marks(8)+`)`,
			key.ID, poolID, digest(secret), key.Hint, 0, micros(t.now), key.CreatedBy, 0)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return key, secret, nil
}

// RevertPoolKey undoes the rotation: the deprecated key with the id becomes active again, and the
// key that was active is deprecated until the same time. So no agent loses its key. Refusals:
// NOT_FOUND, STALE_REVISION.
func (s *Store) RevertPoolKey(ctx context.Context, actor Actor, poolID, keyID string) error {
	ev := event{action: "pool-key.revert", targetKind: "Pool", targetID: poolID}
	return s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		current, former, err := t.keysOf(&ev, poolID)
		if err != nil {
			return err
		}
		if former == nil || former.ID != keyID || former.EndedAt(t.now) {
			return keysChanged()
		}
		var d difference
		d.text("poolKey", current.orNone().Hint, former.Hint)
		if current != nil {
			current.EndsAt = former.EndsAt
			d.text("formerKeyEnds", "", current.EndsAt.Format(time.RFC3339))
			if err := t.endPoolKey(current); err != nil {
				return err
			}
		}
		ev.changes = d
		former.EndsAt = time.Time{}
		return t.endPoolKey(former)
	})
}

// RevokePoolKey deletes the key, active or deprecated: agents that have it are refused from then
// on. Refusals: NOT_FOUND, STALE_REVISION if the pool has no such key.
func (s *Store) RevokePoolKey(ctx context.Context, actor Actor, poolID, keyID string) error {
	ev := event{action: "pool-key.revoke", targetKind: "Pool", targetID: poolID}
	return s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		current, former, err := t.keysOf(&ev, poolID)
		if err != nil {
			return err
		}
		for _, k := range []*PoolKey{current, former} {
			if k != nil && k.ID == keyID {
				ev.changes = []FieldChange{{Field: "poolKey", From: k.Hint}}
				return t.removePoolKey(k)
			}
		}
		return keysChanged()
	})
}

// AgentPool returns the pool that an agent with this secret joins, and the key. Refusal:
// UNAUTHENTICATED.
func (s *Store) AgentPool(ctx context.Context, secret string) (pool *Pool, key *PoolKey, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		found, err := c.poolKeys(`WHERE sha256 = ?`, digest(secret))
		switch {
		case err != nil:
			return err
		case len(found) == 0:
			return refuse(portalapi.CodeUnauthenticated, "unknown pool key; a manager makes one on the page of the agent pool")
		case found[0].EndedAt(s.now()):
			return refuse(portalapi.CodeUnauthenticated, "this pool key ended at %s; give the agent the pool's active key", found[0].EndsAt.UTC().Format(time.RFC3339))
		}
		key = &found[0]
		pool, err = c.pool(key.PoolID)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	now := s.now()
	if now.Sub(key.LastUsedAt) < time.Minute {
		return pool, key, nil
	}
	_, err = s.write.ExecContext(ctx, s.dialect.rebind(`UPDATE pool_keys SET last_used_at = ? WHERE id = ? AND last_used_at < ?`), micros(now), key.ID, micros(now))
	return pool, key, err
}

// keysOf returns the active and the deprecated key of the pool, each nil if there is none.
func (t *tx) keysOf(ev *event, poolID string) (current, former *PoolKey, err error) {
	pool, err := t.pool(poolID)
	if err != nil {
		return nil, nil, err
	}
	ev.targetName = pool.Name
	all, err := t.poolKeys(`WHERE pool_id = ?`, poolID)
	if at := slices.IndexFunc(all, PoolKey.Active); at >= 0 {
		current = &all[at]
	}
	if at := slices.IndexFunc(all, func(k PoolKey) bool { return !k.Active() }); at >= 0 {
		former = &all[at]
	}
	return current, former, err
}

// endPoolKey writes when the key ends.
func (t *tx) endPoolKey(k *PoolKey) error {
	var ends int64
	if !k.Active() {
		ends = micros(k.EndsAt)
	}
	t.changed = true
	_, err := t.exec(`UPDATE pool_keys SET ends_at = ? WHERE id = ?`, ends, k.ID)
	return err
}

func (t *tx) removePoolKey(k *PoolKey) error {
	t.changed = true
	_, err := t.exec(`DELETE FROM pool_keys WHERE id = ?`, k.ID)
	return err
}

func keysChanged() error {
	return refuse(portalapi.CodeStaleRevision, "the keys of this pool have changed since you looked at them; check them and repeat it")
}

// orNone returns the key, and the zero key if there is none.
func (k *PoolKey) orNone() PoolKey {
	if k == nil {
		return PoolKey{}
	}
	return *k
}
