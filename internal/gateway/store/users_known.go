// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/scim"
)

// updateKnown tries a change on the cache's copy, which saves a read from the API server. The patch
// has the cache's resourceVersion, so it succeeds only if that version is still the current one. In
// all other cases (nothing changes, the change or the precondition fails, a rename, a concurrent
// write) it returns nil without an error, and the caller decides on fresh data.
func (u users) updateKnown(ctx context.Context, id string, ifVersion server.Precondition, change func(scim.Object) (scim.Object, error)) (*server.Resource, error) {
	known := u.users.get(id)
	if known == nil || ifVersion != nil && !ifVersion(known.value.resource.Version) {
		return nil, nil
	}
	before, after, err := specs(known.value, change)
	if err != nil || names.Fold(before.UserName) != names.Fold(after.UserName) {
		return nil, nil //nolint:nilerr // the cache may be behind
	}
	have := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{
		Namespace: u.namespace, Name: id, UID: types.UID(known.uid), ResourceVersion: strconv.FormatUint(known.version, 10),
	}}
	if bounded(&v1alpha1.ScimUser{ObjectMeta: have.ObjectMeta, Spec: after}) != nil {
		return nil, nil
	}
	difference, err := mergePatch(&before, &after)
	if err != nil || difference == nil {
		return nil, err
	}
	err = u.patch(ctx, have, u.stamped(ctx, have, known.value.revision, difference))
	switch {
	case apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsInvalid(err):
		return nil, nil
	case err != nil:
		return nil, refused(err)
	case claims.Gone(have):
		return nil, nil
	}
	return u.resource(have)
}

// specs returns the part of a user's spec that the provider writes, before (from the cache) and
// after change.
func specs(p *cachedUser, change func(scim.Object) (scim.Object, error)) (before, after v1alpha1.ScimUserSpec, err error) {
	shown, err := p.resource.Object("", true)
	if err != nil {
		return before, after, err
	}
	changed, err := change(shown)
	if err != nil {
		return before, after, err
	}
	if before, err = userFrom(shown, &v1alpha1.ScimUserSpec{}); err != nil {
		return before, after, err
	}
	after, err = userFrom(changed, &v1alpha1.ScimUserSpec{})
	return before, after, err
}
