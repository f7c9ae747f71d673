// SPDX-License-Identifier: Apache-2.0

package access

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

type department string

func (d department) Match(u User) bool { return u.Attributes()["department"] == string(d) }

func in(dep string) func() Attributes {
	return func() Attributes { return Attributes{"department": dep} }
}

var everyone = Pool{Name: "default"}

func TestEffective(t *testing.T) {
	quota := Pool{Name: "fast", Groups: []string{"g-fast"}, Roles: []string{"ROLE_IGNORE_QUOTA"}}
	managers := Pool{Name: "managers", Groups: []string{"g-managers"}, Roles: []string{"ROLE_MANAGER", "ROLE_IGNORE_QUOTA"}, Members: []string{"Ada@Example.Test"}}
	payments := Pool{Name: "payments", Roles: []string{"ROLE_PAY"}, Filter: department("Payments")}
	frozen := Pool{Name: "frozen", Roles: []string{"ROLE_ICE"}, Frozen: true}
	cases := map[string]struct {
		reason string
		user   User
		pools  []Pool
		def    Pool
		want   Access
	}{
		"NoPools": {
			reason: "A user without another pool is in the default pool and has the user role.",
			user:   User{UserName: "ada"},
			want:   Access{Pools: []Membership{{"default", Default}}, Roles: []Grant{{"ROLE_USER", []string{"default"}}}},
		},
		"Union": {
			reason: "A user in several pools has the union of their roles; each role lists all pools that give it.",
			user:   User{UserName: "ada@example.test", Groups: []string{"g-fast"}},
			pools:  []Pool{quota, managers},
			want: Access{
				Pools: []Membership{{"default", Default}, {"fast", Group}, {"managers", Declared}},
				Roles: []Grant{{"ROLE_IGNORE_QUOTA", []string{"fast", "managers"}}, {"ROLE_MANAGER", []string{"managers"}}, {"ROLE_USER", []string{"default"}}},
			},
		},
		"FirstSourceWins": {
			reason: "A pool with several sources of one membership is listed once, with the group as the source.",
			user:   User{UserName: "ada@example.test", Groups: []string{"g-managers"}},
			pools:  []Pool{managers},
			want: Access{
				Pools: []Membership{{"default", Default}, {"managers", Group}},
				Roles: []Grant{{"ROLE_IGNORE_QUOTA", []string{"managers"}}, {"ROLE_MANAGER", []string{"managers"}}, {"ROLE_USER", []string{"default"}}},
			},
		},
		"Filter": {
			reason: "A filter that matches the user adds the user to the pool.",
			user:   User{UserName: "bob", Attributes: in("Payments")},
			pools:  []Pool{payments, quota},
			want: Access{
				Pools: []Membership{{"default", Default}, {"payments", Filter}},
				Roles: []Grant{{"ROLE_PAY", []string{"payments"}}, {"ROLE_USER", []string{"default"}}},
			},
		},
		"FrozenKeeps": {
			reason: "A pool with an invalid filter keeps the users that it has.",
			user:   User{UserName: "bob", CurrentByFilter: []string{"frozen"}, Attributes: in("x")},
			pools:  []Pool{frozen},
			want: Access{
				Pools: []Membership{{"default", Default}, {"frozen", Filter}},
				Roles: []Grant{{"ROLE_ICE", []string{"frozen"}}, {"ROLE_USER", []string{"default"}}},
			},
		},
		"FrozenAddsNoUser": {
			reason: "A pool with an invalid filter adds no user.",
			user:   User{UserName: "bob", Attributes: in("x")},
			pools:  []Pool{frozen},
			want:   Access{Pools: []Membership{{"default", Default}}, Roles: []Grant{{"ROLE_USER", []string{"default"}}}},
		},
		"ClosedKeeps": {
			reason: "A pool that is being deleted keeps its users until it is gone.",
			user:   User{UserName: "bob", Groups: []string{"g-fast"}, CurrentPools: []string{"fast"}},
			pools:  []Pool{{Name: "fast", Groups: quota.Groups, Roles: quota.Roles, Closed: true}},
			want: Access{
				Pools: []Membership{{"default", Default}, {"fast", Group}},
				Roles: []Grant{{"ROLE_IGNORE_QUOTA", []string{"fast"}}, {"ROLE_USER", []string{"default"}}},
			},
		},
		"ClosedTakesNoNewUsers": {
			reason: "A closed pool adds no user from any source. Users that a group or the manifest would add are pending.",
			user:   User{UserName: "ada@example.test", Groups: []string{"g-fast"}, Attributes: in("Payments")},
			pools: []Pool{
				{Name: "fast", Groups: quota.Groups, Roles: quota.Roles, Closed: true}, {Name: "declared", Members: managers.Members, Closed: true},
				{Name: "filtered", Filter: department("Payments"), Closed: true},
			},
			want: Access{Pools: []Membership{{"default", Default}}, Roles: []Grant{{"ROLE_USER", []string{"default"}}}, Pending: []string{"declared", "fast"}},
		},
		"DeclaredByID": {
			reason: "A line that means a user puts that user into the pool, whatever their name is now.",
			user:   User{Name: "1", UserName: "robert"},
			pools:  []Pool{{Name: "leads", Roles: []string{"ROLE_MANAGER"}, IDs: []string{"1"}}, {Name: "others", Roles: []string{"ROLE_MANAGER"}, IDs: []string{"2"}}},
			want: Access{
				Pools: []Membership{{"default", Default}, {"leads", Declared}},
				Roles: []Grant{{"ROLE_MANAGER", []string{"leads"}}, {"ROLE_USER", []string{"default"}}},
			},
		},
		"OpenLineAddsNoUser": {
			reason: "A line that is not resolved yet adds no user: the pool is pending.",
			user:   User{Name: "2", UserName: "BOB"},
			pools:  []Pool{{Name: "leads", Roles: []string{"ROLE_MANAGER"}, Open: []string{"bob"}}},
			want:   Access{Pools: []Membership{{"default", Default}}, Roles: []Grant{{"ROLE_USER", []string{"default"}}}, Pending: []string{"leads"}},
		},
		"OpenLineKeeps": {
			reason: "A user who has the name and is in the pool stays until the line is resolved: the pool gains ROLE_MANAGER, or its status was lost.",
			user:   User{Name: "1", UserName: "BOB", CurrentPools: []string{"leads"}},
			pools:  []Pool{{Name: "leads", Roles: []string{"ROLE_MANAGER"}, Open: []string{"bob"}}},
			want: Access{
				Pools: []Membership{{"default", Default}, {"leads", Declared}},
				Roles: []Grant{{"ROLE_MANAGER", []string{"leads"}}, {"ROLE_USER", []string{"default"}}},
			},
		},
		"LeftFilter": {
			reason: "A filter that no longer matches removes the user, also one from an earlier pass.",
			user:   User{UserName: "bob", CurrentByFilter: []string{"payments"}, Attributes: in("Sales")},
			pools:  []Pool{payments},
			want:   Access{Pools: []Membership{{"default", Default}}, Roles: []Grant{{"ROLE_USER", []string{"default"}}}},
		},
		"NoPoolOfTheGroup": {
			reason: "A group that fills no pool gives nothing.",
			user:   User{UserName: "bob", Groups: []string{"gone", "g-fast"}},
			pools:  []Pool{quota},
			want: Access{
				Pools: []Membership{{"default", Default}, {"fast", Group}},
				Roles: []Grant{{"ROLE_IGNORE_QUOTA", []string{"fast"}}, {"ROLE_USER", []string{"default"}}},
			},
		},
		"OneGroupFillsSeveralPools": {
			reason: "A group fills each pool that names it.",
			user:   User{UserName: "bob", Groups: []string{"g-fast"}},
			pools:  []Pool{quota, {Name: "slow", Groups: []string{"g-slow", "g-fast"}}},
			want: Access{
				Pools: []Membership{{"default", Default}, {"fast", Group}, {"slow", Group}},
				Roles: []Grant{{"ROLE_IGNORE_QUOTA", []string{"fast"}}, {"ROLE_USER", []string{"default"}}},
			},
		},
		"SeveralGroupsFillOnePool": {
			reason: "A user in any of the groups is in the pool, and listed once.",
			user:   User{UserName: "bob", Groups: []string{"g-fast", "g-more"}},
			pools:  []Pool{{Name: "fast", Groups: []string{"g-fast", "g-more"}}},
			want:   Access{Pools: []Membership{{"default", Default}, {"fast", Group}}, Roles: []Grant{{"ROLE_USER", []string{"default"}}}},
		},
		"PendingPool": {
			reason: "A pool that is not in the portal yet gives nothing; it is listed as pending.",
			user:   User{UserName: "ada@example.test", Groups: []string{"g-fast"}, Attributes: in("Payments")},
			pools:  []Pool{{Name: "fast", Groups: quota.Groups, Roles: quota.Roles, Members: managers.Members, Filter: department("Payments"), Pending: true}},
			want:   Access{Pools: []Membership{{"default", Default}}, Roles: []Grant{{"ROLE_USER", []string{"default"}}}, Pending: []string{"fast"}},
		},
		"Keeps": {
			reason: "While not all of its groups are known, a pool keeps its users, and adds new ones.",
			user:   User{UserName: "bob", Groups: []string{"g-slow"}, CurrentPools: []string{"fast"}},
			pools:  []Pool{{Name: "fast", Groups: []string{"g-fast"}, Roles: quota.Roles, Keeps: true}, {Name: "slow", Groups: []string{"g-slow"}, Keeps: true}},
			want: Access{
				Pools: []Membership{{"default", Default}, {"fast", Group}, {"slow", Group}},
				Roles: []Grant{{"ROLE_IGNORE_QUOTA", []string{"fast"}}, {"ROLE_USER", []string{"default"}}},
			},
		},
		"LeftGroup": {
			reason: "A user who left the group is not in its pool, also after an earlier pass.",
			user:   User{UserName: "bob", CurrentPools: []string{"fast"}},
			pools:  []Pool{quota},
			want:   Access{Pools: []Membership{{"default", Default}}, Roles: []Grant{{"ROLE_USER", []string{"default"}}}},
		},
		"DefaultRoles": {
			reason: "Every user has the roles of the default pool, and the user role.",
			user:   User{UserName: "bob"},
			def:    Pool{Name: "default", Roles: []string{"ROLE_IGNORE_QUOTA", "ROLE_USER"}},
			want:   Access{Pools: []Membership{{"default", Default}}, Roles: []Grant{{"ROLE_IGNORE_QUOTA", []string{"default"}}, {"ROLE_USER", []string{"default"}}}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			def := tc.def
			if def.Name == "" {
				def = everyone
			}
			got := NewPools(tc.pools, def).Effective(tc.user)
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

var (
	someRoles  = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"ROLE_A", "ROLE_B", "ROLE_C", "ROLE_MANAGER"}), 0, 4, rapid.ID[string])
	someGroups = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"g1", "g2", "g3"}), 0, 3, rapid.ID[string])
	somePools  = rapid.Custom(func(t *rapid.T) []Pool {
		var pools []Pool
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 0, 5, rapid.ID[string]).Draw(t, "names") {
			p := Pool{Name: name, Roles: someRoles.Draw(t, "roles")}
			p.Closed = rapid.IntRange(0, 4).Draw(t, "closed") == 0
			p.Pending = rapid.IntRange(0, 4).Draw(t, "pending") == 0
			p.Keeps = rapid.IntRange(0, 4).Draw(t, "keeps") == 0
			p.Groups = someGroups.Draw(t, "groups")
			switch rapid.IntRange(0, 2).Draw(t, "declared") {
			case 0:
				p.Members = rapid.SliceOfN(rapid.SampledFrom([]string{"ada", "ADA", "bob"}), 0, 2).Draw(t, "members")
			case 1:
				p.IDs = rapid.SliceOfN(rapid.SampledFrom([]string{"1", "2", "3"}), 0, 2).Draw(t, "ids")
				p.Open = rapid.SliceOfN(rapid.SampledFrom([]string{"ada", "ADA", "bob"}), 0, 2).Draw(t, "open")
			}
			switch rapid.IntRange(0, 3).Draw(t, "filter") {
			case 0:
				p.Filter = department("x")
			case 1:
				p.Frozen = true
			}
			pools = append(pools, p)
		}
		return pools
	})
	someUser = rapid.Custom(func(t *rapid.T) User {
		names := rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", "default", "gone"}))
		return User{
			Name:            rapid.SampledFrom([]string{"1", "2", "4"}).Draw(t, "id"),
			UserName:        rapid.SampledFrom([]string{"ada", "Bob", "eve"}).Draw(t, "user"),
			Groups:          someGroups.Draw(t, "groups"),
			CurrentByFilter: names.Draw(t, "filtered"),
			CurrentPools:    names.Draw(t, "in"),
			Attributes:      in(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "department")),
		}
	})
)

