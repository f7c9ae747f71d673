// SPDX-License-Identifier: Apache-2.0

package poolindex

import (
	"fmt"
	"slices"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// OwnerGone is the source of a membership in a pool whose AgentPool no longer exists.
const OwnerGone = access.Source(v1alpha1.PoolSourceOwnerGone)

// WithoutOwner is the source of a membership in a pool that its AgentPool released.
const WithoutOwner = access.Source(v1alpha1.PoolSourceWithoutOwner)

// Unmanaged is a pool in the portal that no AgentPool manages. Its members stay in the pool and
// have its roles.
type Unmanaged struct {
	Name  string   // name of the AgentPool that owns the pool; for a pool without an owner, its name in the portal
	Roles []string // roles that the pool grants
	Gone  bool     // the AgentPool that owns the pool no longer exists
	Free  bool     // the pool has no owner: administrators manage it in the portal
}

// Message describes, for a condition of a member, what the pool gives and how an administrator can
// keep or release it. namespace is that of the AgentPool.
func (u Unmanaged) Message(namespace string) string {
	gives := "no role"
	if len(u.Roles) > 0 {
		gives = strings.Join(u.Roles, ", ")
	}
	if u.Free {
		return fmt.Sprintf("The pool %q in the portal grants %s and belongs to no AgentPool any more: the identity provider does not change who is in it. "+
			"To take the role away, change the pool in the portal, or have an AgentPool take it over with spec.adopt. All such pools: %s", u.Name, gives, shell.Scim(namespace, "audit"))
	}
	return fmt.Sprintf("AgentPool %s no longer exists and its pool in the portal still grants %s. To keep the pool, apply AgentPool %s again; to release it: %s", u.Name, gives, u.Name, shell.Scim(namespace, "audit", "--release"))
}

// WithoutAgentPool returns the portal's pools whose owner is not in pools, in order of id. An
// AgentPool also owns the pool that an AgentPool with the same name had under the same binding. The
// result never contains the default pool or pools without an owner.
func WithoutAgentPool(m *mirror.Mirror, pools []v1alpha1.AgentPool) []*portalapi.Pool {
	uids, names := make(map[string]bool, len(pools)), make(map[string]bool, len(pools))
	for i := range pools {
		uids[string(pools[i].UID)], names[pools[i].Name] = true, true
	}
	binding := m.Binding()
	return slices.DeleteFunc(m.Pools(), func(p *portalapi.Pool) bool {
		o := p.Owner
		return o.UID == "" || p.Default || uids[o.UID] || (names[o.Name] && o.Binding == binding)
	})
}

// unmanaged returns the portal's pools that are not in managed, by id.
func unmanaged(m *mirror.Mirror, managed map[string]string, pools []v1alpha1.AgentPool) map[string]Unmanaged {
	out := map[string]Unmanaged{}
	for _, p := range m.Pools() {
		if _, ok := managed[p.ID]; ok {
			continue
		}
		u := Unmanaged{Name: p.Name, Roles: provision.Granted(p), Free: p.Owner.UID == ""}
		if p.Owner.Name != "" {
			u.Name = p.Owner.Name
		}
		out[p.ID] = u
	}
	for _, p := range WithoutAgentPool(m, pools) {
		u := out[p.ID]
		u.Gone = true
		out[p.ID] = u
	}
	return out
}

// OwnerGone returns the pools with these ids whose AgentPool no longer exists.
func (p *Snapshot) OwnerGone(ids []string) []Unmanaged {
	var out []Unmanaged
	for _, id := range ids {
		if u := p.unmanaged[id]; u.Gone {
			out = append(out, u)
		}
	}
	return out
}

// RolesWithoutOwner returns the pools with these ids that have no owner and grant a role.
func (p *Snapshot) RolesWithoutOwner(ids []string) []Unmanaged {
	var out []Unmanaged
	for _, id := range ids {
		if u := p.unmanaged[id]; u.Free && len(u.Roles) > 0 {
			out = append(out, u)
		}
	}
	return out
}

// AccessThrough returns what a user has by the portal's pools with these ids, to which the user's
// owner added the user: the pools that no AgentPool manages any more, and the roles that all of
// these pools grant.
func (p *Snapshot) AccessThrough(ids []string) (unmanaged []access.Membership, roles []access.Grant) {
	var in []access.Membership
	for _, name := range p.Names(ids) {
		in = append(in, access.Membership{Pool: name})
	}
	roles = p.Grants(in)
	for _, id := range ids {
		u, ok := p.unmanaged[id]
		if !ok {
			continue
		}
		switch {
		case u.Gone:
			unmanaged = append(unmanaged, access.Membership{Pool: u.Name, Source: OwnerGone})
		case u.Free:
			unmanaged = append(unmanaged, access.Membership{Pool: u.Name, Source: WithoutOwner})
		}
		for _, role := range u.Roles {
			roles = access.Union(roles, []access.Grant{{Role: role, From: []string{u.Name}}})
		}
	}
	return unmanaged, roles
}
