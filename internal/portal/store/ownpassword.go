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

// ConfirmPassword checks the current password of the actor before the action begins, and audits a
// refusal. Refusals: those of ownPassword.
func (s *Store) ConfirmPassword(ctx context.Context, actor Actor, action, password string) error {
	_, err := s.ownPassword(ctx, actor, password)
	if refusal := asRefusal(err); refusal != nil {
		ev := event{action: action, targetKind: "User", targetID: actor.ID, targetName: actor.Name}
		if err := s.auditRefusal(ctx, actor, &ev, refusal); err != nil {
			return err
		}
	}
	return err
}

// OwnChange is a change of how the user of a session signs in. It needs the current password: a
// session alone is not enough.
type OwnChange struct {
	Actor    Actor
	Session  *Session
	Password string // the current one
	TTL      time.Duration
}

// changeOwn checks the current password of the session's user, prepares, and audits change as the
// action. All sessions of the user end; this one continues as a new one by the method, with the
// returned secret.
func (s *Store) changeOwn(ctx context.Context, o OwnChange, action, method string, prepare func() error, change func(*tx, *event, *Account) error) (token string, err error) {
	ev := event{action: action, targetKind: "User", targetID: o.Actor.ID, targetName: o.Actor.Name}
	checked, refused := s.ownPassword(ctx, o.Actor, o.Password)
	if refused == nil && prepare != nil {
		refused = prepare()
	}
	if refused != nil && asRefusal(refused) == nil {
		return "", refused
	}
	token = randomText()
	err = s.mutateIf(ctx, o.Actor, refused, &ev, func(t *tx) error {
		before, err := t.account("user "+o.Actor.ID, `WHERE id = ?`, o.Actor.ID)
		if err != nil {
			return err
		}
		if before.epoch != checked.epoch {
			return refuse(portalapi.CodeStaleRevision, "your user was changed meanwhile; reload the page and try again")
		}
		if err := change(t, &ev, before); err != nil {
			return err
		}
		after, err := t.account("user "+o.Actor.ID, `WHERE id = ?`, o.Actor.ID)
		if err != nil {
			return err
		}
		if after.epoch == before.epoch {
			if err := t.endSessions(after.ID); err != nil {
				return err
			}
			after.epoch++
		}
		return t.insertSession(after, method, token, o.TTL)
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// ChangePassword changes the password of the session's user. All sessions of the user end; this one
// continues as a new one with the returned secret. Refusals: FORBIDDEN, RATE_LIMITED, OVERLOADED,
// INVALID, STALE_REVISION.
func (s *Store) ChangePassword(ctx context.Context, o OwnChange, password string) (token string, err error) {
	var hash string
	prepare := func() (err error) {
		if hash, err = s.requiredPassword(ctx, password); err == nil && password == o.Password {
			err = refuse(portalapi.CodeInvalid, "the new password is the current one; choose another")
		}
		return err
	}
	return s.changeOwn(ctx, o, "password.change", o.Session.Method, prepare, func(t *tx, ev *event, before *Account) error {
		after := before.copy()
		after.passwordHash = hash
		return t.saveAccount(ev, before, after)
	})
}

// requiredPassword is newPassword for a user who must not leave it empty.
func (s *Store) requiredPassword(ctx context.Context, password string) (string, error) {
	hash, err := s.newPassword(ctx, password)
	if err == nil && hash == "" {
		err = refuse(portalapi.CodeInvalid, "type a new password")
	}
	return hash, err
}
