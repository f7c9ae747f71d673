// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/preview"
)

// ownerGone deletes an AgentPool while nothing may be written, so that its pool stays in the
// portal, and then lets the manager write again.
func (w *world) ownerGone(p *v1alpha1.AgentPool) {
	w.t.Helper()
	w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.ManagementPolicy = v1alpha1.PolicyReportOnly })
	w.erase(p)
	w.gone(p)
	w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.ManagementPolicy = v1alpha1.PolicyEnforce })
}

// isReleased waits until the portal has no pool of that id.
func (w *world) isReleased(id string) {
	w.t.Helper()
	w.eventually("the pool is gone", func() error {
		if p := w.portalPool(id); p != nil {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
}

func TestAPoolWhoseAgentPoolIsGoneIsReported(t *testing.T) {
	w := newWorld(t)
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{DisplayName: "Engineering leads", Roles: []v1alpha1.Role{manager}})
	ada, bob := w.push("ada@example.test", in("leads")), w.push("bob@example.test")
	w.provisioned(ada, user, manager)
	w.provisioned(bob, user)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	id := leads.Status.Pool
	w.ownerGone(leads)

	w.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonPoolOwnerGone)
	w.waiting(ada)
	c := conditions.Find(ada.Status.Conditions, v1alpha1.ConditionRolesInherited)
	if !strings.Contains(c.Message, "AgentPool leads") || !strings.Contains(c.Message, manager) || !strings.Contains(c.Message, "kubectl scim audit") {
		t.Errorf("the condition says %q", c.Message)
	}
	gives := func(r v1alpha1.RoleGrant) bool { return r.Name == manager && slices.Equal(r.From, []string{"leads"}) }
	if !slices.ContainsFunc(ada.Status.Roles, gives) {
		t.Errorf("the roles in the status are %+v", ada.Status.Roles)
	}
	if !slices.Contains(ada.Status.Pools, v1alpha1.PoolMembership{Name: "leads", Source: v1alpha1.PoolSourceOwnerGone}) {
		t.Errorf("the pools in the status are %+v", ada.Status.Pools)
	}
	w.provisioned(bob, user)
	config := w.identity()
	w.must(w.client.Get(t.Context(), keyOf(config), config))
	w.hasNote(config, "PoolsWithoutAgentPool", fmt.Sprintf("1 pool(s) that this operator manages have no AgentPool: %q (%s) of AgentPool leads.", "Engineering leads", id))

	r := w.preview(false)
	want := preview.Pool{ID: id, Name: "Engineering leads", AgentPool: "leads", Roles: []string{manager}, Users: 1}
	if len(r.WithoutAgentPool) != 1 || fmt.Sprint(r.WithoutAgentPool[0]) != fmt.Sprint(want) {
		t.Errorf("the plan lists %+v", r.WithoutAgentPool)
	}
	s := step(r, "ada@example.test")
	if s.Writes() || len(s.Changes) > 0 || !slices.ContainsFunc(s.Roles, func(g preview.Grant) bool { return g.Name == manager && slices.Equal(g.From, []string{"leads"}) }) ||
		!slices.Contains(s.Pools, preview.Membership{Name: "leads", Source: string(v1alpha1.PoolSourceOwnerGone)}) {
		t.Errorf("the plan says %+v", s)
	}

	t.Log("an AgentPool of that name rules it again")
	again := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, "leads"), Spec: v1alpha1.AgentPoolSpec{DisplayName: "Engineering leads", Groups: names("leads"), Roles: []v1alpha1.Role{manager}}}
	w.create(again)
	w.says(again, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.provisioned(ada, user, manager)
	if again.Status.Pool != id {
		t.Errorf("it is pool %s, not %s", again.Status.Pool, id)
	}
}

func TestAPoolWhoseAgentPoolIsGoneIsReleasedThroughTheGuard(t *testing.T) {
	w := newWorld(t, noBudget)
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}})
	ada := w.push("ada@example.test", in("leads"))
	w.provisioned(ada, user, manager)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	id := leads.Status.Pool
	w.ownerGone(leads)
	w.says(ada, v1alpha1.ConditionRolesInherited, v1alpha1.ReasonPoolOwnerGone)

	t.Log("the release does not fit the budget: it is held")
	w.nextSecond()
	w.annotate(w.identity(), v1alpha1.AnnotationReleaseOwnerGone, w.now())
	w.poolShows("leads", portalapi.RemovalDeletion)
	w.hasRoles("ada@example.test", user, manager)
	mark := w.poolMark("leads")
	if r := w.preview(false); len(r.WithoutAgentPool) != 1 || r.WithoutAgentPool[0].Held != mark.Decision {
		t.Errorf("the plan lists %+v, the mark is %+v", r.WithoutAgentPool, mark)
	}
	t.Log("its id releases it")
	w.annotate(w.identity(), v1alpha1.AnnotationRelease, mark.Decision)
	w.isReleased(id)
	w.provisioned(ada, user)
}

// The deletion of the AgentPool was held, and a person removed its finalizer: what was held is not
// forgotten with the object.
func TestAHeldDeletionOutlivesItsAgentPool(t *testing.T) {
	w := newWorld(t, noBudget)
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}})
	ada := w.push("ada@example.test", in("leads"))
	w.provisioned(ada, user, manager)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.erase(leads)
	held := w.decision(leads)
	w.ownerGone(leads)
	w.says(ada, v1alpha1.ConditionRolesInherited, v1alpha1.ReasonPoolOwnerGone)
	w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		many := int32(100)
		s.DeprovisioningGuard.MinUsers = &many
	})
	w.nextSecond()
	w.annotate(w.identity(), v1alpha1.AnnotationReleaseOwnerGone, w.now())
	w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.OnDelete = v1alpha1.UserDelete })
	w.hasRoles("ada@example.test", user, manager)
	if mark := w.poolMark("leads"); mark.Held() != portalapi.RemovalDeletion || mark.Decision != held {
		t.Errorf("the mark is %+v, it was %s", mark, held)
	}
	w.annotate(w.identity(), v1alpha1.AnnotationRelease, held)
	w.provisioned(ada, user)
}

