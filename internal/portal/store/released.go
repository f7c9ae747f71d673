// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Released returns up to limit released owners with a name after the given one, in the order of
// names, and the name to continue from; empty at the end.
func (s *Store) Released(ctx context.Context, after string, limit int) (page []portalapi.ReleasedOwner, next string, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		return c.each(func(rows *sql.Rows) error {
			var o portalapi.ReleasedOwner
			err := rows.Scan(&o.Name, &o.Revision)
			page = append(page, o)
			return err
		}, `SELECT owner_name, revision FROM released_owners WHERE owner_name > ? ORDER BY owner_name LIMIT ?`, after, limit+1)
	})
	if err != nil || len(page) <= limit {
		return page, "", err
	}
	page = page[:limit]
	return page, page[limit-1].Name, nil
}

// setReleased records that the account of the owner was released at this revision or an earlier
// one. It does nothing for an owner without a name.
func (t *tx) setReleased(name string, revision int64) error {
	if name == "" {
		return nil
	}
	_, err := t.exec(`INSERT INTO released_owners (owner_name, revision, released_at) VALUES (?, ?, ?)
		ON CONFLICT (owner_name) DO UPDATE SET revision = excluded.revision, released_at = excluded.released_at
		WHERE released_owners.revision < excluded.revision`, name, revision, micros(t.now))
	return err
}

// setReleasedUnowned is setReleased for an owner without an account. It does nothing if the owner's
// name has an account under another UID, because then this release is late.
func (t *tx) setReleasedUnowned(owner portalapi.Owner) error {
	owns, err := t.yes(`SELECT 1 FROM accounts WHERE owner_name = ? AND owner_uid IS NOT NULL`, owner.Name)
	if err != nil || owns {
		return err
	}
	return t.setReleased(owner.Name, owner.Revision)
}

// notReleasedSince refuses a write that gives an account to an owner whose account was released at
// the write's revision or a newer one, for example by a user that was restored from a backup,
// unless a person accepted that. If the write passes, the release is forgotten: the account has the
// owner's revision again.
func (t *tx) notReleasedSince(w portalapi.AccountWrite) error {
	var revision int64
	err := t.row(`SELECT revision FROM released_owners WHERE owner_name = ?`, w.Owner.Name).Scan(&revision)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	case revision >= w.Owner.Revision && w.Accepted != revision:
		return refuse(portalapi.CodeReleasedSince, "the account of this owner was released at revision %d; %d is not newer", revision, w.Owner.Revision)
	}
	_, err = t.exec(`DELETE FROM released_owners WHERE owner_name = ?`, w.Owner.Name)
	return err
}
