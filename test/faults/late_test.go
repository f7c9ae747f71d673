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

// delayed is a portal that delays writes of memberships in one pool until their sender has given
// up.
type delayed struct {
	*fakeportal.Portal
	owner string                      // of the pool whose memberships are delayed; empty if there is none
	late  []portalapi.MembershipWrite // the delayed writes
}

func (d *delayed) PutMemberships(ctx context.Context, ownerUID string, items []portalapi.MembershipWrite, seen []portalapi.GroupRevision) ([]portalapi.MembershipResult, error) {
	if d.owner != "" && ownerUID == d.owner {
		d.late = items
		return nil, errFault
	}
	return d.Portal.PutMemberships(ctx, ownerUID, items, seen)
}

// TestOvertakenWriteIsStale: a write of the leading manager is delayed while the pools' objects
// change, without a change of the user's revision. The next write is made first, and the delayed
// one must be refused.
func TestOvertakenWriteIsStale(t *testing.T) {
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
			t.Fatal("the manager must write ada's membership of leads")
		}
		members("leads")
		members("fast", "ada@example.test")
		w.settle()
		want := w.describe()

		results, err := to.Portal.PutMemberships(t.Context(), to.owner, to.late, nil)
		if err != nil || results[0].Outcome != portalapi.MembershipStale {
			t.Errorf("the delayed write got %v, %v, want %s", results, err, portalapi.MembershipStale)
		}
		if got := w.describe(); got != want {
			t.Errorf("the delayed write changed\n%s\nto\n%s", want, got)
		}
	})
}
