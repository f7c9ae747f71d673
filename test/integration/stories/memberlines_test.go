// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"fmt"
	"slices"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func listed(userNames ...string) (out []v1alpha1.PoolMember) {
	for _, name := range userNames {
		out = append(out, v1alpha1.PoolMember{UserName: name})
	}
	return out
}

// means waits until the lines of the pool mean these groups and users, in the status and in the
// portal.
func (w *world) means(p *v1alpha1.AgentPool, ids ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("the lines of %s mean %v", p.Name, ids), func() error {
		w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(p), p))
		var status, portal []string
		for _, pin := range p.Status.Groups {
			status = append(status, pin.Group)
		}
		for _, pin := range p.Status.Members {
			status = append(status, pin.ID)
		}
		pool, err := w.store.Pool(w.t.Context(), p.Status.Pool)
		if err != nil {
			return err
		}
		for _, pin := range pool.Pins {
			portal = append(portal, pin.ID)
		}
		if !slices.Equal(status, ids) || !slices.Equal(portal, ids) {
			return fmt.Errorf("the status has %v, the portal %v", status, portal)
		}
		return nil
	})
}

// TestManagerLineMeansOneUser: a name that the provider gives to another user makes no manager, and
// takes the role from no user.
func TestManagerLineMeansOneUser(t *testing.T) {
	w := newWorld(t, wideGuard)
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: listed("Bob@Example.Test", "unknown@example.test")})
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	t.Log("a manager can be declared before the push")
	bob := w.push("bob@example.test")
	w.provisioned(bob, user, manager)
	w.means(leads, bob.Name)
	t.Log("the user keeps the role after a rename, and another user who gets the name does not have it")
	w.rename(bob, "robert@example.test")
	w.says(leads, v1alpha1.ConditionMembersResolved, v1alpha1.ReasonMemberRenamed)
	w.eventually("the old name is free", func() error { return w.nameFree(v1alpha1.ClaimUser, "bob@example.test") })
	second := w.push("bob@example.test")
	w.provisioned(second, user)
	w.provisioned(bob, user, manager)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	t.Log("a person changes only the spelling of the line: it is the same line")
	w.changePool(leads, func(s *v1alpha1.AgentPoolSpec) { s.Members = listed("BOB@example.test", "unknown@example.test") })
	w.says(leads, v1alpha1.ConditionMembersResolved, v1alpha1.ReasonMemberRenamed)
	w.provisioned(second, user)
	w.provisioned(bob, user, manager)
	t.Log("the provider deletes the user: the other one waits for a decision, and the plan says so")
	w.remove(bob)
	w.gone(bob)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonMemberChanged)
	w.waiting(leads)
	w.provisioned(second, user)
	w.means(leads, bob.Name)
	plan := w.preview(false)
	if s := step(plan, "leads"); s.Reason != v1alpha1.ReasonMemberChanged || plan.Changes() != 0 {
		t.Errorf("the plan is %+v, with %d changes", s, plan.Changes())
	}
	if s := step(plan, "bob@example.test"); len(s.Roles) != 1 {
		t.Errorf("the plan gives the user who has the name now %v", s.Roles)
	}
	t.Log("a person accepts the other user")
	w.annotate(leads, v1alpha1.AnnotationAcceptMembers, second.Name)
	w.provisioned(second, user, manager)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.means(leads, second.Name)
	t.Log("or removes the line and writes it again")
	w.remove(second)
	w.gone(second)
	third := w.push("bob@example.test")
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonMemberChanged)
	w.provisioned(third, user)
	w.changePool(leads, func(s *v1alpha1.AgentPoolSpec) { s.Members = nil })
	w.means(leads)
	w.changePool(leads, func(s *v1alpha1.AgentPoolSpec) { s.Members = listed("bob@example.test") })
	w.provisioned(third, user, manager)
	w.means(leads, third.Name)
}

// TestSwappedManagers: two users exchange their names, by a third name.
func TestSwappedManagers(t *testing.T) {
	w := newWorld(t, wideGuard)
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: listed("bob@example.test")})
	bob, eve := w.push("bob@example.test"), w.push("eve@example.test")
	w.provisioned(bob, user, manager)
	w.provisioned(eve, user)
	w.rename(bob, "swap@example.test")
	w.provisioned(bob, user, manager)
	w.eventually("the name bob is free", func() error { return w.nameFree(v1alpha1.ClaimUser, "bob@example.test") })
	w.rename(eve, "bob@example.test")
	w.provisioned(eve, user)
	w.eventually("the name eve is free", func() error { return w.nameFree(v1alpha1.ClaimUser, "eve@example.test") })
	w.rename(bob, "eve@example.test")
	w.provisioned(bob, user, manager)
	w.provisioned(eve, user)
	w.says(leads, v1alpha1.ConditionMembersResolved, v1alpha1.ReasonMemberRenamed)
	w.means(leads, bob.Name)
}

// TestPoolGainsAndLosesManager: the lines of a pool mean users from the moment when it gains the
// role until it has lost it.
func TestPoolGainsAndLosesManager(t *testing.T) {
	w := newWorld(t, wideGuard)
	pool := w.pool("pool", v1alpha1.AgentPoolSpec{Members: listed("bob@example.test", "eve@example.test")})
	bob, eve := w.push("bob@example.test"), w.push("eve@example.test")
	in := func(u *v1alpha1.ScimUser, pools ...string) { w.isOnlyIn(u.Spec.UserName, pools...) }
	in(bob, "pool")
	in(eve, "pool")
	t.Log("without the role the name decides")
	w.rename(bob, "robert@example.test")
	in(bob)
	w.eventually("the old name is free", func() error { return w.nameFree(v1alpha1.ClaimUser, "bob@example.test") })
	second := w.push("bob@example.test")
	in(second, "pool")
	w.means(pool)
	t.Log("with the role, the lines mean the users who have the names at that moment")
	w.changePool(pool, func(s *v1alpha1.AgentPoolSpec) {
		s.Roles, s.Members = []v1alpha1.Role{manager}, listed("bob@example.test")
	})
	w.provisioned(second, user, manager)
	w.provisioned(eve, user)
	w.means(pool, second.Name)
	w.rename(second, "bobby@example.test")
	w.provisioned(second, user, manager)
	t.Log("without the role, names decide again")
	w.changePool(pool, func(s *v1alpha1.AgentPoolSpec) { s.Roles = nil })
	w.means(pool)
	in(second)
	if c := w.account("bobby@example.test"); slices.Contains(c.Roles, portalapi.RoleManager) {
		t.Errorf("still a manager: %+v", c)
	}
}
