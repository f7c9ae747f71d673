// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/scimattrs"
	"lightrun.com/scim-operator/internal/scim"
)

// Profiles reads what the identity provider says about users from the ScimUsers of a namespace.
type Profiles struct {
	Users     client.Reader // from a cache
	Namespace string
}

// Profile implements scimtarget.Profiles.
func (p Profiles) Profile(ctx context.Context, owner string) (scim.Object, error) {
	var u v1alpha1.ScimUser
	err := p.Users.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: owner}, &u)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get ScimUser %s: %w", owner, err)
	}
	return scimattrs.Attributes(&u.Spec), nil
}