func TestNoRoleWithoutAPoolThatGrantsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pools, user := somePools.Draw(t, "pools"), someUser.Draw(t, "user")
		all := NewPools(pools, everyone)
		got := all.Effective(user)
		for _, g := range got.Roles {
			for _, from := range g.From {
				if !slices.ContainsFunc(got.Pools, func(m Membership) bool { return m.Pool == from }) {
					t.Fatalf("role %s comes from %s, which the user is not in", g.Role, from)
				}
				if g.Role != UserRole && !slices.Contains(all.Pool(from).Roles, g.Role) {
					t.Fatalf("role %s comes from %s, which does not grant it", g.Role, from)
				}
			}
			if len(g.From) == 0 {
				t.Fatalf("role %s comes from nowhere", g.Role)
			}
		}
		for _, m := range got.Pools {
			for _, r := range all.Pool(m.Pool).Roles {
				if !slices.Contains(got.RoleNames(), r) {
					t.Fatalf("the user is in %s but does not have its role %s", m.Pool, r)
				}
			}
		}
		if !slices.Contains(got.RoleNames(), UserRole) {
			t.Fatal("the user lacks the user role")
		}
	})
}

func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pools, user := somePools.Draw(t, "pools"), someUser.Draw(t, "user")
		want := NewPools(slices.Clone(pools), everyone).Effective(user)
		seed := rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, seed))
		r.Shuffle(len(pools), func(i, j int) { pools[i], pools[j] = pools[j], pools[i] })
		r.Shuffle(len(user.Groups), func(i, j int) {
			user.Groups[i], user.Groups[j] = user.Groups[j], user.Groups[i]
		})
		if diff := cmp.Diff(want, NewPools(pools, everyone).Effective(user)); diff != "" {
			t.Fatalf("another order of the same facts gives another answer:\n%s", diff)
		}
	})
}

