package guard

import (
	"context"
	"maps"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/conditions"
	"lightrun.com/scim-operator/internal/portal/session"
)

// Decision is what a person decided about an object's removal.
type Decision int

const (
	Undecided Decision = iota // the budget decides
	Release                   // it is meant: let it pass
	Drop                      // it is a mistake: keep what the person or pool has
)

// Decided reads the decision about o (see Decide) and writes it down at the object first, through w, where it comes from
// the one for all that is held, so that it outlives this pass and covers exactly what was held then.
func Decided(ctx context.Context, w client.Writer, o client.Object, have []metav1.Condition, all session.Decisions) (Decision, error) {
	d := Decide(o, have, all)
	if d == own(o) {
		return d, nil
	}
	annotation := v1alpha1.AnnotationRelease
	if d == Drop {
		annotation = v1alpha1.AnnotationDrop
	}
	return d, note(ctx, w, o, annotation, all.By)
}

// Decide reads the decision about o: its own annotations, or the one that IdentityConfiguration/default takes for
// everything held by a time. A decision speaks of one generation: the provider's next push asks anew.
func Decide(o client.Object, have []metav1.Condition, all session.Decisions) Decision {
	if d := own(o); d != Undecided {
		return d
	}
	held := conditions.Find(have, v1alpha1.ConditionDeprovisioningHeld)
	if held == nil || held.ObservedGeneration != o.GetGeneration() {
		return Undecided
	}
	switch since := held.LastTransitionTime.Time; {
	case covers(all.DropUntil, since):
		return Drop
	case covers(all.ReleaseUntil, since):
		return Release
	}
	return Undecided
}

// Decisions about everything that is held, as the annotations of IdentityConfiguration/default tell them.
func Decisions(annotations map[string]string, now time.Time) session.Decisions {
	release, _ := By(annotations[v1alpha1.AnnotationReleaseHeld], now)
	drop, _ := By(annotations[v1alpha1.AnnotationDropHeld], now)
	return session.Decisions{ReleaseUntil: release, DropUntil: drop, By: annotations[v1alpha1.AnnotationDecidedBy]}
}

// skew is how far a person's clock may be ahead of ours.
const skew = time.Minute

// By reads the time (RFC 3339) by which a person decided; what is no time decides nothing. A decision speaks of what a
// person has seen. One that lies ahead of our clock would decide about what comes yet, so it decides nothing until then:
// the person's clock or ours is wrong, or was set meanwhile. By says how far ahead it lies.
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

// own is the decision that the object's own annotations tell.
func own(o client.Object) Decision {
	generation := strconv.FormatInt(o.GetGeneration(), 10)
	a := o.GetAnnotations()
	switch {
	case a[v1alpha1.AnnotationDrop] == generation:
		return Drop
	case a[v1alpha1.AnnotationRelease] == generation, a[v1alpha1.AnnotationRelease] == string(o.GetUID()):
		return Release
	}
	return Undecided
}

func covers(until, since time.Time) bool { return !until.IsZero() && !since.After(until) }

// note writes a decision down at the object, under the name of who decided: earlier decisions there
// are not theirs, so they go.
func note(ctx context.Context, w client.Writer, o client.Object, annotation, by string) error {
	before := o.DeepCopyObject().(client.Object)
	a := maps.Clone(o.GetAnnotations())
	if a == nil {
		a = map[string]string{}
	}
	for _, earlier := range append(v1alpha1.DecisionAnnotations(), v1alpha1.AnnotationDecidedBy) {
		delete(a, earlier)
	}
	a[annotation] = strconv.FormatInt(o.GetGeneration(), 10)
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

// Event is the event that names who took decision d about o, whose conditions are have: once for a
// release, which is carried out then, and once for a drop, which stands. The reason is empty when
// there is nothing to report.
func Event(d Decision, o client.Object, have []metav1.Condition) (reason, note string) {
	by := o.GetAnnotations()[v1alpha1.AnnotationDecidedBy]
	if by == "" {
		by = "a user whom no policy asked for a name"
	}
	switch d {
	case Release:
		return eventReleased, "Released by " + by
	case Drop:
		c := conditions.Find(have, v1alpha1.ConditionProvisioned)
		if c != nil && c.Reason == v1alpha1.ReasonRemovalDropped && c.ObservedGeneration == o.GetGeneration() {
			return "", ""
		}
		return eventDropped, "Dropped by " + by
	}
	return "", ""
}
