// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"fmt"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

const (
	user    = "ROLE_USER"
	quota   = "ROLE_IGNORE_QUOTA"
	manager = "ROLE_MANAGER"
)

func TestDefaultPoolAndUserRole(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	if a := w.account("ada@example.test"); len(a.PoolRefs) != 1 || !a.ReadOnly || a.ReadOnlyReason == "" {
		t.Errorf("want the default pool and a stated reason for read-only, got %+v, %v %q", a.PoolRefs, a.ReadOnly, a.ReadOnlyReason)
	}
	def := &v1alpha1.AgentPool{}
	def.Namespace, def.Name = w.namespace, v1alpha1.DefaultName
	w.says(def, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.eventually("the default pool counts every user", func() error {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(def), def))
		if def.Status.MemberCount != 1 {
			return fmt.Errorf("it counts %d", def.Status.MemberCount)
		}
		return nil
	})
}

func TestRolesAreAUnion(t *testing.T) {
	w := newWorld(t)
	w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager, quota}})
	ada := w.push("ada@example.test", in("fast", "leads"))
	w.provisioned(ada, user, quota, manager)
	for _, r := range ada.Status.Roles {
		if r.Name == quota && fmt.Sprint(r.From) != "[fast leads]" {
			t.Errorf("the quota role comes from %v", r.From)
		}
	}
	t.Log("leaving one pool removes only the roles of that pool alone")
	w.change(ada, in("fast"))
	w.provisioned(ada, user, quota)
	t.Log("after leaving all, the default pool remains")
	w.change(ada, in())
	w.provisioned(ada, user)
}

func TestPoolGetsRolesByApply(t *testing.T) {
	w := newWorld(t, wideGuard)
	pushed := w.pool("pushed", v1alpha1.AgentPoolSpec{DisplayName: "Payments"})
	ada, bob := w.push("ada@example.test", in("pushed")), w.push("bob@example.test")
	w.provisioned(ada, user)
	w.changePool(pushed, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{manager} })
	w.provisioned(ada, user, manager)
	w.provisioned(bob, user)
	w.says(pushed, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if pushed.Status.DisplayName != "Payments" {
		t.Errorf("the pool is called %q in the portal", pushed.Status.DisplayName)
	}
	t.Log("empty and absent roles are none")
	w.changePool(pushed, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{} })
	w.provisioned(ada, user)
	w.changePool(pushed, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{quota} })
	w.provisioned(ada, user, quota)
	w.changePool(pushed, func(s *v1alpha1.AgentPoolSpec) { s.Roles = nil })
	w.provisioned(ada, user)
	w.says(pushed, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
}

func TestMembersFiltersAndGroupsTogether(t *testing.T) {
	w := newWorld(t)
	w.pool("declared", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: []v1alpha1.PoolMember{{UserName: "Ada@Example.Test"}, {UserName: "unknown@example.test"}}})
	filtered := w.pool("filtered", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}, MemberFilter: `urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "payments"`})
	ada := w.push("ada@example.test", func(s *v1alpha1.ScimUserSpec) { s.Department = "Payments" })
	bob := w.push("bob@example.test", func(s *v1alpha1.ScimUserSpec) { s.Department = "Sales" })
	w.provisioned(ada, user, manager, quota)
	w.provisioned(bob, user)
	want := []v1alpha1.PoolMembership{{Name: "default", Source: "Default"}, {Name: "declared", Source: "Declared"}, {Name: "filtered", Source: "Filter"}}
	if fmt.Sprint(ada.Status.Pools) != fmt.Sprint(want) {
		t.Errorf("the origins are %v", ada.Status.Pools)
	}
	w.change(bob, func(s *v1alpha1.ScimUserSpec) { s.Department = "Payments" })
	w.provisioned(bob, user, quota)
	t.Log("an invalid filter freezes the membership as it was")
	w.changePool(filtered, func(s *v1alpha1.AgentPoolSpec) { s.MemberFilter = `department eq` })
	w.says(filtered, v1alpha1.ConditionReady, v1alpha1.ReasonInvalidFilter)
	eve := w.push("eve@example.test", func(s *v1alpha1.ScimUserSpec) { s.Department = "Payments" })
	w.provisioned(eve, user)
	w.change(bob, func(s *v1alpha1.ScimUserSpec) { s.Department, s.Title = "Sales", "x" })
	w.provisioned(bob, user, quota)
	w.changePool(filtered, func(s *v1alpha1.AgentPoolSpec) { s.MemberFilter = `title eq "unused"` })
	w.provisioned(bob, user)
	w.provisioned(ada, user, manager)
}

func TestPoolIsDeletedAndRecreated(t *testing.T) {
	w := newWorld(t)
	spec := v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}}
	fast := w.pool("fast", spec)
	ada := w.push("ada@example.test", in("fast"))
	w.provisioned(ada, user, quota)
	w.remove(fast)
	w.gone(fast)
	w.provisioned(ada, user)
	t.Log("the group still has its members, so the pool's return brings the role back")
	w.pool("fast", spec)
	w.provisioned(ada, user, quota)
	t.Log("a user can be deleted after their pool")
	w.remove(&v1alpha1.AgentPool{ObjectMeta: fast.ObjectMeta})
	w.remove(ada)
	w.gone(ada)
}

func TestUnknownRolesFreezeThePool(t *testing.T) {
	w := newWorld(t)
	p := w.pool("p", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test", in("p"))
	w.provisioned(ada, user, quota)
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{"ROLE_NO_SUCH"} })
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonUnknownRole)
	w.provisioned(ada, user, quota)
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{} })
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.provisioned(ada, user)
}

func TestTwoPoolsSwapTheirNames(t *testing.T) {
	w := newWorld(t)
	a, b := w.pool("a", v1alpha1.AgentPoolSpec{DisplayName: "Payments"}), w.pool("b", v1alpha1.AgentPoolSpec{DisplayName: "Billing"})
	w.says(a, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.says(b, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	t.Log("in one commit, each waits for the other, and says what to do")
	w.changePool(a, func(s *v1alpha1.AgentPoolSpec) { s.DisplayName = "Billing" })
	w.says(a, v1alpha1.ConditionReady, v1alpha1.ReasonNameTaken) // the first may be reconciled before the second is changed
	w.changePool(b, func(s *v1alpha1.AgentPoolSpec) { s.DisplayName = "Payments" })
	w.says(a, v1alpha1.ConditionReady, v1alpha1.ReasonNameReleasePending)
	w.says(b, v1alpha1.ConditionReady, v1alpha1.ReasonNameReleasePending)
	t.Log("with a third name in between, both are renamed")
	w.changePool(a, func(s *v1alpha1.AgentPoolSpec) { s.DisplayName = "Elsewhere" })
	w.says(b, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.changePool(a, func(s *v1alpha1.AgentPoolSpec) { s.DisplayName = "Billing" })
	w.says(a, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
}

func TestTwoPoolsCantHaveOneName(t *testing.T) {
	w := newWorld(t)
	a := w.pool("a", v1alpha1.AgentPoolSpec{DisplayName: "Payments"})
	w.says(a, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	b := w.pool("b", v1alpha1.AgentPoolSpec{DisplayName: "PAYMENTS"})
	w.says(b, v1alpha1.ConditionStalled, v1alpha1.ReasonNameTaken)
	t.Log("when the first is renamed, the second gets the name")
	w.changePool(a, func(s *v1alpha1.AgentPoolSpec) { s.DisplayName = "Billing" })
	w.says(a, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.says(b, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
}
