// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// Guarded is a removal that the deprovisioning guard decides about, and what the kind has to say.
type Guarded struct {
	removals.Removal
	Do      func(context.Context) error                   // carries it out
	Mark    func(context.Context, removals.Outcome) error // marks at the portal's record what became of it
	Held    string                                        // what follows while it is held; appended to the message
	Dropped string                                        // what does not change after the removal was dropped; if empty, the next step follows
}

// Guarded carries the removal out if the guard or a person allows it, and otherwise ends the pass:
// it is held, was dropped, or the portal refused it. The outcome is in p.Removal. The portal
// has the mark before the removal is called held: without it the next window would let it pass.
func (p *Pass) Guarded(ctx context.Context, g Guarded) Outcome {
	facts := removals.Facts{Object: p.Object, Spec: p.View.Spec.DeprovisioningGuard, Now: p.engine.Clock.Now()}
	var err error
	if p.Removal, err = p.engine.Guard.Remove(ctx, p.View.Client, facts, g.Removal, g.Do); err == nil {
		err = g.Mark(p.Removal.MarkContext(ctx, p.Object), p.Removal)
	}
	if err != nil {
		return p.Refused(err)
	}
	if reason, note := removals.Event(p.Removal, p.Object, g.Removal.Mark); reason != "" {
		p.Event(corev1.EventTypeNormal, reason, "Decide", "%s", note)
	}
	switch p.Removal.Verdict {
	case sets.Hold:
		message := p.Removal.Message() + g.Held
		if !conditions.IsTrue(*p.Conditions, v1alpha1.ConditionDeprovisioningHeld) {
			p.Event(corev1.EventTypeWarning, v1alpha1.ReasonGuardHeld, "Hold", "%s", message)
		}
		return Stop(conditions.False(p.Condition, v1alpha1.ReasonGuardHeld, message)).
			And(Warn(conditions.True(v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld, message)))
	case sets.Keep:
		if g.Dropped == "" {
			return Next()
		}
		return Stop(conditions.False(p.Condition, v1alpha1.ReasonRemovalDropped, p.Removal.Dropped(g.Dropped)))
	}
	return Next()
}

// ClearMark removes the mark at the portal's record with set, once nothing is held or dropped. o is
// the outcome of the pass so far. If the portal refused what the pass wrote, or did not answer, the
// mark stays: it may be about a removal that a person released and that is not carried out yet.
// Under ReportOnly a mark stays too. A refusal to remove the mark changes nothing about the object,
// so it is not reported.
func (p *Pass) ClearMark(o Outcome, set func(*portalapi.Mark) error) Outcome {
	if o.Err != nil || o.Refused || p.Removal.Mark(p.Object.GetName()) != nil || p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		return o
	}
	err := set(nil)
	if err == nil {
		return o
	}
	refused := p.Refused(err)
	if refused.Err != nil {
		return o.And(p.Retry(refused.Err))
	}
	return o.And(Next().Within(refused.After))
}

// SameMark reports whether two marks at a record of the portal are equal. nil means that nothing is
// held or was dropped.
func SameMark(a, b *portalapi.Mark) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// MarkPool sets the mark of a pool in the portal, without a call if it is m already. The mirror has
// it at once: the next pass must know it, also before the change feed reports it.
func (p *Pass) MarkPool(ctx context.Context, record *portalapi.Pool, owner portalapi.Owner, m *portalapi.Mark) error {
	if record == nil || SameMark(record.Mark, m) {
		return nil
	}
	if err := p.View.Client.MarkPool(ctx, owner, m); err != nil {
		return fmt.Errorf("mark what is held: %w", err)
	}
	with := *record
	with.Mark = m
	p.View.Mirror.PutPool(&with)
	return nil
}
