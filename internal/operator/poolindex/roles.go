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

// Behind describes a pool that does not yet grant in the portal what its AgentPool declares.
type Behind struct {
	Pool   string // name of the AgentPool; empty if there is none is behind
	Waits  string // if the change waits for a person: the condition reason of the AgentPool; empty while it is in progress
	Reason string // the condition reason for the members of the pool
}

// Message returns the message for the conditions of a user.
func (b Behind) Message() string {
	if b.Waits == "" {
		return fmt.Sprintf("A change of AgentPool %s is being written to the portal", b.Pool)
	}
	return fmt.Sprintf("A change of AgentPool %s is not applied: %s. Until a person decides at that AgentPool, the pool grants what it granted before", b.Pool, b.Waits)
}

// Behind returns the first of the pools that is behind. A pool that waits for a person comes before
// a pool whose change is in progress.
func (p *Snapshot) Behind(pools []access.Membership) Behind {
	var first Behind
	for _, m := range pools {
		if b := p.behind[m.Pool]; b.Pool != "" && (first.Pool == "" || first.Waits == "" && b.Waits != "") {
			first = b
		}
	}
	return first
}

// behind compares the roles that the pool grants in the portal with the roles that the AgentPool
// declares. It ignores roles that cannot be granted, because only the AgentPool reports them.
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

// Waits returns the condition reason why the pool's newest change waits for a person, and "" if it
// does not wait.
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

// CheckRoles returns a condition reason and message that name the roles that can't be granted. Both
// are empty if all roles can be granted.
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
