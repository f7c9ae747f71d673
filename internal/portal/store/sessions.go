// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// The ways to sign in, as they appear in sessions and in the audit.
const (
	MethodPassword = "password" // signed in with a password
	MethodSSO      = "sso"      // signed in through the identity provider
)

// Session is one signed-in browser.
type Session struct {
	Account   *Account
	Method    string
	ExpiresAt time.Time
}

// CheckPassword returns the account of the user name if the password is right and the user may sign
// in with it: SCIM-managed users may not while SSO is on. Every other outcome is UNAUTHENTICATED,
// with the same message and after the same amount of work.
func (s *Store) CheckPassword(ctx context.Context, userName, password string) (*Account, error) {
	wrong := refuse(portalapi.CodeUnauthenticated, "the user name or the password is wrong, or this user may not sign in with a password")
	account, err := s.AccountByName(ctx, userName)
	if err != nil && asRefusal(err) == nil {
		return nil, err
	}
	hash := decoy
	if account != nil && account.HasPassword() {
		hash = account.passwordHash
	}
	fits := passwordFits(hash, password)
	config, err := s.Configuration(ctx)
	if err != nil {
		return nil, err
	}
	onlySSO := account != nil && account.ManagedBy == portalapi.ManagedBySCIM && config.SSO.Enabled
	if !fits || account == nil || !account.HasPassword() || !account.active() || onlySSO {
		if err := s.signInFailed(ctx, account, wrong); err != nil {
			return nil, err
		}
		return nil, wrong
	}
	return account, nil
}

// signInFailed audits a failed attempt on an existing user name. Attempts on unknown names are not
// audited: they would only fill the disk.
func (s *Store) signInFailed(ctx context.Context, account *Account, refusal *portalapi.Error) error {
	if account == nil {
		return nil
	}
	return s.auditRefusal(ctx, Actor{Kind: Person, ID: account.ID, Name: account.UserName},
		&event{action: "session.start", targetKind: "User", targetID: account.ID, targetName: account.UserName}, refusal)
}

// AccountForSSO returns the active account for the identity that the provider asserts: the account
// with that user name, or else the only account with that e-mail address. Pass an address only if
// the provider verified it. It returns UNAUTHENTICATED if there is no such account.
func (s *Store) AccountForSSO(ctx context.Context, userName, email string) (*Account, error) {
	var found []Account
	err := s.inSnapshot(ctx, func(c *conn) (err error) {
		if userName != "" {
			found, err = c.accounts(`WHERE user_name_folded = ?`, names.Fold(userName))
		}
		if err == nil && len(found) == 0 && email != "" {
			found, err = c.accounts(`WHERE email_folded = ? LIMIT 2`, names.Fold(email))
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) != 1:
		return nil, refuse(portalapi.CodeUnauthenticated, "your identity provider knows you, but the portal has no user for you; ask your administrator to assign this application to you")
	case !found[0].active():
		return nil, refuse(portalapi.CodeUnauthenticated, "your user in the portal is deactivated; ask your administrator")
	}
	return &found[0], nil
}

// StartSession signs the account in for the given time and returns the secret for its cookie. The
// portal stores only a digest.
func (s *Store) StartSession(ctx context.Context, account *Account, method string, ttl time.Duration) (token string, err error) {
	token = randomText()
	ev := event{action: "session.start", targetKind: "User", targetID: account.ID, targetName: account.UserName}
	ev.changes = []FieldChange{{Field: "method", To: method}}
	err = s.inTx(ctx, func(t *tx) error {
		t.actor = Actor{Kind: Person, ID: account.ID, Name: account.UserName}
		if _, err := t.exec(`DELETE FROM sessions WHERE expires_at <= ?`, micros(t.now)); err != nil {
			return err
		}
		n, err := t.exec(`UPDATE accounts SET last_sign_in_at = ? WHERE id = ? AND status = 'Active'`, micros(t.now), account.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			return refuse(portalapi.CodeUnauthenticated, "this user can no longer sign in")
		}
		if _, err := t.exec(`INSERT INTO sessions (token_sha256, account_id, method, created_at, expires_at) VALUES (?, ?, ?, ?, ?)`,
			digest(token), account.ID, method, micros(t.now), micros(t.now.Add(ttl))); err != nil {
			return err
		}
		return t.audit(&ev, nil)
	})
	return token, err
}

// Session returns the session of the cookie's secret, or UNAUTHENTICATED: the secret is unknown or
// expired, or the user is deactivated.
func (s *Store) Session(ctx context.Context, token string) (*Session, error) {
	var session Session
	err := s.inSnapshot(ctx, func(c *conn) error {
		var id string
		var expires int64
		err := c.row(`SELECT account_id, method, expires_at FROM sessions WHERE token_sha256 = ?`, digest(token)).Scan(&id, &session.Method, &expires)
		if err != nil {
			return err
		}
		session.ExpiresAt = fromMicros(expires)
		session.Account, err = c.account("user "+id, `WHERE id = ?`, id)
		return err
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return nil, err
	case s.now().Before(session.ExpiresAt) && session.Account.active():
		return &session, nil
	}
	return nil, refuse(portalapi.CodeUnauthenticated, "the session has ended; sign in again")
}

// EndSession signs the browser out. An unknown secret is no error.
func (s *Store) EndSession(ctx context.Context, token string) error {
	_, err := s.write.ExecContext(ctx, s.dialect.rebind(`DELETE FROM sessions WHERE token_sha256 = ?`), digest(token))
	return err
}

// EnsureManager creates a local manager with the password, unless a local manager who can sign in
// exists.
func (s *Store) EnsureManager(ctx context.Context, actor Actor, userName, password string) error {
	hash, err := newPassword(password)
	if err != nil {
		return err
	}
	if hash == "" {
		return refuse(portalapi.CodeInvalid, "the first manager %q needs a password", userName)
	}
	ev := event{action: "user.create", targetKind: "User", targetName: userName}
	return s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		exists, err := t.managerLeft(false)
		if exists || err != nil {
			return err
		}
		after := &Account{Account: portalapi.Account{ID: newID(), UserName: userName, DisplayName: userName, ManagedBy: portalapi.ManagedByLocal,
			DirectRoles: []string{portalapi.RoleManager}}, passwordHash: hash}
		after.setStatus(true, portalapi.ManagedByLocal)
		return t.saveAccount(&ev, nil, after)
	})
}
