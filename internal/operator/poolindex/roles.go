// SPDX-License-Identifier: Apache-2.0

package poolindex

import (
	"fmt"
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Behind says that the portal's pool does not grant yet what its AgentPool declares.
type Behind struct {
	Pool   string // name of the AgentPool; empty if there is none is behind
	Waits  string // the reason at the AgentPool when it waits for a person; empty: the change is in progress
	Reason string // the reason for the conditions of its members
}

// Message returns the message for the conditions of a user.
func (b Behind) Message() string {
	if b.Waits == "" {
		return fmt.Sprintf("A change of AgentPool %s is being written to the portal", b.Pool)
	}
	return fmt.Sprintf("A change of AgentPool %s is not applied: %s. Until a person decides at that AgentPool, the pool grants what it granted before", b.Pool, b.Waits)
}

// Behind returns the first of the pools that is behind; one that waits for a person precedes one
// whose change is in progress.
func (p *Snapshot) Behind(pools []access.Membership) Behind {
	var first Behind
	for _, m := range pools {
		if b := p.behind[m.Pool]; b.Pool != "" && (first.Pool == "" || first.Waits == "" && b.Waits != "") {
			first = b
		}
	}
	return first
}

// behind compares the roles that the pool grants with those that it declares. Roles that cannot be
// granted are reported at the AgentPool only.
func behind(pool *v1alpha1.AgentPool, own *portalapi.Pool, m *mirror.Mirror) Behind {
	want := provision.RoleNames(pool.Spec.Roles)
	same := slices.Equal(want, provision.Granted(own)) || own.Owner.UID == "" && own.Default && len(want) == 0
	if reason, _ := CheckRoles(pool.Spec.Roles, m); reason != "" {
		same = true
	}
	if same && pool.DeletionTimestamp.IsZero() {
		return Behind{}
	}
	b := Behind{Pool: pool.Name, Waits: Waits(pool), Reason: v1alpha1.ReasonProgressing}
	if b.Waits != "" {
		b.Reason = v1alpha1.ReasonPoolChangeWaiting
	}
	return b
}

// Waits returns the reason why the pool's newest change waits for a person; empty when it does not.
func Waits(pool *v1alpha1.AgentPool) string {
	c := conditions.Find(pool.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil || c.ObservedGeneration != pool.Generation {
		return ""
	}
	switch conditions.Classes()[c.Reason] {
	case conditions.Waiting, conditions.Invalid:
		return c.Reason
	}
	return ""
}

// CheckRoles returns which of the roles can't be granted, as a condition reason and message; ""
// when all can.
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
