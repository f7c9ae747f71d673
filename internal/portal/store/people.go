// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// NewAccount is a local account to create.
type NewAccount struct {
	UserName, DisplayName, GivenName, FamilyName, Email string

	Password    string // empty if the user signs in through SSO
	Inactive    bool
	Pools       []string // ids; the default pool is added automatically
	DirectRoles []string
}

// AccountPatch changes the fields that are not nil.
type AccountPatch struct {
	UserName, DisplayName, GivenName, FamilyName, Email *string

	Password    *string
	Active      *bool
	Pools       *[]string
	DirectRoles *[]string
	HandedOver  *bool // allow SCIM to adopt this one local account
}

// CreateAccount creates a local account. Refusals: DUPLICATE_USER, UNKNOWN_POOL, UNKNOWN_ROLE,
// ROLE_NOT_GRANTABLE, INVALID.
func (s *Store) CreateAccount(ctx context.Context, actor Actor, n NewAccount) (*Account, error) {
	after := &Account{Account: portalapi.Account{ID: newID(), UserName: n.UserName, DisplayName: n.DisplayName, GivenName: n.GivenName,
		FamilyName: n.FamilyName, Email: n.Email, ManagedBy: portalapi.ManagedByLocal, Pools: n.Pools}}
	after.setStatus(!n.Inactive, portalapi.ManagedByLocal)
	ev := event{action: "user.create", targetKind: "User", targetName: n.UserName}
	hash, hashErr := s.newPassword(ctx, n.Password)
	err := s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) (err error) {
		if hashErr != nil {
			return hashErr
		}
		after.passwordHash = hash
		if after.DirectRoles, err = t.grantable(n.DirectRoles); err != nil {
			return err
		}
		return t.saveAccount(&ev, nil, after)
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

// UpdateAccount changes an account on behalf of a person or an API key. If ifRevision is not nil
// and differs from the account's revision, the edit is refused (STALE_REVISION, 412). People set
// their own password with ChangePassword. Refusals: SCIM_MANAGED_READ_ONLY, LAST_MANAGER,
// NOT_FOUND, FORBIDDEN and those of CreateAccount.
func (s *Store) UpdateAccount(ctx context.Context, actor Actor, id string, ifRevision *int64, p AccountPatch) (*Account, error) {
	ev := event{action: "user.update", targetKind: "User", targetID: id}
	var hash string
	var hashErr error
	if p.Password != nil {
		hash, hashErr = s.newPassword(ctx, *p.Password)
	}
	var after *Account
	err := s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		before, err := t.editable(&ev, id, ifRevision)
		if err != nil {
			return err
		}
		if p.Password != nil && actor.Kind == Person && actor.ID == id {
			return refuse(portalapi.CodeForbidden, "change your own password on My profile, where the current one is asked for")
		}
		if hashErr != nil {
			return hashErr
		}
		after = before.copy()
		if p.Password != nil {
			if hash != "" && before.ManagedBy == portalapi.ManagedBySCIM {
				return refuse(portalapi.CodeInvalid, "%q is managed by SCIM and signs in through single sign-on; it cannot have a password", before.UserName)
			}
			after.passwordHash = hash
		}
		if err := t.apply(p, after); err != nil {
			return err
		}
		return t.saveAccount(&ev, before, after)
	})
	if err != nil {
		return nil, err
	}
	return after, nil
}

func (t *tx) apply(p AccountPatch, after *Account) (err error) {
	for _, f := range []struct{ to, from *string }{
		{&after.UserName, p.UserName}, {&after.DisplayName, p.DisplayName}, {&after.GivenName, p.GivenName},
		{&after.FamilyName, p.FamilyName}, {&after.Email, p.Email},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if p.Active != nil {
		after.setStatus(*p.Active, portalapi.ManagedByLocal)
	}
	if p.Pools != nil {
		after.Pools = *p.Pools
	}
	if p.DirectRoles != nil {
		if after.DirectRoles, err = t.grantable(*p.DirectRoles); err != nil {
			return err
		}
	}
	if p.HandedOver != nil {
		if *p.HandedOver && after.ManagedBy != portalapi.ManagedByLocal {
			return refuse(portalapi.CodeInvalid, "only a local user can be handed over to SCIM; %q is already managed by SCIM", after.UserName)
		}
		after.HandedOver = *p.HandedOver
	}
	return nil
}

// DeleteAccount deletes an account; its audit trail stays. Refusals: SCIM_MANAGED_READ_ONLY,
// LAST_MANAGER, NOT_FOUND, STALE_REVISION.
func (s *Store) DeleteAccount(ctx context.Context, actor Actor, id string, ifRevision *int64) error {
	ev := event{action: "user.delete", targetKind: "User", targetID: id}
	return s.mutate(ctx, actor, ScopeManage, &ev, func(t *tx) error {
		before, err := t.editable(&ev, id, ifRevision)
		if err != nil {
			return err
		}
		return t.deleteAccount(&ev, before) // its owner is not retired: the operator may create the account again
	})
}

// editable returns the account if a user or an API key may change it now.
func (t *tx) editable(ev *event, id string, ifRevision *int64) (*Account, error) {
	before, err := t.account("user "+id, `WHERE id = ?`, id)
	if err != nil {
		return nil, err
	}
	ev.targetName = before.UserName
	switch {
	case before.ReadOnly:
		return nil, refuse(portalapi.CodeReadOnly, "%s", before.ReadOnlyReason)
	case ifRevision != nil && *ifRevision != before.Revision:
		return nil, staleTag("the user", before.Revision, *ifRevision)
	}
	return before, nil
}

// deleteAccount deletes the record, with its memberships, direct roles and sessions.
func (t *tx) deleteAccount(ev *event, before *Account) error {
	ev.targetID, ev.targetName = before.ID, before.UserName
	remove := func() error {
		if _, err := t.exec(`DELETE FROM accounts WHERE id = ?`, before.ID); err != nil {
			return err
		}
		if t.actor.Kind == Operator {
			if err := t.removal(before.ID); err != nil {
				return err
			}
		}
		return t.touch(portalapi.ChangeAccount, before.ID, true)
	}
	leave := func() error { return t.leave(ev, before, nil, remove) }
	if !before.keeps() {
		return leave()
	}
	return t.keepManager(leave)
}
