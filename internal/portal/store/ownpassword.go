// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// ownBudget limits guesses at the password of a user from one of the user's sessions.
func ownBudget(accountID string) []budget {
	return []budget{{"own password " + accountID, 10, 90 * time.Second}}
}

// ownPassword returns the actor's account if password is its current password. A session alone must
// not be enough to change how its user signs in. Refusals: FORBIDDEN, RATE_LIMITED, OVERLOADED.
func (s *Store) ownPassword(ctx context.Context, actor Actor, password string) (*Account, error) {
	account, err := s.Account(ctx, actor.ID)
	if err != nil {
		return nil, err
	}
	if actor.Kind != Person || !account.HasPassword() {
		return nil, refuse(portalapi.CodeForbidden, "your user has no password; a manager can make a link with which you set one")
	}
	budgets := ownBudget(account.ID)
	fits := false
	err = s.hashing.enter(func() error {
		if err := s.reserve(ctx, budgets); err != nil {
			return err
		}
		return s.hashing.turn(ctx, func() { fits = passwordFits(account.passwordHash, password) })
	})
	if err != nil {
		return nil, err
	}
	if !fits {
		return nil, refuse(portalapi.CodeForbidden, "the current password is wrong")
	}
	return account, s.giveBack(ctx, budgets)
}

// ChangePassword changes the password of the session's user, who gives the current one. All
// sessions of the user end; the session continues as a new one with the returned secret. Refusals:
// those of ownPassword, INVALID, STALE_REVISION.
func (s *Store) ChangePassword(ctx context.Context, actor Actor, session *Session, current, password string, ttl time.Duration) (token string, err error) {
	ev := event{action: "password.change", targetKind: "User", targetID: actor.ID, targetName: actor.Name}
	checked, refused := s.ownPassword(ctx, actor, current)
	if refused != nil && asRefusal(refused) == nil {
		return "", refused
	}
	var hash string
	if refused == nil {
		if hash, refused = s.requiredPassword(ctx, password); refused == nil && password == current {
			refused = refuse(portalapi.CodeInvalid, "the new password is the current one; choose another")
		}
	}
	token = randomText()
	err = s.mutateIf(ctx, actor, refused, &ev, func(t *tx) error {
		before, err := t.account("user "+actor.ID, `WHERE id = ?`, actor.ID)
		if err != nil {
			return err
		}
		if before.passwordHash != checked.passwordHash || !before.active() {
			return refuse(portalapi.CodeStaleRevision, "your user was changed meanwhile; reload the page and try again")
		}
		after := before.copy()
		after.passwordHash = hash
		if err := t.saveAccount(&ev, before, after); err != nil {
			return err
		}
		return t.insertSession(after, session.Method, token, ttl)
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// requiredPassword is newPassword for a user who must not leave it empty.
func (s *Store) requiredPassword(ctx context.Context, password string) (string, error) {
	hash, err := s.newPassword(ctx, password)
	if err == nil && hash == "" {
		err = refuse(portalapi.CodeInvalid, "type a new password")
	}
	return hash, err
}
