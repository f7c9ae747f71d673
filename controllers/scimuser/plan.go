package scimuser

import (
	"cmp"
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/membership"
	"lightrun.com/scim-operator/internal/access"
	"lightrun.com/scim-operator/internal/portal/mirror"
	"lightrun.com/scim-operator/internal/provision"
)

// Facts are what a person's plan follows from besides the person.
type Facts struct {
	Picture  *membership.Picture
	Mirror   *mirror.Mirror
	Objects  client.Reader // ScimUsers as they are now: whether the owner of an account that bears our name is still there
	OnDelete v1alpha1.UserDeletion
}

// Access answers which of the picture's pools the person is in and which roles that gives.
func Access(u *v1alpha1.ScimUser, picture *membership.Picture, attributes func(*v1alpha1.ScimUser) access.Attributes) access.Access {
	return picture.Effective(access.User{
		UserName:   u.Spec.UserName,
		Assigned:   u.Spec.Pools,
		Filtered:   filtered(u.Status.Pools),
		In:         poolNames(u.Status.Pools),
		Attributes: func() access.Attributes { return attributes(u) },
	})
}

// Plan says what must change in the portal for a person who has a. It calls the API server only to look for the owner of
// another account that bears the person's name.
func Plan(ctx context.Context, u *v1alpha1.ScimUser, a access.Access, f Facts) (provision.Plan, error) {
	ids := make([]string, 0, len(a.Pools))
	for _, pool := range a.Pools {
		ids = append(ids, f.Picture.PortalID(pool.Pool))
	}
	facts := provision.Facts{Own: f.Mirror.Owned(string(u.UID)), Named: f.Mirror.Named(u.Spec.UserName)}
	if n := facts.Named; facts.Own == nil && n != nil && n.Owner.UID != "" && n.Owner.Name != u.Name {
		var err error
		if facts.NamedOwner, err = presence(ctx, f.Objects, u.Namespace, n.Owner.Name, n.Owner.UID); err != nil {
			return provision.Plan{}, err
		}
	}
	if a := cmp.Or(facts.Own, facts.Named); a != nil {
		facts.Granted = provision.GrantedRoles(a, f.Mirror.Pool)
	}
	want := provision.Want(u, ids, a.RoleNames())
	want.Owner.Binding = f.Mirror.Binding()
	return provision.Compute(want, facts, provision.Policy{
		ProvisionExistingUsers: f.Mirror.Configuration().ProvisionExistingUsers,
		OnDelete:               f.OnDelete,
	}), nil
}

// presence says whether the ScimUser that owns an account is still there.
func presence(ctx context.Context, r client.Reader, namespace, scimID, uid string) (provision.Presence, error) {
	var other v1alpha1.ScimUser
	err := r.Get(ctx, types.NamespacedName{Namespace: namespace, Name: scimID}, &other)
	switch {
	case apierrors.IsNotFound(err):
		return provision.Gone, nil
	case err != nil:
		return provision.Gone, fmt.Errorf("look for the account's owner: %w", err)
	case string(other.UID) != uid:
		return provision.Gone, nil
	case !other.DeletionTimestamp.IsZero():
		return provision.Leaving, nil
	}
	return provision.Present, nil
}

// filtered are the pools that a filter had put the person in when last looked at.
func filtered(pools []v1alpha1.PoolMembership) []string {
	var out []string
	for _, m := range pools {
		if m.Source == v1alpha1.PoolSourceFilter {
			out = append(out, m.Name)
		}
	}
	return out
}
