// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/names"
)

// AddFinalizer adds a finalizer, so that an object is not deleted before its record in the portal
// is released. In a namespace that is being deleted it adds none, and the pass ends: the manager
// may lose its rights before it could remove it. It writes only on top of the version that was
// read, as a list of finalizers is written as a whole.
func (p *Pass) AddFinalizer(ctx context.Context, finalizer string) Outcome {
	if controllerutil.ContainsFinalizer(p.Object, finalizer) {
		return Next()
	}
	switch ending, err := NamespaceEnding(ctx, p.engine.Live, p.Object.GetNamespace()); {
	case err != nil:
		return p.Retry(err)
	case ending:
		return Quiet(0)
	}
	before := p.Object.DeepCopyObject().(client.Object)
	controllerutil.AddFinalizer(p.Object, finalizer)
	if err := p.engine.Patch(ctx, p.Object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return p.Retry(fmt.Errorf("add the finalizer: %w", err))
	}
	return Next()
}

// Finish is the last step of a deletion: it releases the names of the object and then lets the
// object go, by removing its finalizer or, where the kind has none (empty), by deleting it.
func (p *Pass) Finish(ctx context.Context, r claims.Registry, typ v1alpha1.ClaimType, finalizer string, all ...string) Outcome {
	for _, name := range all {
		if names.Fold(name) == "" {
			continue
		}
		if err := r.Release(ctx, typ, name, p.Object); err != nil {
			return p.Retry(fmt.Errorf("release the name: %w", err))
		}
	}
	var err error
	if uid := p.Object.GetUID(); finalizer == "" {
		err = p.engine.Delete(ctx, p.Object, client.Preconditions{UID: &uid})
	} else {
		before := p.Object.DeepCopyObject().(client.Object)
		controllerutil.RemoveFinalizer(p.Object, finalizer)
		err = p.engine.Patch(ctx, p.Object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	}
	return p.Retry(client.IgnoreNotFound(err)).And(Quiet(0))
}

// Undelete removes the tombstone of a user or group whose deletion a person dropped, and takes the
// claim on its name again: the object is as the provider last described it, over SCIM too. Where
// another living object has the name now, the tombstone stays, and message says what a person can
// do; taken is the kind and name of that object.
//
// A name is free while its holder is a tombstone. So the object is restored first, and then its
// claim is written: if another program takes the name meanwhile, one of the two fails on the
// claim's version. If it was this one, the object becomes a tombstone again.
func (p *Pass) Undelete(ctx context.Context, message func(taken string) string) Outcome {
	taken, err := undelete(ctx, p.engine.Registry(), p.Object.DeepCopyObject().(client.Object), p.engine.Clock.Now())
	switch {
	case err != nil:
		return p.Retry(err)
	case taken == "":
		return Quiet(0) // the event of that write triggers the next pass
	}
	return Stop(conditions.False(p.Condition, v1alpha1.ReasonRemovalDropped, message(taken)))
}

func undelete(ctx context.Context, r claims.Registry, o client.Object, now time.Time) (taken string, err error) {
	typ, name, _ := claims.NameOf(o)
	other, err := r.Owner(ctx, typ, o.GetNamespace(), name)
	if err != nil {
		return "", err
	}
	if other != nil && other.GetUID() != o.GetUID() {
		return claims.Kind(typ) + " " + other.GetName(), nil
	}
	if err := setDeleted(ctx, r.Client, o, false, now); err != nil {
		return "", err
	}
	other, err = r.Take(ctx, typ, name, o)
	if other == nil || err != nil {
		return "", err // the next pass takes a name that could not be taken now
	}
	if err := setDeleted(ctx, r.Client, o, true, now); err != nil {
		return "", err
	}
	return claims.Kind(typ) + " " + other.GetName(), nil
}

// setDeleted writes whether o is a tombstone, on top of the version that was read. No request of
// the provider caused that, so it has a revision of its own.
func setDeleted(ctx context.Context, c client.Client, o client.Object, deleted bool, now time.Time) error {
	before := o.DeepCopyObject().(client.Object)
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		o.Spec.Deleted, o.Spec.Revision = deleted, max(o.Spec.Revision+1, now.UnixMilli())
	case *v1alpha1.ScimGroup:
		o.Spec.Deleted, o.Spec.Revision = deleted, max(o.Spec.Revision+1, now.UnixMilli())
	}
	if err := c.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("write whether %s is deleted: %w", o.GetName(), err)
	}
	return nil
}
