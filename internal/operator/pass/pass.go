// SPDX-License-Identifier: Apache-2.0

// Package pass is the engine that the reconcilers of all kinds share. A pass is one call of
// Reconcile. A kind supplies its steps and its status; this file says in which order they run and
// how a pass ends:
//
//  1. Begin gathers what all kinds ask for: the object and the session to the portal.
//  2. Run takes the steps in order, up to the first whose Outcome ends the pass.
//  3. A conflict, or an outcome that is Quiet, is not reported.
//  4. Else the conditions follow from the leaves of all outcomes, the kind fills the rest of the
//     status, and the status is written once, if something in it changed.
//  5. The pass is repeated at once for a failure (with growing pauses), and otherwise after the
//     shortest pause of all outcomes. Without a pause, an event triggers the next pass.
//
// The other files say what the outcome of a common step is: whether the portal's state is known and
// an object may be released (ready.go), what a failed call means (refused.go), what the
// deprovisioning guard answers (guard.go), what the claim on a name needs (claim.go), how a
// deletion ends or is taken back (deletion.go), which request caused a pass (request.go), and when
// a member count is written (count.go).
package pass

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// Step does one part of a pass.
type Step func(context.Context) Outcome

// Outcome is how a step ended, and so what becomes of the pass. The zero Outcome lets the next step
// follow and reports nothing.
type Outcome struct {
	Leaves   []conditions.Leaf // parts of the object's state, in order
	Abnormal []conditions.Leaf // conditions that are present only while True
	After    time.Duration     // maximum time until the next pass; 0 if only an event triggers it
	Err      error             // if not nil, the pass is repeated with growing pauses
	Refused  bool              // the portal refused a call, or did not answer it

	ends, quiet bool
}

// Next lets the next step follow.
func Next(leaves ...conditions.Leaf) Outcome { return Outcome{Leaves: leaves} }

// Stop ends the pass: what the leaves say is true until an event triggers the next one.
func Stop(leaves ...conditions.Leaf) Outcome { return Outcome{Leaves: leaves, ends: true} }

// Wait ends the pass as Stop does. The next one comes after the pause at the latest.
func Wait(after time.Duration, leaves ...conditions.Leaf) Outcome {
	return Outcome{Leaves: leaves, After: after, ends: true}
}

// Warn lets the next step follow, with a condition that is present only while it is True.
func Warn(abnormal conditions.Leaf) Outcome { return Outcome{Abnormal: []conditions.Leaf{abnormal}} }

// Quiet ends the pass without a report: there is nothing new to say. The next one comes after the
// pause at the latest, or after an event if the pause is 0.
func Quiet(after time.Duration) Outcome { return Outcome{After: after, ends: true, quiet: true} }

// Ends reports whether no further step follows.
func (o Outcome) Ends() bool { return o.ends || o.Err != nil }

// reported reports whether the status is written: not after a conflict, nor where nothing is new.
func (o Outcome) reported() bool {
	return !apierrors.IsConflict(o.Err) && (!o.quiet || o.Err != nil)
}

// Continue lets the next step follow after all, unless the step failed.
func (o Outcome) Continue() Outcome {
	o.ends = false
	return o
}

// Within returns o with the pause, unless o has a shorter one. 0 changes nothing.
func (o Outcome) Within(pause time.Duration) Outcome {
	if pause > 0 && (o.After == 0 || pause < o.After) {
		o.After = pause
	}
	return o
}

// And is the outcome of two steps, one after the other.
func (o Outcome) And(next Outcome) Outcome {
	o = o.Within(next.After)
	o.Leaves, o.Abnormal = slices.Concat(o.Leaves, next.Leaves), slices.Concat(o.Abnormal, next.Abnormal)
	o.Err = cmp.Or(o.Err, next.Err)
	o.Refused, o.ends, o.quiet = o.Refused || next.Refused, o.ends || next.ends, o.quiet || next.quiet
	return o
}

// Engine has what the reconcilers of all kinds work with.
type Engine struct {
	client.Client               // reads from the cache
	Live          client.Reader // reads from the API server
	Session       *session.Session
	Guard         *removals.Guard
	Recorder      events.EventRecorder
	Clock         clock.PassiveClock
}

