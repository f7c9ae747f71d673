// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"context"
	"fmt"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/names"
)

// claim takes the claim on the user name. The webhook takes it before it responds, so this is
// needed only after a crash or a restore.
func (p *scope) claim(ctx context.Context) (bool, error) {
	name := p.user.Spec.UserName
	if err := names.Validate(name); err != nil {
		p.leaf(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonInvalidName, err.Error()))
		return true, nil
	}
	if wait := claims.LeaveToWebhook(ctx, p.Client, p.user, p.Clock.Now()); wait > 0 {
		p.silent, p.result.RequeueAfter = true, wait
		return true, nil
	}
	other, err := p.registry().Keep(ctx, v1alpha1.ClaimUser, name, p.user)
	if err != nil {
		return false, fmt.Errorf("claim the user name: %w", err)
	}
	if other == nil {
		p.leaf(conditions.True(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonClaimed, "This user has the claim on the user name"))
		return false, nil
	}
	if done, again, err := p.unclaimed.NeverAnswered(ctx, p.registry(), p.user, p.Clock.Now()); done || err != nil {
		p.silent, p.result.RequeueAfter = true, again
		return true, err
	}
	p.leaf(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonNameTaken, fmt.Sprintf("ScimUser %s has this user name; rename one of the two in the identity provider", other.GetName())))
	return true, nil
}

// settleName releases the former name when no account has it any more, and returns the name for the
// status. It fails with a conflict if the user is renamed back to the former name at the same time.
func (p *scope) settleName(ctx context.Context) (string, error) {
	former, name := p.user.Status.UserName, p.user.Spec.UserName
	if former == "" || names.Fold(former) == names.Fold(name) {
		return name, nil
	}
	if p.have != nil && names.Fold(p.have.UserName) != names.Fold(name) {
		return former, nil
	}
	if err := p.registry().Release(ctx, v1alpha1.ClaimUser, former, p.user); err != nil {
		return former, fmt.Errorf("release the former user name: %w", err)
	}
	return name, nil
}

func (r *Reconciler) registry() claims.Registry {
	return claims.Registry{Client: r.Client, Live: r.Live}
}
