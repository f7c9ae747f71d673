// SPDX-License-Identifier: Apache-2.0

// Package scimgroup reconciles the identity provider's groups. It takes the claim on the name, and
// creates an own pool for the group while no declared pool names the group. When the provider
// deletes the group, it waits until the members have left the group's pools, and then deletes the
// slices and the object. A group grants nothing; pools do.
package scimgroup

import (
	"context"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/usercounts"
)

// Reconciler reconciles ScimGroups.
type Reconciler struct {
	pass.Engine
	Pools    *poolindex.Index
	Groups   *groupindex.Index
	Slices   *groupslice.Store
	Counter  *usercounts.Counter
	Finished *usercounts.Finished

	unclaimed claims.Unclaimed
	counted   pass.Counts
}

// scope contains the facts of one pass over a group.
type scope struct {
	*Reconciler
	pass.Pass
	group *v1alpha1.ScimGroup
	pools []v1alpha1.AgentPool // all of the namespace, in order of name; shared with the cache

	than    int64 // the portal's revision, if the group's objects look older
	older   int64 // the portal's revision, if the group's objects are older: status.olderThan
	round   int64 // status.olderRound
	claimed bool  // its display name
}

// Reconcile reconciles one group.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var g v1alpha1.ScimGroup
	if err := r.Get(ctx, req.NamespacedName, &g); err != nil {
		if apierrors.IsNotFound(err) {
			r.counted.Forget(req.Name)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	pools, err := poolplan.ListPools(ctx, r.Client, g.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	p := &scope{Reconciler: r, group: &g, pools: pools, Pass: r.Begin(&g, &g.Status.Conditions, v1alpha1.ConditionPoolsResolved)}
	p.than, p.older, p.round = g.Status.OlderThan, g.Status.OlderThan, g.Status.OlderRound
	p.Fill, p.Count = p.fill, p.count
	ctx, p.Request = pass.Request(ctx, &g, g.Status.ObservedGeneration != g.Generation)
	switch {
	case g.Spec.Deleted:
		return p.Run(ctx, p.backup, p.waits, p.Deprovisionable, p.writable, p.dropPool, p.unpinned, p.left, p.finish)
	case !g.DeletionTimestamp.IsZero():
		return ctrl.Result{}, nil // the object is deleted, but the provider did not delete the group: its pools stay filled
	}
	return p.Run(ctx, p.claim, p.backup, p.ownPool)
}

// claim takes the claim on the display name.
func (p *scope) claim(ctx context.Context) pass.Outcome {
	o := p.Claim(ctx, &p.unclaimed, "name")
	p.claimed = !o.Ends()
	return o
}

// known returns the group in the index. It returns false while the index does not have the current
// state of the object; then the pass waits.
func (p *scope) known() (groupindex.Group, bool) {
	g, found := p.Groups.Group(p.group.Name)
	return g, found && g.DisplayName == p.group.Spec.DisplayName && g.Deleted == p.group.Spec.Deleted
}

// fill fills the status from the facts of the pass.
func (p *scope) fill() {
	s := &p.group.Status
	if p.claimed {
		s.DisplayName = p.group.Spec.DisplayName
	}
	s.Pools = p.fills()
	s.PoolNames = pass.OneLine(s.Pools)
	s.OlderThan, s.OlderRound = p.older, p.round
	s.ObservedGeneration = p.group.Generation
}

// count renews status.memberCount.
func (p *scope) count(writing bool) time.Duration {
	n, complete := 0, p.Counter.Complete()
	if complete {
		n = p.Groups.Count(p.group.Name, p.Counter.Knows)
	}
	return p.counted.Renew(p.group.Name, &p.group.Status.MemberCount, n, complete, writing, p.Clock.Now())
}

// fills returns the names of the pools that the group fills. For a group that is being deleted,
// these are the pools that it filled.
func (p *scope) fills() []string {
	if p.group.Spec.Deleted {
		return p.group.Status.Pools
	}
	var out []string
	for i := range p.pools {
		if pool := &p.pools[i]; pool.DeletionTimestamp.IsZero() && slices.Contains(groupindex.Filling(pool), p.group.Name) {
			out = append(out, pool.Name)
		}
	}
	return out[:min(len(out), maxPools)]
}

// maxPools is the maximum number of pools that a status names.
const maxPools = 256
