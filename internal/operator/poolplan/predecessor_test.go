// SPDX-License-Identifier: Apache-2.0

package poolplan_test

import (
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/poolplan"
)

func TestSucceed(t *testing.T) {
	for name, tc := range map[string]struct {
		reason     string
		roles      []string // of the record of the group's own pool
		ungranted  []string
		want       []string
		other      string // id of another pool with the wanted name
		takesOver  bool
		planBefore provision.Action
	}{
		"NoRoles":       {"A declared pool takes over the record of the group's own pool.", nil, nil, []string{"ROLE_IGNORE_QUOTA"}, "", true, provision.Create},
		"OtherRole":     {"Roles other than ROLE_MANAGER are those of the declared pool.", []string{"ROLE_IGNORE_QUOTA"}, nil, nil, "", true, provision.Create},
		"KeepsManager":  {"The members stay managers.", []string{portalapi.RoleManager}, nil, []string{portalapi.RoleManager}, "", true, provision.Create},
		"LosesManager":  {"Otherwise members would lose ROLE_MANAGER without the guard.", []string{portalapi.RoleManager}, nil, nil, "", false, provision.Create},
		"NotGranted":    {"A role that the operator did not grant is not protected.", []string{portalapi.RoleManager}, []string{portalapi.RoleManager}, nil, "", true, provision.Create},
		"NameOfAnother": {"Another pool has the wanted name.", nil, nil, nil, "2", false, provision.Wait},
	} {
		t.Run(name, func(t *testing.T) {
			plan := provision.PoolPlan{Action: tc.planBefore}
			if tc.other != "" {
				plan.Pool = &portalapi.Pool{ID: tc.other}
			}
			record := &portalapi.Pool{ID: "1", Revision: 3, Roles: tc.roles, Ungranted: tc.ungranted, Owner: portalapi.Owner{UID: "own"}}
			got := poolplan.Succeed(plan, portalapi.PoolWrite{Name: "leads", Roles: tc.want}, record)
			if takesOver := got.Action == provision.Adopt && got.Pool == record; takesOver != tc.takesOver {
				t.Errorf("%s\ngot %+v", tc.reason, got)
			}
		})
	}
}
