// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// nameFree returns nil if no object has the claim on the name.
func (w *world) nameFree(typ v1alpha1.ClaimType, name string) error {
	var c v1alpha1.NameClaim
	key := client.ObjectKey{Namespace: w.namespace, Name: claims.ObjectName(typ, name)}
	if err := w.client.Get(w.t.Context(), key, &c); err != nil {
		return client.IgnoreNotFound(err)
	}
	return fmt.Errorf("%s has the holder %s", name, c.Spec.Holder.Name)
}

func (w *world) poolNameFree(name string) error { return w.nameFree(v1alpha1.ClaimPool, name) }

// ownPool returns a group's own pool.
func (w *world) ownPool(g *v1alpha1.ScimGroup) *v1alpha1.AgentPool {
	return &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, g.Name)}
}

// names returns a pool's group references by displayName.
func names(groups ...string) []v1alpha1.GroupReference {
	var out []v1alpha1.GroupReference
	for _, g := range groups {
		out = append(out, v1alpha1.GroupReference{DisplayName: g})
	}
	return out
}

// isOnlyIn waits until the user's account is in exactly these pools of the portal and the default
// pool.
func (w *world) isOnlyIn(userName string, pools ...string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%s is in %v", userName, pools), func() error {
		a := w.account(userName)
		if a == nil {
			return errors.New("there is no account")
		}
		var got []string
		for _, p := range a.PoolRefs {
			if p.Name != w.defaultPool().Name {
				got = append(got, p.Name)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, pools) {
			return fmt.Errorf("the portal has %v", got)
		}
		return nil
	})
}

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
			reason: "The pool was deleted while SCIM was off.",
			off:    func(w *world) { w.changeLogin(func(m *portalapi.LoginMethods) { m.SCIMEnabled = false }) },
			on:     func(w *world) { w.changeLogin(func(m *portalapi.LoginMethods) { m.SCIMEnabled = true }) }, suspended: v1alpha1.ReasonSCIMOff,
		},
		"NoConfiguration": {
			reason: "The pool and the configuration were deleted, and the configuration returns first.",
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

func TestGroupsAndPoolsManyToMany(t *testing.T) {
	w := newWorld(t)
	fast := w.pool("fast", v1alpha1.AgentPoolSpec{Groups: names("Payments", "Sales"), Roles: []v1alpha1.Role{quota}})
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Groups: names("Payments"), Roles: []v1alpha1.Role{manager}})
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonGroupNotFound)
	w.waiting(leads)
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	payments, sales := w.group("Payments", ada), w.group("Sales", bob, ada)
	w.provisioned(ada, user, quota, manager)
	w.provisioned(bob, user, quota)
	for _, p := range []*v1alpha1.AgentPool{fast, leads} {
		w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	}
	w.says(payments, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.eventually("the group says which pools it fills", func() error {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(payments), payments))
		if payments.Status.PoolNames != "fast,leads" || payments.Status.MemberCount != 1 {
			return fmt.Errorf("%+v", payments.Status)
		}
		return nil
	})
	t.Log("a user in one of a pool's two groups stays in the pool")
	w.leave(payments, ada)
	w.provisioned(ada, user, quota)
	w.leave(sales, ada)
	w.provisioned(ada, user)
	w.provisioned(bob, user, quota)
}

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

// Another pool with the same name has none of the old members: memberships belong to the group.
func TestReusedPoolNameHasNoMembers(t *testing.T) {
	w := newWorld(t)
	prod := w.pool("prod", v1alpha1.AgentPoolSpec{Groups: names("Operators"), Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test")
	g := w.group("Operators", ada)
	w.provisioned(ada, user, quota)
	w.remove(prod)
	w.gone(prod)
	w.provisioned(ada, user)
	other := w.pool("prod", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: []v1alpha1.PoolMember{{UserName: "unknown@example.test"}}})
	w.says(other, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.provisioned(ada, user)
	t.Log("the group still exists and accepts changes")
	w.leave(g, ada)
	w.add(g, ada)
	w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
}

// kubectl replace, as Argo CD does it: no field of the provider is in the object.
func TestPoolIsReplaced(t *testing.T) {
	w := newWorld(t)
	p := w.pool("fast", v1alpha1.AgentPoolSpec{Groups: names("Fast"), Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test")
	w.group("Fast", ada)
	w.provisioned(ada, user, quota)
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	replaced := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, "fast"), Spec: v1alpha1.AgentPoolSpec{Description: "d", Groups: names("Fast"), Roles: []v1alpha1.Role{quota}}}
	w.eventually("the object is replaced at its newest version", func() error {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(p), p))
		replaced.ResourceVersion = p.ResourceVersion
		return w.client.Update(t.Context(), replaced)
	})
	w.eventually("the portal has the description", func() error {
		if got := w.portalPool(p.Status.Pool); got == nil || got.Description != "d" {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	w.provisioned(ada, user, quota)
}

// Objects that disappear without a deletion by the provider change nothing in the portal.
func TestVanishedObjectRemovesNothing(t *testing.T) {
	w := newWorld(t)
	p := w.pool("fast", v1alpha1.AgentPoolSpec{Groups: names("Fast"), Roles: []v1alpha1.Role{quota}})
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	g := w.group("Fast", ada, bob)
	w.provisioned(ada, user, quota)
	w.provisioned(bob, user, quota)
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.erase(g)
	w.gone(g)
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonGroupNotFound)
	w.change(ada, func(s *v1alpha1.ScimUserSpec) { s.DisplayName = "Ada" })
	w.eventually("the change is applied", func() error {
		if a := w.account("ada@example.test"); a.DisplayName != "Ada" {
			return errors.New("not yet")
		}
		return nil
	})
	w.hasRoles("ada@example.test", user, quota)
	w.erase(bob)
	w.gone(bob)
	w.is("bob@example.test", portalapi.StatusActive)
	w.hasRoles("bob@example.test", user, quota)
}

func TestPoolWithMembersIsRenamed(t *testing.T) {
	w := newWorld(t)
	p := w.pool("fast", v1alpha1.AgentPoolSpec{DisplayName: "Fast", Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test", in("fast"))
	w.provisioned(ada, user, quota)
	id := w.account("ada@example.test").PoolRefs
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.DisplayName = "Faster" })
	w.eventually("the portal shows the new name", func() error {
		refs := w.account("ada@example.test").PoolRefs
		if len(refs) != 2 || refs[1].Name != "Faster" {
			return fmt.Errorf("pools %v", refs)
		}
		if refs[1].ID != id[1].ID {
			return errors.New("the pool must stay the same")
		}
		return nil
	})
	w.provisioned(ada, user, quota)
	w.eventually("the old name is free", func() error { return w.poolNameFree("Fast") })
}

func TestVendorsRolesAreNeverGranted(t *testing.T) {
	w := newWorld(t)
	for _, role := range []v1alpha1.Role{"ROLE_ADMIN", "ROLE_ACCOUNT_MANAGER"} {
		p := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, "vendor"), Spec: v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{role}}}
		if err := w.client.Create(t.Context(), p); err == nil {
			t.Logf("apply accepts %s, so the pool must be frozen", role)
			w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonRoleNotGrantable)
			w.remove(p)
			w.gone(p)
		}
	}
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
}

