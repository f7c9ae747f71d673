// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/requestid"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/memberlines"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// apply plans and writes the pool.
func (p *scope) apply(ctx context.Context) pass.Outcome {
	plan, have, frozen, err := poolplan.Plan(ctx, p.Live, p.named, p.View.Mirror, func(record *portalapi.Pool) (bool, error) { return p.leaving(ctx, record) })
	if err != nil {
		return p.Retry(err)
	}
	p.have, p.frozen = have, frozen
	all, err := p.all(ctx)
	if err != nil {
		return p.Retry(err)
	}
	if before := poolplan.Predecessor(p.pool, all, p.Groups, p.View.Mirror); before != nil {
		want := provision.WantPool(p.named)
		if frozen != nil {
			want.Roles = []string{}
		}
		plan = poolplan.Succeed(plan, want, p.View.Mirror.OwnedPool(string(before.UID)))
	}
	return p.applyPlan(ctx, plan)
}

// leaving reports whether members of the portal's pool must leave it. Before the pool is adopted,
// and until the lines of its current generation are resolved, it is not known which members are
// wanted, so all members count. The next pass checks again.
func (p *scope) leaving(ctx context.Context, record *portalapi.Pool) (bool, error) {
	if p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return false, nil
	}
	leaving := record.Owner.UID != string(p.pool.UID) && p.View.Mirror.HasMembers(record.ID)
	if record.Owner.UID == string(p.pool.UID) {
		changes, _, err := p.changes(ctx, record)
		if err != nil {
			return false, err
		}
		resolved := !p.behind && groupindex.Settled(p.pool) && memberlines.Settled(p.pool, record)
		leaving = len(changes.Leave)+len(changes.Free) > 0 || !resolved && p.View.Mirror.HasMembers(record.ID)
	}
	if leaving && !p.undecided {
		p.again = retryMembers
	}
	return leaving, nil
}

// applyDefault writes the default pool's roles and description where its object states them; its
// name is the portal's.
func (p *scope) applyDefault(ctx context.Context) pass.Outcome {
	if p.View.Mirror.DefaultPool() == nil {
		return pass.Stop(conditions.False(v1alpha1.ConditionProvisioned, v1alpha1.ReasonDefaultPoolPending, "The portal shows no default pool"))
	}
	plan, have, frozen, err := poolplan.Plan(ctx, p.Live, p.pool, p.View.Mirror, nil)
	if err != nil {
		return p.Retry(err)
	}
	p.have, p.frozen = have, frozen
	if plan.Action == provision.None && have.Owner.UID == "" && frozen == nil {
		return pass.Stop(conditions.True(v1alpha1.ConditionProvisioned, v1alpha1.ReasonMirrored, "The portal's own default pool; everyone is in it"))
	}
	return p.applyPlan(ctx, plan)
}

// applyPlan applies the plan if policy and the guard allow it, and then reconciles the members in
// any case. A mark without a reason in this pass is removed.
func (p *scope) applyPlan(ctx context.Context, plan provision.PoolPlan) pass.Outcome {
	o := p.carryOut(ctx, plan)
	if o.Refused {
		p.again = 0 // the refusal says when to try again
	}
	if o.Err == nil {
		o = o.And(p.members(ctx))
	}
	if !p.keepsMark {
		o = p.ClearMark(o, func(m *portalapi.Mark) error { return p.mark(ctx, m) })
	}
	return o.Within(p.again)
}

// record returns the portal's pool whose mark shows what is held about this AgentPool, or nil if
// there is none.
func (p *scope) record() *portalapi.Pool {
	if !p.pool.DeletionTimestamp.IsZero() {
		return poolplan.Kept(p.pool, p.View.Mirror)
	}
	return p.View.Mirror.OwnedPool(string(p.pool.UID))
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
	if own == nil {
		return nil
	}
	return p.MarkPool(ctx, own, portalapi.Owner{UID: own.Owner.UID, Name: p.pool.Name, Revision: max(p.pool.Generation, own.Owner.Revision)}, m)
}

// markKept marks what is held or was dropped.
func (p *scope) markKept(ctx context.Context, a removals.Outcome) error {
	if m := a.Mark(p.pool.Name); m != nil {
		return p.mark(ctx, m)
	}
	return nil
}

func (p *scope) carryOut(ctx context.Context, plan provision.PoolPlan) pass.Outcome {
	switch {
	case plan.Action == provision.None:
	case plan.Action == provision.Wait:
		return waits(plan)
	case p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly:
		return p.ReportOnly(fmt.Sprintf("Would %s the pool", plan.Action))
	default:
		if o := p.write(ctx, plan); o.Ends() {
			return o
		}
	}
	if p.frozen != nil {
		return pass.Next(*p.frozen)
	}
	if plan.Reason != "" {
		return waits(plan) // all but the name is done
	}
	return pass.Next(conditions.True(v1alpha1.ConditionProvisioned, v1alpha1.ReasonProvisioned, "The pool matches its declaration"))
}

// waits reports what the plan waits for. The change feed reports when a person consents or another
// pool releases the name; that pool's object is polled.
func waits(plan provision.PoolPlan) pass.Outcome {
	o := pass.Stop(conditions.False(v1alpha1.ConditionProvisioned, plan.Reason, plan.Message))
	if plan.Reason == v1alpha1.ReasonNameReleasePending {
		o = o.Within(time.Second)
	}
	return o
}

