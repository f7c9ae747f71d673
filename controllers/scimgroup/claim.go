// SPDX-License-Identifier: Apache-2.0

package scimgroup

import (
	"context"
	"fmt"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/names"
)

// claim takes the claim on the display name. The webhook takes it before it responds, so this is
// needed only after a crash or a restore.
func (p *scope) claim(ctx context.Context) (bool, error) {
	name := p.group.Spec.DisplayName
	if err := names.Validate(name); err != nil {
		p.leaf(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonInvalidName, err.Error()))
		return true, nil
	}
	if wait := claims.LeaveToWebhook(ctx, p.Client, p.group, p.Clock.Now()); wait > 0 {
		p.silent, p.result.RequeueAfter = true, wait
		return true, nil
	}
	other, err := p.registry().Keep(ctx, v1alpha1.ClaimGroup, name, p.group)
	if err != nil {
		return false, fmt.Errorf("claim the group's name: %w", err)
	}
	if other == nil {
		p.claimed = true
		p.leaf(conditions.True(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonClaimed, "This group has the claim on its name"))
		return false, nil
	}
	if done, again, err := p.unclaimed.NeverAnswered(ctx, p.registry(), p.group, p.Clock.Now()); done || err != nil {
		p.silent, p.result.RequeueAfter = true, again
		return true, err
	}
	p.leaf(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonNameTaken, fmt.Sprintf("ScimGroup %s has this name; rename one of the two in the identity provider", other.GetName())))
	return true, nil
}

func (r *Reconciler) registry() claims.Registry {
	return claims.Registry{Client: r.Client, Live: r.Live}
}
