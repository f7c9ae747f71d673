// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/scimattrs"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Facts are the inputs of a user's plan besides the user.
type Facts struct {
	Snapshot *poolindex.Snapshot
	Mirror   *mirror.Mirror
	Objects  client.Reader // ScimUsers, read live: whether the owner of an account with our name still exists
	OnDelete v1alpha1.UserDeletion
	// Stays says, in a preview, which of the portal's pools no user leaves: the plan then also
	// shows the memberships that the pools' passes write. nil: they are not part of the plan.
	Stays func(poolID string) bool
}

// Access returns the pools of the snapshot that the user is in and the roles that those grant. ok
// is false when the snapshot is older than the index of groups.
func Access(u *v1alpha1.ScimUser, snapshot *poolindex.Snapshot, m *mirror.Mirror) (a access.Access, ok bool) {
	groups, ok := snapshot.Groups(u.Name)
	in := poolNames(u.Status.Pools)
	if account := provisioned(u, m); account != nil {
		in = snapshot.Names(granted(account))
	}
	return snapshot.Effective(access.User{
		UserName:   u.Spec.UserName,
		Groups:     groups,
		Filtered:   filtered(u.Status.Pools),
		In:         in,
		Attributes: func() access.Attributes { return scimattrs.Attributes(&u.Spec) },
	}), ok
}

// Has returns a with what the user also has in the portal without an AgentPool that gives it: the
// pools whose AgentPool no longer exists, and the roles of all pools that no AgentPool rules.
func Has(u *v1alpha1.ScimUser, a access.Access, snapshot *poolindex.Snapshot, m *mirror.Mirror) access.Access {
	account := provisioned(u, m)
	if account == nil {
		return a
	}
	unruled := slices.DeleteFunc(slices.Clone(granted(account)), snapshot.Managed)
	gone, roles := snapshot.Has(unruled)
	a.Pools = slices.Concat(a.Pools, gone)
	a.Roles = access.Union(a.Roles, roles)
	return a
}

// Stays says whether the user is in one of the pools in the portal without being in it by a: the
// removal is pending or held.
func Stays(u *v1alpha1.ScimUser, a access.Access, snapshot *poolindex.Snapshot, m *mirror.Mirror, pools []string) bool {
	account := m.Owned(string(u.UID))
	if account == nil {
		return false
	}
	for _, name := range snapshot.Names(granted(account)) {
		in := slices.ContainsFunc(a.Pools, func(p access.Membership) bool { return p.Pool == name })
		if !in && slices.Contains(pools, name) {
			return true
		}
	}
	return false
}

// Plan says what must change in the portal for a user with the access a. It calls the API server
// only to look for the owner of another account that has the user's name.
func Plan(ctx context.Context, u *v1alpha1.ScimUser, a access.Access, f Facts) (provision.Plan, error) {
	facts := provision.Facts{Own: f.Mirror.Owned(string(u.UID)), Named: f.Mirror.Named(u.Spec.UserName), Before: f.Mirror.Of(u.Name)}
	facts.Accepted, _ = strconv.ParseInt(u.Annotations[v1alpha1.AnnotationAcceptBackup], 10, 64) // 0: nothing accepted
	if n := facts.Named; facts.Own == nil && n != nil && n.Owner.UID != "" && n.Owner.Name != u.Name {
		var err error
		if facts.NamedOwner, err = presence(ctx, f.Objects, u.Namespace, n.Owner.Name, n.Owner.UID); err != nil {
			return provision.Plan{}, err
		}
	}
	had := provisioned(u, f.Mirror)
	if n := facts.Named; had == nil && n != nil && n.Owner.UID != "" && facts.NamedOwner == provision.Gone {
		had = n // the user was pushed again under another SCIM id
	}
	ids := accountPools(u, a, f, had)
	if have := cmp.Or(facts.Own, facts.Before, facts.Named); have != nil {
		facts.Granted = provision.GrantedRoles(have, f.Mirror.Pool)
	}
	want := provision.Want(u, ids, rolesOf(ids, f.Mirror))
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
		return provision.Gone, fmt.Errorf("get the account's owner: %w", err)
	case string(other.UID) != uid:
		return provision.Gone, nil
	case !other.DeletionTimestamp.IsZero() || other.Spec.Deleted:
		return provision.Leaving, nil
	}
	return provision.Present, nil
}

// filtered are the pools that a filter had put the user in, by the status.
func filtered(pools []v1alpha1.PoolMembership) []string {
	var out []string
	for _, m := range pools {
		if m.Source == v1alpha1.PoolSourceFilter {
			out = append(out, m.Name)
		}
	}
	return out
}
