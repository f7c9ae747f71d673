package faults_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/fake"
)

// delayed is a portal to which the write of an account in the pool is under way for so long that its sender gives up.
type delayed struct {
	*fake.Portal
	pool string              // portal id; empty: every write arrives
	late portal.AccountWrite // under way
}

func (d *delayed) PutAccount(ctx context.Context, w portal.AccountWrite) (*portal.Account, error) {
	if d.pool != "" && slices.Contains(w.Pools, d.pool) {
		d.late = w
		return nil, errFault
	}
	return d.Portal.PutAccount(ctx, w)
}

// TestAWriteThatWasOvertakenDoesNotLand: a write of the manager that leads is under way while the pools' own objects change their
// minds, which leaves the person's revision as it is. The next write overtakes it, and it comes too late.
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
		w.addPool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{portal.RoleManager}})
		w.addPool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{portal.RoleIgnoreQuota}})
		w.push("ada", "ada@example.test")
		w.settle()

		for _, p := range w.pools() {
			if p.Name == "leads" {
				to.pool = p.Status.Pool
			}
		}
		members("leads", "ada@example.test")
		if w.round(w.process); to.late.UserName == "" {
			t.Fatal("the manager did not write that ada leads")
		}
		members("leads")
		members("fast", "ada@example.test")
		w.settle()
		want := w.tell()

		if _, err := to.Portal.PutAccount(t.Context(), to.late); portal.CodeOf(err) != portal.CodeStaleRevision {
			t.Errorf("the late write was answered with %v, want %s", err, portal.CodeStaleRevision)
		}
		if got := w.tell(); got != want {
			t.Errorf("the late write changed what was\n%s\nto\n%s", want, got)
		}
	})
}
