// SPDX-License-Identifier: Apache-2.0

package nameclaim

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllertest"
	"sigs.k8s.io/controller-runtime/pkg/event"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/operator/groupindex"
)

// TestRenamed: only events after which a group or pool can have a name less enqueue its claims.
func TestRenamed(t *testing.T) {
	group := func(name string) *v1alpha1.ScimGroup {
		return &v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Name: "1"}, Spec: v1alpha1.ScimGroupSpec{DisplayName: name}}
	}
	own := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Name: "1"}, Spec: v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{ID: "1"}}}}
	pool := func(change func(*v1alpha1.AgentPool)) *v1alpha1.AgentPool {
		p := own.DeepCopy()
		change(p)
		return p
	}
	counted := group("Payments")
	counted.Status.MemberCount = 5
	groups := groupindex.New()
	groups.Put(group("Payments"))
	r := &Reconciler{Groups: groups}
	for name, c := range map[string]struct {
		reason        string
		before, after client.Object
		want          bool
	}{
		"GroupRenamed": {"A renamed group loses its former name.", group("Payments"), group("Billing"), true},
		"GroupCounted": {"A status write of a group changes no name.", group("Payments"), counted, false},
		"PoolRenamed": {"A renamed pool loses its former name.", pool(func(p *v1alpha1.AgentPool) { p.Spec.DisplayName = "Leads" }),
			pool(func(p *v1alpha1.AgentPool) { p.Spec.DisplayName = "Experts" }), true},
		"PoolRenamedInPortal": {"The portal's pool no longer has the former name.", pool(func(p *v1alpha1.AgentPool) { p.Status.DisplayName = "Leads" }), own, true},
		"PoolReady":           {"Any other status write of a pool changes no name.", own, pool(func(p *v1alpha1.AgentPool) { p.Status.Pool = "p" }), false},
		"OwnPoolEdited": {"An own pool that becomes a declared pool loses the group's name.", own,
			pool(func(p *v1alpha1.AgentPool) { p.Spec.Description = "ours" }), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.renamed().Update(event.UpdateEvent{ObjectOld: c.before, ObjectNew: c.after}); got != c.want {
				t.Errorf("%s\ngot %v", c.reason, got)
			}
			if !r.renamed().Delete(event.DeleteEvent{Object: c.after}) || r.renamed().Create(event.CreateEvent{Object: c.after}) {
				t.Errorf("%s\na deleted object loses its names, a new one has no claim yet", c.reason)
			}
		})
	}
}

// added notes the requests that are added to the queue.
type added struct {
	queue
	names []string
}

func (q *added) Add(r reconcile.Request) { q.names = append(q.names, r.String()) }

// TestOwnPools: when a group is renamed or deleted, the claim of its own pool on the former name is
// enqueued, although the pool's object does not change.
func TestOwnPools(t *testing.T) {
	groups := groupindex.New()
	var q added
	if err := (&Reconciler{Groups: groups}).ownPools("company")(t.Context(), &q); err != nil {
		t.Fatal(err)
	}
	group := func(name string) *v1alpha1.ScimGroup {
		return &v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Name: "1"}, Spec: v1alpha1.ScimGroupSpec{DisplayName: name}}
	}
	groups.Put(group("Payments"))
	groups.Put(group("Billing"))
	groups.Drop("1")
	want := []string{"company/" + claims.ObjectName(v1alpha1.ClaimPool, "Payments"), "company/" + claims.ObjectName(v1alpha1.ClaimPool, "Billing")}
	if !slices.Equal(q.names, want) {
		t.Errorf("got %v, want %v", q.names, want)
	}
}

// counting counts the reads; nothing exists.
type counting struct {
	client.Client
	reads *atomic.Int64
}

func (c counting) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	c.reads.Add(1)
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

// TestWaitsForGroupIndex: no claim is reconciled before the index contains all groups, because it
// has the names of groups' own pools.
func TestWaitsForGroupIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme := runtime.NewScheme()
		if err := v1alpha1.AddToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		objects := &informertest.FakeInformers{Scheme: scheme}
		for _, kind := range []client.Object{&v1alpha1.NameClaim{}, &v1alpha1.ScimGroup{}, &v1alpha1.AgentPool{}} {
			if _, err := objects.FakeInformerFor(t.Context(), kind); err != nil { // it makes informers without a lock
				t.Fatal(err)
			}
		}
		again := true // -count runs the test several times in one process
		mgr, err := ctrl.NewManager(&rest.Config{}, ctrl.Options{
			Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: &again},
			NewCache: func(*rest.Config, cache.Options) (cache.Cache, error) { return objects, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		listing := controllertest.NewFakeInformer()
		groups := groupindex.New()
		if err := groups.Follow(t.Context(), &informertest.FakeInformers{Scheme: scheme, InformersByGVK: map[schema.GroupVersionKind]toolscache.SharedIndexInformer{
			v1alpha1.GroupVersion.WithKind("ScimGroup"): listing,
		}}); err != nil {
			t.Fatal(err)
		}
		var reads atomic.Int64
		r := &Reconciler{Client: counting{reads: &reads}, Groups: groups}
		if err := r.SetupWithManager(t.Context(), mgr, "company", nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- mgr.Start(ctx) }()
		synctest.Wait()
		events, err := objects.FakeInformerFor(t.Context(), &v1alpha1.NameClaim{})
		if err != nil {
			t.Fatal(err)
		}
		events.Add(&v1alpha1.NameClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "company", Name: "pool-1"}})
		time.Sleep(30 * time.Second)
		if n := reads.Load(); n != 0 {
			t.Errorf("%d claims were reconciled before the first listing of groups", n)
		}
		listing.Synced()
		time.Sleep(30 * time.Second)
		if n := reads.Load(); n != 1 {
			t.Errorf("%d claims were reconciled after the first listing of groups, want 1", n)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
