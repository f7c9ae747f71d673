// SPDX-License-Identifier: Apache-2.0

package userplan

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/scimattrs"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Facts contains the inputs of Plan, except the user and the user's access.
type Facts struct {
	Snapshot *poolindex.Snapshot
	Mirror   *mirror.Mirror
	Objects  client.Reader // reads ScimUsers live, to check whether the owner of an account with the user's name still exists
	// KeepsMembers is set for a preview only: then the plan also contains the memberships, which
	// the AgentPools' reconcilers write. It returns true for a pool of the portal that no user
	// leaves now.
	KeepsMembers func(poolID string) bool
}

// Access returns the pools of the snapshot that the user is in and the roles that those grant. ok
// is false when the snapshot is older than the index of groups.
func Access(u *v1alpha1.ScimUser, snapshot *poolindex.Snapshot, m *mirror.Mirror) (a access.Access, ok bool) {
	groups, ok := snapshot.Groups(u.Name)
	currentPools := PoolNames(u.Status.Pools)
	if account := provisioned(u, m); account != nil {
		currentPools = snapshot.Names(Granted(account))
	}
	return snapshot.Effective(access.User{
		Name:            u.Name,
		Version:         poolindex.VersionOf(u),
		UserName:        u.Spec.UserName,
		Groups:          groups,
		CurrentByFilter: fromFilter(u.Status.Pools),
		CurrentPools:    currentPools,
		Attributes:      sync.OnceValue(func() access.Attributes { return scimattrs.Attributes(&u.Spec) }),
	}), ok
}

// AddUnmanaged adds to a what the user has in the portal without an AgentPool that gives it: the
// pools whose AgentPool no longer exists or released them, and the roles of all pools that no
// AgentPool manages.
func AddUnmanaged(u *v1alpha1.ScimUser, a access.Access, snapshot *poolindex.Snapshot, m *mirror.Mirror) access.Access {
	account := provisioned(u, m)
	if account == nil {
		return a
	}
	unmanaged := slices.DeleteFunc(slices.Clone(Granted(account)), snapshot.Managed)
	orphaned, roles := snapshot.AccessThrough(unmanaged)
	a.Pools = slices.Concat(a.Pools, orphaned)
	a.Roles = access.Union(a.Roles, roles)
	return a
}

// HasPendingRemoval reports whether the user is in one of these pools in the portal although a does
// not contain that pool. Then the removal is pending or held.
func HasPendingRemoval(u *v1alpha1.ScimUser, a access.Access, snapshot *poolindex.Snapshot, m *mirror.Mirror, pools []string) bool {
	account := m.OwnedAccount(string(u.UID))
	if account == nil {
		return false
	}
	for _, name := range snapshot.Names(Granted(account)) {
		given := slices.ContainsFunc(a.Pools, func(p access.Membership) bool { return p.Pool == name })
		if !given && slices.Contains(pools, name) {
			return true
		}
	}
	return false
}

// Plan returns the change in the portal that gives the user the access a. It calls the API server
// only if another account has the user's name, to read the ScimUser that owns that account.
func Plan(ctx context.Context, u *v1alpha1.ScimUser, a access.Access, f Facts) (provision.Plan, error) {
	facts := provision.Facts{Own: f.Mirror.OwnedAccount(string(u.UID)), Named: f.Mirror.NamedAccount(u.Spec.UserName), Before: f.Mirror.AccountOf(u.Name)}
	facts.Released, facts.Accepted = f.Mirror.Released(u.Name), v1alpha1.AcceptedRevision(u.Annotations)
	if n := facts.Named; facts.Own == nil && n != nil && n.Owner.UID != "" && n.Owner.Name != u.Name {
		var err error
		if facts.NamedOwner, err = presence(ctx, f.Objects, u.Namespace, n.Owner, f.Mirror.Binding()); err != nil {
			return provision.Plan{}, err
		}
	}
	previousAccount := provisioned(u, f.Mirror)
	if n := facts.Named; previousAccount == nil && n != nil && n.Owner.UID != "" && facts.NamedOwner == provision.Gone {
		previousAccount = n // the provider created the user again, under another SCIM id
	}
	ids := accountPools(u, a, f, previousAccount)
	if have := cmp.Or(facts.Own, facts.Before, facts.Named); have != nil {
		facts.Granted = provision.GrantedRoles(have, f.Mirror.Pool)
	}
	want := provision.Want(u, ids, RolesOf(ids, f.Mirror))
	want.Owner.Binding = f.Mirror.Binding()
	return provision.Compute(want, facts, provision.Policy{
		ProvisionExistingUsers: f.Mirror.Configuration().ProvisionExistingUsers,
	}), nil
}

// presence reads the ScimUser that owns an account. It returns Gone if the ScimUser does not exist,
// Leaving if it is being deleted or has the tombstone, and Present otherwise. A ScimUser with
// another UID is the owner after a restore, if the account is of this binding.
func presence(ctx context.Context, r client.Reader, namespace string, owner portalapi.Owner, binding string) (provision.Presence, error) {
	var other v1alpha1.ScimUser
	err := r.Get(ctx, types.NamespacedName{Namespace: namespace, Name: owner.Name}, &other)
	switch {
	case apierrors.IsNotFound(err):
		return provision.Gone, nil
	case err != nil:
		return provision.Gone, fmt.Errorf("get ScimUser %s, which owns the account with this user name: %w", owner.Name, err)
	case string(other.UID) != owner.UID && owner.Binding != binding:
		return provision.Gone, nil
	case !other.DeletionTimestamp.IsZero() || other.Spec.Deleted:
		return provision.Leaving, nil
	}
	return provision.Present, nil
}

// fromFilter returns the names of the pools in which a filter put the user, as the status has them.
func fromFilter(pools []v1alpha1.PoolMembership) []string {
	var out []string
	for _, m := range pools {
		if m.Source == v1alpha1.PoolSourceFilter {
			out = append(out, m.Name)
		}
	}
	return out
}
