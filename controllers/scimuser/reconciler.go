// SPDX-License-Identifier: Apache-2.0

// Package scimuser reconciles each user's account in the portal with the ScimUser. A pass handles,
// in this order: deletion by the provider, claim, pools and roles, plan, guard, apply, and one
// status patch, which is skipped if nothing changed. A pass over a user in the desired state makes
// no call and no write.
package scimuser

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/usercounts"
)

// Reconciler reconciles ScimUsers.
type Reconciler struct {
	pass.Engine
	Pools    *poolindex.Index
	Counter  *usercounts.Counter
	Finished *usercounts.Finished
	Groups   *groupindex.Index
	Slices   *groupslice.Store

	unclaimed   claims.Unclaimed
	ownWrites   ownWrites
	settleWaits settleWaits
	releasing   settleWaits // users who are in a pool whose AgentPool does not exist
	locks       userLocks
}

// scope contains the facts of one pass over a user.
type scope struct {
	*Reconciler
	pass.Pass
	user *v1alpha1.ScimUser

	claimed  bool // the user name; set by claim
	access   access.Access
	snapshot *poolindex.Snapshot
	have     *portalapi.Account // the user's account, as the mirror or the last write returned it
	plan     provision.Plan
	kept     []string // AgentPools that the user is still in because the removal is held or was dropped; set by settle
	userName string   // what status shows; set by settleName
}

// Reconcile reconciles one user's account.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	defer r.locks.lock(req.Name)()
	var u v1alpha1.ScimUser
	if err := r.Get(ctx, req.NamespacedName, &u); err != nil {
		if apierrors.IsNotFound(err) {
			r.Pools.Forget(req.Name)
			r.Counter.Forget(req.Name)
			r.ownWrites.forget(req.Name)
			r.settleWaits.end(req.Name)
			r.releasing.end(req.Name)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if r.ownWrites.pending(&u) {
		return ctrl.Result{}, nil // the event of the last status write triggers the next pass
	}
	p := &scope{Reconciler: r, user: &u, Pass: r.Begin(&u, &u.Status.Conditions, v1alpha1.ConditionProvisioned)}
	p.Last, p.Fill, p.Count = p.settleName, p.fill, p.count
	ctx, p.Request = pass.Request(ctx, &u, !pass.Settled(&u, u.Status.Conditions))
	steps := []pass.Step{p.claim, p.suspended, p.ready, p.resolve, p.observe, p.apply, p.settle, p.verify}
	switch {
	case u.Spec.Deleted:
		steps = []pass.Step{p.Deprovisionable, p.suspended, p.release, p.finish}
	case !u.DeletionTimestamp.IsZero():
		return ctrl.Result{}, nil // the object is deleted, but the provider did not delete the user: the account stays
	}
	before := u.ResourceVersion
	result, err := p.Run(ctx, steps...)
	if u.ResourceVersion != before {
		r.ownWrites.record(&u)
	}
	return result, err
}

// suspended ends the pass if spec.suspend is set or SCIM is off: nothing may be written.
func (p *scope) suspended(context.Context) pass.Outcome {
	switch {
	case p.user.Spec.Suspend:
		return p.Suspended(v1alpha1.ReasonSuspendedByUser, "spec.suspend is set: nothing is written to the portal about this user")
	case p.SCIMOff():
		return p.Suspended(v1alpha1.ReasonSCIMOff, "SCIM is off in the portal's login methods: accounts stay as they are")
	}
	return pass.Next()
}

// ready ends the pass while the portal's state is not known.
func (p *scope) ready(context.Context) pass.Outcome {
	return p.Ready(p.user.Status.ObservedGeneration == p.user.Generation)
}
