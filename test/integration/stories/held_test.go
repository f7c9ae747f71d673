// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// staysHeld pushes a new display name and waits until the pass over that change says that the
// removal is held.
func (w *world) staysHeld(when string, people ...*v1alpha1.ScimUser) {
	w.t.Helper()
	for _, u := range people {
		w.change(u, func(s *v1alpha1.ScimUserSpec) { s.DisplayName = when })
	}
	for _, u := range people {
		w.eventually(u.Spec.UserName+" is held "+when, func() error {
			w.must(w.client.Get(w.t.Context(), keyOf(u), u))
			c := conditions.Find(u.Status.Conditions, v1alpha1.ConditionDeprovisioningHeld)
			if u.Status.ObservedGeneration != u.Generation || c == nil || c.ObservedGeneration != u.Generation {
				return errors.New(describe(u.Status.Conditions))
			}
			return nil
		})
		if a := w.account(u.Spec.UserName); a.Status != portalapi.StatusActive || a.Mark.Held() != portalapi.RemovalDeactivation {
			w.t.Errorf("%s, %s: the account is %s, held %q", u.Spec.UserName, when, a.Status, a.Mark.Held())
		}
	}
}

func TestHeldUntilDecidedOrTakenBack(t *testing.T) {
	const people, leave, budget = 35, 12, 7
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		s.DeprovisioningGuard.Window = &metav1.Duration{Duration: time.Minute}
	}))
	var all []*v1alpha1.ScimUser
	for i := range people {
		all = append(all, w.push(fmt.Sprintf("p%d@example.test", i)))
	}
	for _, u := range all {
		w.provisioned(u, user)
	}
	for _, u := range all[:leave] {
		w.change(u, inactive)
	}
	var held []*v1alpha1.ScimUser
	w.eventually("the budget is used and the rest is held", func() error {
		held = nil
		left := 0
		for _, u := range all[:leave] {
			w.must(w.client.Get(t.Context(), keyOf(u), u))
			if conditions.IsTrue(u.Status.Conditions, v1alpha1.ConditionDeprovisioningHeld) {
				held = append(held, u)
			}
			if w.account(u.Spec.UserName).Status == portalapi.StatusDeactivated {
				left++
			}
		}
		if left != budget || len(held) != leave-budget {
			return fmt.Errorf("%d passed, %d are held", left, len(held))
		}
		return nil
	})
	t.Log("ten windows later, with the whole budget free, they are still held; other pushes of the provider do not release them")
	w.passes(10 * time.Minute)
	w.staysHeld("after ten minutes", held...)
	t.Log("they are held after a restart of the manager")
	w.stop()
	w.startManager()
	w.staysHeld("after a restart", held...)
	t.Log("a larger budget applies to later removals only")
	w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		n := int32(1000)
		s.DeprovisioningGuard.MinUsers = &n
	})
	w.staysHeld("with a larger budget", held...)
	t.Log("the plan says the same")
	r := w.preview(false)
	if r.Guard.Removals != len(held) || r.Guard.Held != len(held) || r.Guard.Left < len(held) {
		t.Errorf("the plan's guard says %+v", r.Guard)
	}
	for _, u := range held {
		if s := step(r, u.Spec.UserName); s.Reason != v1alpha1.ReasonGuardHeld || s.Writes() {
			t.Errorf("the plan's step is %+v", s)
		}
	}
	t.Log("the provider takes one back: the mark is cleared, and the next removal is judged by the budget")
	w.change(held[0], active)
	w.provisioned(held[0], user)
	w.shows(held[0].Spec.UserName, "")
	w.change(held[0], inactive)
	w.is(held[0].Spec.UserName, portalapi.StatusDeactivated)
	t.Log("one is released and carried out; one is dropped")
	w.annotate(held[1], v1alpha1.AnnotationRelease, w.decision(held[1]))
	w.is(held[1].Spec.UserName, portalapi.StatusDeactivated)
	w.annotate(held[2], v1alpha1.AnnotationDrop, w.decision(held[2]))
	w.says(held[2], v1alpha1.ConditionReady, v1alpha1.ReasonRemovalDropped)
	t.Log("deleting the user does not avoid the guard")
	w.remove(held[3])
	w.says(held[3], v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
	w.staysHeld("at the end", held[4])
	w.is(held[3].Spec.UserName, portalapi.StatusActive)
}

