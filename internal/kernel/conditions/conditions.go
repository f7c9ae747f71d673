// SPDX-License-Identifier: Apache-2.0

// Package conditions computes an object's conditions, all in one place and without I/O. A
// reconciler states its leaves in order; this package derives Ready, Reconciling and Stalled from
// them by one table (classes.go), so that `kubectl wait`, kstatus, Argo CD and Flux read every kind
// alike:
//
//   - every leaf True: Ready=True
//   - else the first leaf that is not True gives Ready its reason and message. The class of the
//     reason shows whether the object is Reconciling (it resolves by itself), is Stalled (a person
//     must change something), or waits for a person's decision (neither)
//
// Abnormal conditions are present only while True.
//
// Each type appears once, as the API server requires. If there are several leaves of one type, the
// worst one counts: False, then Unknown, then True. If several are equally bad, the last one
// counts. Therefore a step that fails overrides the success of an earlier step, and no later step
// hides the failure.
package conditions

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// MaxMessage is the maximum length of a message, in bytes. A longer message is cut.
const MaxMessage = 1024

// Leaf is one part of an object's state.
type Leaf struct {
	Type    string
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

// True returns a leaf that is in the desired state.
func True(typ, reason, message string) Leaf { return Leaf{typ, metav1.ConditionTrue, reason, message} }

// False returns a leaf that is not in the desired state.
func False(typ, reason, message string) Leaf {
	return Leaf{typ, metav1.ConditionFalse, reason, message}
}

// Unknown returns a leaf whose state is not known yet.
func Unknown(typ, reason, message string) Leaf {
	return Leaf{typ, metav1.ConditionUnknown, reason, message}
}

// Compute returns the conditions that follow from leaves: first Ready, then the leaves in their
// order, then the abnormal leaves that are True. A condition whose status did not change keeps its
// lastTransitionTime from have. All other conditions get now.
func Compute(have []metav1.Condition, generation int64, now metav1.Time, leaves, abnormal []Leaf) []metav1.Condition {
	leaves = oneOfEach(leaves)
	all := append([]Leaf{ready(leaves)}, leaves...)
	switch classOf(all[0]) {
	case Progressing:
		all = append(all, True(v1alpha1.ConditionReconciling, all[0].Reason, all[0].Message))
	case Invalid:
		all = append(all, True(v1alpha1.ConditionStalled, all[0].Reason, all[0].Message))
	}
	for _, l := range abnormal {
		if l.Status == metav1.ConditionTrue {
			all = append(all, l)
		}
	}
	all = oneOfEach(all)
	out := make([]metav1.Condition, 0, len(all))
	for _, l := range all {
		out = append(out, condition(have, generation, now, l))
	}
	return out
}

// oneOfEach keeps one leaf of each type: the worst one, at the position of the first one.
func oneOfEach(leaves []Leaf) []Leaf {
	out := make([]Leaf, 0, len(leaves))
	for _, l := range leaves {
		i := slices.IndexFunc(out, func(o Leaf) bool { return o.Type == l.Type })
		switch {
		case i < 0:
			out = append(out, l)
		case badness(l) >= badness(out[i]):
			out[i] = l
		}
	}
	return out
}

func badness(l Leaf) int {
	switch l.Status {
	case metav1.ConditionTrue:
		return 0
	case metav1.ConditionFalse:
		return 2
	}
	return 1
}

func ready(leaves []Leaf) Leaf {
	for _, l := range leaves {
		if l.Status != metav1.ConditionTrue {
			return Leaf{v1alpha1.ConditionReady, l.Status, l.Reason, l.Message}
		}
	}
	return True(v1alpha1.ConditionReady, v1alpha1.ReasonReady, "All conditions are met")
}

func condition(have []metav1.Condition, generation int64, now metav1.Time, l Leaf) metav1.Condition {
	c := metav1.Condition{
		Type: l.Type, Status: l.Status, Reason: l.Reason, Message: cut(l.Message),
		ObservedGeneration: generation, LastTransitionTime: now,
	}
	if i := slices.IndexFunc(have, func(h metav1.Condition) bool { return h.Type == l.Type }); i >= 0 && have[i].Status == l.Status {
		c.LastTransitionTime = have[i].LastTransitionTime
	}
	return c
}

func cut(message string) string {
	if len(message) <= MaxMessage {
		return message
	}
	end := MaxMessage - len("…")
	for end > 0 && message[end]&0xC0 == 0x80 { // not inside a character
		end--
	}
	return message[:end] + "…"
}

// IsTrue reports whether the condition of that type exists and is True.
func IsTrue(have []metav1.Condition, typ string) bool {
	c := Find(have, typ)
	return c != nil && c.Status == metav1.ConditionTrue
}

// Find returns the condition of that type, or nil.
func Find(have []metav1.Condition, typ string) *metav1.Condition {
	for i := range have {
		if have[i].Type == typ {
			return &have[i]
		}
	}
	return nil
}
