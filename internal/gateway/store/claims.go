// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
)

// registry returns the claim protocol (package claims). It reads the API server only, never the
// cache.
func (d *Directory) registry() claims.Registry {
	return claims.Registry{Client: client.WithFieldOwner(d.client, v1alpha1.FieldManagerWebhook), Live: d.client}
}

// claim takes the claim on a name for holder. If another object has the name, it returns that
// object.
func (d *Directory) claim(ctx context.Context, typ v1alpha1.ClaimType, name string, holder client.Object) (taken client.Object, err error) {
	return d.registry().Take(ctx, typ, name, holder)
}

// holder returns the object that has the name and its claim, read from the API server, or nil.
func (d *Directory) holder(ctx context.Context, typ v1alpha1.ClaimType, name string) (client.Object, error) {
	return d.registry().Owner(ctx, typ, d.namespace, name)
}
