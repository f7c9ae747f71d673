// SPDX-License-Identifier: Apache-2.0

package groupindex

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// Live returns the group as r has it now. It lists the group's slices, so it is for a group that
// looks older or incomplete in the index. A group that does not exist is zero.
func Live(ctx context.Context, r client.Reader, key client.ObjectKey) (Group, error) {
	x := New()
	var list v1alpha1.ScimGroupSliceList
	if err := r.List(ctx, &list, client.InNamespace(key.Namespace), client.MatchingLabels{v1alpha1.LabelGroup: key.Name}); err != nil {
		return Group{}, fmt.Errorf("list the slices of group %s: %w", key.Name, err)
	}
	for i := range list.Items {
		x.PutSlice(&list.Items[i])
	}
	var live v1alpha1.ScimGroup
	switch err := r.Get(ctx, key, &live); {
	case apierrors.IsNotFound(err):
		return Group{}, nil
	case err != nil:
		return Group{}, fmt.Errorf("get group %s: %w", key.Name, err)
	}
	x.Put(&live)
	g, _ := x.Group(live.Name)
	return g, nil
}

// Incomplete reports whether slices of the group g in the index do not exist. The index can be
// behind, for example while the group is created, so r decides.
func Incomplete(ctx context.Context, r client.Reader, namespace string, g Group) (bool, error) {
	if g.Whole || g.Deleted {
		return false, nil
	}
	live, err := Live(ctx, r, client.ObjectKey{Namespace: namespace, Name: g.ID})
	return live.ID != "" && !live.Whole && !live.Deleted, err
}

// MembersMissing returns what an incomplete group waits for, and what a person can do.
func MembersMissing(g Group) string {
	return fmt.Sprintf("A part of the members of group %s (%q) is missing in the cluster: ScimGroupSlices of it do not exist or have lost their label. No user leaves a pool because of this group meanwhile. Restore its ScimGroupSlices, or delete the group in the identity provider and push it again", g.ID, g.DisplayName)
}
