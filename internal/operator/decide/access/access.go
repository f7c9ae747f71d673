// SPDX-License-Identifier: Apache-2.0

// Package access decides which pools a user is in, which roles the pools give the user, and why. It
// is pure: no clock, no I/O, no Kubernetes client. The controllers, the command line, the migration
// preview and the tests all call the same function, Pools.Effective.
//
// The rules:
//
//   - Every user is in the default pool and has the user role.
//   - A user is in every pool that one of their groups fills, that declares them as a member, or
//     whose filter matches them. A pool with several of these sources is listed once, with the
//     first one in that order.
//   - A pool that makes managers declares its members by SCIM id. Until a line of spec.members is
//     resolved to a user, it adds no user, and a user who has the name and is in the pool stays.
//   - A user has the user role and the union of the roles of their pools, and nothing else.
//   - A pool whose filter is invalid keeps the users that the filter had added and adds none.
//   - A pool with groups that are not all known keeps its users.
//   - A pool that is being deleted keeps its users until it is gone, and adds none.
//   - A pool that is not in the portal yet gives nothing; it is listed as pending.
package access

import (
	"maps"
	"slices"

	"lightrun.com/scim-operator/internal/kernel/names"
)

// UserRole is the role that every user has through the default pool.
const UserRole = "ROLE_USER"

// Source is the reason why a user is in a pool. The values are those of v1alpha1.PoolSource.
type Source string

const (
	Default  Source = "Default"  // every user is in the default pool
	Group    Source = "Group"    // a group that fills the pool contains the user
	Declared Source = "Declared" // spec.members of the pool lists the user
	Filter   Source = "Filter"   // spec.memberFilter of the pool matches the user
)

// Attributes are a user's SCIM attributes in canonical form (scim.Object), read only to match
// filters.
type Attributes = map[string]any

// Matcher decides whether a filter matches a user. It reads Name, Version and Attributes of the
// user.
type Matcher interface{ Match(User) bool }

// User contains the facts about a user.
type User struct {
	Name            string // of the ScimUser, which is the user's SCIM id
	Version         uint64 // the attributes of the user are the same while it is the same
	UserName        string
	Groups          []string // ids of the existing groups that contain them
	CurrentByFilter []string // names of the pools that a filter added them to, as of the last pass; read for frozen pools only
	CurrentPools    []string // names of the pools that they were in as of the last pass; read for pools with Keeps, Closed or Open
	// Attributes returns the user's SCIM attributes. Only matchers call it.
	Attributes func() Attributes
}

// Pool contains the facts about a pool.
type Pool struct {
	Name    string
	Roles   []string // roles that every user in the pool gets
	Groups  []string // ids of the groups that fill the pool
	Members []string // user names that the pool declares; case is ignored
	IDs     []string // SCIM ids of the users that the pool declares
	Open    []string // user names that the pool declares and that are not resolved to a user yet: users in the pool stay, and none is added
	Filter  Matcher  // nil if there is none
	Frozen  bool     // the pool's filter is invalid: the users that it added stay, and it adds none
	Keeps   bool     // not all groups of the pool are known: the pool's users stay
	Closed  bool     // the pool is being deleted: its users stay, and no user is added
	Pending bool     // the pool is not in the portal yet: it has no users
}

// Membership is one pool that a user is in, with the reason.
type Membership struct {
	Pool   string
	Source Source
}

// Grant is one role of a user, with the sorted names of the pools that give it.
type Grant struct {
	Role string
	From []string
}

// Access contains a user's pools and roles. Both are sorted by name, but the default pool is first.
type Access struct {
	Pools   []Membership
	Roles   []Grant
	Pending []string // sorted names of the pools that a source adds the user to, but that are not in the portal yet, are being deleted, or have not resolved the line
}

// RoleNames returns the names of the roles, sorted.
func (a Access) RoleNames() []string {
	out := make([]string, len(a.Roles))
	for i, g := range a.Roles {
		out[i] = g.Role
	}
	return out
}

