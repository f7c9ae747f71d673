// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// Contains reports whether the user is a member of the group. It reads live. It usually needs one
// GET. It needs up to one GET for each prefix that the user's slice can have, and two more if this
// process had cached a slice that was deleted or created again.
func (s *Store) Contains(ctx context.Context, group, user string) (bool, error) {
	o, err := s.find(ctx, group, Place(user))
	if err != nil {
		return false, err
	}
	return o.Spec.HasMember(user), nil
}

// Members returns the SCIM ids of the group's members, sorted. It reads one snapshot live: by one
// GET if the group has one slice, and by one LIST if it has several. If this process does not know
// that the group has several slices, it sends the GET and then the LIST.
func (s *Store) Members(ctx context.Context, group string) ([]string, error) {
	all, err := s.snapshot(ctx, group)
	if err != nil {
		return nil, err
	}
	return MembersIn(all), nil
}

// find reads the slice that covers a place. It starts with the slice that this process cached for
// the place. If that slice has been split, it may no longer cover the place: then find continues
// with the next prefixes of the place, in ascending order. If the cached slice was deleted or
// created again, find clears the cache of the group and starts at the prefix 0.
func (s *Store) find(ctx context.Context, group string, place uint16) (*v1alpha1.ScimGroupSlice, error) {
	start, cached := s.layout.of(group, place)
	for prefix := start.prefix; ; {
		o, err := s.get(ctx, group, prefix)
		switch {
		case err == nil && cached && prefix == start.prefix && o.UID != start.uid, absent(err) && cached:
			s.layout.forget(group)
			cached, prefix = false, 0
			continue
		case absent(err):
			return nil, s.missing(ctx, group)
		case err != nil:
			return nil, err
		}
		s.learn(group, o)
		if covers(prefix, o.Spec.Bits, place) {
			return o, nil
		}
		if prefix == place {
			return nil, fmt.Errorf("slice %s does not cover its own prefix", o.Name)
		}
		prefix = next(prefix, place)
	}
}

// snapshot reads all slices of a group at one moment: by one GET if the group has one slice, and by
// one LIST if it has several.
func (s *Store) snapshot(ctx context.Context, group string) ([]v1alpha1.ScimGroupSlice, error) {
	if s.layout.size(group) <= 1 {
		o, err := s.get(ctx, group, 0)
		switch {
		case absent(err):
			return nil, s.missing(ctx, group)
		case err != nil:
			return nil, err
		case o.Spec.Bits == 0:
			s.learn(group, o)
			return []v1alpha1.ScimGroupSlice{*o}, nil
		}
	}
	return s.list(ctx, group)
}

// get reads one slice live.
func (s *Store) get(ctx context.Context, group string, prefix uint16) (*v1alpha1.ScimGroupSlice, error) {
	o := &v1alpha1.ScimGroupSlice{}
	key := client.ObjectKey{Namespace: s.namespace, Name: Name(group, prefix)}
	if err := s.client.Get(ctx, key, o); err != nil {
		return nil, fmt.Errorf("read slice %s: %w", key.Name, err)
	}
	return o, nil
}

// list reads all slices of a group by one LIST, also those that no member is read from. If a place
// has no slice, list returns the error of missing.
func (s *Store) list(ctx context.Context, group string) ([]v1alpha1.ScimGroupSlice, error) {
	var l v1alpha1.ScimGroupSliceList
	err := s.client.List(ctx, &l, client.InNamespace(s.namespace), client.MatchingLabels{v1alpha1.LabelGroup: group})
	if err != nil {
		return nil, fmt.Errorf("list the slices of group %s: %w", group, err)
	}
	covering := ValidSlices(l.Items)
	covered := 0 // all places below it have a slice
	for _, o := range covering {
		prefix, _ := Prefix(o.Name)
		if int(prefix) != covered {
			return nil, s.missing(ctx, group)
		}
		covered += width(o.Spec.Bits)
	}
	if covered != width(0) {
		return nil, s.missing(ctx, group)
	}
	for _, o := range covering {
		s.learn(group, o)
	}
	return l.Items, nil
}

// missing returns the error for a slice that does not exist: ErrGroupGone or ErrIncomplete. It
// reads the group live, and clears the cache of its slices.
func (s *Store) missing(ctx context.Context, group string) error {
	s.layout.forget(group)
	if _, err := s.group(ctx, group); err != nil {
		return err
	}
	return fmt.Errorf("group %s: %w", group, ErrIncomplete)
}

// group reads the ScimGroup live. It returns ErrGroupGone if the ScimGroup does not exist or is
// deleted.
func (s *Store) group(ctx context.Context, group string) (*v1alpha1.ScimGroup, error) {
	g := &v1alpha1.ScimGroup{}
	err := s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: group}, g)
	switch {
	case absent(err), err == nil && (g.Spec.Deleted || !g.DeletionTimestamp.IsZero()):
		return nil, fmt.Errorf("group %s: %w", group, ErrGroupGone)
	case err != nil:
		return nil, fmt.Errorf("read group %s: %w", group, err)
	}
	return g, nil
}

func (s *Store) learn(group string, o *v1alpha1.ScimGroupSlice) cachedSlice {
	return s.layout.learn(group, o, s.options.Clock())
}

// absent returns true if err shows that an object does not exist. While the API server does not
// serve a kind, for example because its CRD is being replaced, it also responds with 404: then the
// object may exist, and absent returns false.
func absent(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	if details == nil {
		return false
	}
	for _, c := range details.Causes {
		if c.Type == metav1.CauseTypeUnexpectedServerResponse {
			return false
		}
	}
	return true
}
