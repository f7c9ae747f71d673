package scimuser

import (
	"context"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/gate"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/groupslice"
	sets "lightrun.com/scim-operator/internal/guard"
	"lightrun.com/scim-operator/internal/names"
	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/provision"
)

// release releases the account of a user that the provider deleted, as onDelete says. It waits only for the guard, the last manager or a portal that does
// not answer. Without a configuration, with SCIM off, or with the namespace ending, the account stays as it is.
func (p *pass) release(ctx context.Context) (bool, error) {
	if p.view.Unknown {
		p.silent = true
		return true, nil
	}
	leave, err := gate.LeaveAsIs(ctx, p.Live, p.view, p.user.Namespace)
	if leave || err != nil {
		return false, err
	}
	if a := gate.Release(p.view); a.Stop {
		return p.stopAt(a)
	}
	return p.letGo(ctx)
}

// letGo releases the account in the portal. What a person decided to keep becomes a local account.
func (p *pass) letGo(ctx context.Context) (bool, error) {
	owner := portal.Owner{UID: string(p.user.UID), Name: p.user.Name, Revision: p.user.Spec.Revision}
	plan := provision.ComputeRelease(p.view.Mirror.Owned(owner.UID), p.view.Spec.OnDelete, false)
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
	if err := p.view.Client.ReleaseAccount(ctx, owner, portal.ReleaseOrphan); err != nil {
		return p.refused(err, v1alpha1.ConditionProvisioned)
	}
	return false, nil
}

// RemovalOf is what the release of an account takes away.
func RemovalOf(mode portal.ReleaseMode) portal.Removal {
	if mode == portal.ReleaseDelete {
		return portal.RemovalDeletion
	}
	return portal.RemovalDeactivation
}

// finish takes the id out of the groups, releases the names and deletes the object.
func (p *pass) finish(ctx context.Context) (bool, error) {
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
		if err := claims.Release(ctx, p.Client, p.Live, v1alpha1.ClaimUser, name, p.user); err != nil {
			return false, fmt.Errorf("release the user name: %w", err)
		}
	}
	uid := p.user.UID
	return true, client.IgnoreNotFound(p.Delete(ctx, p.user, client.Preconditions{UID: &uid}))
}
