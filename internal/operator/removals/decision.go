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

// Decision is what a person decided about a removal.
type Decision = sets.Decision

const (
	Undecided = sets.Undecided // the budget decides, and what is held stays held
	Release   = sets.Release   // it is intended: carry it out
	Drop      = sets.Drop      // it is a mistake: what the user or pool has stays
)

// Decide reads the decision about the removal of that id: by the object's own annotations, or by
// the one that IdentityConfiguration/default takes for everything held by a time. A decision speaks
// of one set of users: another set has another id.
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

// persist writes the decision about the removal of that id to the object, if it comes from the one
// for all that is held: it covers exactly what was held then, and outlives it.
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

// Decisions about everything that is held, as the annotations of IdentityConfiguration/default have
// them.
func Decisions(annotations map[string]string, now time.Time) session.Decisions {
	release, _ := By(annotations[v1alpha1.AnnotationReleaseHeld], now)
	drop, _ := By(annotations[v1alpha1.AnnotationDropHeld], now)
	return session.Decisions{ReleaseUntil: release, DropUntil: drop, By: annotations[v1alpha1.AnnotationDecidedBy]}
}

// skew is how far a person's clock may be ahead of ours.
const skew = time.Minute

// By reads the time (RFC 3339) by which a person decided; what is no time decides nothing. A
// decision covers what a person has seen. One that is ahead of our clock would cover later removals
// too, so it has no effect until then: the person's clock or ours is wrong, or was set
// meanwhile. By returns how far ahead it is.
func By(value string, now time.Time) (at time.Time, ahead time.Duration) {
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

// note writes a decision to the object, with the name of the person who decided: earlier decisions
// there are not theirs, so they are removed.
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

// Reasons of the events that name who decided.
const (
	eventReleased = "RemovalReleased"
	eventDropped  = "RemovalDropped"
)

// Event returns the event that names who decided about o: once for a release, which is carried out
// then, and once for a drop, which mark, the portal's at the record before, does not know yet. The
// reason is empty when there is nothing to report.
func Event(a Answer, o client.Object, mark *portalapi.Mark) (reason, note string) {
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
