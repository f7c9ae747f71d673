// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/requestid"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// apply plans and writes the pool.
func (p *scope) apply(ctx context.Context) (bool, error) {
	plan, have, frozen, err := Plan(ctx, p.Live, p.titled, p.view.Mirror, func(record *portalapi.Pool) (bool, error) { return p.leaving(ctx, record) })
	if err != nil {
		return true, err
	}
	p.have, p.frozen = have, frozen
	all, err := p.all(ctx)
	if err != nil {
		return true, err
	}
	if before := Predecessor(p.pool, all, p.Groups, p.view.Mirror); before != nil {
		want := provision.WantPool(p.titled)
		if frozen != nil {
			want.Roles = []string{}
		}
		plan = Succeed(plan, want, p.view.Mirror.OwnedPool(string(before.UID)))
	}
	return p.applyPlan(ctx, plan)
}

// leaving reports whether members of the portal's pool must leave it. Before the pool is adopted,
// it is not known which members are wanted, so all members count. The next pass checks again.
func (p *scope) leaving(ctx context.Context, record *portalapi.Pool) (bool, error) {
	if p.view.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return false, nil
	}
	leaving := record.Owner.UID != string(p.pool.UID) && p.view.Mirror.HasMembers(record.ID)
	if record.Owner.UID == string(p.pool.UID) {
		changes, _, err := p.changes(ctx, record)
		if err != nil {
			return false, err
		}
		leaving = len(changes.Leave)+len(changes.Free) > 0
	}
	if leaving {
		p.requeueWithin(retryMembers)
	}
	return leaving, nil
}

// applyDefault writes the roles and the description of the default pool, if its object has them.
// The portal decides the name.
func (p *scope) applyDefault(ctx context.Context) (bool, error) {
	if p.view.Mirror.DefaultPool() == nil {
		p.leaf(conditions.False(v1alpha1.ConditionProvisioned, v1alpha1.ReasonDefaultPoolPending, "The portal shows no default pool"))
		return true, nil
	}
	plan, have, frozen, err := Plan(ctx, p.Live, p.pool, p.view.Mirror, nil)
	if err != nil {
		return true, err
	}
	p.have, p.frozen = have, frozen
	if plan.Action == provision.None && have.Owner.UID == "" && frozen == nil {
		p.leaf(conditions.True(v1alpha1.ConditionProvisioned, v1alpha1.ReasonMirrored, "The portal's own default pool; everyone is in it"))
		return true, nil
	}
	return p.applyPlan(ctx, plan)
}

// applyPlan applies the plan, if the policy and the guard allow it. In any case it then reconciles
// the members. It removes the portal's mark if this pass found no reason for it.
func (p *scope) applyPlan(ctx context.Context, plan provision.PoolPlan) (bool, error) {
	done, err := p.carryOut(ctx, plan)
	if err == nil {
		err = p.members(ctx)
	}
	if err != nil {
		return done, err
	}
	return done, p.clearMark(ctx)
}

// record returns the portal's pool whose mark shows what is held about this AgentPool; nil if there
// is none.
func (p *scope) record() *portalapi.Pool {
	if !p.pool.DeletionTimestamp.IsZero() {
		return Kept(p.pool, p.view.Mirror)
	}
	return p.view.Mirror.OwnedPool(string(p.pool.UID))
}

// marked returns the mark of the record that the AgentPool owns, or that the plan adopts.
func (p *scope) marked(plan provision.PoolPlan) *portalapi.Mark {
	switch own := p.record(); {
	case own != nil:
		return own.Mark
	case plan.Pool != nil:
		return plan.Pool.Mark
	}
	return nil
}

// mark sets the portal's mark to m. It makes no call if the mark is m already.
func (p *scope) mark(ctx context.Context, m *portalapi.Mark) error {
	own := p.record()
	if own == nil || pass.SameMark(own.Mark, m) {
		return nil
	}
	owner := portalapi.Owner{UID: own.Owner.UID, Name: p.pool.Name, Revision: max(p.pool.Generation, own.Owner.Revision)}
	if err := p.view.Client.MarkPoolHeld(ctx, owner, m); err != nil {
		return fmt.Errorf("mark what is held: %w", err)
	}
	with := *own
	with.Mark = m
	p.view.Mirror.PutPool(&with) // so that the next pass has the mark before the change feed reports it
	return nil
}

// clearMark removes the mark once nothing is held or dropped. Under ReportOnly a mark stays.
func (p *scope) clearMark(ctx context.Context) error {
	if p.keepsMark || p.answer.Mark(p.pool.Name) != nil || p.view.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return nil
	}
	if err := p.mark(ctx, nil); err != nil {
		r := p.refusal(err)
		p.result.RequeueAfter = r.After
		return r.Err
	}
	return nil
}

