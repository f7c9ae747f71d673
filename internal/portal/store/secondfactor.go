// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

const (
	// recoveryCodes is the number of recovery codes that a user gets.
	recoveryCodes = 10
	// recoverySize is the size of one, in bytes: too large to guess, so a fast digest is enough.
	recoverySize = 10
)

// SecondFactor is the second factor of an account, without its secrets.
type SecondFactor struct {
	Since         time.Time
	RecoveryCodes int // that are left

	secret   string
	lastStep int64
}

// SecondFactor returns the second factor of the account, or nil if it has none.
func (s *Store) SecondFactor(ctx context.Context, accountID string) (f *SecondFactor, err error) {
	err = s.inSnapshot(ctx, func(c *conn) error {
		f, err = c.secondFactor(accountID)
		return err
	})
	return f, err
}

func (c *conn) secondFactor(accountID string) (*SecondFactor, error) {
	var f SecondFactor
	var since int64
	err := c.row(`SELECT secret, last_step, confirmed_at, (SELECT COUNT(*) FROM recovery_codes r WHERE r.account_id = f.account_id)
		FROM second_factors f WHERE account_id = ?`, accountID).Scan(&f.secret, &f.lastStep, &since, &f.RecoveryCodes)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // most accounts have none
	}
	if err != nil {
		return nil, err
	}
	f.Since = fromMicros(since)
	f.secret, err = c.vault.open(factorPurpose(accountID), f.secret)
	return &f, err
}

// AddSecondFactor makes the codes of the secret the second factor of the session's user, who has
// typed one of them. All sessions of the user end; this one continues as a new one with the
// returned secret. The codes for a lost device are returned once. Refusals: those of
// ChangePassword.
func (s *Store) AddSecondFactor(ctx context.Context, o OwnChange, secret, code string) (codes []string, token string, err error) {
	token, err = s.changeOwn(ctx, o, "second-factor.add", MethodPasswordAndCode, nil, func(t *tx, _ *event, account *Account) error {
		have, err := t.secondFactor(account.ID)
		if err != nil {
			return err
		}
		if have != nil {
			return refuse(portalapi.CodeInvalid, "you have a second factor; remove it before you set up another one")
		}
		if !validTOTPSecret(secret) {
			return refuse(portalapi.CodeInvalid, "the form has no secret; reload the page and begin again")
		}
		step, ok := acceptTOTP(secret, digits(code), t.now, 0)
		if !ok {
			return refuse(portalapi.CodeInvalid, "the code does not fit the secret; check that the clock of your device is right and type the code that it shows now")
		}
		sealed, err := t.vault.seal(factorPurpose(account.ID), secret)
		if err != nil {
			return err
		}
		if _, err := t.exec(`INSERT INTO second_factors (account_id, secret, last_step, confirmed_at) VALUES (?, ?, ?, ?)`, account.ID, sealed, step, micros(t.now)); err != nil {
			return err
		}
		codes, err = t.newRecoveryCodes(account.ID)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return codes, token, nil
}

// RemoveOwnSecondFactor removes the second factor of the session's user. All sessions of the user
// end; this one continues as a new one with the returned secret. Refusals: those of ChangePassword,
// NOT_FOUND.
func (s *Store) RemoveOwnSecondFactor(ctx context.Context, o OwnChange) (token string, err error) {
	return s.changeOwn(ctx, o, "second-factor.remove", MethodPassword, nil, func(t *tx, _ *event, account *Account) error { return t.removeSecondFactor(account) })
}

// ReplaceRecoveryCodes replaces the codes for a lost device of the session's user and returns the
// new ones once. All sessions of the user end; this one continues as a new one with the returned
// secret. Refusals: those of ChangePassword, NOT_FOUND.
func (s *Store) ReplaceRecoveryCodes(ctx context.Context, o OwnChange) (codes []string, token string, err error) {
	token, err = s.changeOwn(ctx, o, "second-factor.codes", o.Session.Method, nil, func(t *tx, _ *event, account *Account) error {
		have, err := t.secondFactor(account.ID)
		if err == nil && have == nil {
			err = noSecondFactor(account)
		}
		if err == nil {
			codes, err = t.newRecoveryCodes(account.ID)
		}
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return codes, token, nil
}

// RemoveSecondFactor removes the second factor of another user, who lost the device, and ends the
// user's sessions. Refusals: FORBIDDEN (also for the actor's own account), NOT_FOUND.
func (s *Store) RemoveSecondFactor(ctx context.Context, actor Actor, accountID string) error {
	return s.dropSecondFactor(ctx, actor, "id", accountID)
}

// RemoveSecondFactorByName is RemoveSecondFactor for the user with the name.
func (s *Store) RemoveSecondFactorByName(ctx context.Context, actor Actor, userName string) error {
	return s.dropSecondFactor(ctx, actor, "user_name_folded", names.Fold(userName))
}

func (s *Store) dropSecondFactor(ctx context.Context, actor Actor, column, value string) error {
	ev := event{action: "second-factor.remove", targetKind: "User"}
	return s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		account, err := t.account("user "+value, `WHERE `+column+` = ?`, value)
		if err != nil {
			return err
		}
		ev.targetID, ev.targetName = account.ID, account.UserName
		if actor.Kind == Person && actor.ID == account.ID {
			return refuse(portalapi.CodeForbidden, "remove your own second factor on My profile, where your password is asked for")
		}
		if err := t.removeSecondFactor(account); err != nil {
			return err
		}
		return t.endSessions(account.ID)
	})
}

func (t *tx) removeSecondFactor(account *Account) error {
	n, err := t.exec(`DELETE FROM second_factors WHERE account_id = ?`, account.ID)
	if err == nil && n == 0 {
		err = noSecondFactor(account)
	}
	if err == nil {
		_, err = t.exec(`DELETE FROM recovery_codes WHERE account_id = ?`, account.ID)
	}
	return err
}

func noSecondFactor(account *Account) error {
	return refuse(portalapi.CodeNotFound, "%q has no second factor", account.UserName)
}

func (t *tx) newRecoveryCodes(accountID string) ([]string, error) {
	if _, err := t.exec(`DELETE FROM recovery_codes WHERE account_id = ?`, accountID); err != nil {
		return nil, err
	}
	codes := make([]string, recoveryCodes)
	for i := range codes {
		var b [recoverySize]byte
		_, _ = rand.Read(b[:]) // crypto/rand never returns an error
		text := strings.ToLower(base32Text.EncodeToString(b[:]))
		codes[i] = text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
		if _, err := t.exec(`INSERT INTO recovery_codes (account_id, sha256) VALUES (?, ?)`, accountID, recoveryDigest(codes[i])); err != nil {
			return nil, err
		}
	}
	return codes, nil
}

// recoveryDigest is the digest of a recovery code, however the user wrote it.
func recoveryDigest(code string) string {
	return digest(strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(code)))
}

// digits returns a code without the spaces that apps show in it.
func digits(code string) string { return strings.ReplaceAll(code, " ", "") }
