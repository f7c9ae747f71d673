// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/internal/kernel/names"
)

// Linearizable reads without transferring and decoding an object: the API server returns only the
// user's metadata, as protobuf. If its resourceVersion is that of the cache, the response is the
// cache's encoded bytes. Otherwise the whole object is read.

// current returns the cache's record of a user, if the API server confirms its version. nil without
// an error means that the cache does not have the current version; the user may exist.
func (d *Directory) current(ctx context.Context, id string) (*record[*cachedUser], error) {
	if d.users.get(id) == nil {
		return nil, nil
	}
	now, err := d.metadata.Get(ctx, id, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read the version of %s: %w", id, err)
	}
	v, err := version(now.ResourceVersion)
	if err != nil {
		return nil, err
	}
	r := d.users.get(id) // after the read, because the watch may have delivered that version or a later one meanwhile
	if r == nil || r.version < v || r.uid != string(now.UID) || now.DeletionTimestamp != nil {
		return nil, nil
	}
	return r, nil
}

// currentByName returns the current record of the user with a userName. It needs only one read if
// the cache has exactly one user with the name, and the status of that user has the name too: no
// other user can take the claim on a name that a user has in spec or status (package claims), so
// this user has the claim. If the status does not have the name yet, the name may still be refused,
// and another user may get it.
func (d *Directory) currentByName(ctx context.Context, name string) (*record[*cachedUser], error) {
	key := keyUserName + names.Fold(name)
	known := d.users.under(key)
	if len(known) != 1 || !known[0].value.entitled {
		return nil, nil
	}
	r, err := d.current(ctx, known[0].id())
	if r == nil || !r.value.entitled || !slices.Contains(r.keys, key) {
		return nil, err
	}
	return r, nil
}