// Pools is an immutable index of all pools, so that the cost of Effective depends on the number of
// the user's pools and not on the number of all pools.
type Pools struct {
	def      Pool
	byName   map[string]*Pool
	declared map[string][]*Pool // folded user name → pools
	ids      map[string][]*Pool // SCIM id → pools that declare the user
	open     map[string][]*Pool // folded user name → pools with such a line that is not resolved
	filled   map[string][]*Pool // id of a group → pools that it fills
	keeping  []*Pool            // pools with Keeps
	filters  []*Pool            // pools with a filter, and frozen pools
}

// NewPools builds the index. A pool with the name of def is ignored: def is the default pool.
func NewPools(pools []Pool, def Pool) *Pools {
	p := &Pools{def: def, byName: make(map[string]*Pool, len(pools)), declared: map[string][]*Pool{}, ids: map[string][]*Pool{}, open: map[string][]*Pool{}, filled: map[string][]*Pool{}}
	for i := range pools {
		pool := &pools[i]
		if pool.Name == def.Name {
			continue
		}
		p.byName[pool.Name] = pool
		for _, m := range pool.Members {
			folded := names.Fold(m)
			p.declared[folded] = append(p.declared[folded], pool)
		}
		for _, id := range pool.IDs {
			p.ids[id] = append(p.ids[id], pool)
		}
		for _, m := range pool.Open {
			folded := names.Fold(m)
			p.open[folded] = append(p.open[folded], pool)
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

// Pool returns the pool with the name, the default pool included, or nil.
func (p *Pools) Pool(name string) *Pool {
	if name == p.def.Name {
		return &p.def
	}
	return p.byName[name]
}

// Effective returns the pools that u is in, with their sources, and the roles that these pools
// give.
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
	folded := names.Fold(u.UserName)
	for _, declaring := range [][]*Pool{p.declared[folded], p.ids[u.Name]} {
		for _, pool := range declaring {
			if pool.takes(u) {
				setDefault(source, pool.Name, Declared)
			} else {
				a.Pending = append(a.Pending, pool.Name)
			}
		}
	}
	for _, pool := range p.matching(u) {
		if pool.takes(u) {
			setDefault(source, pool.Name, Filter)
		}
	}
	for _, pool := range p.open[folded] {
		if slices.Contains(u.CurrentPools, pool.Name) && !pool.Pending {
			setDefault(source, pool.Name, Declared)
		} else if source[pool.Name] == "" {
			a.Pending = append(a.Pending, pool.Name)
		}
	}
	for _, pool := range p.keeping {
		if slices.Contains(u.CurrentPools, pool.Name) && !pool.Pending {
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

// takes reports whether u can be in the pool now.
func (p *Pool) takes(u User) bool {
	return !p.Pending && (!p.Closed || slices.Contains(u.CurrentPools, p.Name))
}

// matching returns the pools that u is in by filter.
func (p *Pools) matching(u User) []*Pool {
	if len(p.filters) == 0 {
		return nil
	}
	var out []*Pool
	for _, pool := range p.filters {
		if pool.Frozen {
			if slices.Contains(u.CurrentByFilter, pool.Name) {
				out = append(out, pool)
			}
			continue
		}
		if pool.Filter.Match(u) {
			out = append(out, pool)
		}
	}
	return out
}

// Grants returns the roles of a user who is in these pools, sorted, each with the pools that give
// it.
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

// Union returns the roles of a and b, sorted, each with all pools that grant it.
func Union(a, b []Grant) []Grant {
	from := map[string][]string{}
	for _, g := range slices.Concat(a, b) {
		from[g.Role] = append(from[g.Role], g.From...)
	}
	out := make([]Grant, 0, len(from))
	for _, role := range slices.Sorted(maps.Keys(from)) {
		slices.Sort(from[role])
		out = append(out, Grant{Role: role, From: slices.Compact(from[role])})
	}
	return out
}

func setDefault(m map[string]Source, name string, s Source) {
	if _, ok := m[name]; !ok {
		m[name] = s
	}
}
