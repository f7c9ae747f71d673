// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// PutAccount creates, adopts or updates the account of w.Owner, and returns it as it is afterwards.
// Repeating a write changes nothing. Refusals: STALE_REVISION (a newer write was applied, the owner
// is retired, the account to adopt has another owner or, as 412, its revision is not IfRevision),
// RELEASED_SINCE, STALE_LEADER, LOCAL_ACCOUNT_EXISTS, DUPLICATE_USER, UNKNOWN_POOL, LAST_MANAGER,
// PLAN_CHANGED, SCIM_REQUIRED, INVALID.
func (s *Store) PutAccount(ctx context.Context, actor Actor, w portalapi.AccountWrite) (*Account, error) {
	var result *Account
	ev := event{action: "user.provision", targetKind: "User", targetName: w.UserName}
	err := s.provision(ctx, actor, &ev, func(t *tx) error {
		if err := t.requireSCIM(); err != nil {
			return err
		}
		if w.Owner.UID == "" {
			return refuse(portalapi.CodeInvalid, "the write names no owner; send the UID of the ScimUser")
		}
		before, err := t.maybeAccount(`WHERE owner_uid = ?`, w.Owner.UID)
		if err != nil {
			return err
		}
		if w.Owner.Binding, err = t.boundBy(); err != nil {
			return err
		}
		var after *Account
		switch {
		case before != nil:
			after, err = before.updated(w)
		case w.Adopt != nil:
			ev.action = "user.adopt"
			before, after, err = t.adopted(w)
		default:
			ev.action = "user.create"
			after, err = t.created(w)
		}
		if err != nil {
			return err
		}
		result = after
		if err := t.saveAccount(&ev, before, after); err != nil {
			return err
		}
		if err := t.asApproved(before, after); err != nil {
			return err
		}
		if t.changed {
			return decidedOn("the user", w.IfRevision, before.at())
		}
		return t.rememberRevision(before, after)
	})
	if err != nil {
		return nil, err
	}
	return s.describe(ctx, result)
}

// describe completes an account that was just saved with the fields that are derived on reading.
func (s *Store) describe(ctx context.Context, a *Account) (*Account, error) {
	err := s.inSnapshot(ctx, func(c *conn) error {
		one := []Account{*a}
		err := c.addReadOnly(one)
		*a = one[0]
		return err
	})
	return a, err
}

// rememberRevision stores the newer revision of a write that changed nothing else, so that an older
// write, still in flight, stays stale. It adds no change to the feed: the record is the same.
func (t *tx) rememberRevision(before, after *Account) error {
	if before == nil || after.Owner.Revision <= before.Owner.Revision {
		return nil
	}
	_, err := t.exec(`UPDATE accounts SET owner_revision = ? WHERE id = ?`, after.Owner.Revision, after.ID)
	return err
}

func (a *Account) updated(w portalapi.AccountWrite) (*Account, error) {
	if w.Owner.Revision < a.Owner.Revision {
		return nil, refuse(portalapi.CodeStaleRevision, "revision %d of this owner is already written; %d is older", a.Owner.Revision, w.Owner.Revision)
	}
	if w.Adopt != nil && w.Adopt.ID != a.ID {
		return nil, refuse(portalapi.CodeStaleRevision, "this owner already has the user %s and cannot also adopt %s", a.ID, w.Adopt.ID)
	}
	after := a.copy()
	after.take(w)
	return after, nil
}

// take copies the fields of w to the account. A password ends with it: SCIM-managed users sign in
// through SSO only.
func (a *Account) take(w portalapi.AccountWrite) {
	a.UserName, a.DisplayName, a.GivenName, a.FamilyName = w.UserName, w.DisplayName, w.GivenName, w.FamilyName
	a.Email, a.ExternalID = w.Email, w.ExternalID
	a.Owner, a.Pools = w.Owner, w.Pools
	a.ManagedBy = portalapi.ManagedBySCIM
	a.DirectRoles, a.WaitingFor, a.HandedOver, a.granting = nil, portalapi.Owner{}, false, true
	a.passwordHash = ""
	if !w.KeepMark {
		a.Mark = nil
	}
	a.setStatus(w.Active, portalapi.ManagedBySCIM)
}

func (t *tx) created(w portalapi.AccountWrite) (*Account, error) {
	if err := t.mayOwn(w); err != nil {
		return nil, err
	}
	after := &Account{Account: portalapi.Account{ID: newID()}}
	after.take(w)
	return after, nil
}

