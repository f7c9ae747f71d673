// SPDX-License-Identifier: Apache-2.0

package scimgroup

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/tracing"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

// Workers is the number of groups that are reconciled concurrently.
const Workers = 4

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// countDelay is the delay before a group is reconciled because of its count, so that many joins
// cause one pass.
const countDelay = 200 * time.Millisecond

// SetupWithManager registers the controller with mgr for one namespace.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, namespace string, traces *tracing.Tracing) error {
	request := func(id string) reconcile.Request {
		return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: id}}
	}
	claimed := func(_ context.Context, o client.Object) []reconcile.Request {
		claim := o.(*v1alpha1.NameClaim)
		if claim.Spec.Type != v1alpha1.ClaimGroup {
			return nil
		}
		var out []reconcile.Request
		for _, g := range r.Groups.All() {
			if claims.ObjectName(v1alpha1.ClaimGroup, g.DisplayName) == claim.Name {
				out = append(out, request(g.ID))
			}
		}
		return out
	}
	named := func(_ context.Context, o client.Object) []reconcile.Request {
		var out []reconcile.Request
		for _, id := range groupindex.AffectedGroups(o.(*v1alpha1.AgentPool), r.Groups) {
			out = append(out, request(id))
		}
		return out
	}
	changed := func(_ context.Context, q queue) error {
		r.Groups.Subscribe(func(c groupindex.Change) {
			if c.All {
				q.Add(request(c.Group))
			} else {
				q.AddAfter(request(c.Group), countDelay)
			}
		})
		return nil
	}
	follow := func(ctx context.Context, q queue) error {
		r.Session.Subscribe(func(e session.Event) {
			switch {
			case e.Pool != nil:
				for _, id := range r.takenOver(ctx, namespace, e) {
					q.Add(request(id))
				}
			case e.Session, e.Listed, e.Reachable, e.Configuration:
				for _, g := range r.Groups.All() {
					q.Add(request(g.ID))
				}
			}
		})
		return nil
	}
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return r.sweeping(ctx, namespace) })); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).Named("scimgroup").
		For(&v1alpha1.ScimGroup{}).
		Watches(&v1alpha1.NameClaim{}, handler.EnqueueRequestsFromMapFunc(claimed)).
		Watches(&v1alpha1.AgentPool{}, handler.EnqueueRequestsFromMapFunc(named)).
		WatchesRawSource(r.Groups.Source()).
		WatchesRawSource(source.Func(changed)).
		WatchesRawSource(source.Func(follow)).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: Workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](200*time.Millisecond, time.Minute),
		}).
		Complete(traces.Reconciler("ScimGroup", r))
}

// takenOver returns the groups whose own pool owned or owns the portal's pool, and the groups that
// fill the AgentPool that owns it.
func (r *Reconciler) takenOver(ctx context.Context, namespace string, e session.Event) []string {
	var out []string
	for _, p := range []*portalapi.Pool{e.Pool.Before, e.Pool.After} {
		if p == nil || p.Owner.Name == "" {
			continue
		}
		out = append(out, p.Owner.Name)
		var pool v1alpha1.AgentPool
		if err := r.Get(ctx, types.NamespacedName{Namespace: namespace, Name: p.Owner.Name}, &pool); err == nil {
			out = append(out, groupindex.Filling(&pool)...)
		}
	}
	return out
}
