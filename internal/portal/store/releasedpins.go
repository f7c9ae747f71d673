// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// ReleasedPools returns up to limit owners of released pools with a name after the given one, in
// the order of names, and the name to continue from; empty at the end.
func (s *Store) ReleasedPools(ctx context.Context, after string, limit int) (page []portalapi.ReleasedPool, next string, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		return c.each(func(rows *sql.Rows) error {
			var o portalapi.ReleasedPool
			var pins string
			if err := rows.Scan(&o.Name, &pins); err != nil {
				return err
			}
			err := json.Unmarshal([]byte(pins), &o.Pins)
			page = append(page, o)
			return err
		}, `SELECT owner_name, pins FROM released_pins WHERE owner_name > ? ORDER BY owner_name LIMIT ?`, after, limit+1)
	})
	if err != nil || len(page) <= limit {
		return page, "", err
	}
	page = page[:limit]
	return page, page[limit-1].Name, nil
}

// changePoolOwner keeps the pins of a pool whose owner ends, for the next pool of an owner with the
// same name, and removes what was kept for the owner that the pool has afterwards. before is nil
// for a new pool, and after for a deleted one.
func (t *tx) changePoolOwner(before, after *Pool) error {
	var from, to portalapi.Owner
	if before != nil {
		from = before.Owner
	}
	if after != nil {
		to = after.Owner
	}
	if from.UID == to.UID {
		return nil
	}
	var err error
	if from.Name != "" && from.Name != to.Name {
		err = t.setReleasedPins(from.Name, portalapi.ReleasedPins(before.Pins))
	}
	if to.Name != "" {
		err = errors.Join(err, t.forgetReleasedPins(to.Name))
	}
	return err
}

func (t *tx) setReleasedPins(name string, pins []portalapi.Pin) error {
	if len(pins) == 0 {
		return t.forgetReleasedPins(name)
	}
	column, err := pinsColumn(pins)
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO released_pins (owner_name, pins, released_at) VALUES (?, ?, ?)
		ON CONFLICT (owner_name) DO UPDATE SET pins = excluded.pins, released_at = excluded.released_at`, name, column, micros(t.now))
	return err
}

func (t *tx) forgetReleasedPins(name string) error {
	_, err := t.exec(`DELETE FROM released_pins WHERE owner_name = ?`, name)
	return err
}