func (t *tx) adopted(w portalapi.AccountWrite) (before, after *Account, err error) {
	if err := t.mayOwn(w); err != nil {
		return nil, nil, err
	}
	before, err = t.account("user "+w.Adopt.ID, `WHERE id = ?`, w.Adopt.ID)
	if err != nil {
		return nil, nil, err
	}
	if before.Owner.UID != w.Adopt.OwnerUID {
		return nil, nil, refuse(portalapi.CodeStaleRevision, "the user %s belongs to %q now, not to %q; read it again", before.ID, before.Owner.UID, w.Adopt.OwnerUID)
	}
	config, err := t.configuration()
	if err != nil {
		return nil, nil, err
	}
	local := before.ManagedBy == portalapi.ManagedByLocal
	if local && !config.ProvisionExistingUsers && !before.HandedOver {
		return nil, nil, refuse(portalapi.CodeLocalAccount, "the user %s is local; turn on \"Provision existing users with SCIM\" or hand this user over", before.ID)
	}
	if before.Owner.UID != "" {
		if err := t.retire(before.Owner.UID); err != nil {
			return nil, nil, err
		}
	}
	if before.Owner.Name != w.Owner.Name {
		if err := t.setReleased(before.Owner.Name, before.Owner.Revision); err != nil {
			return nil, nil, err
		}
	}
	after = before.copy()
	after.Migrated = before.Migrated || local
	w.KeepMark = w.KeepMark || before.Owner.UID != "" && before.Owner.Name == w.Owner.Name // a decision survives the loss of a cluster
	after.take(w)
	return before, after, nil
}

// mayOwn refuses to give an account to the owner of w.
func (t *tx) mayOwn(w portalapi.AccountWrite) error {
	if err := t.notRetired(w.Owner.UID); err != nil {
		return err
	}
	return t.notReleasedSince(w)
}

// ReleaseAccount ends the ownership of owner.UID, which may never write again. From then on, an
// owner with the same name gets an account only by a newer revision. Releasing a record that has no
// owner is no error. Refusals: STALE_REVISION, STALE_LEADER, LAST_MANAGER;
// SCIM_REQUIRED unless the mode is Orphan, which removes no access.
func (s *Store) ReleaseAccount(ctx context.Context, actor Actor, owner portalapi.Owner, mode portalapi.ReleaseMode) error {
	ev := event{action: "user.release", targetKind: "User"}
	return s.provision(ctx, actor, &ev, func(t *tx) error {
		if owner.UID == "" {
			return refuse(portalapi.CodeInvalid, "the release names no owner; send the UID of the ScimUser")
		}
		before, err := t.maybeAccount(`WHERE owner_uid = ?`, owner.UID)
		if err != nil {
			return err
		}
		if before == nil {
			return errors.Join(t.retire(owner.UID), t.setReleasedUnowned(owner), t.stopWaiting(&ev, owner.UID))
		}
		ev.targetID, ev.targetName = before.ID, before.UserName
		if mode != portalapi.ReleaseOrphan {
			if err := t.requireSCIM(); err != nil {
				return err
			}
		}
		if owner.Revision < before.Owner.Revision {
			return refuse(portalapi.CodeStaleRevision, "revision %d of this owner is already written; %d is older", before.Owner.Revision, owner.Revision)
		}
		if err := errors.Join(t.retire(owner.UID), t.setReleased(before.Owner.Name, owner.Revision)); err != nil {
			return err
		}
		return t.release(&ev, before, mode)
	})
}

func (t *tx) release(ev *event, before *Account, mode portalapi.ReleaseMode) error {
	after := before.copy()
	after.Owner, after.Mark = portalapi.Owner{}, nil
	switch mode {
	case portalapi.ReleaseDelete:
		ev.action = "user.delete"
		return t.deleteAccount(ev, before)
	case portalapi.ReleaseDeactivate:
		after.setStatus(false, portalapi.ManagedBySCIM)
		after.Pools = nil
	case portalapi.ReleaseOrphan:
		after.ManagedBy = portalapi.ManagedByLocal
	default:
		return refuse(portalapi.CodeInvalid, "unknown release mode %q; use Deactivate, Delete or Orphan", mode)
	}
	return t.saveAccount(ev, before, after)
}

// stopWaiting clears the owner's waiting marks on local accounts: the owner no longer waits to
// adopt them.
func (t *tx) stopWaiting(ev *event, uid string) error {
	waited, err := t.accounts(`WHERE waiting_uid = ?`, uid)
	if err != nil {
		return err
	}
	for i := range waited {
		after := waited[i].copy()
		after.WaitingFor, after.Mark = portalapi.Owner{}, nil
		if err := t.saveAccount(ev, &waited[i], after); err != nil {
			return err
		}
	}
	return nil
}

