package stories_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/claims"
)

// nameFree says whether no pool holds the name.
func (w *world) poolNameFree(name string) error {
	var c v1alpha1.NameClaim
	key := client.ObjectKey{Namespace: w.namespace, Name: claims.ObjectName(v1alpha1.ClaimPool, name)}
	if err := w.client.Get(w.t.Context(), key, &c); err != nil {
		return client.IgnoreNotFound(err)
	}
	return fmt.Errorf("%s is held by %s", name, c.Spec.Holder.Name)
}

func TestAGroupNameIsLinkedRenamedAndUnlinkedByTheProvider(t *testing.T) {
	w := newWorld(t)
	p := w.pool("payments", v1alpha1.AgentPoolSpec{GroupName: "Payments Team", Roles: []v1alpha1.Role{quota}})
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	t.Log("linked: the provider's group fills the pool, which keeps its roles")
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) {
		s.IDP = &v1alpha1.IDPGroup{DisplayName: "Payments Team", ExternalID: "g1"}
	})
	ada := w.push("ada@example.test", in("payments"))
	w.holds(ada, user, quota)
	id := p.Status.Pool
	t.Log("renamed by the provider: the same pool in the portal, its people and roles untouched")
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.IDP.DisplayName = "Billing Team" })
	w.eventually("the portal shows the new name", func() error {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(p), p))
		if p.Status.DisplayName != "Billing Team" || p.Status.Pool != id {
			return fmt.Errorf("it is %q, %s", p.Status.DisplayName, p.Status.Pool)
		}
		return nil
	})
	w.holds(ada, user, quota)
	if w.poolNameFree("Payments Team") == nil {
		t.Error("groupName is still declared, so its name must stay this pool's")
	}
	t.Log("unlinked: who is in the pool is what the people say, and the name is free for another group")
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.IDP.Unlinked = true; s.DisplayName = "Payments" })
	w.change(ada, in())
	w.holds(ada, user)
	w.eventually("the provider's name is free", func() error { return w.poolNameFree("Billing Team") })
	other := w.pool("other", v1alpha1.AgentPoolSpec{IDP: &v1alpha1.IDPGroup{DisplayName: "Billing Team"}})
	w.says(other, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
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
