// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/tracing"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

// Workers is the number of pools that are reconciled concurrently.
const Workers = 4

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// SetupWithManager registers the controller with mgr for one namespace.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, namespace string, traces *tracing.Tracing) error {
	all := func(ctx context.Context) []reconcile.Request {
		var list v1alpha1.AgentPoolList
		if err := r.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "Listing pools from the cache")
			return nil
		}
		out := make([]reconcile.Request, len(list.Items))
		for i := range list.Items {
			out[i] = reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])}
		}
		return out
	}
	claimed := func(ctx context.Context, o client.Object) []reconcile.Request {
		switch o.(*v1alpha1.NameClaim).Spec.Type {
		case v1alpha1.ClaimUser:
			return requests(namespace, r.lines.find(o.GetName()))
		case v1alpha1.ClaimGroup:
			return nil
		}
		return r.wanting(ctx, namespace, o.GetName())
	}
	follow := func(ctx context.Context, q queue) error {
		r.Session.Subscribe(func(e session.Event) {
			switch {
			case e.Pool != nil:
				r.Pools.Invalidate()
				for _, req := range r.concerned(ctx, namespace, e.Pool) {
					q.Add(req)
				}
			case e.Session, e.Listed, e.Relisted, e.Reachable, e.Configuration:
				r.Pools.Invalidate()
				for _, req := range all(ctx) {
					q.Add(req)
				}
			}
		})
		return nil
	}
	return ctrl.NewControllerManagedBy(mgr).Named("agentpool").
		// A status change enqueues the pool too: if a pass compared with a cache that did not have
		// the manager's own last write, the next one corrects that.
		For(&v1alpha1.AgentPool{}, builder.WithPredicates(r.renews())).
		Watches(&v1alpha1.NameClaim{}, handler.EnqueueRequestsFromMapFunc(claimed)).
		Watches(&v1alpha1.AgentPool{}, handler.EnqueueRequestsFromMapFunc(r.ownPools)).
		Watches(&v1alpha1.ScimUser{}, r.users(namespace)).
		Watches(&v1alpha1.AgentPool{}, handler.EnqueueRequestsFromMapFunc(r.waiting)).
		WatchesRawSource(r.Groups.Source()).
		WatchesRawSource(source.Func(r.groups(namespace))).
		WatchesRawSource(source.Func(follow)).
		WatchesRawSource(source.Func(r.recount(namespace))).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: Workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](200*time.Millisecond, time.Minute),
		}).
		Complete(traces.Reconciler("AgentPool", r))
}

// requests returns a request for each of the pools.
func requests(namespace string, pools []string) []reconcile.Request {
	out := make([]reconcile.Request, len(pools))
	for i, name := range pools {
		out[i] = reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
	}
	return out
}

// renews returns a predicate that accepts every event, and makes the snapshot of all pools be built
// again before the event enqueues its pool. Another controller does the same for its own queue, but
// the two receive events in any order: a pass that used the snapshot of before would keep members
// that have to leave, and no later event would correct it.
func (r *Reconciler) renews() predicate.Predicate {
	renew := func(when bool) bool {
		if when {
			r.Pools.Invalidate()
		}
		return true
	}
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return renew(true) },
		DeleteFunc: func(event.DeleteEvent) bool { return renew(true) },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return renew(poolindex.Affects(e.ObjectOld.(*v1alpha1.AgentPool), e.ObjectNew.(*v1alpha1.AgentPool)))
		},
	}
}

// waiting returns the pools that want the name that a changed pool still has in the portal: whether
// that pool keeps its name, or releases it, decides what their conditions say.
func (r *Reconciler) waiting(ctx context.Context, o client.Object) []reconcile.Request {
	pool := o.(*v1alpha1.AgentPool)
	if pool.Status.ObservedGeneration == pool.Generation || pool.Status.DisplayName == "" {
		return nil
	}
	return r.wanting(ctx, pool.Namespace, claims.ObjectName(v1alpha1.ClaimPool, pool.Status.DisplayName))
}

