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
