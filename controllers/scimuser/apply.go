// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// conflictPause is the pause after a write conflict, in which the cache gets the other client's
// write.
const conflictPause = 50 * time.Millisecond

// apply carries out the plan, if the policy and the guard allow it. It removes the portal's mark if
// this pass found no reason for it.
func (p *scope) apply(ctx context.Context) (bool, error) {
	done, err := p.carryOut(ctx)
	if err != nil {
		return done, err
	}
	return done, p.clearMark(ctx)
}

func (p *scope) carryOut(ctx context.Context) (bool, error) {
	switch {
	case p.plan.Action == provision.Wait:
		return true, p.wait(ctx)
	case !p.plan.Writes():
	case p.view.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly:
		p.reportOnly()
		return true, nil
	default:
		if held, err := p.write(ctx); held || err != nil {
			return true, err
		}
		if p.plan.Reason != "" {
			return true, p.wait(ctx) // all but the name is done
		}
	}
	p.leaf(conditions.True(v1alpha1.ConditionOwned, v1alpha1.ReasonOwned, "The account follows this ScimUser"))
	p.leaf(conditions.True(v1alpha1.ConditionProvisioned, v1alpha1.ReasonProvisioned, "The account matches the identity provider"))
	return false, nil
}

// marked returns the portal's record whose mark shows whether the guard holds this user's removal:
// the user's account, or the account that the user is about to adopt. It returns nil if there is
// none.
func (p *scope) marked() *portalapi.Account {
	if p.user.Spec.Deleted {
		return Kept(p.user, p.view.Mirror)
	}
	if own := p.view.Mirror.Owned(string(p.user.UID)); own != nil {
		return own
	}
	if a := p.plan.Account; a != nil && (p.plan.Action == provision.Adopt || a.WaitingFor.UID == string(p.user.UID)) {
		return a
	}
	return nil
}

// mark sets the portal's mark to m. It makes no call if the mark is m already. An account that the
// user is about to adopt is marked under its current owner. A local account has no owner, so mark
// first calls MarkWaiting.
func (p *scope) mark(ctx context.Context, m *portalapi.Mark) error {
	a := p.marked()
	if a == nil || pass.SameMark(a.Mark, m) {
		return nil
	}
	owner := portalapi.Owner{UID: string(p.user.UID), Name: p.user.Name, Revision: p.user.Spec.Revision}
	switch {
	case a.Owner.UID != "" && a.Owner.UID != owner.UID:
		owner = a.Owner
	case a.Owner.UID == "" && a.WaitingFor.UID != owner.UID:
		if err := p.view.Client.MarkWaiting(ctx, a.ID, owner); err != nil {
			return fmt.Errorf("mark the local account as waited for: %w", err)
		}
	}
	if err := p.view.Client.MarkHeld(ctx, owner, m); err != nil {
		return fmt.Errorf("mark what is held: %w", err)
	}
	with := *a
	with.Mark = m
	p.view.Mirror.PutAccount(&with) // so that the next pass has the mark before the change feed reports it
	return nil
}

// clearMark removes the mark once nothing is held or dropped. Under ReportOnly a mark stays.
func (p *scope) clearMark(ctx context.Context) error {
	if p.answer.Mark(p.user.Name) != nil || p.view.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return nil
	}
	if err := p.mark(ctx, nil); err != nil {
		r := pass.Refused(v1alpha1.ConditionProvisioned, err, p.user.Status.Conditions, p.Clock.Now())
		p.result.RequeueAfter = r.After
		return r.Err
	}
	return nil
}

// wait reports what the plan waits for. It marks a local account once, so that the portal can show
// which ScimUser will adopt it.
func (p *scope) wait(ctx context.Context) error {
	typ := v1alpha1.ConditionOwned
	if p.have != nil {
		p.leaf(conditions.True(typ, v1alpha1.ReasonOwned, "The account follows this ScimUser"))
		typ = v1alpha1.ConditionProvisioned
	}
	p.leaf(conditions.False(typ, p.plan.Reason, p.plan.Message))
	if p.plan.Reason == v1alpha1.ReasonNameReleasePending {
		p.result.RequeueAfter = time.Second
	}
	if !p.plan.Mark || p.view.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return nil
	}
	owner := portalapi.Owner{UID: string(p.user.UID), Name: p.user.Name, Revision: p.user.Spec.Revision}
	if err := p.view.Client.MarkWaiting(ctx, p.plan.Account.ID, owner); err != nil {
		_, err = p.refused(fmt.Errorf("mark the local account as waited for: %w", err), v1alpha1.ConditionProvisioned)
		return err
	}
	return nil
}

