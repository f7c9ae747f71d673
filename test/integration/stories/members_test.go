// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/idp"
)

// staysIn waits until the users' statuses list the pool although no source adds them to it.
func (w *world) staysIn(u *v1alpha1.ScimUser, pool string) {
	w.t.Helper()
	w.eventually(u.Spec.UserName+" is held in "+pool, func() error {
		w.must(w.client.Get(w.t.Context(), keyOf(u), u))
		if !slices.Contains(u.Status.Pools, v1alpha1.PoolMembership{Name: pool, Source: v1alpha1.PoolSourceHeld, Held: true}) {
			return fmt.Errorf("%v; %s", u.Status.Pools, describe(u.Status.Conditions))
		}
		return nil
	})
}

// team returns a pool of n users, who are in it by one group.
func (w *world) team(name string, n int) (*v1alpha1.AgentPool, []*v1alpha1.ScimUser) {
	w.t.Helper()
	pool := w.pool(name, v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	var all []*v1alpha1.ScimUser
	for i := range n {
		all = append(all, w.push(fmt.Sprintf("%s%d@example.test", name, i), in(name)))
	}
	for _, u := range all {
		w.provisioned(u, user, quota)
	}
	return pool, all
}

// quotas counts how many of the users are in the portal's pool with this name, which gives them a
// role.
func (w *world) quotas(all []*v1alpha1.ScimUser) (n int) {
	for _, u := range all {
		if slices.Contains(w.account(u.Spec.UserName).Roles, quota) {
			n++
		}
	}
	return n
}

func TestEmptiedGroupIsHeld(t *testing.T) {
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		s.DeprovisioningGuard.Window = &metav1.Duration{Duration: time.Minute}
	}))
	pool, all := w.team("ops", 12)
	w.empty("ops")
	id := w.decision(pool)
	if h := pool.Status.Held; h.Removal != string(portalapi.RemovalMembers) || h.Users != 12 {
		t.Errorf("held: %+v", h)
	}
	w.poolShows("ops", portalapi.RemovalMembers)
	for _, u := range all {
		w.staysIn(u, "ops")
	}
	if n := w.quotas(all); n != 12 {
		t.Fatalf("%d of 12 are in the pool", n)
	}
	t.Log("new members pass meanwhile")
	w.provisioned(w.push("new@example.test", in("ops")), user, quota)
	t.Log("a restart in the next window holds the same set")
	w.stop()
	w.passes(10 * time.Minute)
	w.startManager()
	if again := w.decision(pool); again != id {
		t.Errorf("decision %s, was %s", again, id)
	}
	t.Log("one user is added again: this is another, undecided set, although the first is released now")
	w.change(all[0], in("ops"))
	w.eventually("another set is held", func() error {
		if again := w.decision(pool); again == id || pool.Status.Held.Users != 11 {
			return fmt.Errorf("held: %+v", pool.Status.Held)
		}
		return nil
	})
	w.annotate(pool, v1alpha1.AnnotationRelease, id)
	w.provisioned(w.push("later@example.test", in("ops")), user, quota)
	if n := w.quotas(all); n != 12 {
		t.Errorf("the release of an outdated set removed %d users", 12-n)
	}
	t.Log("after the release exactly that set leaves")
	w.annotate(pool, v1alpha1.AnnotationRelease, w.decision(pool))
	for _, u := range all[1:] {
		w.provisioned(u, user)
	}
	w.provisioned(all[0], user, quota)
	w.poolShows("ops", "")
	w.says(pool, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
}