// Pass is one pass over an object. The scope of a kind embeds it.
type Pass struct {
	Object     client.Object
	Conditions *[]metav1.Condition // in the object's status
	Condition  string              // the type that reports what keeps the pass from its work
	View       session.View
	Request    string           // id of the request in the portal's audit and in events
	Removal    removals.Outcome // the outcome of the removal that the pass asked the guard about; zero if it asked about none

	Last   Step                             // runs after the steps, unless nothing is reported; nil if there is none
	Fill   func()                           // fills the object's status, but for its conditions
	Count  func(writing bool) time.Duration // renews a count in the status, and returns the pause after which to do so again; nil if there is none
	Resync time.Duration                    // time until the next pass if no outcome has a pause; 0 if only an event triggers it

	engine *Engine
}

// Begin begins a pass over o.
func (e *Engine) Begin(o client.Object, have *[]metav1.Condition, condition string) Pass {
	return Pass{engine: e, Object: o, Conditions: have, Condition: condition, View: e.Session.View()}
}

// Run runs the steps in order, up to the first that ends the pass, and reports.
func (p *Pass) Run(ctx context.Context, steps ...Step) (ctrl.Result, error) {
	var o Outcome
	for _, step := range steps {
		if o = o.And(step(ctx)); o.Ends() {
			break
		}
	}
	if p.Last != nil && o.reported() {
		o = o.And(p.Last(ctx))
	}
	return p.report(ctx, o)
}

// ConflictPause is the pause of a pass, for the cache, after another client wrote.
const ConflictPause = 50 * time.Millisecond

// report writes the status once, if something in it changed, and says when to reconcile again.
func (p *Pass) report(ctx context.Context, o Outcome) (ctrl.Result, error) {
	if apierrors.IsConflict(o.Err) {
		return ctrl.Result{RequeueAfter: ConflictPause}, nil // another client wrote
	}
	if o.reported() {
		again, err := p.writeStatus(ctx, o)
		if err != nil {
			return ctrl.Result{}, errors.Join(o.Err, err)
		}
		o = o.Within(again)
	}
	if o.Err != nil {
		return ctrl.Result{}, o.Err // with growing pauses
	}
	return ctrl.Result{RequeueAfter: cmp.Or(o.After, p.Resync)}, nil
}

// writeStatus returns the pause after which a count in the status is due.
func (p *Pass) writeStatus(ctx context.Context, o Outcome) (again time.Duration, _ error) {
	before := p.Object.DeepCopyObject().(client.Object)
	changed := func() bool { return !equality.Semantic.DeepEqual(before, p.Object) }
	p.Fill()
	*p.Conditions = conditions.Compute(*p.Conditions, p.Object.GetGeneration(), metav1.NewTime(p.engine.Clock.Now()), o.Leaves, o.Abnormal)
	if p.Count != nil {
		again = p.Count(changed())
	}
	if changed() {
		if err := p.engine.Status().Patch(ctx, p.Object, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
			return 0, fmt.Errorf("write the status: %w", err)
		}
	}
	return again, nil
}

// Retry ends the pass because of an error, which it reports without its details: those are in the
// manager's log. A nil error lets the next step follow.
func (p *Pass) Retry(err error) Outcome {
	if err == nil {
		return Next()
	}
	return Outcome{Err: err, Leaves: []conditions.Leaf{conditions.Unknown(p.Condition, v1alpha1.ReasonProgressing, "Retrying after an error; see the manager's log")}}
}

// Suspended ends the pass because nothing may be written to the portal.
func (p *Pass) Suspended(reason, message string) Outcome {
	return Stop(conditions.Unknown(p.Condition, reason, message)).And(Warn(conditions.True(v1alpha1.ConditionSuspended, reason, message)))
}

// ReportOnly ends the pass because the policy ReportOnly leaves the difference as it is.
func (p *Pass) ReportOnly(difference string) Outcome {
	return Stop(conditions.False(p.Condition, v1alpha1.ReasonReportOnly, difference)).
		And(Warn(conditions.True(v1alpha1.ConditionDrifted, v1alpha1.ReasonReportOnly, difference)))
}

// Event reports one change of the object, with the request that caused it.
func (p *Pass) Event(kind, reason, action, format string, args ...any) {
	note := fmt.Sprintf(format, args...)
	if p.Request != "" {
		note += " (request " + p.Request + ")"
	}
	p.engine.Recorder.Eventf(p.Object, nil, kind, reason, action, "%s", note)
}