// MarkWaiting records that owner waits to adopt the local account. An empty UID clears the mark.
// Refusals: NOT_FOUND, STALE_REVISION when the account is no longer local, STALE_LEADER,
// SCIM_REQUIRED for a new mark.
func (s *Store) MarkWaiting(ctx context.Context, actor Actor, accountID string, owner portalapi.Owner) error {
	ev := event{action: "user.wait", targetKind: "User", targetID: accountID}
	return s.provision(ctx, actor, &ev, func(t *tx) error {
		before, err := t.account("user "+accountID, `WHERE id = ?`, accountID)
		if err != nil {
			return err
		}
		after := before.copy()
		after.WaitingFor = portalapi.Owner{}
		if owner.UID != "" {
			if err := t.requireSCIM(); err != nil {
				return err
			}
			if before.ManagedBy != portalapi.ManagedByLocal {
				return refuse(portalapi.CodeStaleRevision, "the user %s is no longer local; read it again", accountID)
			}
			after.WaitingFor = portalapi.Owner{UID: owner.UID, Name: owner.Name}
		}
		return t.saveAccount(&ev, before, after)
	})
}

// MarkAccount records that the removal of owner's account, or of the local account that owner waits
// to adopt, is held or was dropped. nil clears the mark. Without an account it does nothing.
// Refusals: STALE_REVISION, STALE_LEADER, INVALID, SCIM_REQUIRED for a new mark.
func (s *Store) MarkAccount(ctx context.Context, actor Actor, owner portalapi.Owner, m *portalapi.Mark) error {
	ev := event{action: "user.hold", targetKind: "User"}
	return s.provision(ctx, actor, &ev, func(t *tx) error {
		if err := t.markable(m, portalapi.RemovalDeactivation, portalapi.RemovalDeletion, portalapi.RemovalManager); err != nil {
			return err
		}
		before, err := t.maybeAccount(`WHERE owner_uid = ?`, owner.UID)
		if err == nil && before == nil && owner.UID != "" {
			before, err = t.maybeAccount(`WHERE waiting_uid = ?`, owner.UID)
		}
		if err != nil || before == nil {
			return err
		}
		if owner.Revision < before.Owner.Revision {
			return refuse(portalapi.CodeStaleRevision, "revision %d of this owner is already written; %d is older", before.Owner.Revision, owner.Revision)
		}
		after := before.copy()
		after.Mark = m
		return t.saveAccount(&ev, before, after)
	})
}

// markable refuses an invalid mark, and a new mark while SCIM is off.
func (t *tx) markable(m *portalapi.Mark, known ...portalapi.Removal) error {
	switch {
	case m == nil:
		return nil
	case !slices.Contains(known, m.What):
		return refuse(portalapi.CodeInvalid, "the subject of a mark must be one of %v, not %q", known, m.What)
	case m.State != portalapi.MarkHeld && m.State != portalapi.MarkDropped:
		return refuse(portalapi.CodeInvalid, "the state of a mark must be Held or Dropped, not %q", m.State)
	}
	return errors.Join(t.requireSCIM(), validText("decision", m.Decision), validText("at", m.At))
}

// provision runs one change of an account or a pool on behalf of the operator's leading process.
func (s *Store) provision(ctx context.Context, actor Actor, ev *event, f func(*tx) error) error {
	return s.mutate(ctx, actor, ScopeProvisioning, ev, func(t *tx) error {
		config, err := t.configuration()
		if err != nil {
			return err
		}
		if config.leader != actor.Leader && config.leader != "" {
			return refuse(portalapi.CodeStaleLeader, "the operator's process %q leads, but %s; a new leader must bind the portal before it writes", config.leader, naming(actor.Leader))
		}
		return f(t)
	})
}

func naming(leader string) string {
	if leader == "" {
		return "this write names none"
	}
	return fmt.Sprintf("this write is from %q", leader)
}

// decidedOn refuses a change of a record at the revision have (0: no record) if the change was
// decided on another revision. Callers check only changes: a repeat of a finished write passes.
func decidedOn(what string, ifRevision *int64, have int64) error {
	if ifRevision == nil || *ifRevision == have {
		return nil
	}
	return staleTag(what, have, *ifRevision)
}

// at returns the account's revision, and 0 if there is no account.
func (a *Account) at() int64 {
	if a == nil {
		return 0
	}
	return a.Revision
}

// requireSCIM refuses provisioning while SCIM is off: existing records stay unchanged.
func (t *tx) requireSCIM() error {
	config, err := t.configuration()
	if err == nil && !config.SCIMEnabled {
		err = refuse(portalapi.CodeSCIMRequired, "SCIM is off in the portal: turn it on under Settings, Identity and Access Management, Identity Configuration, Login methods")
	}
	return err
}

func (t *tx) retire(uid string) error {
	_, err := t.exec(`INSERT INTO retired_owners (uid, retired_at) VALUES (?, ?) ON CONFLICT (uid) DO NOTHING`, uid, micros(t.now))
	return err
}

// notRetired refuses a late write of an owner whose record was released or has another owner.
func (t *tx) notRetired(uid string) error {
	retired, err := t.yes(`SELECT 1 FROM retired_owners WHERE uid = ?`, uid)
	if err == nil && retired {
		err = refuse(portalapi.CodeStaleRevision, "the owner %s is retired: its record was released or belongs to another owner", uid)
	}
	return err
}