func TestDroppedRemovalOfMembersRemains(t *testing.T) {
	w := newWorld(t)
	pool, all := w.team("ops", 8)
	w.empty("ops")
	w.annotate(pool, v1alpha1.AnnotationDrop, w.decision(pool))
	w.says(pool, v1alpha1.ConditionReady, v1alpha1.ReasonRemovalDropped)
	w.eventually("the portal remembers the drop", func() error {
		if m := w.poolMark("ops"); m == nil || m.State != portalapi.MarkDropped {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	t.Log("a restarted manager, without the annotation, keeps the drop")
	w.stop()
	w.annotate(pool, v1alpha1.AnnotationDrop, "lost")
	w.startManager()
	w.changePool(pool, func(s *v1alpha1.AgentPoolSpec) { s.Description = "changed" })
	w.eventually("the change is observed", func() error {
		w.must(w.client.Get(t.Context(), keyOf(pool), pool))
		if pool.Status.ObservedGeneration != pool.Generation {
			return errors.New(describe(pool.Status.Conditions))
		}
		return nil
	})
	w.says(pool, v1alpha1.ConditionReady, v1alpha1.ReasonRemovalDropped)
	if n := w.quotas(all); n != 8 {
		t.Errorf("%d of 8 are in the pool", n)
	}
	t.Log("the provider takes it back: the mark is cleared")
	for _, u := range all {
		w.change(u, in("ops"))
	}
	w.says(pool, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.poolShows("ops", "")
}

// TestDroppedLossOfManagerTakesNoNewMembers: a drop keeps the existing managers and adds no new
// ones, whatever source adds them to the group or the pool.
func TestDroppedLossOfManagerTakesNoNewMembers(t *testing.T) {
	w := newWorld(t)
	pool := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}})
	var all []*v1alpha1.ScimUser
	for i := range 8 {
		all = append(all, w.push(fmt.Sprintf("lead%d@example.test", i), in("leads")))
	}
	for _, u := range all {
		w.provisioned(u, manager, user)
	}
	w.changePool(pool, func(s *v1alpha1.AgentPoolSpec) { s.Roles = nil })
	w.annotate(pool, v1alpha1.AnnotationDrop, w.decision(pool))
	w.says(pool, v1alpha1.ConditionReady, v1alpha1.ReasonRemovalDropped)
	late := w.push("late@example.test", in("leads"))
	w.says(late, v1alpha1.ConditionReady, v1alpha1.ReasonPoolPending)
	w.changePool(pool, func(s *v1alpha1.AgentPoolSpec) { s.Members = []v1alpha1.PoolMember{{UserName: "editor@example.test"}} })
	editor := w.push("editor@example.test")
	w.says(editor, v1alpha1.ConditionReady, v1alpha1.ReasonPoolPending)
	for _, u := range append(all, late, editor) {
		want := []string{manager, user}
		if u == late || u == editor {
			want = []string{user}
		}
		if roles := w.account(u.Spec.UserName).Roles; !slices.Equal(roles, want) {
			t.Errorf("%s has %v, want %v", u.Spec.UserName, roles, want)
		}
	}
	t.Log("if the pool declares the role again, new members get it")
	w.changePool(pool, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{manager} })
	w.provisioned(late, manager, user)
	w.provisioned(editor, manager, user)
}

func TestPoolBudget(t *testing.T) {
	w := newWorld(t)
	pool, all := w.team("ops", 10)
	for i, u := range all {
		w.change(u, in())
		if i < 5 {
			w.provisioned(u, user)
			continue
		}
		w.eventually(fmt.Sprintf("%d are held", i-4), func() error {
			w.must(w.client.Get(t.Context(), keyOf(pool), pool))
			if h := pool.Status.Held; h == nil || h.Users != int64(i-4) {
				return fmt.Errorf("held %+v; %s", h, describe(pool.Status.Conditions))
			}
			return nil
		})
	}
	if n := w.quotas(all); n != 5 {
		t.Errorf("%d are in the pool, want 5", n)
	}
}

func TestDroppedPoolDeletion(t *testing.T) {
	w := newWorld(t)
	pool, all := w.team("ops", 9)
	w.remove(pool)
	w.annotate(pool, v1alpha1.AnnotationDrop, w.decision(pool))
	w.gone(pool)
	if n := w.quotas(all); n != 9 {
		t.Fatalf("%d of 9 are in the pool", n)
	}
	again := w.pool("ops", v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{ID: w.groupID("ops")}}, Roles: []v1alpha1.Role{quota}})
	w.says(again, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	for _, u := range all {
		w.provisioned(u, user, quota)
	}
	w.poolShows("ops", "")
}

// empty removes all members of the named group in one request.
func (w *world) empty(group string) {
	w.t.Helper()
	w.groups.mu.Lock()
	defer w.groups.mu.Unlock()
	w.send(http.MethodPatch, "/Groups/"+w.groupNamed(group).Name, idp.Patch(idp.Replace("members", []any{})))
	for user, in := range w.groups.of {
		w.groups.of[user] = slices.DeleteFunc(slices.Clone(in), func(name string) bool { return name == group })
	}
}

func (w *world) groupID(name string) string {
	w.groups.mu.Lock()
	defer w.groups.mu.Unlock()
	return w.groupNamed(name).Name
}

// poolMark returns the mark of the portal's pool with this name.
func (w *world) poolMark(name string) *portalapi.Mark {
	w.t.Helper()
	all, err := w.store.Pools(w.t.Context())
	w.must(err)
	for _, p := range all {
		if p.Name == name {
			return p.Mark
		}
	}
	return nil
}
