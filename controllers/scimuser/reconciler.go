// SPDX-License-Identifier: Apache-2.0

// Package scimuser reconciles each user's account in the portal with the ScimUser. A pass handles,
// in this order: deletion by the provider, claim, pools and roles, plan, guard, apply, and one
// status patch, which is skipped if nothing changed. A pass over a user in the desired state makes
// no call and no write.
package scimuser

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// Reconciler reconciles ScimUsers.
type Reconciler struct {
	client.Client               // reads from the cache
	Live          client.Reader // reads from the API server
	Session       *session.Session
	Pools         *poolindex.Index
	Guard         *removals.Guard
	Counter       *Counter
	Finished      *Finished
	Groups        *groupindex.Index
	Slices        *groupslice.Store
	Recorder      events.EventRecorder
	Clock         clock.PassiveClock
	// Attributes are a user's SCIM attributes in canonical form, for filters.
	Attributes func(*v1alpha1.ScimUser) access.Attributes

	unclaimed   claims.Unclaimed
	ownWrites   ownWrites
	settleWaits settleWaits
	releasing   settleWaits // users who are in a pool whose AgentPool does not exist
	locks       userLocks
}

// scope contains the facts of one pass over a user.
type scope struct {
	*Reconciler
	user *v1alpha1.ScimUser
	view session.View

	access   access.Access
	snapshot *poolindex.Snapshot
	have     *portalapi.Account // the user's account, as the mirror or the last write returned it
	plan     provision.Plan
	answer   removals.Answer // the guard's outcome of a removal; zero if the pass has no removal

	missing []string // AgentPools that the user must join and has not joined in the portal yet; set by settle
	leaving []string // AgentPools whose reconciler must decide whether the user leaves; set by settle
	kept    []string // AgentPools that the user is still in because the removal is held or was dropped; set by settle

	leaves   []conditions.Leaf
	abnormal []conditions.Leaf
	result   ctrl.Result
	request  string // the pass's request id in the portal's audit
	silent   bool   // do not write the status, because there is nothing new to report
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
	p := &scope{Reconciler: r, user: &u, view: r.Session.View()}
	ctx, p.request = pass.Request(ctx, &u, !pass.Settled(&u, u.Status.Conditions))
	switch {
	case u.Spec.Deleted:
		return p.report(ctx, pass.Run(ctx, p.release, p.finish))
	case !u.DeletionTimestamp.IsZero():
		return ctrl.Result{}, nil // the object is deleted, but the provider did not delete the user: the account stays
	}
	return p.report(ctx, pass.Run(ctx, p.claim, p.suspended, p.ready, p.resolve, p.observe, p.apply, p.settle, p.verify))
}

// suspended ends the pass if spec.suspend is set or SCIM is off: nothing may be written.
func (p *scope) suspended(context.Context) (bool, error) {
	if p.user.Spec.Suspend {
		p.stop(v1alpha1.ReasonSuspendedByUser, "spec.suspend is set: nothing is written to the portal about this user")
		return true, nil
	}
	if pass.SCIMOff(p.view) {
		p.stop(v1alpha1.ReasonSCIMOff, "SCIM is off in the portal's login methods: accounts stay as they are")
		return true, nil
	}
	return false, nil
}

func (p *scope) stop(reason, message string) {
	p.leaf(conditions.Unknown(v1alpha1.ConditionProvisioned, reason, message))
	p.abnormal = append(p.abnormal, conditions.True(v1alpha1.ConditionSuspended, reason, message))
}

// ready ends the pass while the portal's state is not known.
func (p *scope) ready(context.Context) (bool, error) {
	return p.stopAt(pass.Ready(p.view, p.user.Status.ObservedGeneration == p.user.Generation))
}

// stopAt ends the pass if the answer says so, and reports why.
func (p *scope) stopAt(a pass.Answer) (bool, error) {
	p.silent = a.Silent
	if a.Leaf != nil {
		p.leaf(*a.Leaf)
	}
	return a.Stop, nil
}

func (p *scope) leaf(l conditions.Leaf) { p.leaves = append(p.leaves, l) }

// event reports one change.
func (p *scope) event(kind, reason, action, note string, args ...any) {
	p.Recorder.Eventf(p.user, nil, kind, reason, action, "%s", pass.Note(fmt.Sprintf(note, args...), p.request))
}

const (
	normal  = corev1.EventTypeNormal
	warning = corev1.EventTypeWarning
)
