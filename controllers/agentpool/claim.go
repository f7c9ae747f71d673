// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolplan"
)

// claim takes the claim on the pool's name.
func (p *scope) claim(ctx context.Context) pass.Outcome {
	name := p.named.PortalName()
	if err := names.Validate(name); err != nil {
		return pass.Stop(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonInvalidName, fmt.Sprintf("%q: %v", name, err)))
	}
	other, err := p.registry().Keep(ctx, v1alpha1.ClaimPool, name, p.pool)
	if err != nil {
		return p.Retry(fmt.Errorf("claim the pool's name: %w", err))
	}
	if other != nil && poolplan.Succeeds(p.pool, other.GetName(), p.Groups) {
		if other, err = p.registry().TakeFrom(ctx, v1alpha1.ClaimPool, name, other, p.pool); err != nil {
			return p.Retry(fmt.Errorf("take the name over from a group's own pool: %w", err))
		}
	}
	if other != nil {
		reason, message := poolplan.NameTaken(name, other, p.Groups, p.View.Mirror)
		return pass.Stop(conditions.False(v1alpha1.ConditionNameClaimed, reason, message))
	}
	return pass.Next(conditions.True(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonClaimed, "This pool has the claim on its name"))
}

// orphaned deletes a group's own pool that a program created after the group had gone: creating it
// is the last step of a push, and the group's deletion can overtake it. A pool that is in the
// portal, or whose spec another client wrote, stays: a restore may bring its group back after it.
func (p *scope) orphaned(ctx context.Context) pass.Outcome {
	m := p.View.Mirror
	if p.pool.Status.Pool != "" || m == nil || !m.Listed() || m.OwnedPool(string(p.pool.UID)) != nil {
		return pass.Quiet(0)
	}
	var live v1alpha1.AgentPool
	if err := p.Live.Get(ctx, client.ObjectKeyFromObject(p.pool), &live); err != nil {
		return p.Retry(client.IgnoreNotFound(err)).And(pass.Quiet(0))
	}
	if live.UID != p.pool.UID || live.OwnPoolOf() == "" || live.Status.Pool != "" || !claims.SpecByPrograms(&live) {
		return pass.Quiet(0)
	}
	if wait := p.unclaimed.Wait(live.UID, p.Clock.Now()); wait > 0 {
		return pass.Quiet(wait)
	}
	var group v1alpha1.ScimGroup
	switch err := p.Live.Get(ctx, client.ObjectKey{Namespace: live.Namespace, Name: live.OwnPoolOf()}, &group); {
	case err == nil:
		return pass.Quiet(0) // the index is behind, or the group's own controller deletes the pool
	case !apierrors.IsNotFound(err):
		return p.Retry(fmt.Errorf("get the group of an own pool: %w", err))
	}
	ctrl.LoggerFrom(ctx).Info("Deleting the own pool of a group that was deleted while the pool was created")
	uid := live.UID
	err := p.Delete(ctx, &live, client.Preconditions{UID: &uid, ResourceVersion: &live.ResourceVersion})
	return p.Retry(client.IgnoreNotFound(err)).And(pass.Quiet(0))
}

func (r *Reconciler) registry() claims.Registry {
	return claims.Registry{Client: r.Client, Live: r.Live, Names: groupindex.Names(r.Groups)}
}
