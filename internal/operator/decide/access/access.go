// SPDX-License-Identifier: Apache-2.0

// Package access answers which pools a person is in, which roles that gives them, and why. It is
// pure thinking: no clock, no I/O, no Kubernetes client. The controllers, the command line, the
// migration preview and the tests all ask the same function, Pools.Effective.
//
// The rules, in one place:
//
//   - Everyone is in the default pool and holds the user role.
//   - A user is in every pool that one of their groups fills, that declares them as a member, or
//     whose filter matches
//     them. A pool reached in several ways is listed once, with the first source in that order.
//   - A person holds the user role and the union of the roles of their pools, and nothing else.
//   - A pool whose filter is invalid keeps the users that the filter had put there and takes no new
//     ones.
//   - A pool of whose groups not all is known keeps those who are in it.
//   - A pool that is being deleted keeps its users until it is gone, and takes no new ones.
//   - A pool that is not in the portal yet gives nothing; who should be in it is said.
package access

import (
	"maps"
	"slices"

	"lightrun.com/scim-operator/internal/kernel/names"
)

// UserRole is the role that everyone holds through the default pool.
const UserRole = "ROLE_USER"

// Source says why a person is in a pool. The values are those of v1alpha1.PoolSource.
type Source string

const (
	Default  Source = "Default"
	Group    Source = "Group"
	Declared Source = "Declared"
	Filter   Source = "Filter"
)

// Attributes are a user's SCIM attributes in canonical form (scim.Object), read only to match
// filters.
type Attributes = map[string]any

// Matcher decides whether a filter matches a person. *filter.Matcher is one.
type Matcher interface{ Match(Attributes) bool }

// User is what is known of a person.
type User struct {
	UserName string
	Groups   []string // ids of the living groups that contain them
	Filtered []string // names of the pools that a filter had put them in when last looked at; read for frozen pools only
	In       []string // names of the pools that they are in or were when last looked at; read for pools that keep or are closed
	// Attributes returns the person's SCIM attributes. It is called only when some pool has a
	// filter.
	Attributes func() Attributes
}

// Pool is what is known of a pool.
type Pool struct {
	Name    string
	Roles   []string // roles that everyone in it holds
	Groups  []string // ids of the groups that fill it
	Members []string // user names that it declares, in any case
	Filter  Matcher  // nil: none
	Frozen  bool     // its filter is invalid: users in it stay, none joins by filter
	Keeps   bool     // not all of its groups is known: who is in stays in
	Closed  bool     // it is being deleted: users in it stay, none joins
	Pending bool     // it is not in the portal yet: no user is in it
}

// Membership is one pool that a person is in, and why.
type Membership struct {
	Pool   string
	Source Source
}

// Grant is one role that a person holds, and the names of the pools that give it, sorted.
type Grant struct {
	Role string
	From []string
}

// Access is what a person has: pools and roles, each sorted by name, the default pool first.
type Access struct {
	Pools   []Membership
	Roles   []Grant
	Pending []string // pools that a group puts them in and that take no users yet, or not any more; sorted
}

// RoleNames returns the names of the roles, sorted.
func (a Access) RoleNames() []string {
	out := make([]string, len(a.Roles))
	for i, g := range a.Roles {
		out[i] = g.Role
	}
	return out
}

// Pools is an immutable snapshot of all pools, indexed so that Effective costs what one person's
// pools cost and not what all pools cost.
type Pools struct {
	def      Pool
	byName   map[string]*Pool
	declared map[string][]string // folded user name → names of pools
	filled   map[string][]*Pool  // id of a group → pools that it fills
	keeping  []*Pool             // that keep
	filters  []*Pool             // with a filter, or frozen
}

