// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// noBudget makes the guard hold every removal.
var noBudget = withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
	zero := int32(0)
	s.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &zero, MaxPercent: &zero}
})

func TestDroppedDeletionOfAUser(t *testing.T) {
	w := newWorld(t, noBudget)
	w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test", in("fast"))
	w.provisioned(ada, user, quota)
	id := w.account("ada@example.test").ID
	w.remove(ada)
	pushed := ada.Spec.Revision
	w.annotate(ada, v1alpha1.AnnotationDrop, w.decision(ada))
	w.provisioned(ada, user, quota)
	if ada.Spec.Deleted || ada.Spec.Revision <= pushed || w.account("ada@example.test").ID != id {
		t.Errorf("deleted: %v, revision %d after %d", ada.Spec.Deleted, ada.Spec.Revision, pushed)
	}
	w.shows("ada@example.test", "")
	if err := w.nameFree(v1alpha1.ClaimUser, "ada@example.test"); err == nil {
		t.Error("the name is free")
	}
	t.Log("the provider deletes the user again: that is another, undecided removal")
	w.remove(ada)
	w.says(ada, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
}

func TestDroppedDeletionWhoseNameIsTaken(t *testing.T) {
	w := newWorld(t, noBudget, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.OnDelete = v1alpha1.UserDelete }))
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	w.remove(ada)
	dropped := w.decision(ada)
	other := w.push("ada@example.test")
	w.annotate(ada, v1alpha1.AnnotationDrop, dropped)
	w.eventually("the user says who has the name", func() error {
		w.must(w.client.Get(t.Context(), keyOf(ada), ada))
		c := conditions.Find(ada.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.Reason != v1alpha1.ReasonRemovalDropped || !strings.Contains(c.Message, "ScimUser "+other.Name) {
			return errors.New(describe(ada.Status.Conditions))
		}
		return nil
	})
	if a := w.account("ada@example.test"); !ada.Spec.Deleted || a.Status != portalapi.StatusActive || a.Owner.UID != string(ada.UID) {
		t.Errorf("deleted: %v, the account is %+v", ada.Spec.Deleted, a)
	}
	t.Log("the other user is renamed: the name is free, and the first user comes back")
	w.rename(other, "other@example.test")
	w.provisioned(ada, user)
	w.provisioned(other, user)
}

// A group is held through the pools that it fills: after a drop the group comes back.
func TestDroppedDeletionOfAGroup(t *testing.T) {
	for name, pool := range map[string]string{"ADeclaredPool": "fast", "ItsOwnPool": ""} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, noBudget)
			ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
			g := w.group("Fast", ada, bob)
			own := w.ownPool(g)
			roles := []string{user}
			if pool != "" {
				own = w.pool(pool, v1alpha1.AgentPoolSpec{Groups: names("Fast"), Roles: []v1alpha1.Role{quota}})
				roles = append(roles, quota)
			}
			w.provisioned(ada, roles...)
			w.provisioned(bob, roles...)
			w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			id := own.Status.Pool
			w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			w.remove(g)
			w.annotate(own, v1alpha1.AnnotationDrop, w.decision(own))
			w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			if g.Spec.Deleted {
				t.Error("the group is a tombstone")
			}
			w.eventually("the group has its name", func() error { return w.has(v1alpha1.ClaimGroup, "Fast", g.Name) })
			w.eventually("the pool is the same and says so", func() error {
				w.must(client.IgnoreNotFound(w.client.Get(t.Context(), keyOf(own), own)))
				if !conditions.IsTrue(own.Status.Conditions, v1alpha1.ConditionReady) || own.Status.Pool != id || !own.DeletionTimestamp.IsZero() {
					return fmt.Errorf("the pool is %q; %s", own.Status.Pool, describe(own.Status.Conditions))
				}
				return nil
			})
			w.provisioned(ada, roles...)
			w.provisioned(bob, roles...)
			w.poolShows(map[bool]string{true: "fast", false: "Fast"}[pool != ""], "")
		})
	}
}

// has returns nil if the object with this name has the claim.
func (w *world) has(typ v1alpha1.ClaimType, name, holder string) error {
	var c v1alpha1.NameClaim
	if err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: claims.ObjectName(typ, name)}, &c); err != nil {
		return err
	}
	if c.Spec.Holder.Name != holder {
		return fmt.Errorf("%s has the holder %s", name, c.Spec.Holder.Name)
	}
	return nil
}

// Where the role of the members goes with the group, what is held is the same set, and it is
// dropped as a whole. Another group that has the name by then keeps it.
func TestADroppedRemovalOfManagersBringsTheGroupBack(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		taken  bool
	}{
		"NameFree":  {"A group whose deletion was dropped is restored if its name is free.", false},
		"NameTaken": {"A group whose deletion was dropped waits if its name is taken, and the condition names the other group.", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, noBudget)
			ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
			g := w.group("Leads", ada, bob)
			pool := w.pool("leads", v1alpha1.AgentPoolSpec{Groups: names("Leads"), Roles: []v1alpha1.Role{manager}})
			w.provisioned(ada, user, manager)
			w.provisioned(bob, user, manager)
			w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			w.remove(g)
			dropped := w.decision(pool)
			if tc.taken {
				eve := w.push("eve@example.test")
				other := w.group("Leads", eve, ada)
				w.says(pool, v1alpha1.ConditionGroupsResolved, v1alpha1.ReasonGroupChanged)
				w.annotate(pool, v1alpha1.AnnotationDrop, dropped)
				w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonRemovalDropped)
				w.waiting(g)
				if c := conditions.Find(g.Status.Conditions, v1alpha1.ConditionReady); !strings.Contains(c.Message, "ScimGroup "+other.Name) {
					t.Errorf("%s It says %q", tc.reason, c.Message)
				}
				w.hasRoles("ada@example.test", user, manager)
				w.hasRoles("bob@example.test", user, manager)
				w.hasRoles("eve@example.test", user)
				return
			}
			w.annotate(pool, v1alpha1.AnnotationDrop, dropped)
			w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			w.provisioned(ada, user, manager)
			w.provisioned(bob, user, manager)
		})
	}
}

// While the guard holds what the deletion takes away, the group does not look like one whose
// deletion is in progress.
func TestADeletedGroupWaitsForAPersonWhileItsRemovalIsHeld(t *testing.T) {
	w := newWorld(t, noBudget)
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	g := w.group("Leads", ada, bob)
	pool := w.pool("leads", v1alpha1.AgentPoolSpec{Groups: names("Leads"), Roles: []v1alpha1.Role{manager}})
	w.provisioned(ada, user, manager)
	w.provisioned(bob, user, manager)
	w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.remove(g)
	w.decision(pool)
	w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonGuardHeld)
	w.waiting(g)
	if c := conditions.Find(g.Status.Conditions, v1alpha1.ConditionReady); !strings.Contains(c.Message, "AgentPool leads") || !strings.Contains(c.Message, "kubectl scim") {
		t.Errorf("it says %q", c.Message)
	}
	w.hasRoles("ada@example.test", user, manager)
	w.annotate(pool, v1alpha1.AnnotationRelease, w.decision(pool))
	w.gone(g)
	w.provisioned(ada, user)
}
