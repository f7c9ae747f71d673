// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"context"
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
	"lightrun.com/scim-operator/internal/kernel/tracing"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// SetupWithManager registers the controller with mgr for one namespace.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, namespace string, traces *tracing.Tracing) error {
	def := reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: v1alpha1.DefaultName}}
	follow := func(ctx context.Context, q queue) error {
		go r.followWindow(ctx, namespace, func() { q.Add(def) })
		q.Add(def) // if there is no configuration, no event triggers the first pass
		r.Session.Subscribe(func(e session.Event) {
			if e.Relisted { // the portal may have been restored from a backup
				r.strays.due.Store(true)
			}
			if e.Configuration || e.Keys || e.Listed || e.Relisted || e.Reachable {
				q.Add(def)
			}
		})
		return nil
	}
	// If the object of the default pool is deleted, it is created again.
	onlyDefault := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		if o.GetName() != v1alpha1.DefaultName {
			return nil
		}
		return []reconcile.Request{def}
	})
	lost := handler.Funcs{DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
		if r.lost(e.Object.GetName()) {
			r.strays.due.Store(true)
			q.AddAfter(def, settling)
		}
	}}
	return ctrl.NewControllerManagedBy(mgr).Named("identityconfiguration").
		For(&v1alpha1.IdentityConfiguration{}).
		Watches(&v1alpha1.AgentPool{}, onlyDefault, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.ScimUser{}, lost).
		WatchesRawSource(source.Func(follow)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: 1,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](200*time.Millisecond, 30*time.Second),
		}).
		Complete(traces.Reconciler("IdentityConfiguration", r))
}

// lost reports whether the portal still has the account of a ScimUser that was deleted. It has not
// if the operator released the account before, as after a deletion at the provider.
func (r *Reconciler) lost(id string) bool {
	m := r.Session.View().Mirror
	return m != nil && m.AccountOf(id) != nil && m.Released(id) == 0
}
