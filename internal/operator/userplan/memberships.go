// SPDX-License-Identifier: Apache-2.0

package userplan

import (
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Granted returns the ids of the portal's pools to which the owner of the account added it.
func Granted(a *portalapi.Account) []string {
	return slices.DeleteFunc(slices.Clone(a.Pools), func(id string) bool { return slices.Contains(a.Ungranted, id) })
}

// provisioned returns the account that the user owns, or owned before a restore; nil if there is
// none.
func provisioned(u *v1alpha1.ScimUser, m *mirror.Mirror) *portalapi.Account {
	if own := m.OwnedAccount(string(u.UID)); own != nil {
		return own
	}
	return m.AccountOf(u.Name)
}

// accountPools returns the portal ids of the pools that a pass over a user with the access a writes
// to the account. The AgentPools' reconcilers write memberships, many in one call, and the guard
// decides about those that end. A pass over a user writes only the memberships of a new account,
// and grants or removes memberships without a grant. former is the account that the user adopts
// from an owner that no longer exists; nil if there is none. The memberships of former stay,
// because its pools may not be resolved yet.
func accountPools(u *v1alpha1.ScimUser, a access.Access, f Facts, former *portalapi.Account) []string {
	wanted := make([]string, 0, len(a.Pools))
	for _, pool := range a.Pools {
		wanted = append(wanted, f.Snapshot.PortalID(pool.Pool))
	}
	if own := f.Mirror.OwnedAccount(string(u.UID)); own != nil && f.KeepsMembers != nil {
		for _, id := range Granted(own) {
			if !f.Snapshot.Managed(id) || f.KeepsMembers(id) {
				wanted = append(wanted, id)
			}
		}
		slices.Sort(wanted)
		return slices.Compact(wanted)
	} else if own != nil {
		return slices.DeleteFunc(slices.Clone(own.Pools), func(id string) bool {
			return slices.Contains(own.Ungranted, id) && !slices.Contains(wanted, id)
		})
	}
	if former != nil {
		wanted = append(wanted, Granted(former)...)
		slices.Sort(wanted)
		wanted = slices.Compact(wanted)
	}
	return wanted
}

// RolesOf returns the sorted roles that the portal's pools with these ids grant to their members.
func RolesOf(ids []string, m *mirror.Mirror) []string {
	out := []string{access.UserRole}
	for _, id := range ids {
		if pool := m.Pool(id); pool != nil {
			out = append(out, provision.Granted(pool)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// PoolNames returns the names of the pools, in their order.
func PoolNames(in []v1alpha1.PoolMembership) []string {
	out := make([]string, 0, len(in))
	for _, m := range in {
		if m.Source != v1alpha1.PoolSourceWithoutOwner {
			out = append(out, m.Name)
		}
	}
	return out
}
