// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// nameFree says whether nobody holds the name.
func (w *world) nameFree(typ v1alpha1.ClaimType, name string) error {
	var c v1alpha1.NameClaim
	key := client.ObjectKey{Namespace: w.namespace, Name: claims.ObjectName(typ, name)}
	if err := w.client.Get(w.t.Context(), key, &c); err != nil {
		return client.IgnoreNotFound(err)
	}
	return fmt.Errorf("%s is held by %s", name, c.Spec.Holder.Name)
}

func (w *world) poolNameFree(name string) error { return w.nameFree(v1alpha1.ClaimPool, name) }

// ownPool is the pool that a group has of its own.
func (w *world) ownPool(g *v1alpha1.ScimGroup) *v1alpha1.AgentPool {
	return &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, g.Name)}
}

// names returns a pool's lines that name groups by displayName.
func names(groups ...string) []v1alpha1.GroupReference {
	var out []v1alpha1.GroupReference
	for _, g := range groups {
		out = append(out, v1alpha1.GroupReference{DisplayName: g})
	}
	return out
}

// isOnlyIn waits until the person's account is in exactly these pools of the portal besides the
// default one.
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

func TestAGroupHasAPoolOfItsOwn(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	g := w.group("Payments", ada)
	t.Log("a group that no pool names has a pool without roles, called like it")
	w.isOnlyIn("ada@example.test", "Payments")
	w.holds(ada, user)
	w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	own := w.ownPool(g)
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	id := own.Status.Pool
	t.Log("renamed by the provider, the pool is")
	w.changeGroup(g, func(s *v1alpha1.ScimGroupSpec) { s.DisplayName = "Billing" })
	w.isOnlyIn("ada@example.test", "Billing")
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if own.Status.Pool != id {
		t.Error("it is another pool")
	}
	w.eventually("the former name is free", func() error { return w.poolNameFree("Payments") })
	t.Log("its object can't be lost")
	w.erase(own)
	w.eventually("it is there again", func() error {
		w.must(client.IgnoreNotFound(w.client.Get(t.Context(), client.ObjectKeyFromObject(own), own)))
		if own.Status.Pool == id || own.Status.Pool == "" {
			return errors.New("not yet")
		}
		return nil
	})
	w.isOnlyIn("ada@example.test", "Billing")
	t.Log("deleted by the provider, everything of the group goes")
	w.remove(g)
	w.gone(g)
	w.gone(own)
	w.isOnlyIn("ada@example.test")
	var left v1alpha1.ScimGroupSliceList
	w.must(w.client.List(t.Context(), &left, client.InNamespace(w.namespace)))
	if len(left.Items) != 0 {
		t.Errorf("%d slices are left", len(left.Items))
	}
}

func TestADeclaredPoolTakesOverFromTheGroupsOwn(t *testing.T) {
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
	w.holds(ada, user, manager)
	w.gone(own)
	if p.Status.Pool != id {
		t.Errorf("it is another pool of the portal: its agents would be lost")
	}
	if n := seen(); n < 2 {
		t.Errorf("ada was in %d pools meanwhile", n)
	}
	t.Log("deleted, the pool goes and so do its grants; applied again, both are back")
	w.remove(p)
	w.gone(p)
	w.holds(ada, user)
	again := w.pool("payments", v1alpha1.AgentPoolSpec{DisplayName: "Payments", Groups: names("payments"), Roles: []v1alpha1.Role{manager}})
	w.says(again, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.holds(ada, user, manager)
}

// watchMemberships returns what ends it: it reports the fewest pools that the person was seen in
// meanwhile.
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

func TestOneGroupFillsSeveralPoolsAndSeveralGroupsOne(t *testing.T) {
	w := newWorld(t)
	fast := w.pool("fast", v1alpha1.AgentPoolSpec{Groups: names("Payments", "Sales"), Roles: []v1alpha1.Role{quota}})
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Groups: names("Payments"), Roles: []v1alpha1.Role{manager}})
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonGroupNotFound)
	w.waiting(leads)
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	payments, sales := w.group("Payments", ada), w.group("Sales", bob, ada)
	w.holds(ada, user, quota, manager)
	w.holds(bob, user, quota)
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
	t.Log("who is in one of two groups of a pool stays in it")
	w.leave(payments, ada)
	w.holds(ada, user, quota)
	w.leave(sales, ada)
	w.holds(ada, user)
	w.holds(bob, user, quota)
}

