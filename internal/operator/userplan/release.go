// SPDX-License-Identifier: Apache-2.0

package userplan

import (
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Kept returns the account that the user owns, or that the same SCIM id owned before a restore. It
// returns nil if there is none.
func Kept(u *v1alpha1.ScimUser, m *mirror.Mirror) *portalapi.Account {
	if own := m.OwnedAccount(string(u.UID)); own != nil {
		return own
	}
	if former := m.AccountOf(u.Name); former != nil && former.Owner.Binding == m.Binding() {
		return former
	}
	return nil
}

// RemovalOf returns what a user loses by the release of the account.
func RemovalOf(mode portalapi.ReleaseMode) portalapi.Removal {
	if mode == portalapi.ReleaseDelete {
		return portalapi.RemovalDeletion
	}
	return portalapi.RemovalDeactivation
}

// WithoutUser returns the accounts whose owner is none of the users, in order of id. A user who was
// restored from a backup owns the account that the same SCIM id had under this binding, also while
// the operator may not write to that account.
func WithoutUser(m *mirror.Mirror, users []v1alpha1.ScimUser) []*portalapi.Account {
	uids, names := make(map[string]bool, len(users)), make(map[string]bool, len(users))
	for i := range users {
		uids[string(users[i].UID)], names[users[i].Name] = true, true
	}
	binding := m.Binding()
	return m.WithoutKnownOwner(func(o portalapi.Owner) bool { return uids[o.UID] || (names[o.Name] && o.Binding == binding) })
}
