package scimuser

import (
	"context"
	"maps"
	"reflect"
	"slices"
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

// Workers is how many people are worked on at once.
const Workers = 16

// The pauses between attempts after an error grow from the first to the last.
const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = time.Minute
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// watcher turns what happens into people to look at, and how soon. What a push changed goes first; what follows for many people from one
// change elsewhere, and the events of our own status writes, come behind it at low priority.
type watcher struct {
	*Reconciler
	namespace string
	roster    *roster
}

// SetupWithManager registers the controller with mgr for one namespace.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, namespace string, traces *tracing.Tracing) error {
	w := &watcher{Reconciler: r, namespace: namespace, roster: newRoster()}
	r.Tally.load()
	r.Book.Load()
	people := source.Kind[client.Object](mgr.GetCache(), &v1alpha1.ScimUser{}, w.people())
	return ctrl.NewControllerManagedBy(mgr).Named("scimuser").
		WatchesRawSource(&loading{SyncingSource: people, loaded: func() { r.Tally.loaded(); r.Book.Loaded() }}).
		Watches(&v1alpha1.NameClaim{}, handler.EnqueueRequestsFromMapFunc(w.claimed)).
		Watches(&v1alpha1.AgentPool{}, w.pools()).
		WatchesRawSource(source.Func(w.follow)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: Workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstBackoff, lastBackoff),
		}).
		Complete(traces.Reconciler("ScimUser", r))
}

// loading tells when all events of the first listing were handled.
type loading struct {
	source.SyncingSource
	loaded func()
}

// WaitForSync implements source.SyncingSource.
func (l *loading) WaitForSync(ctx context.Context) error {
	err := l.SyncingSource.WaitForSync(ctx)
	if err == nil {
		l.loaded()
	}
	return err
}

// people looks at a person who came, changed or went. Status changes bring a person back too: a pass that compared with a cache behind our
// own last write corrects itself. At the start everybody counts as their status says, until they are looked at.
func (w *watcher) people() handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			u := e.Object.(*v1alpha1.ScimUser)
			w.roster.put(u)
			if e.IsInInitialList {
				w.Tally.Record(u)
				w.Book.Remember(u.Name, poolNames(u.Status.Pools))
				w.add(q, handler.LowPriority, u.Name)
				return
			}
			w.add(q, 0, u.Name)
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			before, after := e.ObjectOld.(*v1alpha1.ScimUser), e.ObjectNew.(*v1alpha1.ScimUser)
			w.roster.put(after)
			priority := handler.LowPriority
			if asked(before, after) {
				priority = 0
			}
			w.add(q, priority, after.Name)
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
			w.roster.drop(e.Object.GetName())
			w.add(q, 0, e.Object.GetName())
		},
	}
}

// asked says whether somebody wants something else than before, rather than our own status having been written.
func asked(before, after *v1alpha1.ScimUser) bool {
	return before.Generation != after.Generation || before.UID != after.UID || !before.DeletionTimestamp.Equal(after.DeletionTimestamp) ||
		!maps.Equal(before.Annotations, after.Annotations) || !slices.Equal(before.Finalizers, after.Finalizers)
}

// claimed maps a claim to those who want its name.
func (w *watcher) claimed(_ context.Context, o client.Object) []reconcile.Request {
	if o.(*v1alpha1.NameClaim).Spec.Type != v1alpha1.ClaimUser {
		return nil
	}
	return w.requests(w.roster.wanting(o.GetName()))
}

// pools looks at a pool's people again when the pool comes, goes, or changes what it says of them.
func (w *watcher) pools() handler.EventHandler {
	touched := func(q queue, pools ...*v1alpha1.AgentPool) {
		w.Book.Invalidate()
		var people []string
		for _, p := range pools {
			if p.Spec.MemberFilter != "" || p.Name == v1alpha1.DefaultName {
				w.add(q, handler.LowPriority, w.roster.all()...)
				return
			}
			people = append(people, w.peopleOf(p)...)
		}
		w.add(q, handler.LowPriority, people...)
	}
	pool := func(o client.Object) *v1alpha1.AgentPool { return o.(*v1alpha1.AgentPool) }
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList { // at the start everybody is looked at anyway
				touched(q, pool(e.Object))
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			before, after := pool(e.ObjectOld), pool(e.ObjectNew)
			if before.Generation != after.Generation || membership.Waits(before) != membership.Waits(after) {
				touched(q, before, after)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { touched(q, pool(e.Object)) },
	}
}

// peopleOf are the people who are in the pool, should be, or were.
func (w *watcher) peopleOf(p *v1alpha1.AgentPool) []string {
	people := append(w.Book.Members(p.Name), w.roster.in(p.Name)...)
	for _, m := range p.Spec.Members {
		people = append(people, w.roster.wanting(claims.ObjectName(v1alpha1.ClaimUser, m))...)
	}
	return people
}

// follow looks at people again when the portal or the session to it has news of them.
func (w *watcher) follow(ctx context.Context, q queue) error {
	w.Session.Subscribe(func(e session.Event) {
		switch {
		case e.Account != nil:
			w.add(q, urgency(e.Account), w.concerned(e.Account)...)
		case e.Pool != nil:
			w.Book.Invalidate()
			w.add(q, handler.LowPriority, w.poolPeople(ctx, e.Pool)...)
		case e.Session, e.Listed, e.Reachable, e.Configuration:
			w.Book.Invalidate()
			w.add(q, handler.LowPriority, w.roster.all()...)
		}
	})
	return nil
}

// urgency is low for those who only got other roles: a pool's did change, and everybody in it is told of at once.
func urgency(e *mirror.AccountEvent) int {
	if e.Before == nil || e.After == nil {
		return 0
	}
	before := *e.Before
	before.Roles, before.Revision = e.After.Roles, e.After.Revision
	if reflect.DeepEqual(before, *e.After) {
		return handler.LowPriority
	}
	return 0
}

// concerned are the people whom a change of an account concerns: its owner, who waits for it, and who wants its name.
func (w *watcher) concerned(e *mirror.AccountEvent) []string {
	var people []string
	for _, a := range []*portal.Account{e.Before, e.After} {
		if a != nil {
			people = append(people, a.Owner.SCIMID, a.WaitingFor.SCIMID)
			people = append(people, w.roster.wanting(claims.ObjectName(v1alpha1.ClaimUser, a.UserName))...)
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
		return w.roster.all()
	}
	var list v1alpha1.AgentPoolList
	if err := w.List(ctx, &list, client.InNamespace(w.namespace)); err != nil {
		return nil
	}
	for i := range list.Items {
		if p := &list.Items[i]; string(p.UID) == pool.OwnerUID {
			if p.Spec.MemberFilter != "" {
				return w.roster.all()
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