func TestALineMeansOneGroup(t *testing.T) {
	w := newWorld(t, wideGuard)
	leads := w.pool("managers", v1alpha1.AgentPoolSpec{Groups: names("Leads"), Roles: []v1alpha1.Role{manager}})
	ada, eve := w.push("ada@example.test"), w.push("eve@example.test")
	first := w.group("Leads", ada)
	w.holds(ada, user, manager)
	t.Log("a rename keeps the membership, and another group that takes the name fills nothing")
	w.changeGroup(first, func(s *v1alpha1.ScimGroupSpec) { s.DisplayName = "Former leads" })
	w.says(leads, v1alpha1.ConditionGroupsResolved, v1alpha1.ReasonGroupRenamed)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.eventually("the former name is free", func() error { return w.nameFree(v1alpha1.ClaimGroup, "Leads") })
	second := w.group("Leads", eve)
	w.isOnlyIn("eve@example.test", "Leads")
	w.holds(eve, user)
	w.holds(ada, user, manager)
	t.Log("deleted at the provider, its members leave; another group of the name needs a decision in a pool of managers")
	w.remove(first)
	w.gone(first)
	w.holds(ada, user)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonGroupChanged)
	w.waiting(leads)
	w.holds(eve, user)
	w.annotate(leads, v1alpha1.AnnotationAcceptGroups, second.Name)
	w.holds(eve, user, manager)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.gone(w.ownPool(second))
}

func TestAPoolWithoutManagersTakesTheNextGroupOfTheName(t *testing.T) {
	w := newWorld(t)
	fast := w.pool("fast", v1alpha1.AgentPoolSpec{Groups: names("Fast"), Roles: []v1alpha1.Role{quota}})
	ada, eve := w.push("ada@example.test"), w.push("eve@example.test")
	first := w.group("Fast", ada)
	w.holds(ada, user, quota)
	w.remove(first)
	w.gone(first)
	w.holds(ada, user)
	w.says(fast, v1alpha1.ConditionReady, v1alpha1.ReasonGroupNotFound)
	w.group("fast", eve)
	w.holds(eve, user, quota)
	w.says(fast, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
}

// A pool's name is all that an unrelated pool has in common with it: memberships belong to the
// group.
func TestAReusedPoolNameHasNobody(t *testing.T) {
	w := newWorld(t)
	prod := w.pool("prod", v1alpha1.AgentPoolSpec{Groups: names("Operators"), Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test")
	g := w.group("Operators", ada)
	w.holds(ada, user, quota)
	w.remove(prod)
	w.gone(prod)
	w.holds(ada, user)
	other := w.pool("prod", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: []v1alpha1.PoolMember{{UserName: "nobody@example.test"}}})
	w.says(other, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.holds(ada, user)
	t.Log("the group is still there and takes changes")
	w.leave(g, ada)
	w.add(g, ada)
	w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
}

// kubectl replace, as Argo CD does it: nothing of the provider's is in the object.
func TestAPoolIsReplaced(t *testing.T) {
	w := newWorld(t)
	p := w.pool("fast", v1alpha1.AgentPoolSpec{Groups: names("Fast"), Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test")
	w.group("Fast", ada)
	w.holds(ada, user, quota)
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	replaced := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, "fast"), Spec: v1alpha1.AgentPoolSpec{Description: "d", Groups: names("Fast"), Roles: []v1alpha1.Role{quota}}}
	w.eventually("the object is replaced at its newest version", func() error {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(p), p))
		replaced.ResourceVersion = p.ResourceVersion
		return w.client.Update(t.Context(), replaced)
	})
	w.eventually("the description follows", func() error {
		if got := w.portalPool(p.Status.Pool); got == nil || got.Description != "d" {
			return fmt.Errorf("%+v", got)
		}
		return nil
	})
	w.holds(ada, user, quota)
}

// Objects that disappear without the provider's word change nothing in the portal.
func TestAVanishedObjectTakesNothing(t *testing.T) {
	w := newWorld(t)
	p := w.pool("fast", v1alpha1.AgentPoolSpec{Groups: names("Fast"), Roles: []v1alpha1.Role{quota}})
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	g := w.group("Fast", ada, bob)
	w.holds(ada, user, quota)
	w.holds(bob, user, quota)
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.erase(g)
	w.gone(g)
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonGroupNotFound)
	w.change(ada, func(s *v1alpha1.ScimUserSpec) { s.DisplayName = "Ada" })
	w.eventually("the change follows", func() error {
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

func TestAPoolIsRenamedUnderItsPeople(t *testing.T) {
	w := newWorld(t)
	p := w.pool("fast", v1alpha1.AgentPoolSpec{DisplayName: "Fast", Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test", in("fast"))
	w.holds(ada, user, quota)
	id := w.account("ada@example.test").PoolRefs
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.DisplayName = "Faster" })
	w.eventually("the portal shows the new name", func() error {
		refs := w.account("ada@example.test").PoolRefs
		if len(refs) != 2 || refs[1].Name != "Faster" {
			return fmt.Errorf("pools %v", refs)
		}
		if refs[1].ID != id[1].ID {
			return errors.New("it is another pool")
		}
		return nil
	})
	w.holds(ada, user, quota)
	w.eventually("the former name is free", func() error { return w.poolNameFree("Fast") })
}

func TestTheVendorsRolesAreNeverGranted(t *testing.T) {
	w := newWorld(t)
	for _, role := range []v1alpha1.Role{"ROLE_ADMIN", "ROLE_ACCOUNT_MANAGER"} {
		p := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, "vendor"), Spec: v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{role}}}
		if err := w.client.Create(t.Context(), p); err == nil {
			t.Logf("%s is not refused on apply, so it must be frozen", role)
			w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonRoleNotGrantable)
			w.remove(p)
			w.gone(p)
		}
	}
	ada := w.push("ada@example.test")
	w.holds(ada, user)
}

