// SPDX-License-Identifier: Apache-2.0

package removals

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
)

// Decision is a person's decision about a removal.
type Decision = sets.Decision

const (
	Undecided = sets.Undecided // no decision: the budget applies, and a held removal stays held
	Release   = sets.Release   // the removal is intended: carry it out
	Drop      = sets.Drop      // the removal is a mistake: the user or pool keeps what it has
)

// Decide returns the decision about the removal with this id, from the annotations of o. A decision
// applies to one set of users only, because another set has another id.
func Decide(o client.Object, id string) Decision {
	a := o.GetAnnotations()
	switch {
	case id == "":
	case a[v1alpha1.AnnotationDrop] == id:
		return Drop
	case a[v1alpha1.AnnotationRelease] == id:
		return Release
	}
	return Undecided
}

// decisionContext returns ctx with the name of the person who decided about o, if a person did.
func (a Outcome) decisionContext(ctx context.Context, o client.Object) context.Context {
	if a.Decision == "" || a.Verdict == sets.Hold {
		return ctx
	}
	return portalapi.WithDecidedBy(ctx, o.GetAnnotations()[v1alpha1.AnnotationDecidedBy])
}

// MarkContext returns ctx for the call that marks the outcome at the portal's record: with the name
// of the person who dropped the removal, if a person did.
func (a Outcome) MarkContext(ctx context.Context, o client.Object) context.Context {
	if a.Verdict != sets.Keep {
		return ctx
	}
	return a.decisionContext(ctx, o)
}

// Reasons of the events that name who decided.
const (
	eventReleased = "RemovalReleased"
	eventDropped  = "RemovalDropped"
)

// Event returns the event that names the person who decided about o. A release is reported when it
// is carried out, and a drop when mark, the portal's mark before this reconcile, does not have it
// yet. reason is empty if there is nothing to report.
func Event(a Outcome, o client.Object, mark *portalapi.Mark) (reason, note string) {
	by := o.GetAnnotations()[v1alpha1.AnnotationDecidedBy]
	if by == "" {
		by = "a person whose name no policy recorded"
	}
	switch {
	case a.Verdict == sets.Apply && a.Decision != "":
		return eventReleased, "Released by " + by
	case a.Verdict == sets.Keep && (mark == nil || mark.State != portalapi.MarkDropped || mark.Decision != a.Decision):
		return eventDropped, "Dropped by " + by
	}
	return "", ""
}
