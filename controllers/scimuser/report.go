// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/operator/pass"
)

// report writes the status once, if it changed, and returns the time to reconcile again.
func (p *scope) report(ctx context.Context, failed error) (ctrl.Result, error) {
	if p.silent && failed == nil {
		return p.result, nil
	}
	if failed != nil && len(p.leaves) == 0 || failed != nil && p.leaves[len(p.leaves)-1].Status == metav1.ConditionTrue {
		if apierrors.IsConflict(failed) {
			return ctrl.Result{RequeueAfter: conflictPause}, nil // another client wrote: try again without a report
		}
		p.leaf(conditions.Unknown(v1alpha1.ConditionProvisioned, v1alpha1.ReasonProgressing, "Retrying after an error; see the manager's log"))
	}
	before := p.user.DeepCopy()
	if err := p.fill(ctx); apierrors.IsConflict(err) && failed == nil {
		return ctrl.Result{RequeueAfter: conflictPause}, nil
	} else if err != nil {
		return ctrl.Result{}, errors.Join(failed, err)
	}
	p.Counter.Record(p.user)
	if !equality.Semantic.DeepEqual(before.Status, p.user.Status) {
		if err := p.Status().Patch(ctx, p.user, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, errors.Join(failed, fmt.Errorf("write the status: %w", err))
		}
		p.ownWrites.record(p.user)
	}
	if failed != nil {
		return ctrl.Result{}, failed // with back-off
	}
	return p.result, nil
}

// fill computes the status from the facts of the pass.
func (p *scope) fill(ctx context.Context) error {
	s := &p.user.Status
	if p.snapshot != nil {
		s.Pools, s.Roles = memberships(p), grants(p)
		s.PoolNames, s.RoleNames = pass.OneLine(poolNames(s.Pools)), pass.OneLine(grantNames(s.Roles))
	}
	s.Held = p.answer.Held()
	p.Pools.Record(p.user.Name, poolNames(s.Pools))
	if p.have != nil {
		s.Account = p.have.ID
	} else if p.snapshot != nil {
		s.Account = ""
	}
	if c := p.leaves; p.snapshot != nil && len(c) > 0 && c[0].Status == metav1.ConditionTrue {
		name, err := p.settleName(ctx)
		if err != nil {
			return err
		}
		s.UserName = name
	} else if s.UserName == "" && len(c) > 0 && c[0].Type == v1alpha1.ConditionNameClaimed && c[0].Status == metav1.ConditionTrue {
		s.UserName = p.user.Spec.UserName
	}
	s.ObservedGeneration = p.user.Generation
	s.Conditions = conditions.Compute(s.Conditions, p.user.Generation, metav1.NewTime(p.Clock.Now()), p.leaves, p.abnormal)
	return nil
}

// memberships returns the pools that the user must be in, and the pools that the user is still in
// because the removal is held or was dropped, or because the AgentPool no longer exists.
func memberships(p *scope) []v1alpha1.PoolMembership {
	out := make([]v1alpha1.PoolMembership, len(p.access.Pools), len(p.access.Pools)+len(p.kept))
	for i, m := range p.access.Pools {
		out[i] = v1alpha1.PoolMembership{Name: m.Pool, Source: v1alpha1.PoolSource(m.Source)}
	}
	for _, name := range p.kept {
		out = append(out, v1alpha1.PoolMembership{Name: name, Source: v1alpha1.PoolSourceHeld, Held: true})
	}
	if p.have != nil {
		gone, _ := p.snapshot.Has(granted(p.have))
		for _, m := range gone {
			if !slices.ContainsFunc(out, func(o v1alpha1.PoolMembership) bool { return o.Name == m.Pool }) {
				out = append(out, v1alpha1.PoolMembership{Name: m.Pool, Source: v1alpha1.PoolSource(m.Source)})
			}
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.PoolMembership) int {
		first := func(m v1alpha1.PoolMembership) int {
			if m.Name == v1alpha1.DefaultName {
				return 0
			}
			return 1
		}
		return cmp.Or(first(a)-first(b), strings.Compare(a.Name, b.Name))
	})
	return out
}

// grants returns the roles that the user has by the user's pools. A user without an account that
// this operator manages has none.
func grants(p *scope) []v1alpha1.RoleGrant {
	if p.have == nil {
		return nil
	}
	_, all := p.snapshot.Has(granted(p.have))
	out := make([]v1alpha1.RoleGrant, len(all))
	for i, g := range all {
		out[i] = v1alpha1.RoleGrant{Name: g.Role, From: slices.Clone(g.From)}
	}
	return out
}

func grantNames(in []v1alpha1.RoleGrant) []string {
	out := make([]string, len(in))
	for i, g := range in {
		out[i] = g.Name
	}
	return out
}

func poolNames(in []v1alpha1.PoolMembership) []string {
	out := make([]string, len(in))
	for i, m := range in {
		out[i] = m.Name
	}
	return out
}