func (p *scope) carryOut(ctx context.Context, plan provision.PoolPlan) (bool, error) {
	switch {
	case plan.Action == provision.None:
	case plan.Action == provision.Wait:
		p.waits(plan)
		return true, nil
	case p.view.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly:
		message := fmt.Sprintf("Would %s the pool", plan.Action)
		p.leaf(conditions.False(v1alpha1.ConditionProvisioned, v1alpha1.ReasonReportOnly, message))
		p.abnormal = append(p.abnormal, conditions.True(v1alpha1.ConditionDrifted, v1alpha1.ReasonReportOnly, message))
		return true, nil
	default:
		if done, err := p.write(ctx, plan); done || err != nil {
			return done, err
		}
	}
	if p.frozen != nil {
		p.leaf(*p.frozen)
		return false, nil
	}
	if plan.Reason != "" {
		p.waits(plan) // all but the name is done
		return false, nil
	}
	p.leaf(conditions.True(v1alpha1.ConditionProvisioned, v1alpha1.ReasonProvisioned, "The pool matches its declaration"))
	return false, nil
}

// waits reports what the plan waits for. The change feed shows that a person consents, or that
// another pool releases the name. The AgentPool of that other pool is polled.
func (p *scope) waits(plan provision.PoolPlan) {
	p.leaf(conditions.False(v1alpha1.ConditionProvisioned, plan.Reason, plan.Message))
	if plan.Reason == v1alpha1.ReasonNameReleasePending {
		p.result.RequeueAfter = time.Second
	}
}

// on returns the inputs of a decision about a removal.
func (p *scope) on() removals.On {
	return removals.On{Object: p.pool, Decisions: p.view.Decisions, Spec: p.view.Spec.DeprovisioningGuard, Now: p.Clock.Now()}
}

// write writes the pool. The guard decides if that takes ROLE_MANAGER from its members.
func (p *scope) write(ctx context.Context, plan provision.PoolPlan) (bool, error) {
	ctx, p.request = p.because(ctx)
	plan.Write.KeepMark = true // clearMark removes it when nothing is held any more
	plan.Write.Pins = withSeen(plan.Write.Pins, Seen(plan.Write.Pins, p.Groups, p.view.Mirror))
	var got *portalapi.Pool
	put := func() (err error) {
		got, err = p.view.Client.PutPool(ctx, plan.Write)
		return err
	}
	if plan.LosesManager {
		if done, err := p.guarded(ctx, plan, put); done || err != nil {
			return true, err
		}
	} else if err := put(); err != nil {
		return p.refused(err)
	}
	p.event(normal, string(plan.Action)+"d", string(plan.Action), "Wrote pool %s to the portal", got.ID)
	p.causes.done(p.pool.Name, p.pool.OwnPoolOf())
	p.have = got
	p.view.Mirror.PutPool(got)
	return false, nil
}

// guarded calls put if the deprovisioning guard or a person allows it. done is true if it did not
// call put.
func (p *scope) guarded(ctx context.Context, plan provision.PoolPlan, put func() error) (done bool, err error) {
	removal := ManagerSet(p.pool, plan, p.view.Mirror, p.marked(plan))
	if len(removal.Users) == 0 {
		if err := put(); err != nil {
			return p.refused(err)
		}
		return false, nil
	}
	p.answer, err = p.Guard.Remove(ctx, p.Client, p.view.Client, p.on(), removal, put)
	if err == nil && p.answer.Mark(p.pool.Name) != nil {
		err = p.adoptAsIs(ctx, plan)
	}
	if err != nil {
		return p.refused(err)
	}
	p.decided(p.answer, removal.Mark)
	switch p.answer.Verdict {
	case sets.Hold:
		return p.held(ctx, p.answer)
	case sets.Keep:
		if err := p.mark(ctx, p.answer.Mark(p.pool.Name)); err != nil {
			return p.refused(err)
		}
		p.leaf(conditions.False(v1alpha1.ConditionProvisioned, v1alpha1.ReasonRemovalDropped, "A person dropped this removal ("+p.answer.Decision+"): the pool stays unchanged until its object changes"))
		return true, nil
	}
	p.keepsMark = p.answer.Decision != "" // until members decides: this decision does not cover the members
	return false, nil
}

// adoptAsIs adopts a pool with its current roles, if the guard holds the change of its roles: the
// AgentPool can mark only a record that it owns.
func (p *scope) adoptAsIs(ctx context.Context, plan provision.PoolPlan) error {
	if plan.Action != provision.Adopt {
		return nil
	}
	as := plan.Write
	as.Roles, as.KeepMark = plan.Pool.Roles, true
	got, err := p.view.Client.PutPool(ctx, as)
	if err != nil {
		return err
	}
	p.have = got
	p.view.Mirror.PutPool(got)
	return nil
}

