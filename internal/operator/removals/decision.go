// SPDX-License-Identifier: Apache-2.0

package removals

import (
	"context"
	"maps"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

// Decision is a person's decision about a removal.
type Decision = sets.Decision

const (
	Undecided = sets.Undecided // no decision: the budget applies, and a held removal stays held
	Release   = sets.Release   // the removal is intended: carry it out
	Drop      = sets.Drop      // the removal is a mistake: the user or pool keeps what it has
)

// Decide returns the decision about the removal with this id: from the annotations of o, or from
// all, the decisions about everything that was held at a time. A decision applies to one set of
// users only, because another set has another id.
func Decide(o client.Object, id string, all session.Decisions) Decision {
	if id == "" {
		return Undecided
	}
	a := o.GetAnnotations()
	switch since := sets.Since(id).Truncate(time.Second); {
	case a[v1alpha1.AnnotationDrop] == id:
		return Drop
	case a[v1alpha1.AnnotationRelease] == id:
		return Release
	case covers(all.DropUntil, since):
		return Drop
	case covers(all.ReleaseUntil, since):
		return Release
	}
	return Undecided
}

// persist copies to the object a decision that comes from all. The copy applies exactly to the
// removal with this id, and stays if the decision about everything is replaced.
func persist(ctx context.Context, w client.Writer, o client.Object, id string, all session.Decisions) error {
	annotation := v1alpha1.AnnotationRelease
	switch Decide(o, id, all) {
	case Undecided:
		return nil
	case Drop:
		annotation = v1alpha1.AnnotationDrop
	}
	if o.GetAnnotations()[annotation] == id {
		return nil
	}
	return note(ctx, w, o, annotation, id, all.By)
}

// Decisions reads the decisions about everything that was held at a time from the annotations of
// IdentityConfiguration/default.
func Decisions(annotations map[string]string, now time.Time) session.Decisions {
	release, _ := ParseDecisionTime(annotations[v1alpha1.AnnotationReleaseHeld], now)
	drop, _ := ParseDecisionTime(annotations[v1alpha1.AnnotationDropHeld], now)
	return session.Decisions{ReleaseUntil: release, DropUntil: drop, By: annotations[v1alpha1.AnnotationDecidedBy]}
}

// skew is the maximum time by which a person's clock may be ahead of the manager's.
const skew = time.Minute

// ParseDecisionTime parses the time of a decision (RFC 3339), which covers everything that was held
// at that time. It returns zero if value is not a time. A time in the future would also cover
// removals that the person has not seen, so such a decision has no effect before that time: then it
// returns zero, and how far ahead the time is. One of the two clocks is wrong.
func ParseDecisionTime(value string, now time.Time) (at time.Time, ahead time.Duration) {
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, 0
	}
	if ahead := t.Sub(now); ahead > skew {
		return time.Time{}, ahead
	}
	return t.UTC(), 0
}

func covers(until, since time.Time) bool { return !until.IsZero() && !since.After(until) }

// note writes a decision to the object, with the name of the person who decided. It removes earlier
// decisions from the object, because that person did not take them.
func note(ctx context.Context, w client.Writer, o client.Object, annotation, id, by string) error {
	before := o.DeepCopyObject().(client.Object)
	a := maps.Clone(o.GetAnnotations())
	if a == nil {
		a = map[string]string{}
	}
	for _, earlier := range append(v1alpha1.DecisionAnnotations(), v1alpha1.AnnotationDecidedBy) {
		delete(a, earlier)
	}
	a[annotation] = id
	if by != "" {
		a[v1alpha1.AnnotationDecidedBy] = by
	}
	o.SetAnnotations(a)
	return w.Patch(ctx, o, client.MergeFrom(before))
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
