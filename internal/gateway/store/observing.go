// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// observing is the Kubernetes client of the member store. It updates the cache with each slice that
// it writes, so that this replica's lists are never behind its own writes.
type observing struct {
	client.Client
	directory *Directory
}

func (o observing) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	return o.wrote(object, o.Client.Create(ctx, object, options...))
}

func (o observing) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	return o.wrote(object, o.Client.Update(ctx, object, options...))
}

func (o observing) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	return o.wrote(object, o.Client.Patch(ctx, object, patch, options...))
}

func (o observing) wrote(object client.Object, err error) error {
	s, ok := object.(*v1alpha1.ScimGroupSlice)
	if err != nil || !ok {
		return err
	}
	r, err := o.directory.sliceRecord(s)
	if err == nil && r != nil {
		o.directory.slices.storeWrite(r)
	}
	return err
}
