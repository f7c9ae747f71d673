// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"context"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/tracing"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/operator/userplan"
)

// Workers is the number of users that are reconciled concurrently.
const Workers = 16

// The pauses between attempts after an error grow from the first to the last.
const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = time.Minute
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// watcher maps events to users to reconcile. It queues a user directly if the provider, a person, a
// name claim or the user's portal account changed, or if the user is not Ready. Ready users that a
// change elsewhere affects, and users whose status the manager wrote, go to the followers.
type watcher struct {
	*Reconciler
	namespace string
	users     *userIndex
	followers followers
}

// SetupWithManager registers the controller with mgr for one namespace.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, namespace string, traces *tracing.Tracing) error {
	// The informer is created before the start, so that a manager that waits to become the leader
	// has all users in its cache, and because listing many users can take longer than a controller
	// waits for its sources.
	if _, err := mgr.GetCache().GetInformer(ctx, &v1alpha1.ScimUser{}, cache.BlockUntilSynced(false)); err != nil {
		return err
	}
	w := &watcher{Reconciler: r, namespace: namespace, users: newUserIndex()}
	r.Counter.Load()
	r.Pools.Load()
	if err := w.followers.setup(mgr, r, traces); err != nil {
		return err
	}
	people := source.Kind[client.Object](mgr.GetCache(), &v1alpha1.ScimUser{}, w.people())
	return ctrl.NewControllerManagedBy(mgr).Named("scimuser").
		WatchesRawSource(&loading{SyncingSource: people, loaded: func() { r.Counter.Loaded(); r.Pools.Loaded() }}).
		Watches(&v1alpha1.NameClaim{}, w.claims()).
		Watches(&v1alpha1.AgentPool{}, w.pools()).
		WatchesRawSource(w.Groups.Source()).
		WatchesRawSource(source.Func(w.groups)).
		WatchesRawSource(source.Func(w.portalEvents)).
		WithOptions(controller.Options{MaxConcurrentReconciles: Workers, RateLimiter: backoff()}).
		Complete(traces.Reconciler("ScimUser", r))
}

func backoff() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstBackoff, lastBackoff)
}

// loading calls loaded when all events of the first listing are handled.
type loading struct {
	source.SyncingSource
	loaded func()
}

// WaitForSync implements source.SyncingSource.
func (l *loading) WaitForSync(ctx context.Context) error {
	err := l.SyncingSource.WaitForSync(ctx)
	if err == nil && ctx.Err() == nil { // the wait also ends without an error when the manager stops
		l.loaded()
	}
	return err
}

// people enqueues a user that was created, changed or deleted. A status change enqueues the user
// too: a pass that finds its own last write missing in the cache does nothing, and the event of
// that write starts the next pass. At the start the counter reads each user's state from the
// status.
func (w *watcher) people() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			u := e.Object.(*v1alpha1.ScimUser)
			w.users.put(u)
			w.Pools.Observe(u)
			if e.IsInInitialList {
				w.Counter.Record(u)
				w.Pools.Remember(u.Name, userplan.PoolNames(u.Status.Pools))
			}
			if e.IsInInitialList && !u.Spec.Deleted && pass.Settled(u, u.Status.Conditions) {
				w.enqueueAffected(q, u.Name)
				return
			}
			w.enqueue(q, false, u.Name)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			before, after := e.ObjectOld.(*v1alpha1.ScimUser), e.ObjectNew.(*v1alpha1.ScimUser)
			w.users.put(after)
			w.Pools.Observe(after)
			w.enqueue(q, !intentChanged(before, after), after.Name)
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
			w.users.drop(e.Object.GetName())
			w.Pools.Vanished(e.Object.GetName())
			w.enqueue(q, false, e.Object.GetName())
		},
	}
}

// intentChanged reports whether the provider changed the user or a person decided about it. It is
// false if only the manager wrote the status.
func intentChanged(before, after *v1alpha1.ScimUser) bool {
	return before.Generation != after.Generation || before.UID != after.UID ||
		slices.ContainsFunc(v1alpha1.DecisionAnnotations(), func(name string) bool { return before.Annotations[name] != after.Annotations[name] })
}

