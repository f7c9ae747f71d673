// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// release releases the account of a user that the provider deleted, as onDelete says. It waits for
// the guard, for another local manager, and for a portal that does not respond. It also waits while
// nothing may be written, because without the object a held deletion would be lost.
func (p *scope) release(ctx context.Context) (bool, error) {
	ending, err := pass.NamespaceEnding(ctx, p.Live, p.user.Namespace)
	if p.view.Unknown || ending || err != nil {
		p.silent = err == nil
		return true, err
	}
	if a := pass.Release(p.view); a.Stop {
		return p.stopAt(a)
	}
	if stop, err := p.suspended(ctx); stop || err != nil {
		return stop, err
	}
	return p.releaseAccount(ctx)
}

// releaseAccount releases the account in the portal. If a person dropped the release, it restores
// the user.
func (p *scope) releaseAccount(ctx context.Context) (bool, error) {
	owner := portalapi.Owner{UID: string(p.user.UID), Name: p.user.Name, Revision: p.user.Spec.Revision}
	own := Kept(p.user, p.view.Mirror)
	plan := provision.ComputeRelease(own, p.view.Spec.OnDelete, false)
	switch {
	case own == nil:
	case owner.Revision < own.Owner.Revision && v1alpha1.AcceptedRevision(p.user.Annotations) != own.Owner.Revision:
		p.leaf(conditions.False(v1alpha1.ConditionProvisioned, v1alpha1.ReasonBackupOlder, provision.BackupOlder(owner.Name, owner.Revision, own.Owner.Revision)))
		return true, nil
	default:
		owner.UID, owner.Revision = own.Owner.UID, max(owner.Revision, own.Owner.Revision)
	}
	if own != nil && p.view.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		message := fmt.Sprintf("Would release the account: %s", plan.Mode)
		p.leaf(conditions.False(v1alpha1.ConditionProvisioned, v1alpha1.ReasonReportOnly, message))
		p.abnormal = append(p.abnormal, conditions.True(v1alpha1.ConditionDrifted, v1alpha1.ReasonReportOnly, message))
		return true, nil
	}
	if own == nil && p.view.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return false, nil
	}
	do := func() error { return p.view.Client.ReleaseAccount(ctx, owner, plan.Mode) }
	if !plan.Removal {
		if err := do(); err != nil {
			return p.refused(err, v1alpha1.ConditionProvisioned)
		}
		return false, nil
	}
	done, err := p.guarded(ctx, RemovalOf(plan.Mode), do)
	if !done || err != nil || p.answer.Verdict != sets.Keep {
		return done, err
	}
	return true, p.undelete(ctx)
}

// undelete removes the tombstone: SCIM clients and the manager see the user again, as the provider
// last described them.
func (p *scope) undelete(ctx context.Context) error {
	taken, err := pass.Undelete(ctx, p.registry(), p.user.DeepCopy(), p.Clock.Now())
	switch {
	case apierrors.IsConflict(err):
		p.silent, p.result.RequeueAfter = true, conflictPause
		return nil
	case err != nil:
		return err
	case taken == "":
		p.silent = true // the event of that write triggers the next pass
		return nil
	}
	p.leaf(conditions.False(v1alpha1.ConditionProvisioned, v1alpha1.ReasonRemovalDropped,
		fmt.Sprintf("A person dropped this deletion (%s), but %s has the user name now: the account stays unchanged. Rename or delete that user in the identity provider to restore this one; or release the deletion, and that user gets the name in the portal: kubectl scim release scimuser/%s --id %s",
			p.answer.Decision, taken, p.user.Name, p.answer.Decision)))
	return nil
}

// Kept returns the account that the user owns, or that the same SCIM id owned before a restore; nil
// if there is none.
func Kept(u *v1alpha1.ScimUser, m *mirror.Mirror) *portalapi.Account {
	if own := m.Owned(string(u.UID)); own != nil {
		return own
	}
	if former := m.Of(u.Name); former != nil && former.Owner.Binding == m.Binding() {
		return former
	}
	return nil
}

// RemovalOf returns what a user loses by the release of the account.
func RemovalOf(mode portalapi.ReleaseMode) portalapi.Removal {
	if mode == portalapi.ReleaseDelete {
		return portalapi.RemovalDeletion
	}
	return portalapi.RemovalDeactivation
}

// finish removes the id from all groups, releases the names and deletes the object.
func (p *scope) finish(ctx context.Context) (bool, error) {
	p.silent = true
	p.Finished.Note(p.user.Name, p.Clock.Now())
	for _, group := range p.Groups.Containing(p.user.Name) {
		err := p.Slices.Change(ctx, group, []groupslice.Change{{User: p.user.Name}})
		if err != nil && !errors.Is(err, groupslice.ErrGroupGone) {
			return false, fmt.Errorf("take the user out of group %s: %w", group, err)
		}
	}
	for _, name := range []string{p.user.Spec.UserName, p.user.Status.UserName} {
		if names.Fold(name) == "" {
			continue
		}
		if err := p.registry().Release(ctx, v1alpha1.ClaimUser, name, p.user); err != nil {
			return false, fmt.Errorf("release the user name: %w", err)
		}
	}
	uid := p.user.UID
	return true, client.IgnoreNotFound(p.Delete(ctx, p.user, client.Preconditions{UID: &uid}))
}
