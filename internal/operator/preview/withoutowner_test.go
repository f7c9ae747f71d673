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
		users  int
	}{
		{"an orphaned pool still gives a role to ada", portalapi.Pool{ID: "all", Roles: roles}, 1},
		{"a pool with only local members has nothing to do with SCIM", portalapi.Pool{ID: "local", Roles: roles}, 0},
		{"a pool without roles gives nothing", portalapi.Pool{ID: "all"}, 0},
		{"an AgentPool decides about the pool", portalapi.Pool{ID: "all", Roles: roles, Owner: portalapi.Owner{UID: "p"}}, 0},
		{"every user is in the default pool", portalapi.Pool{ID: "all", Roles: roles, Default: true}, 0},
	} {
		m := mirror.New(func(mirror.Event) {})
		m.PutAccount(&portalapi.Account{ID: "1", UserName: "ada", Owner: portalapi.Owner{UID: "a"}, Status: portalapi.StatusActive, Pools: []string{"all"}})
		m.PutAccount(&portalapi.Account{ID: "2", UserName: "bob", Owner: portalapi.Owner{UID: "b"}, Status: portalapi.StatusDeactivated, Pools: []string{"all"}})
		m.PutAccount(&portalapi.Account{ID: "3", UserName: "eve", Status: portalapi.StatusActive, Pools: []string{"all", "local"}})
		got, gives := withoutOwner(&tc.pool, m)
		want := Pool{}
		if tc.users > 0 {
			want = Pool{ID: tc.pool.ID, Roles: roles, Users: tc.users}
		}
		if diff := cmp.Diff(want, got); gives != (tc.users > 0) || gives && diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tc.reason, gives, diff)
		}
	}
}
