// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func TestOwnPool(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	g := w.group("Payments", ada)
	t.Log("a group that no pool names gets a pool without roles and with its name")
	w.isOnlyIn("ada@example.test", "Payments")
	w.provisioned(ada, user)
	w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	own := w.ownPool(g)
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	id := own.Status.Pool
	t.Log("the provider renames the group, and the pool is renamed")
	w.changeGroup(g, func(s *v1alpha1.ScimGroupSpec) { s.DisplayName = "Billing" })
	w.isOnlyIn("ada@example.test", "Billing")
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if own.Status.Pool != id {
		t.Error("the pool must stay the same")
	}
	w.eventually("the old name is free", func() error { return w.poolNameFree("Payments") })
	t.Log("its AgentPool is created again after a deletion")
	w.erase(own)
	w.eventually("the AgentPool exists again", func() error {
		w.must(client.IgnoreNotFound(w.client.Get(t.Context(), client.ObjectKeyFromObject(own), own)))
		if own.Status.Pool == id || own.Status.Pool == "" {
			return errors.New("not yet")
		}
		return nil
	})
	w.isOnlyIn("ada@example.test", "Billing")
	t.Log("the provider deletes the group, and all its objects are deleted")
	w.remove(g)
	w.gone(g)
	w.gone(own)
	w.isOnlyIn("ada@example.test")
	var left v1alpha1.ScimGroupSliceList
	w.must(w.client.List(t.Context(), &left, client.InNamespace(w.namespace)))
	if len(left.Items) != 0 {
		t.Errorf("%d slices remain", len(left.Items))
	}
}

func TestDeclaredPoolTakesOverOwnPool(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	g := w.group("Payments", ada)
	own := w.ownPool(g)
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.isOnlyIn("ada@example.test", "Payments")
	id := own.Status.Pool
	seen := w.watchMemberships("ada@example.test")
	p := w.pool("payments", v1alpha1.AgentPoolSpec{DisplayName: "Payments", Groups: names("payments"), Roles: []v1alpha1.Role{manager}})
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.provisioned(ada, user, manager)
	w.gone(own)
	if p.Status.Pool != id {
		t.Errorf("the portal's pool must stay the same, or its agents are lost")
	}
	if n := seen(); n < 2 {
		t.Errorf("ada was in %d pools meanwhile", n)
	}
	t.Log("deleting the AgentPool removes the pool and its grants; applying it again restores both")
	w.remove(p)
	w.gone(p)
	w.provisioned(ada, user)
	again := w.pool("payments", v1alpha1.AgentPoolSpec{DisplayName: "Payments", Groups: names("payments"), Roles: []v1alpha1.Role{manager}})
	w.says(again, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.provisioned(ada, user, manager)
}

// TestOwnPoolOfAMomentGoes: a pool of its own that a group got in a moment without its declared
// pool goes when that pool returns, although the guard allows no removal: no user loses anything.
func TestOwnPoolOfAMomentGoes(t *testing.T) {
	for name, tc := range map[string]struct {
		reason    string
		off, on   func(*world)
		suspended string // the reason that the pool says while nothing is written
	}{
		"SCIMOff": {
			reason: "The declared pool is deleted while SCIM is off.",
			off:    func(w *world) { w.changeLogin(func(m *portalapi.LoginMethods) { m.SCIMEnabled = false }) },
			on:     func(w *world) { w.changeLogin(func(m *portalapi.LoginMethods) { m.SCIMEnabled = true }) }, suspended: v1alpha1.ReasonSCIMOff,
		},
		"NoConfiguration": {
			reason: "The declared pool and the configuration are deleted, and the configuration returns first.",
			off:    func(w *world) { w.erase(w.identity()) },
			on:     func(w *world) { w.create(w.noBudget(w.configuration())) }, suspended: v1alpha1.ReasonNoConfiguration,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(tc.reason)
			w := newWorld(t, func(w *world, c *v1alpha1.IdentityConfiguration, _ *portalapi.LoginMethods) { w.noBudget(c) })
			ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
			own := w.ownPool(w.group("Payments", ada, bob))
			spec := v1alpha1.AgentPoolSpec{Groups: names("Payments"), Roles: []v1alpha1.Role{manager}}
			before := w.pool("leads", spec)
			w.says(before, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			w.provisioned(ada, user, manager)
			w.gone(own)
			id := before.Status.Pool
			tc.off(w)
			w.says(before, v1alpha1.ConditionReady, tc.suspended)
			w.remove(before)
			w.gone(before)
			tc.on(w)
			w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			w.isOnlyIn("ada@example.test", "Payments", "leads")
			w.isOnlyIn("bob@example.test", "Payments", "leads")
			again := w.pool("leads", spec)
			w.says(again, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			w.gone(own)
			for _, u := range []*v1alpha1.ScimUser{ada, bob} {
				w.isOnlyIn(u.Spec.UserName, "leads")
				w.provisioned(u, user, manager)
				w.says(u, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			}
			if again.Status.Pool != id {
				t.Error("the portal's pool must stay the same")
			}
		})
	}
}

// TestAdoptedPoolReplacesOwnPool: the members of a group's own pool join the portal's pool that a
// declared pool adopts, and then the own pool goes, although the guard allows no removal.
func TestAdoptedPoolReplacesOwnPool(t *testing.T) {
	w := newWorld(t, func(w *world, c *v1alpha1.IdentityConfiguration, _ *portalapi.LoginMethods) { w.noBudget(c) })
	portals, err := w.store.CreatePool(t.Context(), admin, newPool("Ops", quota))
	w.must(err)
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	own := w.ownPool(w.group("Payments", ada, bob))
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.isOnlyIn("ada@example.test", "Payments")
	w.isOnlyIn("bob@example.test", "Payments")
	seen := w.watchMemberships("ada@example.test")
	ops := w.pool("ops", v1alpha1.AgentPoolSpec{DisplayName: "Ops", Adopt: portals.ID, Groups: names("Payments"), Roles: []v1alpha1.Role{quota}})
	w.gone(own)
	w.isOnlyIn("ada@example.test", "Ops")
	w.isOnlyIn("bob@example.test", "Ops")
	w.says(ops, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if n := seen(); n < 2 {
		t.Errorf("ada was in %d pools meanwhile", n)
	}
}

// noBudget lets no removal pass.
func (w *world) noBudget(c *v1alpha1.IdentityConfiguration) *v1alpha1.IdentityConfiguration {
	zero := int32(0)
	c.Spec.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &zero, MaxPercent: &zero}
	return c
}

// watchMemberships records a user's pools until its result is called, which returns the smallest
// number of them.
func (w *world) watchMemberships(userName string) (end func() int) {
	stop, fewest := make(chan struct{}), make(chan int)
	go func() {
		least := len(w.account(userName).PoolRefs)
		for {
			select {
			case <-stop:
				fewest <- least
				return
			default:
				least = min(least, len(w.account(userName).PoolRefs))
			}
		}
	}()
	return func() int {
		close(stop)
		return <-fewest
	}
}
