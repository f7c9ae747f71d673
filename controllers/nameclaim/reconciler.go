// SPDX-License-Identifier: Apache-2.0

// Package nameclaim releases claims that are not needed: the holder does not exist, or does not
// have the name. A rename that was interrupted after it took the claim and before it wrote the
// holder leaves such a claim.
package nameclaim

import (
	"cmp"
	"context"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
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
	"lightrun.com/scim-operator/internal/kernel/tracing"
	"lightrun.com/scim-operator/internal/operator/groupindex"
)

// DefaultGrace is the time in which the holder of a new claim need not have the name, because a
// rename takes the claim first.
const DefaultGrace = 30 * time.Second

// conflictPause is the time that the next pass waits after a conflict, so that the cache can catch
// up.
const conflictPause = 50 * time.Millisecond

// Reconciler reconciles NameClaims.
type Reconciler struct {
	client.Client
	Live   client.Reader
	Groups *groupindex.Index
	Clock  clock.PassiveClock
	Grace  time.Duration // 0 means DefaultGrace
}

// Reconcile releases the claim if it is not needed.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var claim v1alpha1.NameClaim
	if err := r.Get(ctx, req.NamespacedName, &claim); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if needed, err := r.registry().Needed(ctx, &claim); needed || err != nil {
		return ctrl.Result{}, err
	}
	if age, grace := r.Clock.Since(claim.CreationTimestamp.Time), cmp.Or(r.Grace, DefaultGrace); age < grace {
		// min: a claim whose creation time is in the future (clock skew) waits one grace period.
		return ctrl.Result{RequeueAfter: min(grace-age, grace)}, nil
	}
	swept, err := r.registry().Sweep(ctx, req.NamespacedName)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: conflictPause}, nil // another client wrote the claim or its holder
	}
	if swept && err == nil {
		ctrl.LoggerFrom(ctx).Info("Released a claim that its holder does not need", "type", claim.Spec.Type, "holder", claim.Spec.Holder.Name)
	}
	return ctrl.Result{}, err
}

func (r *Reconciler) registry() claims.Registry {
	return claims.Registry{Client: r.Client, Live: r.Live, Names: groupindex.Names(r.Groups)}
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// byHolder is the index by which the cache finds the claims of a pool or a group.
const byHolder = "holder"

// SetupWithManager registers the controller with mgr. If a pool or group loses a name, its claims
// are reconciled; the controller of users releases a former name itself.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, namespace string, traces *tracing.Tracing) error {
	if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.NameClaim{}, byHolder, func(o client.Object) []string {
		if s := o.(*v1alpha1.NameClaim).Spec; s.Type != v1alpha1.ClaimUser {
			return []string{s.Holder.UID}
		}
		return nil // claims of users are never looked up by holder, and there are many
	}); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).Named("nameclaim").
		For(&v1alpha1.NameClaim{}, builder.WithPredicates(predicate.Funcs{CreateFunc: r.unneeded})).
		Watches(&v1alpha1.ScimGroup{}, handler.EnqueueRequestsFromMapFunc(r.claimsOf), builder.WithPredicates(r.renamed())).
		Watches(&v1alpha1.AgentPool{}, handler.EnqueueRequestsFromMapFunc(r.claimsOf), builder.WithPredicates(r.renamed())).
		WatchesRawSource(r.Groups.Source()).
		WatchesRawSource(source.Func(r.ownPools(namespace))).
		WithOptions(controller.Options{MaxConcurrentReconciles: 2}).
		Complete(traces.Reconciler("NameClaim", r))
}

// unneeded filters the claims of the first listing: it skips the claim of a user or group who needs
// it. Nearly all are needed, and a queue never frees its memory. It skips no claim of a pool: the
// name of a group's own pool is in the group index, which may not be complete yet.
func (r *Reconciler) unneeded(e event.CreateEvent) bool {
	claim := e.Object.(*v1alpha1.NameClaim)
	if !e.IsInInitialList || claim.Spec.Type == v1alpha1.ClaimPool {
		return true
	}
	needed, err := r.registry().Needed(context.Background(), claim) // the cache waits until it has all holders
	return err != nil || !needed
}

// renamed selects the events after which a group or pool can have a name less: its names are
// others, or it no longer exists. A new object has no claim yet, and unneeded checks the claims of
// the first listing.
func (r *Reconciler) renamed() predicate.Predicate {
	names := groupindex.Names(r.Groups)
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool { return !slices.Equal(names(e.ObjectOld), names(e.ObjectNew)) },
	}
}

// ownPools enqueues the pool's claim on a group's name when the group is renamed or deleted: its
// own pool loses that name, but the pool's object does not change.
func (r *Reconciler) ownPools(namespace string) func(context.Context, queue) error {
	return func(_ context.Context, q queue) error {
		r.Groups.Subscribe(func(c groupindex.Change) {
			if c.All && c.Was.DisplayName != "" {
				q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: claims.ObjectName(v1alpha1.ClaimPool, c.Was.DisplayName)}})
			}
		})
		return nil
	}
}

// claimsOf returns the claims of a pool or a group.
func (r *Reconciler) claimsOf(ctx context.Context, holder client.Object) []reconcile.Request {
	var list v1alpha1.NameClaimList
	if err := r.List(ctx, &list, client.InNamespace(holder.GetNamespace()), client.MatchingFields{byHolder: string(holder.GetUID())}); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Listing claims from the cache")
		return nil
	}
	out := make([]reconcile.Request, len(list.Items))
	for i := range list.Items {
		out[i] = reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])}
	}
	return out
}