func TestARoleThatIsWithdrawnFromTheCatalogue(t *testing.T) {
	w := newWorld(t, func(w *world, _ *v1alpha1.IdentityConfiguration, _ *loginMethods) { w.relist = relistSoon })
	w.rawSQL(`INSERT INTO roles (name, description, grantable) VALUES ('ROLE_BETA', 'Tries new things', TRUE)`)
	p := w.pool("beta", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{"ROLE_BETA"}})
	ada := w.push("ada@example.test", in("beta"))
	w.holds(ada, user, "ROLE_BETA")
	w.rawSQL(`DELETE FROM pool_roles WHERE role = 'ROLE_BETA'`)
	w.rawSQL(`DELETE FROM roles WHERE name = 'ROLE_BETA'`)
	t.Log("the pool says so; its people keep what the portal still gives")
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonUnknownRole)
	w.eventually("the person's status follows", func() error {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(ada), ada))
		if slices.Contains(roleNames(ada), "ROLE_BETA") {
			return errors.New("it still lists the role")
		}
		return nil
	})
}

func TestThePortalCanTakeOnRolesOfItsDefaultPool(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	w.holds(ada, user)
	def := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, v1alpha1.DefaultName)}
	w.says(def, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	t.Log("the default pool's roles can be declared, and reach everyone")
	w.changePool(def, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{quota} })
	w.holds(ada, user, quota)
	t.Log("its object can't be lost: it is made again, and everyone stays in the pool")
	w.remove(def)
	w.eventually("the object is there again", func() error {
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

// People may be restored before the pools that they are in, and pools come back without knowing
// which groups filled them.
func TestPeopleAreRestoredBeforePools(t *testing.T) {
	w := newWorld(t)
	spec := v1alpha1.AgentPoolSpec{Groups: names("Fast"), Roles: []v1alpha1.Role{quota}}
	p := w.pool("fast", spec)
	ada := w.push("ada@example.test")
	g := w.group("Fast", ada)
	w.holds(ada, user, quota)
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
	w.eventually("her account follows the restored object", func() error {
		if a := w.account("ada@example.test"); a.DisplayName != "Ada" || a.Owner.UID != string(restored.UID) {
			return fmt.Errorf("%+v", a)
		}
		return nil
	})
	w.hasRoles("ada@example.test", user, quota)
	again := w.pool("fast", spec)
	w.says(again, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.holds(restored, user, quota)
	w.leave(g, restored)
	w.holds(restored, user)
}

// TestAPoolWithoutStatusIsFilledByItsGroup: the portal remembers which group a line means, for an
// AgentPool that lost its status.
func TestAPoolWithoutStatusIsFilledByItsGroup(t *testing.T) {
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
			w.holds(ada, user, quota)
			w.changeGroup(first, func(s *v1alpha1.ScimGroupSpec) { s.DisplayName = "Former SRE" })
			w.eventually("the former name is free", func() error { return w.nameFree(v1alpha1.ClaimGroup, "SRE") })
			w.group("SRE", eve)
			w.isOnlyIn("eve@example.test", "SRE")
			w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			tc.lose(w, p)
			w.says(p, v1alpha1.ConditionGroupsResolved, v1alpha1.ReasonGroupRenamed)
			w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			w.isOnlyIn("eve@example.test", "SRE")
			w.holds(eve, user)
			w.holds(ada, user, quota)
			w.leave(first, ada)
			w.holds(ada, user)
		})
	}
}
