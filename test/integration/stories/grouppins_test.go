// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

func TestReferenceMeansOneGroup(t *testing.T) {
	w := newWorld(t, wideGuard)
	leads := w.pool("managers", v1alpha1.AgentPoolSpec{Groups: names("Leads"), Roles: []v1alpha1.Role{manager}})
	ada, eve := w.push("ada@example.test"), w.push("eve@example.test")
	first := w.group("Leads", ada)
	w.provisioned(ada, user, manager)
	t.Log("a rename keeps the membership, and another group that gets the name fills no pool")
	w.changeGroup(first, func(s *v1alpha1.ScimGroupSpec) { s.DisplayName = "Former leads" })
	w.says(leads, v1alpha1.ConditionGroupsResolved, v1alpha1.ReasonGroupRenamed)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.eventually("the old name is free", func() error { return w.nameFree(v1alpha1.ClaimGroup, "Leads") })
	second := w.group("Leads", eve)
	w.isOnlyIn("eve@example.test", "Leads")
	w.provisioned(eve, user)
	w.provisioned(ada, user, manager)
	t.Log("a person changes only the spelling of the line: it is the same line and means the same group")
	w.changePool(leads, func(s *v1alpha1.AgentPoolSpec) { s.Groups = names("LEADS") })
	w.eventually("the pin has the new spelling", func() error {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(leads), leads))
		if pins := leads.Status.Groups; len(pins) != 1 || pins[0].DisplayName != "LEADS" || pins[0].Group != first.Name {
			return fmt.Errorf("the pins are %v", pins)
		}
		return nil
	})
	w.says(leads, v1alpha1.ConditionGroupsResolved, v1alpha1.ReasonGroupRenamed)
	w.provisioned(eve, user)
	w.provisioned(ada, user, manager)
	t.Log("the provider deletes the group, and its members leave; in a pool of managers another group of the name needs a decision")
	w.remove(first)
	w.gone(first)
	w.provisioned(ada, user)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonGroupChanged)
	w.waiting(leads)
	w.provisioned(eve, user)
	w.annotate(leads, v1alpha1.AnnotationAcceptGroups, second.Name)
	w.provisioned(eve, user, manager)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.gone(w.ownPool(second))
}

func TestPoolWithoutManagersTakesNextGroup(t *testing.T) {
	w := newWorld(t)
	fast := w.pool("fast", v1alpha1.AgentPoolSpec{Groups: names("Fast"), Roles: []v1alpha1.Role{quota}})
	ada, eve := w.push("ada@example.test"), w.push("eve@example.test")
	first := w.group("Fast", ada)
	w.provisioned(ada, user, quota)
	w.remove(first)
	w.gone(first)
	w.provisioned(ada, user)
	w.says(fast, v1alpha1.ConditionReady, v1alpha1.ReasonGroupNotFound)
	w.group("fast", eve)
	w.provisioned(eve, user, quota)
	w.says(fast, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
}

// TestPoolWithoutStatusIsFilledByItsGroup: the portal remembers which group a reference means, for
// an AgentPool that lost its status.
func TestPoolWithoutStatusIsFilledByItsGroup(t *testing.T) {
	spec := v1alpha1.AgentPoolSpec{Groups: names("SRE"), Roles: []v1alpha1.Role{quota}}
	for name, tc := range map[string]struct {
		reason string
		lose   func(*world, *v1alpha1.AgentPool)
	}{
		"Restored": {"The AgentPool is deleted without its finalizer and restored from an export.", func(w *world, p *v1alpha1.AgentPool) {
			w.stop()
			before := p.DeepCopy()
			p.Finalizers = nil
			w.must(w.client.Patch(w.t.Context(), p, client.MergeFrom(before)))
			w.erase(p)
			w.gone(p)
			w.create(&v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, p.Name), Spec: spec})
			w.startManager()
		}},
		"Reapplied": {"The AgentPool is deleted and applied again while the manager only reports.", func(w *world, p *v1alpha1.AgentPool) {
			w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.ManagementPolicy = v1alpha1.PolicyReportOnly })
			w.says(w.identity(), v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			w.erase(p)
			w.gone(p)
			w.create(&v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, p.Name), Spec: spec})
			w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.ManagementPolicy = v1alpha1.PolicyEnforce })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, wideGuard)
			p := w.pool("operators", spec)
			ada, eve := w.push("ada@example.test"), w.push("eve@example.test")
			first := w.group("SRE", ada)
			w.provisioned(ada, user, quota)
			w.changeGroup(first, func(s *v1alpha1.ScimGroupSpec) { s.DisplayName = "Former SRE" })
			w.eventually("the old name is free", func() error { return w.nameFree(v1alpha1.ClaimGroup, "SRE") })
			w.group("SRE", eve)
			w.isOnlyIn("eve@example.test", "SRE")
			w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			tc.lose(w, p)
			w.says(p, v1alpha1.ConditionGroupsResolved, v1alpha1.ReasonGroupRenamed)
			w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			w.isOnlyIn("eve@example.test", "SRE")
			w.provisioned(eve, user)
			w.provisioned(ada, user, quota)
			w.leave(first, ada)
			w.provisioned(ada, user)
		})
	}
}

// TestAnImpostorNeverMakesManagers: the AgentPool is deleted and applied again while there is no
// configuration. Its first pass, without a portal, must not count as one that has resolved the
// lines.
func TestAnImpostorNeverMakesManagers(t *testing.T) {
	w := newWorld(t, wideGuard)
	spec := v1alpha1.AgentPoolSpec{Groups: names("SRE"), Roles: []v1alpha1.Role{manager}}
	p := w.pool("operators", spec)
	ada, eve := w.push("ada@example.test"), w.push("eve@example.test")
	first := w.group("SRE", ada)
	w.provisioned(ada, user, manager)
	w.changeGroup(first, func(s *v1alpha1.ScimGroupSpec) { s.DisplayName = "Former SRE" })
	w.eventually("the former name is free", func() error { return w.nameFree(v1alpha1.ClaimGroup, "SRE") })
	w.group("SRE", eve)
	w.isOnlyIn("eve@example.test", "SRE")
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	record := p.Status.Pool

	c := w.identity()
	w.must(w.client.Get(t.Context(), keyOf(c), c))
	w.erase(c)
	w.gone(c)
	w.says(eve, v1alpha1.ConditionReady, v1alpha1.ReasonNoConfiguration)
	w.erase(p)
	w.gone(p)
	again := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, "operators"), Spec: spec}
	w.create(again)
	w.says(again, v1alpha1.ConditionReady, v1alpha1.ReasonNoConfiguration)
	config := w.configuration()
	config.Spec = c.Spec
	w.create(config)
	w.says(again, v1alpha1.ConditionGroupsResolved, v1alpha1.ReasonGroupRenamed)
	w.says(again, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if again.Status.Pool != record {
		t.Errorf("it is pool %s, not %s", again.Status.Pool, record)
	}
	w.provisioned(ada, user, manager)
	w.provisioned(eve, user)
	w.isOnlyIn("eve@example.test", "SRE")
	for _, e := range w.audit(w.account("eve@example.test").ID) {
		if strings.Contains(fmt.Sprint(e.Changes), manager) {
			t.Errorf("the impostor's member was a manager meanwhile: %+v", e)
		}
	}
}
