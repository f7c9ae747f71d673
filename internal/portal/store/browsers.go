// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"

	"lightrun.com/scim-operator/internal/kernel/names"
)

const (
	// KnownBrowserFor is the time after its last sign-in for which a browser is known.
	KnownBrowserFor = 180 * 24 * time.Hour
	// knownBrowsers is the number of browsers that are known for one account: those used last.
	knownBrowsers = 20
)

// knownBrowser returns the secret of the browser if the user has signed in there before, and ""
// otherwise.
func (s *Store) knownBrowser(ctx context.Context, userName, browser string) (string, error) {
	if browser == "" {
		return "", nil
	}
	known := false
	err := s.inSnapshot(ctx, func(c *conn) (err error) {
		known, err = c.yes(`SELECT 1 FROM known_browsers WHERE token_sha256 = ? AND seen_at > ?
			AND account_id = (SELECT id FROM accounts WHERE user_name_folded = ?)`,
			digest(browser), micros(s.now().Add(-KnownBrowserFor)), names.Fold(userName))
		return err
	})
	if !known {
		return "", err
	}
	return browser, err
}

// rememberBrowser makes the browser known for the account.
func (t *tx) rememberBrowser(accountID, browser string) error {
	if _, err := t.exec(`INSERT INTO known_browsers (token_sha256, account_id, seen_at) VALUES (?, ?, ?)
		ON CONFLICT (token_sha256) DO UPDATE SET account_id = excluded.account_id, seen_at = excluded.seen_at`, digest(browser), accountID, micros(t.now)); err != nil {
		return err
	}
	_, err := t.exec(`DELETE FROM known_browsers WHERE account_id = ? AND (seen_at <= ? OR token_sha256 NOT IN (
		SELECT token_sha256 FROM known_browsers WHERE account_id = ? ORDER BY seen_at DESC, token_sha256 LIMIT ?))`,
		accountID, micros(t.now.Add(-KnownBrowserFor)), accountID, knownBrowsers)
	return err
}
