// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// shownEffect is a RoleEffect with the names of its users.
type shownEffect struct {
	Role   string
	Gained bool
	Count  int
	Users  []string
}

func shownEffects(e *PoolEffects) []shownEffect {
	var all []shownEffect
	for _, r := range e.All {
		s := shownEffect{Role: r.Role, Gained: r.Gained, Count: r.Count}
		for _, u := range r.Users {
			s.Users = append(s.Users, u.UserName)
		}
		all = append(all, s)
	}
	return all
}

// TestPoolEffects checks who gains and who loses what by a change of a pool, and that the change is
// saved only after it was seen.
func TestPoolEffects(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s, ctx, boss := open(), t.Context(), SystemActor("test")
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		create := func(name string, roles ...string) *Pool {
			t.Helper()
			p, err := s.CreatePool(ctx, boss, NewPool{Name: name, Roles: roles})
			check(err)
			return p
		}
		quota, manager := portalapi.RoleIgnoreQuota, portalapi.RoleManager
		team, other := create("Team", quota), create("Other", quota, manager)
		for name, n := range map[string]NewAccount{
			"only":   {Pools: []string{team.ID}},
			"twice":  {Pools: []string{team.ID, other.ID}},
			"direct": {Pools: []string{team.ID}, DirectRoles: []string{manager}},
		} {
			n.UserName = name
			_, err := s.CreateAccount(ctx, boss, n)
			check(err)
		}
		change := func(seen string, roles ...string) *PoolEffects {
			t.Helper()
			e, err := s.UpdateSeenPool(ctx, boss, team.ID, nil, PoolPatch{Roles: &roles}, seen)
			check(err)
			return e
		}
		first := change("", manager)
		want := []shownEffect{{quota, false, 2, []string{"direct", "only"}}, {manager, true, 1, []string{"only"}}}
		if diff := cmp.Diff(want, shownEffects(first)); diff != "" || !first.Loses() {
			t.Errorf("another pool and a direct role give the same roles (-want +got):\n%s", diff)
		}
		if p, err := s.Pool(ctx, team.ID); err != nil || len(p.Roles) != 1 || p.Roles[0] != quota || p.Revision != 1 {
			t.Errorf("saved before it was seen: %+v, %v", p, err)
		}
		if gain := change("", quota, manager); gain.Loses() || len(gain.All) != 1 {
			t.Errorf("a gain is shown too: %+v", gain)
		}
		_, err := s.CreateAccount(ctx, boss, NewAccount{UserName: "late", Pools: []string{team.ID}})
		check(err)
		second := change(first.ID, manager)
		if second == nil || second.ID == first.ID || second.All[0].Count != 3 {
			t.Fatalf("another member loses the role: %+v", second)
		}
		if _, err := s.UpdateSeenPool(ctx, boss, team.ID, nil, PoolPatch{Roles: &[]string{"ROLE_UNKNOWN"}}, ""); portalapi.CodeOf(err) != portalapi.CodeUnknownRole {
			t.Errorf("a change that is refused has no effects: %v", err)
		}
		if e := change(second.ID, manager); e != nil {
			t.Errorf("not saved after it was seen: %+v", e)
		}
		if e := change("", portalapi.RoleUser, manager); e != nil {
			t.Errorf("every user has ROLE_USER already: %+v", e)
		}
		_, deletion, err := s.DeletionEffects(ctx, team.ID)
		check(err)
		if diff := cmp.Diff([]shownEffect{{manager, false, 2, []string{"late", "only"}}}, shownEffects(deletion)); diff != "" || deletion.Leave != 4 {
			t.Errorf("%d leave (-want +got):\n%s", deletion.Leave, diff)
		}
		if err := s.DeleteSeenPool(ctx, boss, team.ID, nil, second.ID); portalapi.CodeOf(err) != portalapi.CodeStaleRevision {
			t.Errorf("deleted before its effects were seen: %v", err)
		}
		check(s.DeleteSeenPool(ctx, boss, team.ID, nil, deletion.ID))
	})
}

// TestPoolEffectsOfMany checks that a large pool names the first users only.
func TestPoolEffectsOfMany(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s, ctx, boss := open(), t.Context(), SystemActor("test")
		pool, err := s.CreatePool(ctx, boss, NewPool{Name: "Team"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range affectedShown + 5 {
			if _, err := s.CreateAccount(ctx, boss, NewAccount{UserName: fmt.Sprintf("person%02d", i), Pools: []string{pool.ID}}); err != nil {
				t.Fatal(err)
			}
		}
		e, err := s.UpdateSeenPool(ctx, boss, pool.ID, nil, PoolPatch{Roles: &[]string{portalapi.RoleManager}}, "")
		if err != nil || e.All[0].Count != affectedShown+5 || len(e.All[0].Users) != affectedShown || e.All[0].Users[0].UserName != "person00" {
			t.Errorf("effects %+v, %v", e, err)
		}
	})
}

// TestDefaultPoolIsProtected checks that the default pool keeps its name and is never deleted, and
// that its roles are for everybody.
func TestDefaultPoolIsProtected(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s, ctx, boss := open(), t.Context(), SystemActor("test")
		if _, err := s.CreateAccount(ctx, boss, NewAccount{UserName: "ada"}); err != nil {
			t.Fatal(err)
		}
		all, err := s.Pools(ctx)
		if err != nil || len(all) != 1 {
			t.Fatalf("%d pools, %v", len(all), err)
		}
		id, name := all[0].ID, "Other"
		for what, err := range map[string]error{
			"delete":         s.DeletePool(ctx, boss, id, nil),
			"delete as seen": s.DeleteSeenPool(ctx, boss, id, nil, ""),
			"ask to delete":  func() error { _, _, err := s.DeletionEffects(ctx, id); return err }(),
			"rename":         func() error { _, err := s.UpdatePool(ctx, boss, id, nil, PoolPatch{Name: &name}); return err }(),
		} {
			if portalapi.CodeOf(err) != portalapi.CodeDefaultPool {
				t.Errorf("%s: %v", what, err)
			}
		}
		handed := true
		if _, err := s.UpdatePool(ctx, boss, id, nil, PoolPatch{HandedOver: &handed}); portalapi.CodeOf(err) != portalapi.CodeInvalid {
			t.Errorf("handed over: %v", err)
		}
		e, err := s.UpdateSeenPool(ctx, boss, id, nil, PoolPatch{Roles: &[]string{portalapi.RoleManager}}, "")
		if err != nil || e == nil || e.All[0].Count != 1 || !e.All[0].Gained {
			t.Errorf("a role for everybody is shown first: %+v, %v", e, err)
		}
	})
}