// The next pass reads what a pass wrote: it must compute the same.
func TestStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, user := NewPools(somePools.Draw(t, "pools"), everyone), someUser.Draw(t, "user")
		first := all.Effective(user)
		user.CurrentPools, user.CurrentByFilter = nil, nil
		for _, m := range first.Pools {
			user.CurrentPools = append(user.CurrentPools, m.Pool)
			if m.Source == Filter {
				user.CurrentByFilter = append(user.CurrentByFilter, m.Pool)
			}
		}
		if diff := cmp.Diff(first, all.Effective(user)); diff != "" {
			t.Fatalf("the second answer is another one:\n%s", diff)
		}
	})
}

// TestManagersAreChosenByID: the name of a user who is in no pool of managers makes no manager.
func TestManagersAreChosenByID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pools, user := somePools.Draw(t, "pools"), someUser.Draw(t, "user")
		for i := range pools {
			pools[i].Members = nil // the names of pools without ROLE_MANAGER
		}
		user.CurrentPools = nil
		want := NewPools(pools, everyone).Effective(user)
		user.UserName = rapid.SampledFrom([]string{"ada", "Bob", "eve"}).Draw(t, "other name")
		if diff := cmp.Diff(want.Roles, NewPools(pools, everyone).Effective(user).Roles); diff != "" {
			t.Fatalf("another name gives other roles (-want +got):\n%s", diff)
		}
	})
}

