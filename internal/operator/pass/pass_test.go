// SPDX-License-Identifier: Apache-2.0

package pass_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

// group is the object of the passes.
func group() *v1alpha1.ScimGroup {
	return &v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Namespace: "company", Name: kubefake.SCIMID("leads"), UID: "uid", Generation: 1}, Spec: v1alpha1.ScimGroupSpec{DisplayName: "Leads", Revision: 1}}
}

// cluster is a client that has g, and fails each write of a status with err unless that is nil.
func cluster(t *testing.T, g *v1alpha1.ScimGroup, err error) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return interceptor.NewClient(kubefake.New(t, scheme, g), interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if err != nil {
				return err
			}
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	})
}

func TestRun(t *testing.T) {
	const typ = v1alpha1.ConditionPoolsResolved
	resolved := conditions.True(typ, v1alpha1.ReasonResolved, "resolved")
	deleting := conditions.Unknown(typ, v1alpha1.ReasonDeleting, "deleting")
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "scimgroups"}, "leads", errors.New("written"))
	failed := errors.New("no route")
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "scimgroups"}, "leads")
	for name, tc := range map[string]struct {
		reason string
		steps  []pass.Outcome
		retry  error // the last step is Retry of this error
		last   bool  // the pass has a Last step
		write  error // of the status
		resync time.Duration
		ran    int // steps
		says   string
		want   ctrl.Result
		fails  string
	}{
		"All":         {reason: "Steps run in order, and the conditions of all of them are reported.", steps: []pass.Outcome{pass.Next(resolved), pass.Next()}, ran: 2, says: "True Ready"},
		"Stop":        {reason: "No step runs after a step that ends the pass.", steps: []pass.Outcome{pass.Stop(deleting), pass.Next(resolved)}, ran: 1, says: "Unknown Deleting"},
		"Wait":        {reason: "A pass that waits is repeated after its pause.", steps: []pass.Outcome{pass.Wait(time.Second, deleting)}, ran: 1, says: "Unknown Deleting", want: ctrl.Result{RequeueAfter: time.Second}},
		"Soonest":     {reason: "A pass is repeated after the shortest pause of its steps.", steps: []pass.Outcome{pass.Next(resolved).Within(time.Minute), pass.Next().Within(time.Second), pass.Next().Within(time.Hour)}, ran: 3, says: "True Ready", want: ctrl.Result{RequeueAfter: time.Second}},
		"Resync":      {reason: "A kind with a resync interval is repeated after it, if no step has a shorter pause.", steps: []pass.Outcome{pass.Next(resolved)}, resync: time.Minute, ran: 1, says: "True Ready", want: ctrl.Result{RequeueAfter: time.Minute}},
		"LongerPause": {reason: "A step's pause replaces the resync interval, also if it is longer: the portal named the time.", steps: []pass.Outcome{pass.Wait(time.Hour, deleting)}, resync: time.Minute, ran: 1, says: "Unknown Deleting", want: ctrl.Result{RequeueAfter: time.Hour}},
		"Continued":   {reason: "A refusal that does not stop the next step is reported.", steps: []pass.Outcome{pass.Stop(deleting).Continue(), pass.Next()}, ran: 2, says: "Unknown Deleting"},
		"Quiet":       {reason: "A quiet pass does not change the status.", steps: []pass.Outcome{pass.Next(resolved), pass.Quiet(time.Second)}, last: true, ran: 2, want: ctrl.Result{RequeueAfter: time.Second}},
		"Last":        {reason: "The last step runs although an earlier one ended the pass.", steps: []pass.Outcome{pass.Stop(resolved)}, last: true, ran: 2, says: "True Ready"},
		"Failure":     {reason: "A failure is reported, and the pass is repeated with growing pauses.", steps: []pass.Outcome{pass.Next(resolved).Within(time.Second)}, retry: failed, ran: 2, says: "Unknown Progressing", fails: "no route"},
		"Conflict":    {reason: "After a conflict with another client's write, the next pass follows without a report or a log line.", steps: []pass.Outcome{pass.Next(resolved)}, retry: conflict, last: true, ran: 2, want: ctrl.Result{RequeueAfter: pass.ConflictPause}},
		"NotWritten":  {reason: "A pass whose status could not be written is repeated.", steps: []pass.Outcome{pass.Wait(time.Second, deleting)}, write: failed, ran: 1, fails: "write the status: no route"},
		"BothFail":    {reason: "If a step and the write of the status fail, both errors are returned.", retry: errors.New("first"), write: failed, ran: 1, fails: "first"},
		"Gone":        {reason: "The status of an object that no longer exists is not written.", steps: []pass.Outcome{pass.Stop(resolved)}, write: gone, ran: 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := group()
			e := pass.Engine{Client: cluster(t, g.DeepCopy(), tc.write), Session: session.New(mirror.Options{}), Clock: clock.RealClock{}}
			if err := e.Get(t.Context(), client.ObjectKeyFromObject(g), g); err != nil {
				t.Fatal(err)
			}
			p := e.Begin(g, &g.Status.Conditions, typ)
			p.Fill, p.Resync = func() { g.Status.ObservedGeneration = g.Generation }, tc.resync
			ran := 0
			step := func(o pass.Outcome) pass.Step {
				return func(context.Context) pass.Outcome { ran++; return o }
			}
			var steps []pass.Step
			for _, o := range tc.steps {
				steps = append(steps, step(o))
			}
			if tc.retry != nil {
				steps = append(steps, step(p.Retry(tc.retry)))
			}
			if tc.last {
				p.Last = step(pass.Next())
			}
			got, err := p.Run(t.Context(), steps...)
			if got != tc.want || (err == nil) != (tc.fails == "") || err != nil && !strings.Contains(err.Error(), tc.fails) {
				t.Errorf("%s\n%+v, %v", tc.reason, got, err)
			}
			if ran != tc.ran {
				t.Errorf("%s\n%d steps ran, want %d", tc.reason, ran, tc.ran)
			}
			var stored v1alpha1.ScimGroup
			if err := e.Get(t.Context(), client.ObjectKeyFromObject(g), &stored); err != nil {
				t.Fatal(err)
			}
			says := ""
			if c := conditions.Find(stored.Status.Conditions, v1alpha1.ConditionReady); c != nil {
				says = string(c.Status) + " " + c.Reason
			}
			if says != tc.says {
				t.Errorf("%s\nReady is %q, want %q", tc.reason, says, tc.says)
			}
		})
	}
}

