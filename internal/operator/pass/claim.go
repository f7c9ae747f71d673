// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"context"
	"fmt"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/names"
)

// Claim takes the claim on the name of a user or group; what is that name's word. The webhook takes
// it before it answers, so this is needed only after a crash or a restore.
func (p *Pass) Claim(ctx context.Context, u *claims.Unclaimed, what string) Outcome {
	typ, name, _ := claims.NameOf(p.Object)
	if err := names.Validate(name); err != nil {
		return Stop(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonInvalidName, err.Error()))
	}
	if wait := claims.LeaveToWebhook(ctx, p.engine.Client, p.Object, p.engine.Clock.Now()); wait > 0 {
		return Quiet(wait)
	}
	other, err := p.engine.Registry().Keep(ctx, typ, name, p.Object)
	if err != nil {
		return p.Retry(fmt.Errorf("claim the %s: %w", what, err))
	}
	if other == nil {
		return Next(conditions.True(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonClaimed, "This object has the claim on its "+what))
	}
	switch done, again, err := u.DeleteAbandoned(ctx, p.engine.Registry(), p.Object, p.engine.Clock.Now()); {
	case err != nil:
		return p.Retry(err)
	case done:
		return Quiet(again)
	}
	return Stop(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonNameTaken,
		fmt.Sprintf("%s %s has this %s; rename one of the two in the identity provider", claims.Kind(typ), other.GetName(), what)))
}

// Registry has the names of users and groups, by their objects alone.
func (e *Engine) Registry() claims.Registry {
	return claims.Registry{Client: e.Client, Live: e.Live}
}
