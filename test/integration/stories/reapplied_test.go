// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"fmt"
	"strings"
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// TestReappliedPoolMeansTheSame: an AgentPool with ROLE_MANAGER is deleted and the same manifest is
// applied again, as kubectl replace --force does. Meanwhile another group and another user have
// taken the names of its lines. They get the role only by a person's decision.
func TestReappliedPoolMeansTheSame(t *testing.T) {
	w := newWorld(t, wideGuard)
	spec := v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Groups: names("Leads"), Members: listed("bob@example.test")}
	leads := w.pool("managers", spec)
	ada, bob, eve := w.push("ada@example.test"), w.push("bob@example.test"), w.push("eve@example.test")
	first := w.group("Leads", ada)
	w.provisioned(ada, user, manager)
	w.provisioned(bob, user, manager)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.changeGroup(first, func(s *v1alpha1.ScimGroupSpec) { s.DisplayName = "Former leads" })
	w.eventually("the name of the group is free", func() error { return w.nameFree(v1alpha1.ClaimGroup, "Leads") })
	second := w.group("Leads", eve)
	w.rename(bob, "robert@example.test")
	w.provisioned(bob, user, manager)
	w.eventually("the name of the user is free", func() error { return w.nameFree(v1alpha1.ClaimUser, "bob@example.test") })
	w.rename(eve, "bob@example.test")
	w.provisioned(eve, user)

	erase := func() {
		t.Helper()
		w.erase(leads)
		w.gone(leads)
		w.provisioned(ada, user)
	}
	apply := func() {
		leads = &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, "managers"), Spec: *spec.DeepCopy()}
		w.create(leads)
	}
	t.Log("the lines mean the same group and user as before, and no decision is needed")
	erase()
	apply()
	w.provisioned(ada, user, manager)
	w.provisioned(bob, user, manager)
	w.says(leads, v1alpha1.ConditionGroupsResolved, v1alpha1.ReasonGroupRenamed)
	w.says(leads, v1alpha1.ConditionMembersResolved, v1alpha1.ReasonMemberRenamed)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.provisioned(eve, user)
	w.means(leads, first.Name, bob.Name)

	t.Log("they are gone when it is applied again, also after a restart of the manager: the others wait for a decision")
	erase()
	w.remove(first)
	w.gone(first)
	w.remove(bob)
	w.gone(bob)
	w.stop()
	w.startManager()
	apply()
	w.says(leads, v1alpha1.ConditionGroupsResolved, v1alpha1.ReasonGroupChanged)
	w.says(leads, v1alpha1.ConditionMembersResolved, v1alpha1.ReasonMemberChanged)
	w.waiting(leads)
	w.means(leads, first.Name, bob.Name)
	w.provisioned(eve, user)
	if s := step(w.preview(false), "bob@example.test"); strings.Contains(fmt.Sprint(s.Roles), manager) {
		t.Errorf("the plan makes the other user a manager: %+v", s)
	}
	for _, e := range w.audit(w.account("bob@example.test").ID) {
		if strings.Contains(fmt.Sprint(e.Changes), manager) {
			t.Errorf("the other user was a manager meanwhile: %+v", e)
		}
	}
	w.annotate(leads, v1alpha1.AnnotationAcceptGroups, second.Name)
	w.annotate(leads, v1alpha1.AnnotationAcceptMembers, eve.Name)
	w.provisioned(eve, user, manager)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)

	t.Log("the accepted ones are kept in the same way")
	w.erase(leads)
	w.gone(leads)
	w.provisioned(eve, user)
	apply()
	w.provisioned(eve, user, manager)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.means(leads, second.Name, eve.Name)
}