// NewPools builds the snapshot. A pool with the name of def is ignored: def is the default pool.
func NewPools(pools []Pool, def Pool) *Pools {
	p := &Pools{def: def, byName: make(map[string]*Pool, len(pools)), declared: map[string][]string{}, filled: map[string][]*Pool{}}
	for i := range pools {
		pool := &pools[i]
		if pool.Name == def.Name {
			continue
		}
		p.byName[pool.Name] = pool
		for _, m := range pool.Members {
			folded := names.Fold(m)
			p.declared[folded] = append(p.declared[folded], pool.Name)
		}
		for _, g := range pool.Groups {
			p.filled[g] = append(p.filled[g], pool)
		}
		if pool.Keeps {
			p.keeping = append(p.keeping, pool)
		}
		if pool.Filter != nil || pool.Frozen {
			p.filters = append(p.filters, pool)
		}
	}
	return p
}

// Pool returns the pool of that name, the default pool included, or nil.
func (p *Pools) Pool(name string) *Pool {
	if name == p.def.Name {
		return &p.def
	}
	return p.byName[name]
}

// Effective answers which pools u is in and which roles that gives, with the source of each.
func (p *Pools) Effective(u User) Access {
	var a Access
	source := make(map[string]Source, len(u.Groups)+1)
	for _, g := range u.Groups {
		for _, pool := range p.filled[g] {
			if pool.takes(u) {
				source[pool.Name] = Group
			} else {
				a.Pending = append(a.Pending, pool.Name)
			}
		}
	}
	for _, name := range p.declared[names.Fold(u.UserName)] {
		if p.byName[name].takes(u) {
			setDefault(source, name, Declared)
		} else {
			a.Pending = append(a.Pending, name)
		}
	}
	for _, pool := range p.matching(u) {
		if pool.takes(u) {
			setDefault(source, pool.Name, Filter)
		}
	}
	for _, pool := range p.keeping {
		if slices.Contains(u.In, pool.Name) && !pool.Pending {
			setDefault(source, pool.Name, Group)
		}
	}
	slices.Sort(a.Pending)
	a.Pending = slices.DeleteFunc(slices.Compact(a.Pending), func(name string) bool { return source[name] != "" })
	a.Pools = append(a.Pools, Membership{Pool: p.def.Name, Source: Default})
	for _, name := range slices.Sorted(maps.Keys(source)) {
		a.Pools = append(a.Pools, Membership{Pool: name, Source: source[name]})
	}
	a.Roles = p.Grants(a.Pools)
	return a
}

// takes says whether u can be in the pool now.
func (p *Pool) takes(u User) bool { return !p.Pending && (!p.Closed || slices.Contains(u.In, p.Name)) }

// matching returns the pools that u is in by filter.
func (p *Pools) matching(u User) []*Pool {
	if len(p.filters) == 0 {
		return nil
	}
	var attributes Attributes
	var out []*Pool
	for _, pool := range p.filters {
		if pool.Frozen {
			if slices.Contains(u.Filtered, pool.Name) {
				out = append(out, pool)
			}
			continue
		}
		if attributes == nil && u.Attributes != nil {
			attributes = u.Attributes()
		}
		if pool.Filter.Match(attributes) {
			out = append(out, pool)
		}
	}
	return out
}

// Grants are the roles of who is in those pools, each with the pools that give it; sorted.
func (p *Pools) Grants(in []Membership) []Grant {
	from := map[string][]string{UserRole: {p.def.Name}}
	for _, m := range in {
		pool := p.Pool(m.Pool)
		if pool == nil {
			continue
		}
		for _, role := range pool.Roles {
			if !slices.Contains(from[role], m.Pool) {
				from[role] = append(from[role], m.Pool)
			}
		}
	}
	out := make([]Grant, 0, len(from))
	for _, role := range slices.Sorted(maps.Keys(from)) {
		slices.Sort(from[role])
		out = append(out, Grant{Role: role, From: from[role]})
	}
	return out
}

func setDefault(m map[string]Source, name string, s Source) {
	if _, ok := m[name]; !ok {
		m[name] = s
	}
}
