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

// Linearizable reads that send and decode no object: the API server is asked for a person's
// metadata alone, which it sends as protobuf, and when that bears the version that the cache holds,
// the cache's encoded bytes are the answer. Whatever the cache can't vouch for is left to be read
// whole.

// standing is the cache's record of a person if the API server says that it stands: that nobody
// wrote to the object since. nil without an error means that the cache doesn't know; nothing is
// said about whether the person exists.
func (d *Directory) standing(ctx context.Context, id string) (*record[*person], error) {
	if d.people.get(id) == nil {
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
	r := d.people.get(id) // after the read: the watch may have come to that version meanwhile, or past it
	if r == nil || r.version < v || r.uid != string(now.UID) || now.DeletionTimestamp != nil {
		return nil, nil
	}
	return r, nil
}

// standingUnder is standing for whoever bears a userName. One read is enough only for somebody who
// is alone under the name and entitled to it: a claim is taken from nobody who bears its name in
// spec or status (claims.go), so that at a version that has it in both, it is theirs. Somebody
// whose status lacks the name may be about to be refused it, and somebody else may be.
func (d *Directory) standingUnder(ctx context.Context, name string) (*record[*person], error) {
	key := keyUserName + names.Fold(name)
	known := d.people.under(key)
	if len(known) != 1 || !known[0].value.entitled {
		return nil, nil
	}
	r, err := d.standing(ctx, known[0].id())
	if r == nil || !r.value.entitled || !slices.Contains(r.keys, key) {
		return nil, err
	}
	return r, nil
}
