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

// Contains says whether a user is a member. It is a live read: usually one GET, and at most one for
// each prefix that the user's slice may have.
func (s *Store) Contains(ctx context.Context, group, user string) (bool, error) {
	o, err := s.find(ctx, group, Place(user))
	if err != nil {
		return false, err
	}
	return o.Spec.HasMember(user), nil
}

// Members returns the SCIM ids of the group's members, sorted: one snapshot, read live by one GET
// if the group has one slice, else by one LIST.
func (s *Store) Members(ctx context.Context, group string) ([]string, error) {
	all, err := s.snapshot(ctx, group)
	if err != nil {
		return nil, err
	}
	return Members(all), nil
}

// find reads the slice in force for a place. It starts with the one that was in force when this
// process last saw it: that one still is, unless it no longer covers the place. Then it continues
// with prefixes with more set bits, as a slice comes into force when the one before it is narrowed.
func (s *Store) find(ctx context.Context, group string, place uint16) (*v1alpha1.ScimGroupSlice, error) {
	hint, hinted := s.layout.of(group, place)
	for prefix := hint.prefix; ; {
		o, err := s.get(ctx, group, prefix)
		switch {
		case err == nil && hinted && prefix == hint.prefix && o.UID != hint.uid, absent(err) && hinted:
			s.layout.forget(group) // deleted, or deleted and restored: start again
			hinted, prefix = false, 0
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

// snapshot reads all slices of a group at one moment: by one GET if there is one slice.
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

// list reads all slices of a group, leftovers too, in one snapshot.
func (s *Store) list(ctx context.Context, group string) ([]v1alpha1.ScimGroupSlice, error) {
	var l v1alpha1.ScimGroupSliceList
	err := s.client.List(ctx, &l, client.InNamespace(s.namespace), client.MatchingLabels{v1alpha1.LabelGroup: group})
	if err != nil {
		return nil, fmt.Errorf("list the slices of group %s: %w", group, err)
	}
	force := InForce(l.Items)
	at := 0
	for _, o := range force {
		prefix, _ := Prefix(o.Name)
		if int(prefix) != at {
			return nil, s.missing(ctx, group)
		}
		at += width(o.Spec.Bits)
	}
	if at != width(0) {
		return nil, s.missing(ctx, group)
	}
	for _, o := range force {
		s.learn(group, o)
	}
	return l.Items, nil
}

// missing says why a slice does not exist. It reads the group live.
func (s *Store) missing(ctx context.Context, group string) error {
	s.layout.forget(group)
	if _, err := s.group(ctx, group); err != nil {
		return err
	}
	return fmt.Errorf("group %s: %w", group, ErrIncomplete)
}

// group reads the ScimGroup live; ErrGroupGone if there is none or it is deleted.
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

func (s *Store) learn(group string, o *v1alpha1.ScimGroupSlice) known {
	return s.layout.learn(group, o, s.options.Clock())
}

// absent says that an object does not exist. While a kind is not served, for example while its CRD
// is being replaced, the answer is a 404 too, which says nothing about the object.
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
