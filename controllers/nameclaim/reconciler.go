// SPDX-License-Identifier: Apache-2.0

// Package nameclaim releases claims that are not needed: the holder does not exist, or does not
// have the name. A rename that was interrupted between the two writes leaves such a claim.
package nameclaim

import (
	"cmp"
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/tracing"
	"lightrun.com/scim-operator/internal/operator/groupindex"
)

// DefaultGrace is the time in which the holder of a new claim need not have the name, because a
// rename takes the claim first.
const DefaultGrace = 30 * time.Second

// conflictPause is the pause of a pass, for the cache, after another client wrote.
const conflictPause = 50 * time.Millisecond

// Reconciler reconciles NameClaims.
type Reconciler struct {
	client.Client
	Live   client.Reader
	Groups groupindex.Lookup
	Clock  clock.PassiveClock
	Grace  time.Duration // 0 takes DefaultGrace
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
		return ctrl.Result{RequeueAfter: min(grace-age, grace)}, nil // a claim from the future: one of the clocks is being set
	}
	swept, err := r.registry().Sweep(ctx, req.NamespacedName)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: conflictPause}, nil // another client wrote the claim or its holder
	}
	if swept && err == nil {
		ctrl.LoggerFrom(ctx).Info("Released a claim whose holder does not have the name", "holder", claim.Spec.Holder.Name)
	}
	return ctrl.Result{}, err
}

func (r *Reconciler) registry() claims.Registry {
	return claims.Registry{Client: r.Client, Live: r.Live, Names: groupindex.Names(r.Groups)}
}

// byHolder is the index by which the cache finds the claims of a pool or a group.
const byHolder = "holder"

// SetupWithManager registers the controller with mgr. A pool or group that was renamed has its
// claims reconciled; the controller of users releases a former name itself.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager, traces *tracing.Tracing) error {
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
		Watches(&v1alpha1.ScimGroup{}, handler.EnqueueRequestsFromMapFunc(r.claimsOf)).
		Watches(&v1alpha1.AgentPool{}, handler.EnqueueRequestsFromMapFunc(r.claimsOf)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 2}).
		Complete(traces.Reconciler("NameClaim", r))
}

// unneeded filters the claims of the first listing: it skips a claim whose holder needs it. Nearly
// all are needed, and a queue never frees its memory.
func (r *Reconciler) unneeded(e event.CreateEvent) bool {
	if !e.IsInInitialList {
		return true
	}
	claim := e.Object.(*v1alpha1.NameClaim)
	needed, err := r.registry().Needed(context.Background(), claim) // from the cache, which is complete by now
	return err != nil || !needed
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
