// SPDX-License-Identifier: Apache-2.0

package scimgroup_test

import (
	"strings"
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/scimgroup"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func TestUndecided(t *testing.T) {
	mark := func(state portalapi.MarkState) *portalapi.Pool {
		return &portalapi.Pool{Mark: &portalapi.Mark{What: portalapi.RemovalMembers, State: state, Decision: "m-1"}}
	}
	for name, tc := range map[string]struct {
		reason    string
		record    *portalapi.Pool
		condition string // its reason; empty if there is none
		commands  []string
	}{
		"NoRecord": {"There is nothing to decide about.", nil, "", nil},
		"Unmarked": {"The pool's pass lets the members leave.", &portalapi.Pool{}, "", nil},
		"Held":     {"A person releases or drops it.", mark(portalapi.MarkHeld), v1alpha1.ReasonGuardHeld, []string{"kubectl scim release agentpool/leads --id m-1 -n lightrun", "kubectl scim drop agentpool/leads --id m-1 -n lightrun"}},
		"Dropped":  {"The drop was about something else than the deletion takes: releasing it is the way on.", mark(portalapi.MarkDropped), v1alpha1.ReasonRemovalDropped, []string{"kubectl scim release agentpool/leads --id m-1 -n lightrun"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := scimgroup.Undecided("lightrun", "leads", "2 member(s)", tc.record)
			if got == nil {
				if tc.condition != "" {
					t.Fatal(tc.reason)
				}
				return
			}
			if got.Reason != tc.condition || conditions.Classes()[got.Reason] != conditions.Waiting {
				t.Errorf("%s got %+v", tc.reason, got)
			}
			for _, c := range tc.commands {
				if !strings.Contains(got.Message, c) {
					t.Errorf("%s %q is not in %q", tc.reason, c, got.Message)
				}
			}
		})
	}
}
