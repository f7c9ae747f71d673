// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/operator/groupindex"
)

// pageSize is the number of objects for which one call asks the API server.
const pageSize = 500

// snapshot contains the namespace's objects as they were read. It is a client.Reader. Lists are in
// order of name.
type snapshot struct {
	users  []v1alpha1.ScimUser
	pools  []v1alpha1.AgentPool
	groups *groupindex.Index
	byName map[string]client.Object // by kind and name
}

func take(ctx context.Context, r client.Reader, namespace string) (*snapshot, error) {
	s := &snapshot{byName: map[string]client.Object{}, groups: groupindex.New()}
	var users v1alpha1.ScimUserList
	err := pages(ctx, r, namespace, &users, func() { s.users = append(s.users, users.Items...) })
	if err != nil {
		return nil, fmt.Errorf("list ScimUsers: %w", err)
	}
	var pools v1alpha1.AgentPoolList
	if err := pages(ctx, r, namespace, &pools, func() { s.pools = append(s.pools, pools.Items...) }); err != nil {
		return nil, fmt.Errorf("list AgentPools: %w", err)
	}
	var taken v1alpha1.NameClaimList
	if err := pages(ctx, r, namespace, &taken, func() {
		for _, c := range taken.Items {
			s.byName[kind(&c)+c.Name] = &c
		}
	}); err != nil {
		return nil, fmt.Errorf("list NameClaims: %w", err)
	}
	var groups v1alpha1.ScimGroupList
	if err := pages(ctx, r, namespace, &groups, func() {
		for _, g := range groups.Items {
			s.groups.Put(&g)
			s.byName[kind(&g)+g.Name] = &g
		}
		groups.Items = nil // the next page must not be decoded into the same array
	}); err != nil {
		return nil, fmt.Errorf("list ScimGroups: %w", err)
	}
	var parts v1alpha1.ScimGroupSliceList
	if err := pages(ctx, r, namespace, &parts, func() {
		for _, part := range parts.Items {
			s.groups.PutSlice(&part)
		}
		parts.Items = nil
	}); err != nil {
		return nil, fmt.Errorf("list ScimGroupSlices: %w", err)
	}
	slices.SortFunc(s.users, func(a, b v1alpha1.ScimUser) int {
		return cmp.Or(cmp.Compare(names.Fold(a.Spec.UserName), names.Fold(b.Spec.UserName)), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(s.pools, func(a, b v1alpha1.AgentPool) int { return cmp.Compare(a.Name, b.Name) })
	for i := range s.users {
		s.byName[kind(&s.users[i])+s.users[i].Name] = &s.users[i]
		s.claim(&s.users[i])
	}
	for i := range s.pools {
		s.byName[kind(&s.pools[i])+s.pools[i].Name] = &s.pools[i]
	}
	return s, nil
}

// claim takes the claim on the user's name, as the manager will, if the name has no claim yet.
func (s *snapshot) claim(u *v1alpha1.ScimUser) {
	c := &v1alpha1.NameClaim{Spec: v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser, Holder: v1alpha1.ClaimHolder{Name: u.Name, UID: string(u.UID)}}}
	c.Namespace, c.Name = u.Namespace, claims.ObjectName(v1alpha1.ClaimUser, u.Spec.UserName)
	if key := kind(c) + c.Name; s.byName[key] == nil && !claims.Gone(u) {
		s.byName[key] = c
	}
}

// pages reads list page by page and calls each after every page.
func pages(ctx context.Context, r client.Reader, namespace string, list client.ObjectList, each func()) error {
	for next := ""; ; {
		if err := r.List(ctx, list, client.InNamespace(namespace), client.Limit(pageSize), client.Continue(next)); err != nil {
			return err
		}
		each()
		if next = list.GetContinue(); next == "" {
			return nil
		}
	}
}

func kind(o client.Object) string { return fmt.Sprintf("%T ", o) }

// Get implements client.Reader for the four kinds.
func (s *snapshot) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	switch found := s.byName[kind(into)+key.Name].(type) {
	case *v1alpha1.ScimUser:
		found.DeepCopyInto(into.(*v1alpha1.ScimUser))
	case *v1alpha1.AgentPool:
		found.DeepCopyInto(into.(*v1alpha1.AgentPool))
	case *v1alpha1.ScimGroup:
		found.DeepCopyInto(into.(*v1alpha1.ScimGroup))
	case *v1alpha1.NameClaim:
		found.DeepCopyInto(into.(*v1alpha1.NameClaim))
	default:
		return apierrors.NewNotFound(schema.GroupResource{Group: v1alpha1.GroupVersion.Group}, key.Name)
	}
	return nil
}

// List implements client.Reader for AgentPools and ScimUsers.
func (s *snapshot) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	switch list := into.(type) {
	case *v1alpha1.AgentPoolList:
		list.Items = s.pools
	case *v1alpha1.ScimUserList:
		list.Items = s.users
	default:
		return fmt.Errorf("a preview does not list %T", into)
	}
	return nil
}
