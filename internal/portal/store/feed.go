// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Change is one entry of the feed, with the record at the time of reading. If Gone is true, the
// record no longer exists.
type Change struct {
	Sequence      int64
	Kind          portalapi.ChangeKind
	ID            string
	Gone          bool
	Account       *Account
	Pool          *Pool
	Configuration *Configuration
}

// bell wakes the readers that wait for the feed, at every committed change.
type bell struct {
	mu   *sync.Mutex
	next *chan struct{}
}

func newBell() bell {
	c := make(chan struct{})
	return bell{mu: &sync.Mutex{}, next: &c}
}

func (b bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(*b.next)
	*b.next = make(chan struct{})
}

func (b bell) rung() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *b.next
}

// touch gives the record the next sequence number of the feed. The feed has one row per record, so
// it never grows beyond the records and the tombstones, and a reader sees the newest change of each
// record.
func (t *tx) touch(kind portalapi.ChangeKind, id string, gone bool) error {
	t.sequence++
	t.changed = true
	_, err := t.exec(`INSERT INTO feed (kind, id, sequence, gone) VALUES (?, ?, ?, ?)
		ON CONFLICT (kind, id) DO UPDATE SET sequence = excluded.sequence, gone = excluded.gone`, string(kind), id, t.sequence, gone)
	return err
}

// touchMembers advances the revision and the sequence number of every member of the pool, in two
// statements for any number of members.
func (t *tx) touchMembers(poolID string) error {
	if _, err := t.exec(`UPDATE accounts SET revision = revision + 1, updated_at = ?
		WHERE id IN (SELECT account_id FROM memberships WHERE pool_id = ?)`, micros(t.now), poolID); err != nil {
		return err
	}
	n, err := t.exec(`INSERT INTO feed (kind, id, sequence, gone)
		SELECT 'User', account_id, CAST(? AS BIGINT) + ROW_NUMBER() OVER (ORDER BY account_id), FALSE FROM memberships WHERE pool_id = ?
		ON CONFLICT (kind, id) DO UPDATE SET sequence = excluded.sequence, gone = FALSE`, t.sequence, poolID)
	t.sequence += n
	return err
}

// Position returns the current end of the feed.
func (s *Store) Position(ctx context.Context) (portalapi.Position, error) {
	var p portalapi.Position
	err := s.inSnapshot(ctx, func(c *conn) error {
		return c.row(`SELECT epoch, sequence FROM meta`).Scan(&p.Epoch, &p.Sequence)
	})
	return p, err
}

// Changes returns up to limit changes after p in order, and the position after the last of them. If
// there is none, it waits up to wait for the first one. An unknown epoch, or a position that the
// feed no longer contains, is FEED_TRUNCATED.
func (s *Store) Changes(ctx context.Context, p portalapi.Position, limit int, wait time.Duration) ([]Change, portalapi.Position, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		rung := s.bell.rung() // before reading, so that no change between the two is missed
		changes, next, err := s.changesNow(ctx, p, limit)
		if err != nil || len(changes) > 0 || wait <= 0 {
			return changes, next, err
		}
		select {
		case <-rung:
		case <-timer.C:
			wait = 0 // read once more: another process may have written, and its notification may be lost
		case <-ctx.Done():
			return nil, p, ctx.Err()
		}
	}
}

func (s *Store) changesNow(ctx context.Context, p portalapi.Position, limit int) ([]Change, portalapi.Position, error) {
	var changes []Change
	next := p
	err := s.inSnapshot(ctx, func(c *conn) error {
		if err := c.checkPosition(p); err != nil {
			return err
		}
		err := c.each(func(rows *sql.Rows) error {
			var ch Change
			err := rows.Scan(&ch.Sequence, &ch.Kind, &ch.ID, &ch.Gone)
			changes = append(changes, ch)
			return err
		}, `SELECT sequence, kind, id, gone FROM feed WHERE sequence > ? ORDER BY sequence LIMIT ?`, p.Sequence, limit)
		if err != nil || len(changes) == 0 {
			return err
		}
		next.Sequence = changes[len(changes)-1].Sequence
		return c.fill(changes)
	})
	return changes, next, err
}

func (c *conn) checkPosition(p portalapi.Position) error {
	var (
		epoch      string
		end, floor int64
	)
	if err := c.row(`SELECT epoch, sequence, feed_floor FROM meta`).Scan(&epoch, &end, &floor); err != nil {
		return err
	}
	switch {
	case p.Epoch != epoch:
		return refuse(portalapi.CodeFeedTruncated, "the feed's epoch is %s, not %q; take a new position and list again", epoch, p.Epoch)
	case p.Sequence < floor, p.Sequence > end:
		return refuse(portalapi.CodeFeedTruncated, "the feed reaches from %d to %d and not to %d; take a new position and list again", floor, end, p.Sequence)
	}
	return nil
}

// fill reads the records of the changes, one query for each kind.
func (c *conn) fill(changes []Change) error {
	var accountIDs, poolIDs []string
	for _, ch := range changes {
		switch {
		case ch.Gone:
		case ch.Kind == portalapi.ChangeAccount:
			accountIDs = append(accountIDs, ch.ID)
		case ch.Kind == portalapi.ChangePool:
			poolIDs = append(poolIDs, ch.ID)
		}
	}
	accounts, err := c.accountsByID(accountIDs)
	if err != nil {
		return err
	}
	pools, err := c.poolsByID(poolIDs)
	if err != nil {
		return err
	}
	for i := range changes {
		ch := &changes[i]
		switch {
		case ch.Gone:
		case ch.Kind == portalapi.ChangeAccount:
			ch.Account = accounts[ch.ID]
			ch.Gone = ch.Account == nil
		case ch.Kind == portalapi.ChangePool:
			ch.Pool = pools[ch.ID]
			ch.Gone = ch.Pool == nil
		case ch.Kind == portalapi.ChangeConfiguration:
			if ch.Configuration, err = c.configuration(); err != nil {
				return err
			}
		}
	}
	return nil
}

// TruncateFeed deletes all tombstones except the newest keep, and refuses readers that have not
// seen the deleted ones.
func (s *Store) TruncateFeed(ctx context.Context, keep int) error {
	return s.inTx(ctx, func(t *tx) error {
		var floor sql.NullInt64
		err := t.row(`SELECT MAX(sequence) FROM feed WHERE gone AND sequence NOT IN
			(SELECT sequence FROM feed WHERE gone ORDER BY sequence DESC LIMIT ?)`, keep).Scan(&floor)
		if err != nil || !floor.Valid {
			return err
		}
		if _, err := t.exec(`DELETE FROM feed WHERE gone AND sequence <= ?`, floor.Int64); err != nil {
			return err
		}
		_, err = t.exec(`UPDATE meta SET feed_floor = ?`, floor.Int64)
		return err
	})
}

// NewFeedEpoch makes every reader of the feed list again. Call it after restoring the database from
// a backup.
func (s *Store) NewFeedEpoch(ctx context.Context) error {
	return s.inTx(ctx, func(t *tx) error {
		_, err := t.exec(`UPDATE meta SET epoch = ?`, uuid.NewString())
		return err
	})
}
