// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// PendingFor is the time within which a sign-in must be finished with the second factor.
const PendingFor = 10 * time.Minute

// CodeSignIn is an attempt to finish a sign-in with the second factor: one of both codes.
type CodeSignIn struct {
	Pending  string // from SignIn
	Code     string // of the user's device
	Recovery string // of the user's list

	Browser   string // the secret of the browser's cookie from an earlier sign-in; may be empty
	RequestID string
}

// suspend makes the sign-in wait for the second factor.
func (t *tx) suspend(account *Account) (*SignedIn, error) {
	in := &SignedIn{Pending: randomText()}
	if _, err := t.exec(`DELETE FROM pending_sign_ins WHERE expires_at <= ?`, micros(t.now)); err != nil {
		return nil, err
	}
	_, err := t.exec(`INSERT INTO pending_sign_ins (token_sha256, account_id, epoch, expires_at) VALUES (?, ?, ?, ?)`,
		digest(in.Pending), account.ID, account.epoch, micros(t.now.Add(PendingFor)))
	return in, err
}

// pending returns the account of a sign-in that waits for the second factor, or UNAUTHENTICATED.
func (c *conn) pending(token string, now time.Time) (*Account, error) {
	over := refuse(portalapi.CodeUnauthenticated, "the sign-in took too long, or the user was changed meanwhile; sign in again")
	var id string
	var epoch, expires int64
	err := c.row(`SELECT account_id, epoch, expires_at FROM pending_sign_ins WHERE token_sha256 = ?`, digest(token)).Scan(&id, &epoch, &expires)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, over
	case err != nil:
		return nil, err
	}
	account, err := c.account("user "+id, `WHERE id = ?`, id)
	if err == nil && (!now.Before(fromMicros(expires)) || epoch != account.epoch || !account.active()) {
		err = over
	}
	if err != nil {
		return nil, err
	}
	return account, nil
}

// Pending returns the account of a sign-in that waits for the second factor, or UNAUTHENTICATED.
func (s *Store) Pending(ctx context.Context, token string) (account *Account, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		account, err = c.pending(token, s.now())
		return err
	})
	return account, err
}

// FinishSignIn finishes a sign-in with the second factor. A code is accepted once. Refusals:
// UNAUTHENTICATED if the sign-in is over and RATE_LIMITED, which are not audited, because the
// caller limits how often they are; FORBIDDEN for a wrong code, which is audited.
func (s *Store) FinishSignIn(ctx context.Context, a CodeSignIn, ttl time.Duration) (*SignedIn, error) {
	account, err := s.Pending(ctx, a.Pending)
	if err != nil {
		return nil, err
	}
	browser, err := s.knownBrowser(ctx, account.UserName, a.Browser)
	if err != nil {
		return nil, err
	}
	budgets := codeBudgets(browser, account.ID)
	if err := s.available(ctx, budgets); err != nil {
		return nil, err
	}
	if err := s.reserve(ctx, budgets); err != nil {
		return nil, err
	}
	var in *SignedIn
	err = s.inTx(ctx, func(t *tx) (err error) {
		t.actor.RequestID = a.RequestID
		if account, err = t.pending(a.Pending, t.now); err != nil {
			return err
		}
		if err := t.acceptCode(account, a); err != nil {
			return err
		}
		if _, err := t.exec(`DELETE FROM pending_sign_ins WHERE token_sha256 = ?`, digest(a.Pending)); err != nil {
			return err
		}
		if err := t.giveBack(budgets); err != nil {
			return err
		}
		in, err = t.complete(account, MethodPasswordAndCode, browser, ttl)
		return err
	})
	if refusal := asRefusal(err); refusal != nil {
		err = refusal
		if refusal.Code == portalapi.CodeForbidden {
			if err := s.signInFailed(ctx, a.RequestID, MethodPasswordAndCode, account, refusal); err != nil {
				return nil, err
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return in, nil
}

// acceptCode uses up the code of the attempt, or returns FORBIDDEN.
func (t *tx) acceptCode(account *Account, a CodeSignIn) error {
	if a.Recovery != "" {
		n, err := t.exec(`DELETE FROM recovery_codes WHERE account_id = ? AND sha256 = ?`, account.ID, recoveryDigest(a.Recovery))
		if err == nil && n == 0 {
			err = refuse(portalapi.CodeForbidden, "the recovery code is wrong or was used")
		}
		return err
	}
	factor, err := t.secondFactor(account.ID)
	if err != nil {
		return err
	}
	wrong := refuse(portalapi.CodeForbidden, "the code is wrong, too old or was used; type the code that your device shows now")
	if factor == nil {
		return wrong
	}
	step, ok := acceptTOTP(factor.secret, digits(a.Code), t.now, factor.lastStep)
	if !ok {
		return wrong
	}
	_, err = t.exec(`UPDATE second_factors SET last_step = ? WHERE account_id = ?`, step, account.ID)
	return err
}
