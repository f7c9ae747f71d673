// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/userplan"
)

// fill computes the status from the facts of the pass.
func (p *scope) fill() {
	s := &p.user.Status
	if p.snapshot != nil {
		s.Pools, s.Roles = memberships(p), grants(p)
		s.PoolNames, s.RoleNames = pass.OneLine(userplan.PoolNames(s.Pools)), pass.OneLine(grantNames(s.Roles))
	}
	s.Held = p.Removal.Held()
	p.Pools.Record(p.user.Name, userplan.PoolNames(s.Pools))
	if p.have != nil {
		s.Account = p.have.ID
	} else if p.snapshot != nil {
		s.Account = ""
	}
	s.UserName = p.userName
	s.ObservedGeneration = p.user.Generation
}

// count counts the user by the status.
func (p *scope) count(bool) time.Duration {
	p.Counter.Record(p.user)
	return 0
}

// memberships returns the pools that the user must be in, and the pools that the user is still in
// because the removal is held or was dropped, or because the AgentPool no longer exists or released
// the pool.
func memberships(p *scope) []v1alpha1.PoolMembership {
	out := make([]v1alpha1.PoolMembership, len(p.access.Pools), len(p.access.Pools)+len(p.kept))
	for i, m := range p.access.Pools {
		out[i] = v1alpha1.PoolMembership{Name: m.Pool, Source: v1alpha1.PoolSource(m.Source)}
	}
	for _, name := range p.kept {
		out = append(out, v1alpha1.PoolMembership{Name: name, Source: v1alpha1.PoolSourceHeld, Held: true})
	}
	if p.have != nil {
		unmanaged, _ := p.snapshot.AccessThrough(userplan.Granted(p.have))
		for _, m := range unmanaged {
			if !slices.ContainsFunc(out, func(o v1alpha1.PoolMembership) bool { return o.Name == m.Pool }) {
				out = append(out, v1alpha1.PoolMembership{Name: m.Pool, Source: v1alpha1.PoolSource(m.Source)})
			}
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.PoolMembership) int {
		first := func(m v1alpha1.PoolMembership) int {
			if m.Name == v1alpha1.DefaultName {
				return 0
			}
			return 1
		}
		return cmp.Or(first(a)-first(b), strings.Compare(a.Name, b.Name))
	})
	return out
}

// grants returns the roles that the user has by the user's pools. A user without an account that
// this operator manages has none.
func grants(p *scope) []v1alpha1.RoleGrant {
	if p.have == nil {
		return nil
	}
	_, all := p.snapshot.AccessThrough(userplan.Granted(p.have))
	out := make([]v1alpha1.RoleGrant, len(all))
	for i, g := range all {
		out[i] = v1alpha1.RoleGrant{Name: g.Role, From: slices.Clone(g.From)}
	}
	return out
}

func grantNames(in []v1alpha1.RoleGrant) []string {
	out := make([]string, len(in))
	for i, g := range in {
		out[i] = g.Name
	}
	return out
}
