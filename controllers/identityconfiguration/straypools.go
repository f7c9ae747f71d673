// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// strayPools is the state of the search for pools without an AgentPool: pools that this operator
// manages and whose AgentPool does not exist. The AgentPool was deleted while nothing was written
// to the portal, or a person removed its finalizer.
type strayPools struct {
	firstSeen map[string]time.Time // by the owner's UID; a restart of the manager forgets it
	settled   []*portalapi.Pool    // the pools that the last search reported
	reported  []string             // these pools, as the event names them
}

// settling is the time after which an account or a pool without its object is reported: while the
// manager releases one, it looks the same for a moment.
const settling = 2 * time.Second

// auditPools searches for pools without an AgentPool, reports them, and releases those that a
// person asked to release, if the guard lets their members lose what the pool gives.
func (p *scope) auditPools(ctx context.Context) pass.Outcome {
	if !p.View.Mirror.Configuration().SCIMEnabled {
		return pass.Next()
	}
	all, err := poolplan.ListPools(ctx, p.Client, p.config.Namespace)
	if err != nil {
		return p.Retry(err)
	}
	now, s := p.Clock.Now(), &p.strayPools
	o := pass.Next()
	var found []*portalapi.Pool
	firstSeen := map[string]time.Time{}
	for _, pool := range poolindex.WithoutAgentPool(p.View.Mirror, all) {
		uid := pool.Owner.UID
		firstSeen[uid] = now
		if first, ok := s.firstSeen[uid]; ok {
			firstSeen[uid] = first
		}
		if now.Sub(firstSeen[uid]) < settling {
			o = o.Within(settling)
			continue
		}
		found = append(found, pool)
	}
	s.firstSeen, s.settled = firstSeen, found
	p.Counter.StrayPools(len(found))
	p.reportPools(found)
	if p.spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return o
	}
	releaseUntil := p.decidedAt(v1alpha1.AnnotationReleaseOwnerGone)
	var failed []error
	for _, pool := range found {
		failed = append(failed, p.releasePool(ctx, pool, !firstSeen[pool.Owner.UID].Truncate(time.Second).After(releaseUntil)))
	}
	return o.And(p.Retry(errors.Join(failed...)))
}

// reportPools reports the pools that a search found, if the last search did not find the same ones.
func (p *scope) reportPools(found []*portalapi.Pool) {
	var pools []string
	for _, pool := range found {
		pools = append(pools, fmt.Sprintf("%q (%s) of AgentPool %s", pool.Name, pool.ID, pool.Owner.Name))
	}
	if len(pools) > 0 && !slices.Equal(pools, p.strayPools.reported) {
		p.Event(corev1.EventTypeWarning, "PoolsWithoutAgentPool", "Audit",
			"%d pool(s) that this operator manages have no AgentPool: %s. Their members keep their roles. To keep a pool, apply its AgentPool again; to release them: %s", len(pools), named(pools), shell.Scim(p.config.Namespace, "audit", "--release"))
	}
	p.strayPools.reported = pools
}

// releasePool releases the pool if a person asked for it, or released what the guard held of it.
func (p *scope) releasePool(ctx context.Context, pool *portalapi.Pool, asked bool) error {
	object, decision := p.decidedOn(pool)
	if !asked && decision != removals.Release {
		return nil
	}
	plan := poolplan.PlanRelease(object, nil, nil, p.View.Mirror) // the spec is lost, so it counts as declared
	do := func(ctx context.Context) error { return p.View.Client.ReleasePool(ctx, pool.Owner.UID, plan.Remove) }
	outcome := removals.Outcome{Verdict: sets.Apply}
	var err error
	if len(plan.Removal.Users) == 0 {
		err = do(ctx)
	} else {
		facts := removals.Facts{Object: object, Spec: p.spec.DeprovisioningGuard, Now: p.Clock.Now()}
		outcome, err = p.Guard.Remove(ctx, p.View.Client, facts, plan.Removal, do)
	}
	if err == nil && outcome.Verdict != sets.Apply {
		err = p.markPool(outcome.MarkContext(ctx, object), pool, outcome)
	}
	if err != nil {
		return fmt.Errorf("release pool %s, whose AgentPool does not exist: %w", pool.ID, err)
	}
	if outcome.Verdict == sets.Apply {
		ctrl.LoggerFrom(ctx).Info("Released a pool whose AgentPool does not exist", "pool", pool.ID, "agentPool", pool.Owner.Name)
	}
	return nil
}

// decidedOn returns an AgentPool like the one that owned the pool, with the decision of a person
// about the removal that is marked at the pool. Since that AgentPool does not exist, the person
// annotates the IdentityConfiguration with the removal's id.
func (p *scope) decidedOn(pool *portalapi.Pool) (*v1alpha1.AgentPool, removals.Decision) {
	object := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: p.config.Namespace, Name: pool.Owner.Name, UID: types.UID(pool.Owner.UID)}}
	if pool.Mark == nil {
		return object, removals.Undecided
	}
	d := removals.Decide(p.config, pool.Mark.Decision)
	by := p.config.Annotations[v1alpha1.AnnotationDecidedBy]
	switch d {
	case removals.Release:
		object.Annotations = map[string]string{v1alpha1.AnnotationRelease: pool.Mark.Decision, v1alpha1.AnnotationDecidedBy: by}
	case removals.Drop:
		object.Annotations = map[string]string{v1alpha1.AnnotationDrop: pool.Mark.Decision, v1alpha1.AnnotationDecidedBy: by}
	}
	return object, d
}

// markPool marks in the portal, and reports once, that the release is held or was dropped.
func (p *scope) markPool(ctx context.Context, pool *portalapi.Pool, outcome removals.Outcome) error {
	mark := outcome.Mark(pool.Owner.Name)
	if pass.SameMark(pool.Mark, mark) {
		return nil
	}
	if err := p.View.Client.MarkPool(ctx, pool.Owner, mark); err != nil {
		return fmt.Errorf("mark what is held: %w", err)
	}
	with := *pool
	with.Mark = mark
	p.View.Mirror.PutPool(&with)
	if outcome.Verdict == sets.Hold {
		p.Event(corev1.EventTypeWarning, v1alpha1.ReasonGuardHeld, "Hold",
			"The deprovisioning guard holds the release of the pool of AgentPool %s: %d user(s) would lose what it gives. If this is meant: %s",
			pool.Owner.Name, len(outcome.Removal.Users), shell.Scim(p.config.Namespace, "audit", "--release", "--id", outcome.Decision))
	}
	return nil
}
