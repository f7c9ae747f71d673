// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

func TestRecycledName(t *testing.T) {
	w := newWorld(t)
	w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}})
	first := w.push("j.doe@example.test", in("leads"), func(s *v1alpha1.ScimUserSpec) { s.DisplayName, s.ExternalID = "Jane", "1" })
	w.provisioned(first, user, manager)
	t.Log("the first user leaves by a rename and a deactivation in one change; the name is free when the account has the new one")
	w.rename(first, "left.j.doe@example.test", inactive)
	w.eventually("the name is free", func() error { return w.free("j.doe@example.test") })
	if a := w.account("left.j.doe@example.test"); a == nil || a.Status != portalapi.StatusDeactivated {
		t.Errorf("the name is free, but the account does not have the new one: %+v", a)
	}
	second := w.push("j.doe@example.test", func(s *v1alpha1.ScimUserSpec) { s.DisplayName, s.ExternalID = "John", "2" })
	w.provisioned(second, user)
	w.is("left.j.doe@example.test", portalapi.StatusDeactivated)
	a, b := w.account("left.j.doe@example.test"), w.account("j.doe@example.test")
	if a.ID == b.ID || a.DisplayName != "Jane" || b.DisplayName != "John" {
		t.Errorf("the two users share an account: %+v %+v", a, b)
	}
}

func TestDeletedWhileNamespaceTerminates(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	w.faults.reset()
	w.remove(&corev1.Namespace{ObjectMeta: metav1Name("", w.namespace)})
	t.Log("the namespace controller deletes everything; accounts stay unchanged and no finalizer is stuck")
	w.remove(ada)
	w.erase(ada)
	w.gone(ada)
	c := w.identity()
	w.remove(c)
	w.gone(c)
	w.is("ada@example.test", portalapi.StatusActive)
	for _, call := range w.faults.writes() {
		t.Errorf("the portal was written: %s", call)
	}
}

func TestDeletedWhileAnotherOperatorIsBound(t *testing.T) {
	first := newWorld(t)
	first.provisioned(first.push("ada@example.test"), user)
	second := first.second("cluster-b")
	second.says(second.identity(), v1alpha1.ConditionReady, v1alpha1.ReasonBoundElsewhere)
	ada := second.push("ada@example.test")
	second.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonConfigurationNotOK)
	second.remove(ada)
	second.saysOfNewest(ada, v1alpha1.ConditionReady)
	second.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonConfigurationNotOK)
	first.is("ada@example.test", portalapi.StatusActive)
}

func TestHeldOverARestartThenDecided(t *testing.T) {
	two, zero := int32(2), int32(0)
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		s.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &two, MaxPercent: &zero}
	}))
	var people []*v1alpha1.ScimUser
	for i := range 6 {
		people = append(people, w.push(fmt.Sprintf("p%d@example.test", i)))
	}
	for _, p := range people {
		w.provisioned(p, user)
	}
	w.change(people[0], inactive)
	w.remove(people[1])
	w.gone(people[1])
	w.is("p0@example.test", portalapi.StatusDeactivated)
	w.change(people[2], inactive)
	w.change(people[3], inactive)
	w.remove(people[4])
	held := people[2:5]
	for _, p := range held {
		w.says(p, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
	}
	t.Log("the portal shows the held removal and what it would take away")
	for name, want := range map[string]portalapi.Removal{"p1": "", "p2": portalapi.RemovalDeactivation, "p3": portalapi.RemovalDeactivation, "p4": portalapi.RemovalDeactivation, "p5": ""} {
		w.shows(name+"@example.test", want)
	}
	t.Log("a restart does not give a new budget")
	w.stop()
	w.startManager()
	w.change(people[5], func(s *v1alpha1.ScimUserSpec) { s.DisplayName = "Changed" })
	w.provisioned(people[5], user)
	for _, p := range held {
		w.says(p, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
		w.is(p.Spec.UserName, portalapi.StatusActive)
	}
	t.Log("one is dropped: the account stays active until the provider changes it")
	w.annotate(held[0], v1alpha1.AnnotationDrop, w.decision(held[0]))
	w.says(held[0], v1alpha1.ConditionReady, v1alpha1.ReasonRemovalDropped)
	w.shows("p2@example.test", "")
	t.Log("the others are dropped: deleted users come back, deactivated ones stay active")
	for _, p := range held[1:] {
		w.annotate(p, v1alpha1.AnnotationDrop, w.decision(p))
	}
	w.provisioned(held[2], user)
	w.says(held[1], v1alpha1.ConditionReady, v1alpha1.ReasonRemovalDropped)
	w.shows("p4@example.test", "")
	t.Log("the provider pushes and deactivates them again: they are held again, under other ids, and released")
	for _, p := range held[:2] {
		w.is(p.Spec.UserName, portalapi.StatusActive)
		w.change(p, active)
		w.provisioned(p, user)
		w.change(p, inactive)
		w.says(p, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
	}
	for _, p := range held[:2] {
		w.annotate(p, v1alpha1.AnnotationRelease, w.decision(p))
		w.is(p.Spec.UserName, portalapi.StatusDeactivated)
	}
}

func TestPoolLosingManagerIsHeld(t *testing.T) {
	one, zero := int32(1), int32(0)
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		s.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &one, MaxPercent: &zero}
	}))
	p := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}})
	ada, bob := w.push("ada@example.test", in("leads")), w.push("bob@example.test", in("leads"))
	w.provisioned(ada, user, manager)
	w.provisioned(bob, user, manager)
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{quota} })
	w.says(p, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
	w.poolShows("leads", portalapi.RemovalManager)
	t.Log("its users keep the role, and say which pool's change waits and why; other changes never wait")
	w.says(ada, v1alpha1.ConditionRolesInherited, v1alpha1.ReasonPoolChangeWaiting)
	w.change(ada, func(s *v1alpha1.ScimUserSpec) { s.DisplayName = "Ada" })
	w.keepsRole(ada, "leads", v1alpha1.ReasonGuardHeld)
	t.Log("after a drop the pool keeps its roles until its object changes, and its users say so")
	w.annotate(p, v1alpha1.AnnotationDrop, w.decision(p))
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonRemovalDropped)
	w.poolShows("leads", "")
	w.keepsRole(ada, "leads", v1alpha1.ReasonRemovalDropped)
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{manager} })
	w.provisioned(ada, user, manager)
	t.Log("deleting the pool does not avoid the guard")
	w.remove(p)
	w.says(p, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
	w.poolShows("leads", portalapi.RemovalDeletion)
	w.keepsRole(ada, "leads", v1alpha1.ReasonGuardHeld)
	w.annotate(p, v1alpha1.AnnotationRelease, w.decision(p))
	w.gone(p)
	w.eventually("the role is removed after the release", func() error {
		if w.account("ada@example.test").IsManager() {
			return errors.New("still a manager")
		}
		return nil
	})
}

