package membership

import (
	"fmt"
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/mirror"
	"lightrun.com/scim-operator/internal/provision"
)

// Roles are the roles that a pool gives: those it declares, or, when it declares none or one that can't be granted,
// those that it has in the portal.
func Roles(pool *v1alpha1.AgentPool, own *portal.Pool, m *mirror.Mirror) []string {
	if pool.Spec.Roles == nil {
		return own.Roles
	}
	if reason, _ := CheckRoles(pool.Spec.Roles, m); reason != "" {
		return own.Roles
	}
	return *provision.RoleNames(pool.Spec.Roles)
}

// CheckRoles says which of the roles can't be granted, as a condition reason and message; "" when all can.
func CheckRoles(roles []v1alpha1.Role, m *mirror.Mirror) (reason, message string) {
	var unknown []string
	for _, r := range roles {
		known, ok := m.Role(string(r))
		switch {
		case !ok:
			unknown = append(unknown, string(r))
		case !known.Grantable:
			return v1alpha1.ReasonRoleNotGrantable, fmt.Sprintf("%s is the vendor's own role and can't be granted from here", r)
		}
	}
	if len(unknown) == 0 {
		return "", ""
	}
	slices.Sort(unknown)
	return v1alpha1.ReasonUnknownRole, fmt.Sprintf("The portal's catalogue has no role %v; the pool keeps the roles it has", unknown)
}
