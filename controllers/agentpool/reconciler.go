// SPDX-License-Identifier: Apache-2.0

// Package agentpool reconciles each pool in the portal with its AgentPool: name, description, roles
// and members. It writes many memberships in one call. The controller of users writes only the
// memberships of a new account.
package agentpool

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Reconciler reconciles AgentPools.
type Reconciler struct {
	pass.Engine
	Pools  *poolindex.Index
	Groups *groupindex.Index

	counted   pass.Counts
	causes    causes
	unclaimed claims.Unclaimed
	settling  settleTimer
	released  releasedUsers
	lines     lineIndex
}

// scope contains the facts of one pass over a pool.
type scope struct {
	*Reconciler
	pass.Pass
	pool  *v1alpha1.AgentPool
	named *v1alpha1.AgentPool // with its name in the portal

	undecided bool // the groups or users that lines meant are not known, and a person must decide
	looked    bool // the pass has resolved the lines of the pool

	behind    bool // the cache is behind what this pass wrote, so the members are not decided
	have      *portalapi.Pool
	seen      []portalapi.GroupRevision // not recorded in the portal yet
	keepsMark bool                      // what the mark at the record is about is not decided by this pass
	frozen    *conditions.Leaf          // roles that can't be granted: the rest is written, this is said
	again     time.Duration             // time until members that leave, or whose account has another version, are checked again; 0 if there are none
}

// Reconcile reconciles one pool.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var pool v1alpha1.AgentPool
	if err := r.Get(ctx, req.NamespacedName, &pool); err != nil {
		if apierrors.IsNotFound(err) {
			r.counted.Forget(req.Name)
			r.settling.reset(req.Name)
			r.released.forget(req.Name)
			r.lines.put(req.Name, nil)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	p := &scope{Reconciler: r, pool: &pool, named: &pool, Pass: r.Begin(&pool, &pool.Status.Conditions, v1alpha1.ConditionProvisioned)}
	p.Fill, p.Count, p.Request = p.fill, p.count, pass.RequestID(ctx)
	switch {
	case !pool.DeletionTimestamp.IsZero():
		return p.Run(ctx, p.leaveAsIs, p.releasePool, p.finish)
	case pool.Name == v1alpha1.DefaultName:
		return p.Run(ctx, p.addFinalizer, p.suspended, p.ready, p.resolve, p.applyDefault)
	}
	return p.Run(ctx, p.addFinalizer, p.title, p.claim, p.suspended, p.ready, p.resolve, p.resolveLines, p.apply)
}

func (p *scope) addFinalizer(ctx context.Context) pass.Outcome {
	return p.AddFinalizer(ctx, v1alpha1.FinalizerPool)
}

// suspended ends the pass while SCIM is off: pools stay unchanged.
func (p *scope) suspended(context.Context) pass.Outcome {
	if p.SCIMOff() {
		return p.Suspended(v1alpha1.ReasonSCIMOff, "SCIM is off in the portal's login methods: pools stay as they are")
	}
	return pass.Next()
}

// ready ends the pass while the portal's state is not known.
func (p *scope) ready(context.Context) pass.Outcome {
	return p.Ready(p.pool.Status.ObservedGeneration == p.pool.Generation)
}

// resolve checks the filter. An invalid filter freezes the members by filter; the rest of the pass
// continues.
func (p *scope) resolve(context.Context) pass.Outcome {
	typ := v1alpha1.ConditionFilterValid
	if f := p.pool.Spec.MemberFilter; f != "" {
		if _, err := filter.Compile(f, schema.User()); err != nil {
			return pass.Next(conditions.False(typ, v1alpha1.ReasonInvalidFilter, "spec.memberFilter: "+err.Error()+"; the membership stays as it was"))
		}
	}
	return pass.Next(conditions.True(typ, v1alpha1.ReasonValid, "The filter, if any, is valid"))
}

// fill fills the status from the facts of the pass.
func (p *scope) fill() {
	s := &p.pool.Status
	if p.have != nil {
		granted := provision.Granted(p.have)
		s.Pool, s.DisplayName, s.Roles, s.RoleNames = p.have.ID, p.have.Name, roles(granted), pass.OneLine(granted)
	}
	s.Held = p.Removal.Held()
	// A status that no pass over the lines has written says that what they meant is not known; see
	// lost.
	if first := s.ObservedGeneration == 0 && p.pool.Name != v1alpha1.DefaultName; !p.undecided && (p.looked || !first) {
		s.ObservedGeneration = p.pool.Generation
	}
}

// count renews status.memberCount, while the portal is known.
func (p *scope) count(writing bool) time.Duration {
	n, complete := p.Pools.Count(p.pool.Name)
	if complete && (p.View.Block != nil || p.View.Unknown) {
		return 0
	}
	return p.counted.Renew(p.pool.Name, &p.pool.Status.MemberCount, n, complete, writing, p.Clock.Now())
}

func roles(in []string) []v1alpha1.Role {
	out := make([]v1alpha1.Role, len(in))
	for i, r := range in {
		out[i] = v1alpha1.Role(r)
	}
	return out
}