// shows waits until the portal's record has the mark of a held removal.
func (w *world) shows(userName string, want portalapi.Removal) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("the portal shows %q held about %s", want, userName), func() error {
		if a := w.account(userName); a.Mark.Held() != want {
			return fmt.Errorf("it shows %q", a.Mark.Held())
		}
		return nil
	})
}

// poolShows waits until the portal's record of the AgentPool's pool has the mark of a held removal,
// and the place to decide.
func (w *world) poolShows(agentPool string, want portalapi.Removal) {
	w.t.Helper()
	at := agentPool
	if want == "" {
		at = ""
	}
	w.eventually(fmt.Sprintf("the portal shows %q held about the pool %s", want, agentPool), func() error {
		all, err := w.store.Pools(w.t.Context())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(p store.Pool) bool { return p.Name == agentPool })
		if i < 0 || all[i].Mark.Held() != want || want != "" && all[i].Mark.At != at {
			return fmt.Errorf("the portal has %+v", all)
		}
		return nil
	})
}

// keepsRole waits until the user is a manager by the pool, in the portal and in the status, has the
// pushed display name, and says that the pool's change waits for the reason.
func (w *world) keepsRole(u *v1alpha1.ScimUser, pool, reason string) {
	w.t.Helper()
	w.eventually(u.Spec.UserName+" keeps the role", func() error {
		w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(u), u))
		c := conditions.Find(u.Status.Conditions, v1alpha1.ConditionRolesInherited)
		switch a := w.account(u.Spec.UserName); {
		case !a.IsManager() || !slices.Contains(roleNames(u), manager):
			return fmt.Errorf("the portal has %v, the status %v", a.Roles, roleNames(u))
		case u.Spec.DisplayName != "" && a.DisplayName != u.Spec.DisplayName:
			return fmt.Errorf("its display name is %q", a.DisplayName)
		case c == nil || c.Reason != v1alpha1.ReasonPoolChangeWaiting || !strings.Contains(c.Message, pool) || !strings.Contains(c.Message, reason):
			return errors.New(describe(u.Status.Conditions))
		}
		return nil
	})
}

// annotate sets one annotation, or removes it when it is empty.
func (w *world) annotate(o client.Object, name, value string) {
	w.t.Helper()
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(o), o))
	before := o.DeepCopyObject().(client.Object)
	a := map[string]string{}
	for k, v := range o.GetAnnotations() {
		a[k] = v
	}
	if a[name] = value; value == "" {
		delete(a, name)
	}
	o.SetAnnotations(a)
	w.must(w.client.Patch(w.t.Context(), o, client.MergeFrom(before)))
}

// now returns the time in the format of the annotations.
func (w *world) now() string { return time.Now().UTC().Format(time.RFC3339) }

// nextSecond waits until a new held removal is not covered by an earlier decision.
func (w *world) nextSecond() {
	at := w.now()
	w.eventually("the clock shows the next second", func() error {
		if w.now() == at {
			return errors.New("the same second")
		}
		return nil
	})
}

// second is another cluster's namespace that wants the same portal.
func (w *world) second(cluster string) *world {
	w.t.Helper()
	return w.rival(cluster, v1alpha1.ProviderOkta)
}
