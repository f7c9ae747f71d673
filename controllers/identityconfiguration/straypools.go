// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/agentpool"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// strayPools are pools of ours whose AgentPool is gone: it was deleted while nothing was written to
// the portal, or its finalizer was removed by force.
type strayPools struct {
	since    map[string]time.Time // owner's UID → when first seen
	reported string               // ids in the last event
}

// settling is how long a pool is seen without its AgentPool before that is reported: a pool that is
// being released looks the same for a moment.
const settling = 2 * time.Second

// auditPools finds pools of ours whose AgentPool is gone, reports them, and releases those that a
// person asked to release, if the guard lets their members lose what they give.
func (p *scope) auditPools(ctx context.Context) pass.Outcome {
	if !p.View.Mirror.Configuration().SCIMEnabled {
		return pass.Next()
	}
	all, err := agentpool.All(ctx, p.Client, p.config.Namespace)
	if err != nil {
		return p.Retry(err)
	}
	now, s := p.Clock.Now(), &p.strayPools
	o := pass.Next()
	var found []*portalapi.Pool
	since := map[string]time.Time{}
	for _, pool := range poolindex.WithoutAgentPool(p.View.Mirror, all) {
		uid := pool.Owner.UID
		if since[uid] = now; !s.since[uid].IsZero() {
			since[uid] = s.since[uid]
		}
		if now.Sub(since[uid]) < settling {
			o = o.Within(settling)
			continue
		}
		found = append(found, pool)
	}
	s.since = since
	p.Counter.StrayPools(len(found))
	p.reportPools(found)
	if p.spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return o
	}
	asked, _ := removals.By(p.config.Annotations[v1alpha1.AnnotationReleaseStrays], now)
	var failed []error
	for _, pool := range found {
		failed = append(failed, p.releasePool(ctx, pool, !since[pool.Owner.UID].Truncate(time.Second).After(asked)))
	}
	return o.And(p.Retry(errors.Join(failed...)))
}

// reportPools reports each change of what was found, once.
func (p *scope) reportPools(found []*portalapi.Pool) {
	var names []string
	for _, pool := range found[:min(len(found), named)] {
		names = append(names, fmt.Sprintf("%q (%s) of AgentPool %s", pool.Name, pool.ID, pool.Owner.Name))
	}
	if more := len(found) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	list := strings.Join(names, ", ")
	if list != "" && list != p.strayPools.reported {
		p.Event(corev1.EventTypeWarning, "PoolsWithoutAgentPool", "Audit",
			"%d pool(s) of ours have no AgentPool any more: %s. Their members keep their roles. To keep a pool, apply its AgentPool again; to release them: kubectl scim audit --release", len(found), list)
	}
	p.strayPools.reported = list
}

// releasePool releases the pool if a person asked for it, or released what the guard held of it.
func (p *scope) releasePool(ctx context.Context, pool *portalapi.Pool, asked bool) error {
	object, decision := p.decidedOn(pool)
	if !asked && decision != removals.Release {
		return nil
	}
	plan := agentpool.PlanRelease(object, p.View.Mirror)
	do := func() error { return p.View.Client.ReleasePool(ctx, pool.Owner.UID, plan.Remove) }
	answer := removals.Answer{Verdict: sets.Apply}
	var err error
	if len(plan.Removal.Users) == 0 {
		err = do()
	} else {
		on := removals.On{Object: object, Spec: p.spec.DeprovisioningGuard, Now: p.Clock.Now()}
		answer, err = p.Guard.Remove(ctx, p.Client, p.View.Client, on, plan.Removal, do)
	}
	if err == nil && answer.Verdict != sets.Apply {
		err = p.markPool(ctx, pool, answer)
	}
	if err != nil {
		return fmt.Errorf("release pool %s, whose AgentPool is gone: %w", pool.ID, err)
	}
	if answer.Verdict == sets.Apply {
		ctrl.LoggerFrom(ctx).Info("Released a pool whose AgentPool is gone", "pool", pool.ID, "agentPool", pool.Owner.Name)
	}
	return nil
}

// decidedOn is the AgentPool that the pool had, with what a person decided about the removal that
// is marked at the pool. No AgentPool is there to carry the decision: the IdentityConfiguration
// does, by the removal's id alone. What kubectl scim held does not list is not released with the
// rest.
func (p *scope) decidedOn(pool *portalapi.Pool) (*v1alpha1.AgentPool, removals.Decision) {
	object := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: p.config.Namespace, Name: pool.Owner.Name, UID: types.UID(pool.Owner.UID)}}
	if pool.Mark == nil {
		return object, removals.Undecided
	}
	d := removals.Decide(p.config, pool.Mark.Decision, session.Decisions{})
	switch d {
	case removals.Release:
		object.Annotations = map[string]string{v1alpha1.AnnotationRelease: pool.Mark.Decision}
	case removals.Drop:
		object.Annotations = map[string]string{v1alpha1.AnnotationDrop: pool.Mark.Decision}
	}
	return object, d
}

// markPool marks in the portal, and reports once, that the release is held or was dropped.
func (p *scope) markPool(ctx context.Context, pool *portalapi.Pool, answer removals.Answer) error {
	mark := answer.Mark(pool.Owner.Name)
	if pass.SameMark(pool.Mark, mark) {
		return nil
	}
	if err := p.MarkPool(ctx, pool, pool.Owner, mark); err != nil {
		return err
	}
	if answer.Verdict == sets.Hold {
		p.Event(corev1.EventTypeWarning, v1alpha1.ReasonGuardHeld, "Hold",
			"The deprovisioning guard holds the release of the pool of AgentPool %s: %d user(s) would lose what it gives. If this is meant: kubectl scim audit --release --id %s", pool.Owner.Name, len(answer.Removal.Users), answer.Decision)
	}
	return nil
}