// claims enqueues the users that want a claim's name when the claim is created, changed or deleted.
func (w *watcher) claims() handler.EventHandler {
	changed := func(o client.Object, q queue) {
		if o.(*v1alpha1.NameClaim).Spec.Type == v1alpha1.ClaimUser {
			w.enqueue(q, false, w.users.claimants(o.GetName())...)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList { // at the start all users are reconciled anyway
				changed(e.Object, q)
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) { changed(e.ObjectNew, q) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { changed(e.Object, q) },
	}
}

// pools enqueues a pool's users when the pool is created, deleted, or changes its membership.
func (w *watcher) pools() handler.EventHandler {
	touched := func(q queue, pools ...*v1alpha1.AgentPool) {
		w.Pools.Invalidate()
		var people []string
		for _, p := range pools {
			if p.Spec.MemberFilter != "" || p.Name == v1alpha1.DefaultName {
				w.enqueueAffected(q, w.users.all()...)
				return
			}
			people = append(people, w.peopleOf(p)...)
		}
		w.enqueueAffected(q, people...)
	}
	pool := func(o client.Object) *v1alpha1.AgentPool { return o.(*v1alpha1.AgentPool) }
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList { // at the start all users are reconciled anyway
				touched(q, pool(e.Object))
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			before, after := pool(e.ObjectOld), pool(e.ObjectNew)
			if poolindex.Affects(before, after) {
				touched(q, before, after)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { touched(q, pool(e.Object)) },
	}
}

// peopleOf returns the users that are in the pool, should be in it, or were in it.
func (w *watcher) peopleOf(p *v1alpha1.AgentPool) []string {
	people := w.Pools.Members(p.Name)
	for _, group := range groupindex.Filling(p) {
		people = append(people, w.Groups.Members(group)...)
	}
	for _, pin := range p.Status.Members {
		people = append(people, pin.ID)
	}
	for _, m := range p.UserNames() {
		people = append(people, w.users.claimants(claims.ObjectName(v1alpha1.ClaimUser, m))...)
	}
	return people
}

// groups enqueues the users that joined or left a group. If the group itself changed, it enqueues
// all members of the group's pools. They go to the followers, because their statuses change only
// after the AgentPools' reconcilers have written the memberships to the portal.
func (w *watcher) groups(ctx context.Context, _ queue) error {
	w.Groups.Subscribe(func(c groupindex.Change) {
		w.enqueueFollowers(c.Users...) // the AgentPools' reconcilers add or remove them, many in one call
		if !c.All {
			return
		}
		var list v1alpha1.AgentPoolList
		if err := w.List(ctx, &list, client.InNamespace(w.namespace), client.UnsafeDisableDeepCopy); err != nil {
			return
		}
		for i := range list.Items {
			if p := &list.Items[i]; slices.Contains(groupindex.Filling(p), c.Group) {
				w.enqueueFollowers(w.peopleOf(p)...)
			}
		}
	})
	return nil
}

// portalEvents enqueues users when the portal or the session to it reports a change.
func (w *watcher) portalEvents(ctx context.Context, q queue) error {
	w.Session.Subscribe(func(e session.Event) {
		switch {
		case e.Account != nil:
			w.enqueue(q, onlyPools(e.Account), w.concerned(e.Account)...)
		case e.Pool != nil:
			w.Pools.Invalidate()
			w.enqueueAffected(q, w.poolPeople(ctx, e.Pool)...)
		case e.Session, e.Listed, e.Reachable, e.Configuration:
			w.Pools.Invalidate()
			w.enqueueAffected(q, w.users.all()...)
		}
	})
	return nil
}

// onlyPools reports whether nothing but the account's pools and roles changed. That is usually a
// write of an AgentPool's reconciler, and arrives for many members at once.
func onlyPools(e *mirror.AccountEvent) bool {
	if e.Before == nil || e.After == nil {
		return false
	}
	before, now := *e.Before, e.After
	before.Roles, before.Pools, before.Ungranted, before.Revision = now.Roles, now.Pools, now.Ungranted, now.Revision
	return reflect.DeepEqual(before, *now)
}

// concerned returns the users that a change of an account can affect: its owner, the user that
// waits for it, and the users that claim its name.
func (w *watcher) concerned(e *mirror.AccountEvent) []string {
	var people []string
	for _, a := range []*portalapi.Account{e.Before, e.After} {
		if a != nil {
			people = append(people, a.Owner.Name, a.WaitingFor.Name)
			people = append(people, w.users.claimants(claims.ObjectName(v1alpha1.ClaimUser, a.UserName))...)
		}
	}
	return people
}

// poolPeople returns the users that a change of a pool in the portal can affect.
func (w *watcher) poolPeople(ctx context.Context, e *mirror.PoolEvent) []string {
	pool := e.After
	if pool == nil {
		pool = e.Before
	}
	if pool.Default {
		return w.users.all()
	}
	var list v1alpha1.AgentPoolList
	if err := w.List(ctx, &list, client.InNamespace(w.namespace)); err != nil {
		return nil
	}
	for i := range list.Items {
		if p := &list.Items[i]; string(p.UID) == pool.Owner.UID {
			if p.Spec.MemberFilter != "" {
				return w.users.all()
			}
			return w.peopleOf(p)
		}
	}
	return nil
}

func (w *watcher) requests(people []string) []reconcile.Request {
	out := make([]reconcile.Request, 0, len(people))
	for _, name := range people {
		if name != "" {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: w.namespace, Name: name}})
		}
	}
	return out
}

// enqueue queues users: directly, or with the followers.
func (w *watcher) enqueue(q queue, following bool, people ...string) {
	if following {
		w.enqueueFollowers(people...)
		return
	}
	for _, r := range w.requests(people) {
		q.Add(r)
	}
}

// enqueueAffected queues users that a change elsewhere affects. A user that is not Ready may have
// waited for this change, and is queued directly. The others are skipped while the portal's state
// is not known.
func (w *watcher) enqueueAffected(q queue, people ...string) {
	unknown := w.portalUnknown()
	for _, name := range people {
		if ready := w.Counter.IsReady(name); !ready || !unknown {
			w.enqueue(q, ready, name)
		}
	}
}

// portalUnknown reports whether the portal's state is not known yet. When it becomes known, or when
// the session is blocked, portalEvents enqueues all users.
func (w *watcher) portalUnknown() bool {
	v := w.Session.View()
	return v.Unknown || v.Block == nil && v.Mirror != nil && !v.Mirror.Listed()
}

func (w *watcher) enqueueFollowers(people ...string) { w.followers.add(w.requests(people)...) }
