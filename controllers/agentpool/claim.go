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
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// claim takes the claim on the pool's name.
func (p *scope) claim(ctx context.Context) pass.Outcome {
	name := p.titled.PortalName()
	if err := names.Validate(name); err != nil {
		return pass.Stop(conditions.False(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonInvalidName, fmt.Sprintf("%q: %v", name, err)))
	}
	other, err := p.registry().Keep(ctx, v1alpha1.ClaimPool, name, p.pool)
	if err != nil {
		return p.Retry(fmt.Errorf("claim the pool's name: %w", err))
	}
	if other != nil && Succeeds(p.pool, other.GetName(), p.Groups) {
		if other, err = p.registry().TakeFrom(ctx, v1alpha1.ClaimPool, name, other, p.pool); err != nil {
			return p.Retry(fmt.Errorf("take the name over from a group's own pool: %w", err))
		}
	}
	if other != nil {
		reason, message := Taken(name, other, p.Groups, p.View.Mirror)
		return pass.Stop(conditions.False(v1alpha1.ConditionNameClaimed, reason, message))
	}
	return pass.Next(conditions.True(v1alpha1.ConditionNameClaimed, v1alpha1.ReasonClaimed, "This pool has the claim on its name"))
}

// Taken returns why a pool waits for a name that another pool has.
func Taken(name string, other client.Object, groups groupindex.Lookup, m *mirror.Mirror) (reason, message string) {
	if pool, ok := other.(*v1alpha1.AgentPool); ok {
		if titled, _ := groupindex.Titled(pool, groups); names.Fold(titled.PortalName()) != names.Fold(name) {
			if v, held := nameHeld(pool, m); held {
				return v.Reason, v.Message
			}
			return v1alpha1.ReasonNameReleasePending, fmt.Sprintf("AgentPool %s still has the name %q in the portal; it is renamed first. "+
				provision.ExchangeNames, pool.Name, name)
		}
	}
	return v1alpha1.ReasonNameTaken, fmt.Sprintf("AgentPool %s has the name %q; rename one of the two, "+
		"or name the group in spec.groups there to have it fill that pool. "+provision.ExchangeNames, other.GetName(), name)
}

// nameHeld is why another AgentPool can't release its name in the portal now, if that needs a
// person's decision.
func nameHeld(other *v1alpha1.AgentPool, m *mirror.Mirror) (v provision.Verdict, held bool) {
	if m == nil {
		return v, false
	}
	if record := m.OwnedPool(string(other.UID)); record != nil {
		v = provision.PoolVerdict(other.Namespace, record, provision.Others, false, false)
	}
	return v, v.Reason == v1alpha1.ReasonNameHeld
}

// Succeeds reports whether other is the name of a group's own pool, and pool names that group.
func Succeeds(pool *v1alpha1.AgentPool, other string, groups groupindex.Lookup) bool {
	g, found := groups.Group(other)
	if !found {
		return false
	}
	declares, _ := groupindex.Declares(pool, g, groups)
	return declares
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