func TestLeavingAGroupTakesOnlyWhatItsPoolsGave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pools, user := somePools.Draw(t, "pools"), someUser.Draw(t, "user")
		all := NewPools(pools, everyone)
		before := all.Effective(user)
		if len(user.Groups) == 0 {
			return
		}
		left := user.Groups[0]
		user.Groups = user.Groups[1:]
		after := all.Effective(user)
		filled := func(name string) bool {
			return slices.ContainsFunc(pools, func(p Pool) bool { return p.Name == name && slices.Contains(p.Groups, left) })
		}
		for _, g := range before.Roles {
			if !slices.ContainsFunc(g.From, filled) && !slices.Contains(after.RoleNames(), g.Role) {
				t.Fatalf("leaving %s took %s, which %v give", left, g.Role, g.From)
			}
		}
		for _, r := range after.RoleNames() {
			if !slices.Contains(before.RoleNames(), r) {
				t.Fatalf("leaving %s gave %s", left, r)
			}
		}
	})
}

func BenchmarkEffective(b *testing.B) {
	var pools []Pool
	for i := range 1000 {
		name := string(rune('a'+i%26)) + string(rune('0'+i/26))
		pools = append(pools, Pool{Name: name, Groups: []string{"g-" + name}, Roles: []string{"ROLE_A"}})
	}
	all := NewPools(pools, everyone)
	u := User{UserName: "ada@example.test", Groups: []string{"g-a0", "g-b1", "g-c2", "g-d3"}}
	b.ReportAllocs()
	for b.Loop() {
		all.Effective(u)
	}
}
