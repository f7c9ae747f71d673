// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/names"
)

// PoolPage returns up to limit pools whose name contains the text, folded, in the order of names,
// and the id to continue after: empty if there are no more pools.
func (s *Store) PoolPage(ctx context.Context, text, after string, limit int) (page []Pool, next string, err error) {
	where, args := `WHERE TRUE`, []any{}
	if text = strings.TrimSpace(text); text != "" {
		where, args = where+` AND name_folded LIKE ? ESCAPE '\'`, append(args, "%"+likeText(names.Fold(text))+"%")
	}
	if after != "" {
		where, args = where+` AND name_folded > COALESCE((SELECT name_folded FROM pools WHERE id = ?), '')`, append(args, after)
	}
	err = s.inSnapshot(ctx, func(c *conn) error {
		page, err = c.pools(where+` ORDER BY name_folded LIMIT ?`, append(args, limit+1)...)
		return err
	})
	if len(page) > limit {
		page = page[:limit]
		next = page[limit-1].ID
	}
	return page, next, err
}

// HeldPools returns the pools with a held change, in the order of names.
func (s *Store) HeldPools(ctx context.Context) (held []Pool, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		held, err = c.pools(`WHERE held <> '' AND held_state = 'Held' ORDER BY name_folded`)
		return err
	})
	return held, err
}

// PoolNames returns the names of up to limit pools in their order.
func (s *Store) PoolNames(ctx context.Context, limit int) (all []string, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		return c.each(func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			all = append(all, name)
			return err
		}, `SELECT name FROM pools ORDER BY name_folded LIMIT ?`, limit)
	})
	return all, err
}

// PoolByName returns the pool with the name, folded, or nil.
func (s *Store) PoolByName(ctx context.Context, name string) (pool *Pool, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		pool, err = c.maybePool(`WHERE name_folded = ?`, names.Fold(name))
		return err
	})
	return pool, err
}