func TestAPoolWhoseAgentPoolIsGoneIsReleasedWithinTheBudget(t *testing.T) {
	w := newWorld(t, wideGuard)
	fast := w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test", in("fast"))
	w.provisioned(ada, user, quota)
	w.says(fast, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.ownerGone(fast)
	w.says(ada, v1alpha1.ConditionRolesInherited, v1alpha1.ReasonPoolOwnerGone)
	w.nextSecond()
	w.annotate(w.identity(), v1alpha1.AnnotationReleaseOwnerGone, w.now())
	w.isReleased(fast.Status.Pool)
	w.provisioned(ada, user)
}

// TestAdoptedPoolGainsRolesWhenItsFormerMembersHaveLeft: a pool that is applied again with other
// members and ROLE_MANAGER takes the portal's record over with its members. They never become
// managers, also while the guard holds their leaving.
func TestAdoptedPoolGainsRolesWhenItsFormerMembersHaveLeft(t *testing.T) {
	w := newWorld(t)
	var all []*v1alpha1.ScimUser
	var members []v1alpha1.PoolMember
	for i := range 8 {
		name := fmt.Sprintf("former%d@example.test", i)
		all, members = append(all, w.push(name)), append(members, v1alpha1.PoolMember{UserName: name})
	}
	former := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}, Members: members})
	for _, u := range all {
		w.provisioned(u, quota, user)
	}
	chosen := w.push("chosen@example.test")
	w.provisioned(chosen, user)
	w.ownerGone(former)
	again := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: []v1alpha1.PoolMember{{UserName: "chosen@example.test"}}})
	w.says(again, v1alpha1.ConditionReady, v1alpha1.ReasonGuardHeld)
	for _, u := range all {
		if a := w.account(u.Spec.UserName); slices.Contains(a.Roles, manager) {
			t.Errorf("%s has %v", u.Spec.UserName, a.Roles)
		}
	}
	w.annotate(again, v1alpha1.AnnotationRelease, w.decision(again))
	w.provisioned(chosen, manager, user)
	for _, u := range all {
		w.provisioned(u, user)
	}
}

// TestOrphans: an AgentPool and a user are deleted with onDelete: Orphan. What they leave in the
// portal keeps its roles, and the status and the audit say so.
func TestOrphans(t *testing.T) {
	w := newWorld(t, wideGuard, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.OnDelete = v1alpha1.UserOrphan }))
	spec := v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Groups: names("Engineers"), OnDelete: v1alpha1.PoolOrphan}
	leads := w.pool("leads", spec)
	ops := w.pool("ops", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: listed("bob@example.test", "eve@example.test")})
	ada, bob, eve := w.push("ada@example.test"), w.push("bob@example.test"), w.push("eve@example.test")
	engineers := w.group("Engineers", ada)
	w.provisioned(ada, user, manager)
	w.provisioned(bob, user, manager)
	w.provisioned(eve, user, manager)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)

	t.Log("the pool belongs to no AgentPool any more")
	w.erase(leads)
	w.gone(leads)
	w.says(ada, v1alpha1.ConditionRolesInherited, v1alpha1.ReasonPoolWithoutOwner)
	w.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.leave(engineers, ada)
	w.isOnlyIn("ada@example.test", "leads")
	w.says(ada, v1alpha1.ConditionRolesInherited, v1alpha1.ReasonPoolWithoutOwner)
	in := v1alpha1.PoolMembership{Name: "leads", Source: v1alpha1.PoolSourceWithoutOwner}
	if !slices.Contains(ada.Status.Pools, in) || strings.Contains(ada.Status.PoolNames, "leads") {
		t.Errorf("the status has the pools %+v, in one line %q", ada.Status.Pools, ada.Status.PoolNames)
	}
	r := w.preview(false)
	if len(r.WithoutOwner) != 1 || r.WithoutOwner[0].Name != "leads" || !slices.Equal(r.WithoutOwner[0].UserNames, []string{"ada@example.test"}) {
		t.Errorf("the audit lists %+v", r.WithoutOwner)
	}
	if s := step(r, "ada@example.test"); s.Writes() || !slices.Contains(s.Pools, preview.Membership{Name: "leads", Source: string(v1alpha1.PoolSourceWithoutOwner)}) {
		t.Errorf("the plan says %+v", s)
	}

	t.Log("the account is local, and stays in the pool of the AgentPool")
	w.remove(bob)
	w.gone(bob)
	w.eventually("the account is local", func() error {
		if a := w.account("bob@example.test"); a.ManagedBy != portalapi.ManagedByLocal || !slices.Contains(a.Roles, manager) {
			return fmt.Errorf("the account is %+v", a)
		}
		return nil
	})
	local := w.preview(false).LocalMembers
	if len(local) != 1 || local[0].UserName != "bob@example.test" || !slices.Equal(local[0].AgentPools, []string{"ops"}) || !slices.Equal(local[0].Roles, []string{manager}) {
		t.Errorf("the audit lists %+v", local)
	}
	w.must(w.client.Get(t.Context(), keyOf(ops), ops))
	if all := w.portalPool(ops.Status.Pool).Members; all != 1+len(local) {
		t.Errorf("the pool has 1 user, the audit %d local accounts, and the portal %d members", len(local), all)
	}
}
