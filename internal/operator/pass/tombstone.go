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
// the claim on its name again. taken is the kind and name of the living object that has the name
// now; then o stays unchanged. A conflict means that o was written since it was read.
//
// A name is free while its holder is a tombstone. So o is restored first, and then its claim is
// written: if another program takes the name meanwhile, one of the two fails on the claim's
// version. If it was this one, o becomes a tombstone again.
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
