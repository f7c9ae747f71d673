package agentpool

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/claims"
	"lightrun.com/scim-operator/internal/portal/session"
	"lightrun.com/scim-operator/internal/tracing"
)

// Workers is how many pools are worked on at once.
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
		if o.(*v1alpha1.NameClaim).Spec.Type != v1alpha1.ClaimPool {
			return nil
		}
		return r.wanting(ctx, namespace, o.GetName())
	}
	follow := func(ctx context.Context, q queue) error {
		r.Session.Subscribe(func(e session.Event) {
			if e.Pool != nil || e.Session || e.Listed || e.Reachable || e.Configuration {
				r.Book.Invalidate()
				for _, req := range all(ctx) {
					q.Add(req)
				}
			}
		})
		return nil
	}
	return ctrl.NewControllerManagedBy(mgr).Named("agentpool").
		// Status changes bring a pool back too: a pass that compared with a cache behind our own last write corrects itself.
		For(&v1alpha1.AgentPool{}).
		Watches(&v1alpha1.NameClaim{}, handler.EnqueueRequestsFromMapFunc(claimed)).
		WatchesRawSource(source.Func(follow)).
		WatchesRawSource(source.Func(r.recount(namespace))).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: Workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](200*time.Millisecond, time.Minute),
		}).
		Complete(traces.Reconciler("AgentPool", r))
}

// wanting are the pools that want the name behind a claim.
func (r *Reconciler) wanting(ctx context.Context, namespace, claim string) []reconcile.Request {
	var list v1alpha1.AgentPoolList
	if err := r.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		for _, name := range list.Items[i].Names() {
			if claims.ObjectName(v1alpha1.ClaimPool, name) == claim {
				out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
				break
			}
		}
	}
	return out
}

// recount looks at pools again whose people joined or left.
func (r *Reconciler) recount(namespace string) func(context.Context, queue) error {
	return func(_ context.Context, q queue) error {
		r.Book.Subscribe(func(pools []string) {
			for _, name := range pools {
				q.AddAfter(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}, countDelay)
			}
		})
		return nil
	}
}

// countDelay gathers a burst of joins into one look.
const countDelay = 200 * time.Millisecond