// reportOnly reports the changes that ReportOnly does not make.
func (p *scope) reportOnly() {
	fields := make([]string, len(p.plan.Differences))
	for i, d := range p.plan.Differences {
		fields[i] = d.Field
	}
	message := fmt.Sprintf("Would %s the account", strings.ToLower(string(p.plan.Action)))
	if len(fields) > 0 {
		message += ": " + strings.Join(fields, ", ")
	}
	p.leaf(conditions.False(v1alpha1.ConditionProvisioned, v1alpha1.ReasonReportOnly, message))
	p.abnormal = append(p.abnormal, conditions.True(v1alpha1.ConditionDrifted, v1alpha1.ReasonReportOnly, message))
}

// write writes the account. The guard decides if that takes access away.
func (p *scope) write(ctx context.Context) (held bool, err error) {
	var got *portalapi.Account
	put := func() (err error) {
		got, err = p.view.Client.PutAccount(ctx, p.plan.Write)
		return err
	}
	if p.plan.Removal {
		what := portalapi.RemovalManager
		if !p.plan.Write.Active {
			what = portalapi.RemovalDeactivation
		}
		if held, err := p.guarded(ctx, what, put); held || err != nil {
			return held, err
		}
	} else if err := put(); err != nil {
		return p.refused(err, v1alpha1.ConditionProvisioned)
	}
	p.have = got
	p.view.Mirror.PutAccount(got)
	return false, nil
}

// removal returns the removal of what from the user, as the guard counts it.
func (p *scope) removal(what portalapi.Removal) removals.Removal {
	r := removals.Removal{Set: removals.Set(what, p.user, p.user.Name), Accounts: 1}
	if a := p.marked(); a != nil {
		r.Mark = a.Mark
	}
	return r
}

func (p *scope) on() removals.On {
	return removals.On{Object: p.user, Decisions: p.view.Decisions, Spec: p.view.Spec.DeprovisioningGuard, Now: p.Clock.Now()}
}

// guarded calls do, which removes what, if the deprovisioning guard or a person allows it. done is
// true if it did not call do.
func (p *scope) guarded(ctx context.Context, what portalapi.Removal, do func() error) (done bool, err error) {
	removal := p.removal(what)
	p.answer, err = p.Guard.Remove(ctx, p.Client, p.view.Client, p.on(), removal, do)
	if err == nil {
		err = p.mark(ctx, p.answer.Mark(p.user.Name)) // before the status reports it as held: without the mark it would be carried out in the next window
	}
	if err != nil {
		return p.refused(err, v1alpha1.ConditionProvisioned)
	}
	if reason, note := removals.Event(p.answer, p.user, removal.Mark); reason != "" {
		p.event(normal, reason, "Decide", "%s", note)
	}
	switch p.answer.Verdict {
	case sets.Hold:
		message := p.answer.Message()
		if !conditions.IsTrue(p.user.Status.Conditions, v1alpha1.ConditionDeprovisioningHeld) {
			p.event(warning, v1alpha1.ReasonGuardHeld, "Hold", "%s", message)
		}
		p.leaf(conditions.False(v1alpha1.ConditionProvisioned, v1alpha1.ReasonGuardHeld, message))
		p.abnormal = append(p.abnormal, conditions.True(v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld, message))
		return true, nil
	case sets.Keep:
		p.leaf(conditions.False(v1alpha1.ConditionProvisioned, v1alpha1.ReasonRemovalDropped, "A person dropped this removal ("+p.answer.Decision+"): the account stays unchanged until the identity provider changes the user"))
		return true, nil
	}
	return false, nil
}

// refused reports a failed call as a condition, and sets the time to retry. It ends the pass.
func (p *scope) refused(err error, typ string) (done bool, _ error) {
	r := pass.Refused(typ, err, p.user.Status.Conditions, p.Clock.Now())
	p.leaf(r.Leaf)
	p.result.RequeueAfter = r.After
	return true, r.Err
}