// held marks in the portal, and reports, that the guard holds a removal. Without the mark the
// removal would be carried out in the next window.
func (p *scope) held(ctx context.Context, answer removals.Answer) (bool, error) {
	if err := p.mark(ctx, answer.Mark(p.pool.Name)); err != nil {
		return p.refused(err)
	}
	p.holdReported(answer, "")
	return true, nil
}

// holdReported reports a held removal in the conditions, and once in an event.
func (p *scope) holdReported(answer removals.Answer, also string) {
	message := answer.Message() + also
	if !conditions.IsTrue(p.pool.Status.Conditions, v1alpha1.ConditionDeprovisioningHeld) {
		p.event(warning, v1alpha1.ReasonGuardHeld, "Hold", "%s", message)
	}
	p.leaf(conditions.False(v1alpha1.ConditionProvisioned, v1alpha1.ReasonGuardHeld, message))
	p.abnormal = append(p.abnormal, conditions.True(v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld, message))
}

// refusal classifies a failed call.
func (p *scope) refusal(err error) pass.Refusal {
	return pass.Refused(v1alpha1.ConditionProvisioned, err, p.pool.Status.Conditions, p.Clock.Now())
}

// refused reports a failed call as a condition, and sets the time to retry. It ends the pass.
func (p *scope) refused(err error) (bool, error) {
	r := p.refusal(err)
	p.keepsMark = true
	p.leaf(r.Leaf)
	p.result.RequeueAfter = r.After
	return true, r.Err
}

// release releases the pool in the portal and its names, and removes the finalizer.
func (p *scope) release(ctx context.Context) (bool, error) {
	if !controllerutil.ContainsFinalizer(p.pool, v1alpha1.FinalizerPool) || p.view.Unknown {
		p.silent = true
		return true, nil
	}
	leave, err := pass.LeaveAsIs(ctx, p.Live, p.view, p.pool.Namespace)
	if err != nil {
		return false, err
	}
	if !leave {
		if leave, err = pass.KindEnding(ctx, p.Client, &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: p.pool.Namespace, Name: v1alpha1.DefaultName}}); err != nil {
			return false, err
		}
	}
	if leave {
		return p.finish(ctx)
	}
	if a := pass.Release(p.view); a.Stop {
		return p.stopAt(a)
	}
	if done, err := p.releasePool(ctx); done || err != nil {
		return done, err
	}
	return p.finish(ctx)
}

// because returns the id of the SCIM request that causes a write of the pool itself: a request
// creates, renames or deletes the own pool of a group. Administrators cause all other changes of a
// pool.
func (p *scope) because(ctx context.Context) (context.Context, string) {
	own := p.pool.OwnPoolOf()
	if own == "" {
		return ctx, p.request
	}
	id := p.causes.newest(p.pool.Name, p.Clock.Now(), own)
	if id == "" {
		return ctx, p.request
	}
	return requestid.With(ctx, id), id
}

// releasePool releases the pool in the portal, if the guard allows that its members lose it. If a
// person dropped that removal, the pool stays in the portal unchanged, with its members, and a
// later AgentPool of the same name adopts it.
func (p *scope) releasePool(ctx context.Context) (bool, error) {
	ctx, p.request = p.because(ctx)
	plan := PlanRelease(p.pool, p.view.Mirror)
	uid := string(p.pool.UID)
	if plan.Pool != nil {
		uid = plan.Pool.Owner.UID
	}
	do := func() error { return p.view.Client.ReleasePool(ctx, uid, plan.Remove) }
	if len(plan.Removal.Users) == 0 {
		if err := do(); err != nil {
			return p.refused(err)
		}
		return false, nil
	}
	var err error
	if p.answer, err = p.Guard.Remove(ctx, p.Client, p.view.Client, p.on(), plan.Removal, do); err != nil {
		return p.refused(err)
	}
	p.decided(p.answer, plan.Removal.Mark)
	switch p.answer.Verdict {
	case sets.Hold:
		return p.held(ctx, p.answer)
	case sets.Keep:
		if err := p.mark(ctx, p.answer.Mark(p.pool.Name)); err != nil {
			return p.refused(err)
		}
	}
	return false, nil
}

func (p *scope) finish(ctx context.Context) (bool, error) {
	p.silent = true
	titled, _ := groupindex.Titled(p.pool, p.Groups)
	for _, name := range []string{titled.PortalName(), p.pool.Status.DisplayName} {
		if names.Fold(name) == "" {
			continue
		}
		if err := p.registry().Release(ctx, v1alpha1.ClaimPool, name, p.pool); err != nil {
			return false, fmt.Errorf("release the pool's name: %w", err)
		}
	}
	before := p.pool.DeepCopy()
	controllerutil.RemoveFinalizer(p.pool, v1alpha1.FinalizerPool)
	err := p.Patch(ctx, p.pool, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	return true, client.IgnoreNotFound(err)
}