func TestHeldPoolAndAdoptionStayHeld(t *testing.T) {
	one, zero := int32(1), int32(0)
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		s.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &one, MaxPercent: &zero, Window: &metav1.Duration{Duration: time.Minute}}
	}))
	portals, err := w.store.CreatePool(t.Context(), admin, newPool("ops", manager))
	w.must(err)
	for i := range 2 {
		w.local(fmt.Sprintf("ops%d@example.test", i), store.NewAccount{Pools: []string{portals.ID}})
	}
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}})
	ada, bob := w.push("ada@example.test", in("leads")), w.push("bob@example.test", in("leads"))
	w.provisioned(ada, user, manager)
	w.provisioned(bob, user, manager)
	w.local("carl@example.test", store.NewAccount{DirectRoles: []string{manager}})
	w.changePool(leads, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{quota} })
	w.says(leads, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
	t.Log("a pool whose adoption would take the role from its members is adopted unchanged")
	ops := w.pool("ops", v1alpha1.AgentPoolSpec{Adopt: portals.ID, Roles: []v1alpha1.Role{quota}})
	w.says(ops, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
	w.poolShows("ops", portalapi.RemovalManager)
	t.Log("one removal uses the budget, so an adoption that takes the manager role is held")
	gone := w.push("gone@example.test")
	w.provisioned(gone, user)
	w.change(gone, inactive)
	w.is("gone@example.test", portalapi.StatusDeactivated)
	w.changeLogin(func(m *portalapi.LoginMethods) { m.ProvisionExistingUsers = true })
	carl := w.push("carl@example.test")
	w.says(carl, v1alpha1.ConditionReady, v1alpha1.ReasonGuardHeld)
	w.shows("carl@example.test", portalapi.RemovalManager)

	w.passes(10 * time.Minute)
	w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		n := int32(1000)
		s.DeprovisioningGuard.MinUsers = &n
	})
	w.stop()
	w.startManager()
	w.changePool(leads, func(s *v1alpha1.AgentPoolSpec) { s.Description = "changed" })
	w.change(carl, func(s *v1alpha1.ScimUserSpec) { s.DisplayName = "Carl" })
	w.changePool(ops, func(s *v1alpha1.AgentPoolSpec) { s.Description = "changed" })
	for _, o := range []client.Object{leads, ops, carl} {
		w.eventually(o.GetName()+" is held in the next window", func() error {
			w.must(w.client.Get(t.Context(), keyOf(o), o))
			c := conditions.Find(conditionsOf(o), v1alpha1.ConditionDeprovisioningHeld)
			if c == nil || c.ObservedGeneration != o.GetGeneration() {
				return errors.New(describe(conditionsOf(o)))
			}
			return nil
		})
	}
	if a := w.account("carl@example.test"); a.ManagedBy != portalapi.ManagedByLocal || !slices.Contains(a.Roles, manager) {
		t.Errorf("carl was adopted: %+v", a)
	}
	for _, name := range []string{"ada", "ops0", "ops1"} {
		if !w.account(name + "@example.test").IsManager() {
			t.Errorf("%s lost the role", name)
		}
	}
	t.Log("the provider deletes the user: the mark is cleared")
	w.remove(carl)
	w.gone(carl)
	w.shows("carl@example.test", "")
}

// decision waits for a held removal of o and returns its id.
func (w *world) decision(o client.Object) string {
	w.t.Helper()
	var held *v1alpha1.HeldRemoval
	w.eventually(o.GetName()+" has a held removal", func() error {
		w.must(w.client.Get(w.t.Context(), keyOf(o), o))
		switch o := o.(type) {
		case *v1alpha1.ScimUser:
			held = o.Status.Held
		case *v1alpha1.AgentPool:
			held = o.Status.Held
		}
		if held == nil {
			return errors.New(describe(conditionsOf(o)))
		}
		return nil
	})
	return held.Decision
}
