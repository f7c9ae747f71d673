// SPDX-License-Identifier: Apache-2.0

// Package scimgroup reconciles the identity provider's groups. It takes the claim on the name, and
// creates an own pool for the group while no declared pool names the group. When the provider
// deletes the group, it waits until the members have left the group's pools, and then deletes the
// slices and the object. A group grants nothing; pools do.
package scimgroup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/agentpool"
	"lightrun.com/scim-operator/controllers/scimuser"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

// conflictPause is the pause after a write conflict, in which the cache gets the other client's
// write.
const conflictPause = 50 * time.Millisecond

// Reconciler reconciles ScimGroups.
type Reconciler struct {
	client.Client               // reads from the cache
	Live          client.Reader // reads from the API server
	Session       *session.Session
	Pools         *poolindex.Index
	Groups        *groupindex.Index
	Slices        *groupslice.Store
	Counter       *scimuser.Counter
	Finished      *scimuser.Finished
	Clock         clock.PassiveClock
	// Attributes are a user's SCIM attributes in canonical form, for filters.
	Attributes func(*v1alpha1.ScimUser) access.Attributes

	unclaimed claims.Unclaimed
	counted   pass.Counts
}

// scope contains the facts of one pass over a group.
type scope struct {
	*Reconciler
	group *v1alpha1.ScimGroup
	view  session.View
	pools []v1alpha1.AgentPool // all AgentPools of the namespace, in order of name; shared with the cache

	than    int64 // the portal's revision, if the group's objects look older
	older   int64 // the same, if they are: status.olderThan
	round   int64 // status.olderRound
	claimed bool  // its display name
	leaves  []conditions.Leaf
	result  ctrl.Result
	silent  bool // do not write the status, because there is nothing new to report
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
	pools, err := agentpool.All(ctx, r.Client, g.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	p := &scope{Reconciler: r, group: &g, view: r.Session.View(), pools: pools, than: g.Status.OlderThan, older: g.Status.OlderThan, round: g.Status.OlderRound}
	ctx, _ = pass.Request(ctx, &g, g.Status.ObservedGeneration != g.Generation)
	switch {
	case g.Spec.Deleted:
		return p.report(ctx, pass.Run(ctx, p.backup, p.waits, p.later, p.dropPool, p.unpinned, p.left, p.finish))
	case !g.DeletionTimestamp.IsZero():
		return ctrl.Result{}, nil // the object is deleted, but the provider did not delete the group: its pools stay filled
	}
	return p.report(ctx, pass.Run(ctx, p.claim, p.backup, p.ownPool))
}

func (p *scope) leaf(l conditions.Leaf) { p.leaves = append(p.leaves, l) }

// known returns the group in the index. It returns false while the index does not have the current
// state of the object; then the pass waits.
func (p *scope) known() (groupindex.Group, bool) {
	g, found := p.Groups.Group(p.group.Name)
	return g, found && g.DisplayName == p.group.Spec.DisplayName && g.Deleted == p.group.Spec.Deleted
}

// report writes the status once, if it changed.
func (p *scope) report(ctx context.Context, failed error) (ctrl.Result, error) {
	if apierrors.IsConflict(failed) {
		return ctrl.Result{RequeueAfter: conflictPause}, nil // another client wrote: try again
	}
	if p.silent && failed == nil {
		return p.result, nil
	}
	if failed != nil {
		p.leaf(conditions.Unknown(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonProgressing, "Retrying after an error; see the manager's log"))
	}
	before := p.group.DeepCopy()
	s := &p.group.Status
	if p.claimed {
		s.DisplayName = p.group.Spec.DisplayName
	}
	s.Pools = p.fills()
	s.PoolNames = pass.OneLine(s.Pools)
	s.OlderThan, s.OlderRound = p.older, p.round
	s.ObservedGeneration = p.group.Generation
	s.Conditions = conditions.Compute(s.Conditions, p.group.Generation, metav1.NewTime(p.Clock.Now()), p.leaves, nil)
	p.count(!equality.Semantic.DeepEqual(before.Status, *s))
	if !equality.Semantic.DeepEqual(before.Status, *s) {
		if err := p.Status().Patch(ctx, p.group, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, errors.Join(failed, fmt.Errorf("write the status: %w", err))
		}
	}
	if failed != nil {
		return ctrl.Result{}, failed // with back-off
	}
	return p.result, nil
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
