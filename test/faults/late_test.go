// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"context"
	"testing"
	"testing/synctest"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/fakeportal"
)

// delayed is a portal to which the write of an account in the pool is under way for so long that
// its sender gives up.
type delayed struct {
	*fakeportal.Portal
	owner string                      // of the pool whose members are written late; empty: every write arrives
	late  []portalapi.MembershipWrite // under way
}

func (d *delayed) PutMemberships(ctx context.Context, ownerUID string, items []portalapi.MembershipWrite) ([]portalapi.MembershipResult, error) {
	if d.owner != "" && ownerUID == d.owner {
		d.late = items
		return nil, errFault
	}
	return d.Portal.PutMemberships(ctx, ownerUID, items)
}

// TestAWriteThatWasOvertakenDoesNotLand: a write of the manager that leads is under way while the
// pools' own objects change their minds, which leaves the person's revision as it is. The next
// write overtakes it, and it comes too late.
func TestAWriteThatWasOvertakenDoesNotLand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, fault{})
		to := &delayed{Portal: w.portal}
		w.connected = to
		w.configure()
		members := func(pool string, names ...string) {
			w.changePool(pool, func(s *v1alpha1.AgentPoolSpec) {
				s.Members = nil
				for _, n := range names {
					s.Members = append(s.Members, v1alpha1.PoolMember{UserName: n})
				}
			})
		}
		w.addPool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{portalapi.RoleManager}})
		w.addPool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{portalapi.RoleIgnoreQuota}})
		w.push("ada", "ada@example.test")
		w.settle()

		to.owner = "uid-leads"
		members("leads", "ada@example.test")
		if w.round(w.process); len(to.late) != 1 {
			t.Fatal("the manager did not write that ada leads")
		}
		members("leads")
		members("fast", "ada@example.test")
		w.settle()
		want := w.tell()

		results, err := to.Portal.PutMemberships(t.Context(), to.owner, to.late)
		if err != nil || results[0].Outcome != portalapi.MembershipStale {
			t.Errorf("the late write was answered with %v, %v, want %s", results, err, portalapi.MembershipStale)
		}
		if got := w.tell(); got != want {
			t.Errorf("the late write changed what was\n%s\nto\n%s", want, got)
		}
	})
}