// write puts the pool; taking ROLE_MANAGER from its members goes through the guard.
func (p *scope) write(ctx context.Context, plan provision.PoolPlan) pass.Outcome {
	ctx, p.Request = p.because(ctx)
	plan.Write.KeepMark = true // ClearMark removes it when nothing is held any more
	plan.Write.Pins = poolplan.WithSeen(plan.Write.Pins, poolplan.Seen(plan.Write.Pins, p.Groups, p.View.Mirror))
	var got *portalapi.Pool
	put := func(ctx context.Context) (err error) {
		got, err = p.View.Client.PutPool(ctx, plan.Write)
		return err
	}
	o := p.takeManager(ctx, plan, put)
	if o.Ends() {
		return o
	}
	p.Event(corev1.EventTypeNormal, plan.Action.Done(), string(plan.Action), "Wrote pool %s to the portal", got.ID)
	p.causes.done(p.pool.Name, p.pool.OwnPoolOf())
	p.have = got
	p.View.Mirror.PutPool(got)
	return o
}

// takeManager calls put. If members lose ROLE_MANAGER by it, the deprovisioning guard or a person
// has to allow it.
func (p *scope) takeManager(ctx context.Context, plan provision.PoolPlan, put func(context.Context) error) pass.Outcome {
	removal := poolplan.ManagerSet(p.pool, plan, p.View.Mirror, p.marked(plan))
	if len(removal.Users) == 0 {
		return p.Call(func() error { return put(ctx) })
	}
	o := p.Guarded(ctx, pass.Guarded{
		Removal: removal, Do: put,
		Mark: func(ctx context.Context, a removals.Outcome) error {
			if a.Mark(p.pool.Name) == nil {
				return nil
			}
			if err := p.adoptAsIs(ctx, plan); err != nil {
				return err
			}
			return p.markKept(ctx, a)
		},
		Dropped: "the pool's name, description and roles stay unchanged, and other changes of them wait with the removal",
	})
	if !o.Ends() {
		p.keepsMark = p.Removal.Decision != "" // until its members are decided: the decision does not cover them
	}
	return o
}

// adoptAsIs adopts a pool with its current roles, if the guard holds the change of its roles: the
// AgentPool can mark only a record that it owns.
func (p *scope) adoptAsIs(ctx context.Context, plan provision.PoolPlan) error {
	if plan.Action != provision.Adopt {
		return nil
	}
	as := plan.Write
	as.Roles, as.KeepMark = plan.Pool.Roles, true
	got, err := p.View.Client.PutPool(ctx, as)
	if err != nil {
		return err
	}
	p.have = got
	p.View.Mirror.PutPool(got)
	return nil
}

// leaveAsIs ends the pass over a deleted pool whose record in the portal stays unchanged, or while
// its state is not known.
func (p *scope) leaveAsIs(ctx context.Context) pass.Outcome {
	if !controllerutil.ContainsFinalizer(p.pool, v1alpha1.FinalizerPool) {
		return pass.Stop(conditions.Unknown(v1alpha1.ConditionProvisioned, v1alpha1.ReasonDeleting,
			"The AgentPool is being deleted, and the operator has finished its part. It is gone when these finalizers are removed: "+strings.Join(p.pool.Finalizers, ", ")))
	}
	if p.View.Unknown {
		return pass.Quiet(0)
	}
	leave, err := p.LeaveAsIs(ctx)
	if err == nil && !leave {
		leave, err = pass.KindsEnding(ctx, p.Client, p.pool.Namespace)
	}
	switch {
	case err != nil:
		return p.Retry(err)
	case leave:
		return p.finish(ctx)
	}
	return p.Releasable()
}

// because returns the id of the SCIM request that causes a write of the pool itself: a request
// creates, renames or deletes the own pool of a group. Administrators cause all other changes of a
// pool.
func (p *scope) because(ctx context.Context) (context.Context, string) {
	own := p.pool.OwnPoolOf()
	if own == "" {
		return ctx, p.Request
	}
	id := p.causes.newest(p.pool.Name, p.Clock.Now(), own)
	if id == "" {
		return ctx, p.Request
	}
	return requestid.With(ctx, id), id
}

// releasePool releases the pool in the portal, if the guard allows the removal of its members. A
// pool that a person decided to keep stays there unchanged, with its members, for an AgentPool of
// the same name.
func (p *scope) releasePool(ctx context.Context) pass.Outcome {
	ctx, p.Request = p.because(ctx)
	all, err := p.all(ctx)
	if err != nil {
		return p.Retry(err)
	}
	plan := poolplan.PlanRelease(p.pool, all, p.Groups, p.View.Mirror)
	uid := string(p.pool.UID)
	if plan.Pool != nil {
		uid = plan.Pool.Owner.UID
	}
	do := func(ctx context.Context) error { return p.View.Client.ReleasePool(ctx, uid, plan.Remove) }
	if len(plan.Removal.Users) == 0 {
		return p.Call(func() error { return do(ctx) })
	}
	o := p.Guarded(ctx, pass.Guarded{Removal: plan.Removal, Do: do, Mark: p.markKept})
	if plan.Replaced && p.Removal.Verdict == sets.Hold {
		return o.Within(retryReplaced)
	}
	return o
}

// retryReplaced is the pause before a held deletion of a group's own pool is decided again: its
// members may have joined the pool that replaces it, and no event of the own pool says so.
const retryReplaced = 10 * time.Second

// finish releases the pool's names and removes the finalizer. The provider's statements about its
// members stay on them.
func (p *scope) finish(ctx context.Context) pass.Outcome {
	named, _ := groupindex.WithPortalName(p.pool, p.Groups)
	return p.Finish(ctx, p.registry(), v1alpha1.ClaimPool, v1alpha1.FinalizerPool, named.PortalName(), p.pool.Status.DisplayName)
}