func TestRoleWithdrawnFromTheCatalogue(t *testing.T) {
	w := newWorld(t, func(w *world, _ *v1alpha1.IdentityConfiguration, _ *loginMethods) { w.relist = relistSoon })
	w.rawSQL(`INSERT INTO roles (name, description, grantable) VALUES ('ROLE_BETA', 'Tries new things', TRUE)`)
	p := w.pool("beta", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{"ROLE_BETA"}})
	ada := w.push("ada@example.test", in("beta"))
	w.provisioned(ada, user, "ROLE_BETA")
	w.rawSQL(`DELETE FROM pool_roles WHERE role = 'ROLE_BETA'`)
	w.rawSQL(`DELETE FROM roles WHERE name = 'ROLE_BETA'`)
	t.Log("the pool says so; its users keep the roles that the portal still gives")
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonUnknownRole)
	w.eventually("the user's status is updated", func() error {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(ada), ada))
		if slices.Contains(roleNames(ada), "ROLE_BETA") {
			return errors.New("it still lists the role")
		}
		return nil
	})
}

func TestDefaultPoolRoles(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	def := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, v1alpha1.DefaultName)}
	w.says(def, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	t.Log("the default pool's roles can be declared, and every user gets them")
	w.changePool(def, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{quota} })
	w.provisioned(ada, user, quota)
	t.Log("its AgentPool is created again after a deletion, and every user stays in the pool")
	w.remove(def)
	w.eventually("the object exists again", func() error {
		err := w.client.Get(t.Context(), client.ObjectKeyFromObject(def), def)
		if err == nil && !def.DeletionTimestamp.IsZero() {
			return errors.New("still going")
		}
		return err
	})
	if a := w.account("ada@example.test"); len(a.PoolRefs) != 1 {
		t.Errorf("pools %v", a.PoolRefs)
	}
}

// People may be restored before the pools that they are in, and pools are restored without the
// record of which groups filled them.
func TestUsersAreRestoredBeforePools(t *testing.T) {
	w := newWorld(t)
	spec := v1alpha1.AgentPoolSpec{Groups: names("Fast"), Roles: []v1alpha1.Role{quota}}
	p := w.pool("fast", spec)
	ada := w.push("ada@example.test")
	g := w.group("Fast", ada)
	w.provisioned(ada, user, quota)
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.stop()
	before := p.DeepCopy()
	p.Finalizers = nil
	w.must(w.client.Patch(t.Context(), p, client.MergeFrom(before)))
	w.erase(p)
	w.erase(ada)
	restored := &v1alpha1.ScimUser{ObjectMeta: metav1Name(w.namespace, ada.Name), Spec: ada.Spec}
	w.create(restored)
	w.startManager()

	w.change(restored, func(s *v1alpha1.ScimUserSpec) { s.DisplayName = "Ada" })
	w.eventually("her account is updated from the restored object", func() error {
		if a := w.account("ada@example.test"); a.DisplayName != "Ada" || a.Owner.UID != string(restored.UID) {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
	w.hasRoles("ada@example.test", user, quota)
	again := w.pool("fast", spec)
	w.says(again, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.provisioned(restored, user, quota)
	w.leave(g, restored)
	w.provisioned(restored, user)
}

// TestPoolWithoutStatusIsFilledByItsGroup: the portal remembers which group a reference means, for
// an AgentPool that lost its status.
func TestPoolWithoutStatusIsFilledByItsGroup(t *testing.T) {
	spec := v1alpha1.AgentPoolSpec{Groups: names("SRE"), Roles: []v1alpha1.Role{quota}}
	for name, tc := range map[string]struct {
		reason string
		lose   func(*world, *v1alpha1.AgentPool)
	}{
		"Restored": {"The object is gone without a finalizer and comes back from an export.", func(w *world, p *v1alpha1.AgentPool) {
			w.stop()
			before := p.DeepCopy()
			p.Finalizers = nil
			w.must(w.client.Patch(w.t.Context(), p, client.MergeFrom(before)))
			w.erase(p)
			w.gone(p)
			w.create(&v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, p.Name), Spec: spec})
			w.startManager()
		}},
		"Reapplied": {"It is deleted and applied again while the manager only reports.", func(w *world, p *v1alpha1.AgentPool) {
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
