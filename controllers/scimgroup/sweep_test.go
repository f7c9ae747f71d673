// SPDX-License-Identifier: Apache-2.0

package scimgroup

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/usercounts"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

const namespace = "company"

const (
	ada = "0c0ffee0-0000-4000-8000-000000000001"
	bob = "f00dcafe-0000-4000-8000-000000000002"
)

// sliceOfAge returns the slice with that prefix, one of two slices of the group.
func sliceOfAge(prefix uint16, now time.Time, age time.Duration, members ...string) *v1alpha1.ScimGroupSlice {
	s := &v1alpha1.ScimGroupSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: groupslice.Name(id, prefix), CreationTimestamp: metav1.NewTime(now.Add(-age)),
			Labels: map[string]string{v1alpha1.LabelGroup: id},
		},
		Spec: v1alpha1.ScimGroupSliceSpec{Bits: 1, Epoch: 1, Revision: 1},
	}
	s.Spec.SetMembers(members)
	return s
}

// failingReader fails to read one kind.
type failingReader struct {
	client.Reader
	kind client.Object
}

var errRead = errors.New("the API server does not respond")

func (f failingReader) Get(ctx context.Context, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
	if reflect.TypeOf(o) == reflect.TypeOf(f.kind) {
		return errRead
	}
	return f.Reader.Get(ctx, key, o, options...)
}

func TestSweep(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	group := func(edit ...func(*v1alpha1.ScimGroup)) *v1alpha1.ScimGroup {
		g := &v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: id}, Spec: v1alpha1.ScimGroupSpec{DisplayName: "Payments", Revision: 1}}
		for _, f := range edit {
			f(g)
		}
		return g
	}
	user := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: ada}, Spec: v1alpha1.ScimUserSpec{UserName: "ada@example.test", Revision: 1}}
	both := []string{ada, bob}
	for name, tc := range map[string]struct {
		reason   string
		ages     [2]time.Duration // of the two slices: ada is a member in the first, bob in the second
		group    *v1alpha1.ScimGroup
		cached   bool          // true if the cache has the group
		user     bool          // true if ada's object exists
		finished time.Duration // time since ada's deletion was finished; 0 if it was not
		window   bool          // true if a restore window is open
		fails    client.Object // kind that cannot be read; nil if there is none
		want     []string      // members after the sweep
		slices   int           // slices after the sweep
		recheck  int           // users that the next sweep checks again
	}{
		"InterruptedPost": {reason: "The slices of an interrupted POST are deleted: no request can find them.", ages: [2]time.Duration{time.Hour, leftoverAge}},
		"Young":           {reason: "Young slices stay: the request that wrote them may be about to create the group.", ages: [2]time.Duration{leftoverAge - time.Second, leftoverAge - time.Second}, want: both, slices: 2},
		"OneYoung":        {reason: "The age of the newest slice decides about all slices of a group.", ages: [2]time.Duration{time.Hour, leftoverAge - time.Second}, want: both, slices: 2},
		"CacheBehind":     {reason: "The slices of a group that exists stay, even if the cache does not have the group yet.", ages: [2]time.Duration{time.Hour, time.Hour}, group: group(), want: both, slices: 2},
		"GroupDeleted":    {reason: "The slices of a deleted group stay: the group's own pass deletes them once its members have left.", ages: [2]time.Duration{time.Hour, time.Hour}, group: group(func(g *v1alpha1.ScimGroup) { g.Spec.Deleted = true }), want: both, slices: 2},
		"Restore":         {reason: "While a restore window is open, slices stay: the group may be restored after them.", ages: [2]time.Duration{time.Hour, time.Hour}, window: true, want: both, slices: 2},
		"GroupUnknown":    {reason: "A failed read does not show that the group is deleted.", ages: [2]time.Duration{time.Hour, time.Hour}, fails: &v1alpha1.ScimGroup{}, want: both, slices: 2},
		"WindowUnknown":   {reason: "If the namespace cannot be read, a restore window may be open.", ages: [2]time.Duration{time.Hour, time.Hour}, fails: &corev1.Namespace{}, want: both, slices: 2},
		"DeletedUser":     {reason: "A membership that a request wrote after ada's deletion was finished is removed.", group: group(), cached: true, finished: leftoverAge, want: []string{bob}, slices: 2},
		"LateRequest":     {reason: "A request that adds ada may still be running: the next sweep checks ada again.", group: group(), cached: true, finished: leftoverAge - time.Second, want: both, slices: 2, recheck: 1},
		"VanishedUser":    {reason: "Ada's object disappeared without a tombstone: her memberships remain.", group: group(), cached: true, want: both, slices: 2},
		"RestoredUser":    {reason: "Ada's object was restored after her deletion was finished: her memberships remain.", group: group(), cached: true, finished: leftoverAge, user: true, want: both, slices: 2},
		"RestoreUser":     {reason: "While a restore window is open, ada's object may be restored: the next sweep checks ada again.", group: group(), cached: true, finished: leftoverAge, window: true, want: both, slices: 2, recheck: 1},
		"UserUnknown":     {reason: "A failed read does not show that ada's object is deleted: the next sweep checks ada again.", group: group(), cached: true, finished: leftoverAge, fails: &v1alpha1.ScimUser{}, want: both, slices: 2, recheck: 1},
		"BothDeleted":     {reason: "If ada and the group are deleted, the slices are deleted and not changed.", ages: [2]time.Duration{time.Hour, time.Hour}, finished: leftoverAge},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
				t.Fatal(err)
			}
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
			if tc.window {
				ns.Annotations = map[string]string{v1alpha1.AnnotationRestore: "admin"}
			}
			low, high := sliceOfAge(0, now, tc.ages[0], ada), sliceOfAge(0x8000, now, tc.ages[1], bob)
			objects := []client.Object{ns, low.DeepCopy(), high.DeepCopy()}
			if tc.group != nil {
				objects = append(objects, tc.group.DeepCopy())
			}
			if tc.user {
				objects = append(objects, user.DeepCopy())
			}
			c := kubefake.New(t, scheme, objects...)
			r := sweeper(c, clocktesting.NewFakePassiveClock(now), low, high)
			r.Live = failingReader{c, tc.fails}
			if tc.cached {
				r.Groups.Put(tc.group)
			}
			if tc.finished > 0 {
				r.Finished.Note(ada, now.Add(-tc.finished))
			}
			if err := r.Sweep(t.Context(), namespace); (err != nil) != (tc.fails != nil) {
				t.Errorf("got the error %v, want an error: %v\n%s", err, tc.fails != nil, tc.reason)
			}
			var remaining v1alpha1.ScimGroupSliceList
			if err := c.List(t.Context(), &remaining); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, groupslice.MembersIn(remaining.Items), cmpopts.EquateEmpty()); diff != "" || len(remaining.Items) != tc.slices {
				t.Errorf("%d slices remain, want %d: %s (-want +got):\n%s", len(remaining.Items), tc.slices, tc.reason, diff)
			}
			if n := len(r.Finished.All()); n != tc.recheck {
				t.Errorf("the next sweep checks %d users, want %d: %s", n, tc.recheck, tc.reason)
			}
		})
	}
}

