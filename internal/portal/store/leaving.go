// SPDX-License-Identifier: Apache-2.0

package store

import (
	"database/sql"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// leave runs write, which changes the account from before to after; after is nil if it deletes the
// account. If the user can no longer sign in then, the keys that the user made end in the same
// transaction, and ev gets the receipt: what ended, and what a manager must rotate.
func (t *tx) leave(ev *event, before, after *Account, write func() error) error {
	if before == nil || !before.active() || after != nil && after.active() {
		return write()
	}
	sessions, err := t.openSessions(before)
	if err != nil {
		return err
	}
	if err := write(); err != nil {
		return err
	}
	ended, rotate, err := t.endKeys(before.ID)
	if err != nil {
		return err
	}
	var d difference
	d.text("sessionsEnded", "", strings.Join(sessions, ", "))
	d.text("keysEnded", "", strings.Join(ended, ", "))
	d.text("keysToRotate", "", strings.Join(rotate, ", "))
	ev.changes = append(ev.changes, d...)
	return nil
}

// openSessions describes the sessions of the account that have not ended, the oldest first.
func (t *tx) openSessions(a *Account) (all []string, err error) {
	config, err := t.configuration()
	if err != nil {
		return nil, err
	}
	err = t.each(func(rows *sql.Rows) error {
		s, err := scanSession(rows.Scan)
		if err == nil && !s.ended(a, config, t.now, t.idle) {
			all = append(all, s.Method+" since "+s.CreatedAt.Format(time.RFC3339))
		}
		return err
	}, `SELECT `+sessionColumns+` FROM sessions WHERE account_id = ? ORDER BY created_at, token_sha256`, a.ID)
	return all, err
}

// endKeys ends the keys with the scope read or manage that the user made. Other keys belong to the
// company: providers and operators use them, so they keep working, and a manager is asked to rotate
// them. It returns the names of both.
func (t *tx) endKeys(accountID string) (ended, rotate []string, err error) {
	made, err := t.keys(`WHERE created_by_id = ? AND ended_at = 0 ORDER BY created_at, id`, accountID)
	if err != nil {
		return nil, nil, err
	}
	for _, k := range made {
		if !k.Works(t.now) {
			continue
		}
		mark := "rotate_since"
		if k.Scope == ScopeRead || k.Scope == ScopeManage {
			mark, ended = "ended_at", append(ended, k.Name)
		} else {
			rotate = append(rotate, k.Name)
		}
		if _, err := t.exec(`UPDATE api_keys SET `+mark+` = ? WHERE id = ?`, micros(t.now), k.ID); err != nil {
			return nil, nil, err
		}
		if err := t.touch(portalapi.ChangeKey, k.ID, false); err != nil {
			return nil, nil, err
		}
	}
	return ended, rotate, nil
}

// stillHere refuses what the user of a request begun earlier may no longer do, because the account
// was deactivated or deleted meanwhile. An empty id is no user.
func (t *tx) stillHere(accountID string) error {
	if accountID == "" {
		return nil
	}
	active, err := t.yes(`SELECT 1 FROM accounts WHERE id = ? AND status = 'Active'`, accountID)
	if err == nil && !active {
		err = refuse(portalapi.CodeForbidden, "the user who asks for this was deactivated; sign in as another user")
	}
	return err
}
