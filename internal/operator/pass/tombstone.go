// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
)

// Undelete removes the tombstone of o, a user or group whose deletion a person dropped, and takes
// the claim on its name again. If another living object has the name now, o stays unchanged, and
// taken is the kind and name of that object. Undelete fails with a conflict if o has changed since
// it was read.
//
// While an object is a tombstone, others can take its name. Therefore Undelete first restores o and
// then writes its claim. If another program takes the name meanwhile, one of the two fails on the
// resourceVersion of the claim. If Undelete fails, o becomes a tombstone again.
func Undelete(ctx context.Context, r claims.Registry, o client.Object, now time.Time) (taken string, err error) {
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
		return "", err // the next pass takes the claim
	}
	if err := setDeleted(ctx, r.Client, o, true, now); err != nil {
		return "", err
	}
	return claims.Kind(typ) + " " + other.GetName(), nil
}

// setDeleted sets spec.deleted of o, at the resourceVersion that was read. It writes a new
// revision, because no request of the provider caused the change.
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
