package scimuser

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/membership"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/mirror"
	"lightrun.com/scim-operator/internal/portal/session"
	"lightrun.com/scim-operator/internal/tracing"
)

// Fields by which the cache finds users.
const (
	byClaim = "claim" // name of the NameClaim of spec.userName
	byPool  = "pool"  // each of spec.pools
)

// Workers is how many people are worked on at once.
const Workers = 16

// The pauses between attempts after an error grow from the first to the last.
const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = time.Minute
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// watcher turns what happens elsewhere into people to look at again.
type watcher struct {
	*Reconciler
	namespace string
}

// SetupWithManager registers the controller with mgr for one namespace.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, namespace string, traces *tracing.Tracing) error {
	index := mgr.GetFieldIndexer()
	if err := index.IndexField(ctx, &v1alpha1.ScimUser{}, byClaim, func(o client.Object) []string {
		return []string{claims.ObjectName(v1alpha1.ClaimUser, o.(*v1alpha1.ScimUser).Spec.UserName)}
	}); err != nil {
		return err
	}
	if err := index.IndexField(ctx, &v1alpha1.ScimUser{}, byPool, func(o client.Object) []string {
		return o.(*v1alpha1.ScimUser).Spec.Pools
	}); err != nil {
		return err
	}
	w := &watcher{Reconciler: r, namespace: namespace}
	return ctrl.NewControllerManagedBy(mgr).Named("scimuser").
		// Status changes bring a person back too: a pass that compared with a cache behind our own last write corrects itself.
		For(&v1alpha1.ScimUser{}).
		Watches(&v1alpha1.NameClaim{}, handler.EnqueueRequestsFromMapFunc(w.claimed)).
		Watches(&v1alpha1.AgentPool{}, w.pools()).
		WatchesRawSource(source.Func(w.follow)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: Workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstBackoff, lastBackoff),
		}).
		Complete(traces.Reconciler("ScimUser", r))
}

// claimed maps a claim to those who want its name.
func (w *watcher) claimed(ctx context.Context, o client.Object) []reconcile.Request {
	if o.(*v1alpha1.NameClaim).Spec.Type != v1alpha1.ClaimUser {
		return nil
	}
	return w.requests(w.find(ctx, client.MatchingFields{byClaim: o.GetName()}))
}

// pools looks at a pool's people again when the pool comes, goes, or changes what it says of them.
func (w *watcher) pools() handler.EventHandler {
	touched := func(ctx context.Context, q queue, pools ...*v1alpha1.AgentPool) {
		w.Book.Invalidate()
		var people []string
		for _, p := range pools {
			if p.Spec.MemberFilter != "" || p.Name == v1alpha1.DefaultName {
				w.add(q, handler.LowPriority, w.find(ctx)...)
				return
			}
			people = append(people, w.peopleOf(ctx, p)...)
		}
		w.add(q, handler.LowPriority, people...)
	}
	pool := func(o client.Object) *v1alpha1.AgentPool { return o.(*v1alpha1.AgentPool) }
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList { // at the start everybody is looked at anyway
				touched(ctx, q, pool(e.Object))
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			before, after := pool(e.ObjectOld), pool(e.ObjectNew)
			if before.Generation != after.Generation || membership.Waits(before) != membership.Waits(after) {
				touched(ctx, q, before, after)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { touched(ctx, q, pool(e.Object)) },
	}
}

// peopleOf are the people who are in the pool, should be, or were.
func (w *watcher) peopleOf(ctx context.Context, p *v1alpha1.AgentPool) []string {
	people := append(w.Book.Members(p.Name), w.find(ctx, client.MatchingFields{byPool: p.Name})...)
	for _, m := range p.Spec.Members {
		people = append(people, w.find(ctx, client.MatchingFields{byClaim: claims.ObjectName(v1alpha1.ClaimUser, m)})...)
	}
	return people
}

// follow looks at people again when the portal or the session to it has news of them.
func (w *watcher) follow(ctx context.Context, q queue) error {
	w.Session.Subscribe(func(e session.Event) {
		switch {
		case e.Account != nil:
			w.add(q, 0, w.concerned(ctx, e.Account)...)
		case e.Pool != nil:
			w.Book.Invalidate()
			w.add(q, handler.LowPriority, w.poolPeople(ctx, e.Pool)...)
		case e.Session, e.Listed, e.Reachable, e.Configuration:
			w.Book.Invalidate()
			w.add(q, handler.LowPriority, w.find(ctx)...)
		}
	})
	return nil
}

// concerned are the people whom a change of an account concerns: its owner, who waits for it, and who wants its name.
func (w *watcher) concerned(ctx context.Context, e *mirror.AccountEvent) []string {
	var people []string
	for _, a := range []*portal.Account{e.Before, e.After} {
		if a != nil {
			people = append(people, a.Owner.SCIMID, a.WaitingFor.SCIMID)
			people = append(people, w.find(ctx, client.MatchingFields{byClaim: claims.ObjectName(v1alpha1.ClaimUser, a.UserName)})...)
		}
	}
	return people
}

// poolPeople are the people whom a change of a pool in the portal concerns.
func (w *watcher) poolPeople(ctx context.Context, e *mirror.PoolEvent) []string {
	pool := e.After
	if pool == nil {
		pool = e.Before
	}
	if pool.Default {
		return w.find(ctx)
	}
	var list v1alpha1.AgentPoolList
	if err := w.List(ctx, &list, client.InNamespace(w.namespace)); err != nil {
		return nil
	}
	for i := range list.Items {
		if p := &list.Items[i]; string(p.UID) == pool.OwnerUID {
			if p.Spec.MemberFilter != "" {
				return w.find(ctx)
			}
			return w.peopleOf(ctx, p)
		}
	}
	return nil
}

// find returns the names of users in the cache.
func (w *watcher) find(ctx context.Context, opts ...client.ListOption) []string {
	var list v1alpha1.ScimUserList
	opts = append(opts, client.InNamespace(w.namespace), client.UnsafeDisableDeepCopy)
	if err := w.List(ctx, &list, opts...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing users from the cache")
		return nil
	}
	out := make([]string, len(list.Items))
	for i := range list.Items {
		out[i] = list.Items[i].Name
	}
	return out
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

// add queues people, behind fresh pushes when the priority is low.
func (w *watcher) add(q queue, priority int, people ...string) {
	requests := w.requests(people)
	if pq, ok := q.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		pq.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, requests...)
		return
	}
	for _, r := range requests {
		q.Add(r)
	}
}
