// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"slices"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Want returns the account that a ScimUser wants: the provider's attributes in the portal's form,
// and the computed pools and roles. poolIDs are ids of the portal.
func Want(u *v1alpha1.ScimUser, poolIDs, roles []string) Account {
	w := portalapi.AccountWrite{
		Owner:       portalapi.Owner{UID: string(u.UID), Name: u.Name, Revision: u.Spec.Revision},
		UserName:    u.Spec.UserName,
		DisplayName: displayName(&u.Spec),
		Email:       email(u.Spec.Emails),
		ExternalID:  u.Spec.ExternalID,
		Active:      u.IsActive(),
		Pools:       slices.Sorted(slices.Values(poolIDs)),
	}
	if n := u.Spec.Name; n != nil {
		w.GivenName, w.FamilyName = n.GivenName, n.FamilyName
	}
	return Account{AccountWrite: w, Namespace: u.Namespace, Roles: roles}
}

// displayName returns the name that the portal shows: displayName, else the formatted name, else
// its parts, else the user name.
func displayName(s *v1alpha1.ScimUserSpec) string {
	if s.DisplayName != "" {
		return s.DisplayName
	}
	if n := s.Name; n != nil {
		if n.Formatted != "" {
			return n.Formatted
		}
		if full := strings.TrimSpace(n.GivenName + " " + n.FamilyName); full != "" {
			return full
		}
	}
	return s.UserName
}

// email returns the primary address, else the first work address, else the first address.
func email(all []v1alpha1.MultiValue) string {
	best, rank := "", 0
	for _, e := range all {
		r := 1
		switch {
		case e.Value == "":
			continue
		case e.Primary != nil && *e.Primary:
			r = 3
		case strings.EqualFold(e.Type, "work"):
			r = 2
		}
		if r > rank {
			best, rank = e.Value, r
		}
	}
	return best
}
