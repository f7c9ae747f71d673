// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

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

// signInFailed audits a failed attempt with a password. It never stores an unknown user name: it
// may be a password that was typed into the wrong field.
func (s *Store) signInFailed(ctx context.Context, account *Account, refusal *portalapi.Error) error {
	if account == nil {
		return s.SignInRefused(ctx, "", MethodPassword, refusal)
	}
	return s.auditRefusal(ctx, Actor{Kind: Person, ID: account.ID, Name: account.UserName},
		&event{action: "session.start", targetKind: "User", targetID: account.ID, targetName: account.UserName}, refusal)
}

// SignInRefused audits a sign-in that was refused before it named an account. The caller limits how
// often: a visitor must not fill the disk.
func (s *Store) SignInRefused(ctx context.Context, requestID, method string, refusal *portalapi.Error) error {
	ev := event{action: "session.start", targetKind: "User", changes: []FieldChange{{Field: "method", To: method}}}
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
	hash, hashErr := newPassword(password)
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
