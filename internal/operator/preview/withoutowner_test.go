// SPDX-License-Identifier: Apache-2.0

package preview

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// TestWithoutOwner: ada and bob are users that SCIM manages, bob is deactivated, and eve is local.
func TestWithoutOwner(t *testing.T) {
	roles := []string{portalapi.RoleManager}
	for _, tc := range []struct {
		reason string
		pool   portalapi.Pool
		users  []string
	}{
		{"an orphaned pool still gives a role to ada", portalapi.Pool{ID: "all", Roles: roles}, []string{"ada"}},
		{"a pool with only local members has nothing to do with SCIM", portalapi.Pool{ID: "local", Roles: roles}, nil},
		{"a pool without roles gives nothing", portalapi.Pool{ID: "all"}, nil},
		{"an AgentPool decides about the pool", portalapi.Pool{ID: "all", Roles: roles, Owner: portalapi.Owner{UID: "p"}}, nil},
		{"every user is in the default pool", portalapi.Pool{ID: "all", Roles: roles, Default: true}, nil},
	} {
		m := mirror.New(func(mirror.Event) {})
		m.PutAccount(&portalapi.Account{ID: "1", UserName: "ada", Owner: portalapi.Owner{UID: "a"}, Status: portalapi.StatusActive, Pools: []string{"all"}})
		m.PutAccount(&portalapi.Account{ID: "2", UserName: "bob", Owner: portalapi.Owner{UID: "b"}, Status: portalapi.StatusDeactivated, Pools: []string{"all"}})
		m.PutAccount(&portalapi.Account{ID: "3", UserName: "eve", Status: portalapi.StatusActive, Pools: []string{"all", "local"}})
		got, gives := withoutOwner(&tc.pool, m)
		want := Pool{}
		if len(tc.users) > 0 {
			want = Pool{ID: tc.pool.ID, Roles: roles, Users: len(tc.users), UserNames: tc.users}
		}
		if diff := cmp.Diff(want, got); gives != (len(tc.users) > 0) || gives && diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tc.reason, gives, diff)
		}
	}
}

// TestLocalMembers: eve is local and active, dan is local and deactivated, and SCIM manages ada.
// All are in all pools.
func TestLocalMembers(t *testing.T) {
	roles, leads := []string{portalapi.RoleManager}, portalapi.Owner{UID: "p", Name: "leads"}
	for _, tc := range []struct {
		reason string
		pools  []portalapi.Pool
		want   []LocalMember
	}{
		{"eve has a role by the pool of an AgentPool", []portalapi.Pool{{ID: "1", Roles: roles, Owner: leads}}, []LocalMember{{Account: Account{ID: "eve", UserName: "eve"}, AgentPools: []string{"leads"}, Roles: roles}}},
		{"each role is listed once", []portalapi.Pool{{ID: "1", Roles: roles, Owner: leads}, {ID: "2", Roles: roles, Owner: portalapi.Owner{UID: "q", Name: "admins"}}},
			[]LocalMember{{Account: Account{ID: "eve", UserName: "eve"}, AgentPools: []string{"admins", "leads"}, Roles: roles}}},
		{"a pool without roles gives nothing", []portalapi.Pool{{ID: "1", Owner: leads}}, nil},
		{"a role that an administrator gave the pool is about to go", []portalapi.Pool{{ID: "1", Roles: roles, Ungranted: roles, Owner: leads}}, nil},
		{"a pool without an owner is the administrators' own", []portalapi.Pool{{ID: "1", Roles: roles}}, nil},
		{"every user is in the default pool", []portalapi.Pool{{ID: "1", Roles: roles, Owner: leads, Default: true}}, nil},
	} {
		m := mirror.New(func(mirror.Event) {})
		var ids []string
		for _, p := range tc.pools {
			m.PutPool(&p)
			ids = append(ids, p.ID)
		}
		m.PutAccount(&portalapi.Account{ID: "ada", UserName: "ada", Owner: portalapi.Owner{UID: "a"}, ManagedBy: portalapi.ManagedBySCIM, Status: portalapi.StatusActive, Pools: ids})
		m.PutAccount(&portalapi.Account{ID: "dan", UserName: "dan", ManagedBy: portalapi.ManagedByLocal, Status: portalapi.StatusDeactivated, Pools: ids})
		m.PutAccount(&portalapi.Account{ID: "eve", UserName: "eve", ManagedBy: portalapi.ManagedByLocal, Status: portalapi.StatusActive, Pools: ids})
		if diff := cmp.Diff(append([]LocalMember{}, tc.want...), localMembers(m)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
		}
	}
}
