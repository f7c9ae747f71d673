// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// ResetFor is the time for which a reset link works.
const ResetFor = time.Hour

// CreateReset makes the secret of a link with which the local user of the account sets a new
// password, once, until expires. It replaces an earlier link. Refusals: FORBIDDEN (also for the
// actor's own account), NOT_FOUND, INVALID if the account is not local or not active.
func (s *Store) CreateReset(ctx context.Context, actor Actor, accountID string) (token string, expires time.Time, err error) {
	token = randomText()
	ev := event{action: "password.reset-link", targetKind: "User", targetID: accountID}
	err = s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		account, err := t.account("user "+accountID, `WHERE id = ?`, accountID)
		if err != nil {
			return err
		}
		ev.targetName = account.UserName
		switch {
		case actor.Kind == Person && actor.ID == accountID:
			return refuse(portalapi.CodeForbidden, "change your own password on My profile, where the current one is asked for")
		case account.ManagedBy != portalapi.ManagedByLocal:
			return refuse(portalapi.CodeInvalid, "%q is managed by SCIM and signs in through single sign-on; it cannot have a password", account.UserName)
		case !account.active():
			return refuse(portalapi.CodeInvalid, "%q is deactivated; activate the user first", account.UserName)
		}
		expires = t.now.Add(ResetFor)
		ev.changes = []FieldChange{{Field: "expiresAt", To: expires.Format(time.RFC3339)}}
		t.changed = true
		if _, err := t.exec(`DELETE FROM password_resets WHERE account_id = ? OR expires_at <= ?`, accountID, micros(t.now)); err != nil {
			return err
		}
		_, err = t.exec(`INSERT INTO password_resets (token_sha256, account_id, epoch, expires_at) VALUES (?, ?, ?, ?)`,
			digest(token), accountID, account.epoch, micros(expires))
		return err
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return token, expires, nil
}

// Reset returns the account of a reset link, or UNAUTHENTICATED.
func (s *Store) Reset(ctx context.Context, token string) (account *Account, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		account, err = c.reset(token, s.now())
		return err
	})
	return account, err
}

func (c *conn) reset(token string, now time.Time) (*Account, error) {
	over := refuse(portalapi.CodeUnauthenticated, "this link was used, has expired, or was replaced; ask a manager for another one")
	var id string
	var epoch, expires int64
	err := c.row(`SELECT account_id, epoch, expires_at FROM password_resets WHERE token_sha256 = ?`, digest(token)).Scan(&id, &epoch, &expires)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, over
	case err != nil:
		return nil, err
	}
	account, err := c.account("user "+id, `WHERE id = ?`, id)
	if err != nil {
		return nil, err
	}
	if !now.Before(fromMicros(expires)) || epoch != account.epoch || !account.active() || account.ManagedBy != portalapi.ManagedByLocal {
		return nil, over
	}
	return account, nil
}

// ResetPassword sets the password of the link's user, ends the link and all sessions of the user,
// and makes the browser known: the user can sign in there during an attack on the name. It returns
// the secret of the browser's cookie. Refusals: UNAUTHENTICATED, which the caller audits, as it
// names no account, and INVALID, OVERLOADED.
func (s *Store) ResetPassword(ctx context.Context, requestID, token, password string) (browser string, err error) {
	account, err := s.Reset(ctx, token)
	if err != nil {
		return "", err
	}
	hash, refused := s.requiredPassword(ctx, password)
	if refused != nil && asRefusal(refused) == nil {
		return "", refused
	}
	actor := Actor{Kind: Person, ID: account.ID, Name: account.UserName, RequestID: requestID}
	ev := event{action: "password.reset", targetKind: "User", targetID: account.ID, targetName: account.UserName}
	browser = randomText()
	err = s.mutateIf(ctx, actor, refused, &ev, func(t *tx) error {
		before, err := t.reset(token, t.now)
		if err != nil {
			return err
		}
		after := before.copy()
		after.passwordHash = hash
		if err := t.saveAccount(&ev, before, after); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM password_resets WHERE account_id = ?`, before.ID); err != nil {
			return err
		}
		return t.rememberBrowser(before.ID, browser)
	})
	if err != nil {
		return "", err
	}
	return browser, nil
}

// VisitorRefused audits what a visitor who is not signed in was refused. The caller limits how
// often: a visitor must not fill the disk.
func (s *Store) VisitorRefused(ctx context.Context, requestID, action string, refusal *portalapi.Error) error {
	return s.auditRefusal(ctx, Actor{Kind: Visitor, RequestID: requestID}, &event{action: action, targetKind: "User"}, refusal)
}
