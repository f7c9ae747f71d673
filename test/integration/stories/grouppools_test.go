// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"slices"
	"testing"
	"time"

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

// TestTakeOverTakesNoManagerRole: the loss of ROLE_MANAGER is held at a group's own pool. Then a
// declared pool without the role names the group. It does not take over the record, so the loss
// stays held.
func TestTakeOverTakesNoManagerRole(t *testing.T) {
	w := newWorld(t, noBudget)
	ada := w.push("ada@example.test")
	own := w.ownPool(w.group("Payments", ada))
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.changePool(own, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{manager} })
	w.provisioned(ada, user, manager)
	w.changePool(own, func(s *v1alpha1.AgentPoolSpec) { s.Roles = nil })
	w.says(own, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
	p := w.pool("declared", v1alpha1.AgentPoolSpec{Groups: names("Payments")})
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if p.Status.Pool == own.Status.Pool {
		t.Errorf("the declared pool has the record of the own pool")
	}
	both := []string{own.Name, "declared"} // the own pool's name is a part of the held change
	slices.Sort(both)
	w.isOnlyIn("ada@example.test", both...)
	w.says(own, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
	w.hasRoles("ada@example.test", user, manager)
}

// TestTemporaryOwnPoolIsDeleted: while the declared pool is missing, its group gets an own pool.
// When the declared pool is applied again, the own pool is deleted even if the guard allows no
// removals, because no user loses anything.
func TestTemporaryOwnPoolIsDeleted(t *testing.T) {
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
			on:     func(w *world) { w.create(w.withoutBudget(w.configuration())) }, suspended: v1alpha1.ReasonNoConfiguration,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(tc.reason)
			w := newWorld(t, noBudget)
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
	w := newWorld(t, noBudget)
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

// withoutBudget makes the guard of the configuration hold every removal.
func (w *world) withoutBudget(c *v1alpha1.IdentityConfiguration) *v1alpha1.IdentityConfiguration {
	zero := int32(0)
	c.Spec.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &zero, MaxPercent: &zero}
	return c
}

// watchMemberships polls the number of a user's pools in the background. end stops it and returns
// the lowest number seen.
func (w *world) watchMemberships(userName string) (end func() int) {
	w.t.Helper()
	least := len(w.account(userName).PoolRefs)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-w.t.Context().Done(): // the test failed before it called end
				return
			case <-time.After(time.Millisecond):
			}
			if a := w.account(userName); a != nil {
				least = min(least, len(a.PoolRefs))
			}
		}
	}()
	return func() int {
		close(stop)
		<-stopped
		return least
	}
}
