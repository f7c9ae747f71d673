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
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// apply carries the plan out, if policy and the guard let it. A mark without a reason in this pass
// is removed.
func (p *scope) apply(ctx context.Context) pass.Outcome {
	return p.ClearMark(p.carryOut(ctx), func(m *portalapi.Mark) error { return p.mark(ctx, m) })
}

func (p *scope) carryOut(ctx context.Context) pass.Outcome {
	switch {
	case p.plan.Action == provision.Wait:
		return p.wait(ctx)
	case !p.plan.Writes():
	case p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly:
		return p.reportOnly()
	default:
		if o := p.write(ctx); o.Ends() {
			return o
		}
		if p.plan.Reason != "" {
			return p.wait(ctx) // all but the name is done
		}
	}
	return pass.Next(owned(), conditions.True(v1alpha1.ConditionProvisioned, v1alpha1.ReasonProvisioned, "The account matches the identity provider"))
}

func owned() conditions.Leaf {
	return conditions.True(v1alpha1.ConditionOwned, v1alpha1.ReasonOwned, "The account follows this ScimUser")
}

// marked returns the portal's record whose mark shows whether the guard holds this user's removal:
// the user's account, or the account that the user is about to adopt. It returns nil if there is
// none.
func (p *scope) marked() *portalapi.Account {
	if p.user.Spec.Deleted {
		return Kept(p.user, p.View.Mirror)
	}
	if own := p.View.Mirror.Owned(string(p.user.UID)); own != nil {
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
		if err := p.View.Client.MarkWaiting(ctx, a.ID, owner); err != nil {
			return fmt.Errorf("mark the local account as waited for: %w", err)
		}
	}
	if err := p.View.Client.MarkHeld(ctx, owner, m); err != nil {
		return fmt.Errorf("mark what is held: %w", err)
	}
	with := *a
	with.Mark = m
	p.View.Mirror.PutAccount(&with) // the next pass must know it, also before the change feed reports it
	return nil
}

// wait reports what the plan waits for, and marks a local account once so that the portal can show
// who will adopt it.
func (p *scope) wait(ctx context.Context) pass.Outcome {
	o := pass.Stop(conditions.False(v1alpha1.ConditionOwned, p.plan.Reason, p.plan.Message))
	if p.have != nil {
		o = pass.Stop(owned(), conditions.False(v1alpha1.ConditionProvisioned, p.plan.Reason, p.plan.Message))
	}
	if p.plan.Reason == v1alpha1.ReasonNameReleasePending {
		o = o.Within(time.Second)
	}
	if !p.plan.Mark || p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return o
	}
	owner := portalapi.Owner{UID: string(p.user.UID), Name: p.user.Name, Revision: p.user.Spec.Revision}
	if err := p.View.Client.MarkWaiting(ctx, p.plan.Account.ID, owner); err != nil {
		return o.And(p.Refused(fmt.Errorf("mark the local account as waited for: %w", err)))
	}
	return o
}

// reportOnly says what would change.
func (p *scope) reportOnly() pass.Outcome {
	fields := make([]string, len(p.plan.Differences))
	for i, d := range p.plan.Differences {
		fields[i] = d.Field
	}
	message := fmt.Sprintf("Would %s the account", strings.ToLower(string(p.plan.Action)))
	if len(fields) > 0 {
		message += ": " + strings.Join(fields, ", ")
	}
	return p.ReportOnly(message)
}

// write puts the account; the guard decides if that takes access away.
func (p *scope) write(ctx context.Context) pass.Outcome {
	var got *portalapi.Account
	put := func(ctx context.Context) (err error) {
		got, err = p.View.Client.PutAccount(ctx, p.plan.Write)
		return err
	}
	var o pass.Outcome
	switch {
	case !p.plan.Removal:
		o = p.Call(func() error { return put(ctx) })
	case p.plan.Write.Active:
		o = p.guarded(ctx, portalapi.RemovalManager, put)
	default:
		o = p.guarded(ctx, portalapi.RemovalDeactivation, put)
	}
	if !o.Ends() {
		p.have = got
		p.View.Mirror.PutAccount(got)
	}
	return o
}

// guarded calls do, which takes from the user what the removal says, if the deprovisioning guard or
// a person allows it.
func (p *scope) guarded(ctx context.Context, what portalapi.Removal, do func(context.Context) error) pass.Outcome {
	removal := removals.Removal{Set: removals.Set(what, p.user, p.user.Name), Accounts: 1}
	if a := p.marked(); a != nil {
		removal.Mark = a.Mark
	}
	return p.Guarded(ctx, pass.Guarded{
		Removal: removal, Do: do,
		Mark:    func(ctx context.Context, a removals.Answer) error { return p.mark(ctx, a.Mark(p.user.Name)) },
		Dropped: "the account stays unchanged, and other changes of the user wait with the removal",
	})
}