// wanting returns the pools that want the name of a claim.
func (r *Reconciler) wanting(ctx context.Context, namespace, claim string) []reconcile.Request {
	all, err := poolplan.ListPools(ctx, r.Client, namespace)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing pools from the cache")
		return nil
	}
	var out []reconcile.Request
	for i := range all {
		named, _ := groupindex.WithPortalName(&all[i], r.Groups)
		if claims.ObjectName(v1alpha1.ClaimPool, named.PortalName()) == claim {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(named)})
		}
	}
	return out
}

// concerned returns the pools that a change of a pool in the portal can affect: its owners before
// and after the change, and all pools that are not Ready, because they may wait for this change.
func (r *Reconciler) concerned(ctx context.Context, namespace string, e *mirror.PoolEvent) []reconcile.Request {
	all, err := poolplan.ListPools(ctx, r.Client, namespace)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing pools from the cache")
		return nil
	}
	var out []reconcile.Request
	for i := range all {
		pool, owner := &all[i], owners(e)
		if owner[pool.Name] || pool.Name == v1alpha1.DefaultName || !conditions.IsTrue(pool.Status.Conditions, v1alpha1.ConditionReady) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pool)})
		}
	}
	return out
}

// owners returns the names of the AgentPools that own the pool before and after the change.
func owners(e *mirror.PoolEvent) map[string]bool {
	out := map[string]bool{}
	for _, p := range []*portalapi.Pool{e.Before, e.After} {
		if p != nil {
			out[p.Owner.Name] = true
		}
	}
	return out
}

// ownPools returns the own pools of the groups that a pool names or could mean. The pool replaces
// them, and they are created again if it is deleted or means another group.
func (r *Reconciler) ownPools(_ context.Context, o client.Object) []reconcile.Request {
	var out []reconcile.Request
	for _, group := range groupindex.AffectedGroups(o.(*v1alpha1.AgentPool), r.Groups) {
		if group != o.GetName() {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: group}})
		}
	}
	return out
}

// groups enqueues the pools whose groups, or their members, changed.
func (r *Reconciler) groups(namespace string) func(context.Context, queue) error {
	return func(ctx context.Context, q queue) error {
		r.Groups.Subscribe(func(c groupindex.Change) {
			if c.All {
				r.Pools.Invalidate()
			}
			r.causedBy(c, c.Group) // the group's own pool, which may be created after the group
			all, err := poolplan.ListPools(ctx, r.Client, namespace)
			if err != nil {
				ctrl.LoggerFrom(ctx).Error(err, "Listing pools from the cache")
			}
			for i := range all {
				if c.All && c.Concerns(&all[i], r.Groups) || slices.Contains(groupindex.Filling(&all[i]), c.Group) {
					r.causedBy(c, all[i].Name)
					q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&all[i])})
				}
			}
		})
		return nil
	}
}

// causedBy records the effects that the request that changed a group has in the pool.
func (r *Reconciler) causedBy(c groupindex.Change, pool string) {
	r.causes.note(pool, c.Request, r.Clock.Now(), c.Users...)
	if c.All {
		r.causes.note(pool, c.Request, r.Clock.Now(), c.Group)
	}
}

// recount enqueues the pools that users joined or left.
func (r *Reconciler) recount(namespace string) func(context.Context, queue) error {
	return func(_ context.Context, q queue) error {
		r.Pools.Subscribe(func(pools []string) {
			for _, name := range pools {
				q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}, countDelay)
			}
		})
		r.Pools.OnUnsettled(func(u poolindex.Unsettled) {
			for _, name := range u.Pools {
				r.causes.note(name, u.Request, r.Clock.Now(), u.User)
				q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}})
			}
		})
		return nil
	}
}

// countDelay is the delay before a pool is reconciled because of its count, so that many joins
// cause one pass.
const countDelay = 200 * time.Millisecond