// sweeper returns a Reconciler that can sweep. Its cache contains these slices.
func sweeper(c client.Client, now clock.PassiveClock, cached ...*v1alpha1.ScimGroupSlice) *Reconciler {
	r := &Reconciler{
		Engine: pass.Engine{Client: c, Live: c, Clock: now}, Groups: groupindex.New(), Finished: &usercounts.Finished{},
		Slices: groupslice.NewStore(c, namespace, groupslice.Options{Clock: now.Now}),
	}
	for _, s := range cached {
		r.Groups.PutSlice(s)
	}
	return r
}

// TestSweepEveryHour: the next sweep starts an hour after a sweep that failed.
func TestSweepEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme := runtime.NewScheme()
		if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
			t.Fatal(err)
		}
		low, high := sliceOfAge(0, time.Now(), 0, ada), sliceOfAge(0x8000, time.Now(), 0, bob)
		c := kubefake.New(t, scheme, low.DeepCopy(), high.DeepCopy()) // without the namespace the first sweep fails
		r := sweeper(c, clock.RealClock{}, low, high)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- r.sweeping(ctx, namespace) }()
		remaining := func() int {
			synctest.Wait()
			var l v1alpha1.ScimGroupSliceList
			if err := c.List(ctx, &l); err != nil {
				t.Fatal(err)
			}
			return len(l.Items)
		}
		time.Sleep(sweepEvery + time.Minute)
		if n := remaining(); n != 2 {
			t.Errorf("%d slices remain after a sweep that could not read the namespace, want 2", n)
		}
		if err := c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(sweepEvery - 2*time.Minute)
		if n := remaining(); n != 2 {
			t.Errorf("%d slices remain before the hour is over, want 2", n)
		}
		time.Sleep(2 * time.Minute)
		if n := remaining(); n != 0 {
			t.Errorf("%d slices remain after the second sweep, want none", n)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
