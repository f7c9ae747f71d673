// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// The ways to sign in, as they appear in sessions and in the audit.
const (
	MethodPassword = "password" // signed in with a password
	MethodSSO      = "sso"      // signed in through the identity provider

	MethodPasswordAndCode = "password and code" // signed in with a password and a code of the second factor
)

// Session is one signed-in browser.
type Session struct {
	ID         string   // a digest of its cookie's secret
	Account    *Account // nil in lists
	Method     string
	CreatedAt  time.Time
	LastSeenAt time.Time // to the minute
	ExpiresAt  time.Time // also when it is in use
	// Unfinished means that the user must set up a second factor before anything else.
	Unfinished bool

	epoch, ssoEpoch int64
}

// ended reports whether the session is over: its time is up, no request came for idle, or who may
// sign in was decided again since it began.
func (s *Session) ended(a *Account, config *Configuration, now time.Time, idle time.Duration) bool {
	throughOldSSO := s.Method == MethodSSO && (!config.SSO.Enabled || s.ssoEpoch != config.ssoEpoch)
	return !now.Before(s.ExpiresAt) || now.Sub(s.LastSeenAt) >= idle || !a.active() || s.epoch != a.epoch || throughOldSSO
}

// StartSession signs the account in for the given time and returns the secret for its cookie. The
// portal stores only a digest. It is refused if who may sign in as this user was decided again
// since account was read.
func (s *Store) StartSession(ctx context.Context, account *Account, method string, ttl time.Duration) (token string, err error) {
	token = randomText()
	err = s.inTx(ctx, func(t *tx) error { return t.startSession(account, method, token, ttl) })
	if refusal := asRefusal(err); refusal != nil {
		if err := s.signInFailed(ctx, "", method, account, refusal); err != nil {
			return "", err
		}
	}
	return token, err
}

func (t *tx) startSession(account *Account, method, token string, ttl time.Duration) error {
	t.actor = Actor{Kind: Person, ID: account.ID, Name: account.UserName, RequestID: t.actor.RequestID}
	if _, err := t.exec(`DELETE FROM sessions WHERE expires_at <= ?`, micros(t.now)); err != nil {
		return err
	}
	config, err := t.configuration()
	if err != nil {
		return err
	}
	if method == MethodSSO && !config.SSO.Enabled {
		return refuse(portalapi.CodeUnauthenticated, "single sign-on was switched off; sign in with user name and password")
	}
	n, err := t.exec(`UPDATE accounts SET last_sign_in_at = ? WHERE id = ? AND status = 'Active' AND session_epoch = ?`, micros(t.now), account.ID, account.epoch)
	if err != nil {
		return err
	}
	if n == 0 {
		return refuse(portalapi.CodeUnauthenticated, "this user was changed while you signed in; sign in again")
	}
	if err := t.insertSession(account, method, token, ttl); err != nil {
		return err
	}
	return t.audit(&event{action: "session.start", targetKind: "User", targetID: account.ID, targetName: account.UserName,
		changes: []FieldChange{{Field: "method", To: method}}}, nil)
}

func (t *tx) insertSession(account *Account, method, token string, ttl time.Duration) error {
	config, err := t.configuration()
	if err != nil {
		return err
	}
	_, err = t.exec(`INSERT INTO sessions (token_sha256, account_id, method, epoch, sso_epoch, created_at, last_seen_at, expires_at) VALUES (`+marks(8)+`)`,
		digest(token), account.ID, method, account.epoch, config.ssoEpoch, micros(t.now), micros(t.now), micros(t.now.Add(ttl)))
	return err
}

const sessionColumns = `token_sha256, method, epoch, sso_epoch, created_at, last_seen_at, expires_at`

func scanSession(scan func(...any) error, more ...any) (Session, error) {
	var session Session
	var created, seen, expires int64
	err := scan(append([]any{&session.ID, &session.Method, &session.epoch, &session.ssoEpoch, &created, &seen, &expires}, more...)...)
	session.CreatedAt, session.LastSeenAt, session.ExpiresAt = fromMicros(created), fromMicros(seen), fromMicros(expires)
	return session, err
}

// Session returns the session of the cookie's secret and records that it is in use, or returns
// UNAUTHENTICATED: the secret is unknown, or the session has ended.
func (s *Store) Session(ctx context.Context, token string) (*Session, error) {
	over := refuse(portalapi.CodeUnauthenticated, "the session has ended; sign in again")
	var session Session
	now := s.now()
	err := s.inSnapshot(ctx, func(c *conn) error {
		var id string
		var err error
		if session, err = scanSession(c.row(`SELECT `+sessionColumns+`, account_id FROM sessions WHERE token_sha256 = ?`, digest(token)).Scan, &id); err != nil {
			return err
		}
		config, err := c.configuration()
		if err != nil {
			return err
		}
		if session.Account, err = c.account("user "+id, `WHERE id = ?`, id); err != nil {
			return err
		}
		if session.ended(session.Account, config, now, s.idle) {
			return over
		}
		return nil
	})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, over
	case err != nil:
		return nil, err
	}
	session.Unfinished = s.secondFactor && session.Method == MethodPassword && session.Account.IsManager()
	return &session, s.seen(ctx, &session, now)
}

// seen records the use of a session, at most once a minute.
func (s *Store) seen(ctx context.Context, session *Session, now time.Time) error {
	if now.Sub(session.LastSeenAt) < min(time.Minute, s.idle/4) {
		return nil
	}
	_, err := s.write.ExecContext(ctx, s.dialect.rebind(`UPDATE sessions SET last_seen_at = ? WHERE token_sha256 = ? AND last_seen_at < ?`), micros(now), session.ID, micros(now))
	return err
}

// Sessions returns the account's sessions that have not ended, the newest first.
func (s *Store) Sessions(ctx context.Context, account *Account) ([]Session, error) {
	var all []Session
	err := s.inSnapshot(ctx, func(c *conn) error {
		config, err := c.configuration()
		if err != nil {
			return err
		}
		return c.each(func(rows *sql.Rows) error {
			session, err := scanSession(rows.Scan)
			if err == nil && !session.ended(account, config, s.now(), s.idle) {
				all = append(all, session)
			}
			return err
		}, `SELECT `+sessionColumns+` FROM sessions WHERE account_id = ? ORDER BY created_at DESC, token_sha256`, account.ID)
	})
	return all, err
}

// EndSessions signs the user out of every browser. Users may do it for themselves, managers for
// every user, also one that SCIM manages. Refusals: FORBIDDEN, NOT_FOUND.
func (s *Store) EndSessions(ctx context.Context, actor Actor, id string) error {
	ev := event{action: "session.end-all", targetKind: "User", targetID: id}
	return s.mutateIf(ctx, actor, actor.ownOr(ScopeManage, id), &ev, func(t *tx) error {
		account, err := t.account("user "+id, `WHERE id = ?`, id)
		if err != nil {
			return err
		}
		ev.targetName = account.UserName
		return t.endSessions(id)
	})
}

// endSessions raises the account's epoch without a change of the record.
func (t *tx) endSessions(id string) error {
	t.changed = true
	_, err := t.exec(`UPDATE accounts SET session_epoch = session_epoch + 1 WHERE id = ?`, id)
	return err
}

// EndSession signs the browser out. An unknown secret is no error.
func (s *Store) EndSession(ctx context.Context, token string) error {
	_, err := s.write.ExecContext(ctx, s.dialect.rebind(`DELETE FROM sessions WHERE token_sha256 = ?`), digest(token))
	return err
}
