// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"time"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// PasswordSignIn is an attempt to sign in with a password.
type PasswordSignIn struct {
	UserName, Password string

	Network   string // where it comes from: an IPv4 address, or the /64 of an IPv6 address
	Browser   string // the secret of the browser's cookie from an earlier sign-in; may be empty
	RequestID string
}

// SignedIn is the result of a sign-in: the secrets of the browser's cookies. Either Pending is set,
// or the others are.
type SignedIn struct {
	Pending string // the password was right, and FinishSignIn needs the second factor
	Session string
	Browser string // marks the browser as one in which this user has signed in
}

// SignIn signs a user in with a password. The attempt is reserved in its budgets before the
// password is checked, and given back if it is right. Refusals: UNAUTHENTICATED, which is audited,
// and RATE_LIMITED and OVERLOADED, which are not, because the caller limits how often they are.
func (s *Store) SignIn(ctx context.Context, a PasswordSignIn, ttl time.Duration) (*SignedIn, error) {
	browser, err := s.knownBrowser(ctx, a.UserName, a.Browser)
	if err != nil {
		return nil, err
	}
	budgets := passwordBudgets(browser, a.Network, a.UserName)
	if err := s.available(ctx, budgets); err != nil {
		return nil, err
	}
	var account *Account
	err = s.hashing.enter(func() error {
		err := s.reserve(ctx, budgets)
		if err == nil {
			account, err = s.checkPassword(ctx, a)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var in *SignedIn
	err = s.inTx(ctx, func(t *tx) error {
		t.actor.RequestID = a.RequestID
		if err := t.giveBack(budgets); err != nil {
			return err
		}
		factor, err := t.secondFactor(account.ID)
		if err != nil {
			return err
		}
		if factor != nil {
			in, err = t.suspend(account)
			return err
		}
		in, err = t.complete(account, MethodPassword, browser, ttl)
		return err
	})
	if refusal := asRefusal(err); refusal != nil {
		err = refusal
		if err := s.signInFailed(ctx, a.RequestID, MethodPassword, account, refusal); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	return in, nil
}

// complete starts the session of a sign-in and makes its browser known.
func (t *tx) complete(account *Account, method, browser string, ttl time.Duration) (*SignedIn, error) {
	in := &SignedIn{Session: randomText(), Browser: browser}
	if in.Browser == "" {
		in.Browser = randomText()
	}
	if err := t.startSession(account, method, in.Session, ttl); err != nil {
		return nil, err
	}
	return in, t.rememberBrowser(account.ID, in.Browser)
}

// CheckPassword returns the account of the user name if the password is right and the user may sign
// in with it: SCIM-managed users may not while SSO is on. Every other outcome is UNAUTHENTICATED,
// with the same message and after the same amount of work. It has no limit but the queue.
func (s *Store) CheckPassword(ctx context.Context, userName, password string) (account *Account, err error) {
	err = s.hashing.enter(func() error {
		account, err = s.checkPassword(ctx, PasswordSignIn{UserName: userName, Password: password})
		return err
	})
	return account, err
}

// checkPassword is CheckPassword for a caller that has a place in the queue.
func (s *Store) checkPassword(ctx context.Context, a PasswordSignIn) (*Account, error) {
	wrong := refuse(portalapi.CodeUnauthenticated, "the user name or the password is wrong, or this user may not sign in with a password")
	account, err := s.AccountByName(ctx, a.UserName)
	if err != nil && asRefusal(err) == nil {
		return nil, err
	}
	hash := decoy
	if account != nil && account.HasPassword() {
		hash = account.passwordHash
	}
	var fits bool
	if err := s.hashing.turn(ctx, func() { fits = passwordFits(hash, a.Password) }); err != nil {
		return nil, err
	}
	config, err := s.Configuration(ctx)
	if err != nil {
		return nil, err
	}
	onlySSO := account != nil && account.ManagedBy == portalapi.ManagedBySCIM && config.SSO.Enabled
	if !fits || account == nil || !account.HasPassword() || !account.active() || onlySSO {
		if err := s.signInFailed(ctx, a.RequestID, MethodPassword, account, wrong); err != nil {
			return nil, err
		}
		return nil, wrong
	}
	return account, nil
}

// signInFailed audits a failed attempt by the method. It never stores an unknown user name: it
// may be a password that was typed into the wrong field.
func (s *Store) signInFailed(ctx context.Context, requestID, method string, account *Account, refusal *portalapi.Error) error {
	if account == nil {
		return s.SignInRefused(ctx, requestID, method, "", refusal)
	}
	return s.auditRefusal(ctx, Actor{Kind: Person, ID: account.ID, Name: account.UserName, RequestID: requestID},
		&event{action: "session.start", targetKind: "User", targetID: account.ID, targetName: account.UserName,
			changes: []FieldChange{{Field: "method", To: method}}}, refusal)
}

// SignInRefused audits a sign-in that was refused before anything was checked, with the account of
// the user name if there is one. The caller limits how often: a visitor must not fill the disk.
func (s *Store) SignInRefused(ctx context.Context, requestID, method, userName string, refusal *portalapi.Error) error {
	ev := event{action: "session.start", targetKind: "User", changes: []FieldChange{{Field: "method", To: method}}}
	if userName != "" {
		account, err := s.AccountByName(ctx, userName)
		if err != nil && asRefusal(err) == nil {
			return err
		}
		if account != nil {
			ev.targetID, ev.targetName = account.ID, account.UserName
		}
	}
	return s.auditRefusal(ctx, Actor{Kind: Visitor, RequestID: requestID}, &ev, refusal)
}

// EnsureManager makes sure that a local manager who can sign in with a password exists: if there is
// none, it creates the user with the password or, if the local user exists, activates it, sets its
// password and grants it the role. Refusals: INVALID if the password is too short, DUPLICATE_USER
// if SCIM manages the user with the name.
func (s *Store) EnsureManager(ctx context.Context, actor Actor, userName, password string) error {
	exists := false
	if err := s.inSnapshot(ctx, func(c *conn) (err error) {
		exists, err = c.managerLeft()
		return err
	}); exists || err != nil {
		return err
	}
	hash, hashErr := s.newPassword(ctx, password)
	if hashErr == nil && hash == "" {
		hashErr = refuse(portalapi.CodeInvalid, "the first manager needs a password")
	}
	ev := event{action: "user.create", targetKind: "User", targetName: userName}
	return s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		exists, err := t.managerLeft()
		if exists || err != nil {
			return err
		}
		if hashErr != nil {
			return hashErr
		}
		before, err := t.maybeAccount(`WHERE user_name_folded = ?`, names.Fold(userName))
		if err != nil {
			return err
		}
		after := &Account{Account: portalapi.Account{ID: newID(), UserName: userName, DisplayName: userName, ManagedBy: portalapi.ManagedByLocal}}
		if before != nil {
			if before.ManagedBy == portalapi.ManagedBySCIM {
				return refuse(portalapi.CodeDuplicateUser, "SCIM manages the user with the name of the first manager; choose another name")
			}
			ev.action, ev.targetID = "user.update", before.ID
			after = before.copy()
		}
		after.passwordHash, after.HandedOver = hash, false
		after.DirectRoles = sortedSet(append(after.DirectRoles, portalapi.RoleManager))
		after.setStatus(true, portalapi.ManagedByLocal)
		return t.saveAccount(&ev, before, after)
	})
}