// TestStatusIsWrittenOnce: a pass that finds the same writes nothing, and the count learns whether
// something else is written.
func TestStatusIsWrittenOnce(t *testing.T) {
	g := group()
	e := pass.Engine{Client: cluster(t, g.DeepCopy(), nil), Session: session.New(mirror.Options{}), Clock: clock.RealClock{}}
	var asked []bool
	var versions []string
	for range 2 {
		if err := e.Get(t.Context(), client.ObjectKeyFromObject(g), g); err != nil {
			t.Fatal(err)
		}
		p := e.Begin(g, &g.Status.Conditions, v1alpha1.ConditionPoolsResolved)
		p.Fill = func() { g.Status.ObservedGeneration = g.Generation }
		p.Count = func(writing bool) time.Duration { asked = append(asked, writing); return time.Minute }
		leaf := conditions.True(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonResolved, "resolved")
		got, err := p.Run(t.Context(), func(context.Context) pass.Outcome { return pass.Next(leaf) })
		if err != nil || got.RequeueAfter != time.Minute {
			t.Errorf("%+v, %v; the count is due in a minute", got, err)
		}
		versions = append(versions, g.ResourceVersion)
	}
	if versions[0] != versions[1] || !slices.Equal(asked, []bool{true, false}) {
		t.Errorf("versions %v, writing %v", versions, asked)
	}
}
