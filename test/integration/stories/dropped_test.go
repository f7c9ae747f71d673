// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/idp"
)

// squad is a group with two members, and the pool that it fills.
type squad struct {
	*world
	group    *v1alpha1.ScimGroup
	pool     *v1alpha1.AgentPool
	ada, bob *v1alpha1.ScimUser
}

func (w *world) squad(name string) *squad {
	w.t.Helper()
	t := &squad{world: w, ada: w.push("ada." + name + "@example.test"), bob: w.push("bob." + name + "@example.test")}
	t.pool = w.pool(name, v1alpha1.AgentPoolSpec{Groups: names(name)}) // before the group, which gets no pool of its own
	t.group = w.group(name, t.ada, t.bob)
	for _, u := range []*v1alpha1.ScimUser{t.ada, t.bob} {
		w.eventually(u.Spec.UserName+" is in the pool", func() error { return t.in(u) })
	}
	return t
}

// in returns an error if the user is not in the pool in the portal.
func (t *squad) in(u *v1alpha1.ScimUser) error {
	a, p := t.account(u.Spec.UserName), t.poolNamed(t.pool.Name)
	if a == nil || p == nil || !slices.Contains(a.Pools, p.ID) {
		return fmt.Errorf("%+v, %+v", a, p)
	}
	return nil
}

// drops drops the held removal of the object, and returns its id.
func (t *squad) drops(o client.Object) (id string) {
	t.t.Helper()
	id = t.decision(o)
	t.annotate(o, v1alpha1.AnnotationDrop, id)
	t.says(o, v1alpha1.ConditionReady, v1alpha1.ReasonRemovalDropped)
	return id
}

// asksAgain waits until the object has a held removal of so many users with another id.
func (t *squad) asksAgain(o client.Object, before string, users int64) {
	t.t.Helper()
	t.eventually("another removal is held", func() error {
		t.must(t.client.Get(t.t.Context(), keyOf(o), o))
		var held *v1alpha1.HeldRemoval
		switch o := o.(type) {
		case *v1alpha1.ScimUser:
			held = o.Status.Held
		case *v1alpha1.AgentPool:
			held = o.Status.Held
		}
		if held == nil || held.Decision == before || held.Users != users {
			return fmt.Errorf("after %s: %+v, %s", before, held, describe(conditionsOf(o)))
		}
		return nil
	})
}

// dropsDeletion drops the held deletion of the user, who returns.
func (t *squad) dropsDeletion(u *v1alpha1.ScimUser) (id string) {
	t.t.Helper()
	t.remove(u)
	id = t.decision(u)
	t.annotate(u, v1alpha1.AnnotationDrop, id)
	t.says(u, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	return id
}

// finished waits until the provider's deletion of the group is carried out.
func (t *squad) finished() {
	t.t.Helper()
	t.eventually("the group is gone", func() error {
		g := t.group.DeepCopy()
		if err := t.client.Get(t.t.Context(), keyOf(g), g); !apierrors.IsNotFound(err) {
			return errors.Join(err, errors.New(describe(g.Status.Conditions)))
		}
		return nil
	})
}

// TestLaterRequestsAfterADrop: a person dropped a removal, and the provider sends another request.
// That request is a new decision under a new id, or it is carried out. It is never undone silently.
func TestLaterRequestsAfterADrop(t *testing.T) {
	w := newWorld(t, noBudget)
	for i, tc := range []struct {
		dropped, later string
		play           func(*squad)
	}{
		{"deactivation", "deletion", func(t *squad) {
			t.change(t.ada, inactive)
			id := t.drops(t.ada)
			t.remove(t.ada)
			t.asksAgain(t.ada, id, 1)
			if !t.ada.Spec.Deleted {
				t.t.Error("the user came back although no person decided about the deletion")
			}
		}},
		{"deactivation", "removal from the group", func(t *squad) {
			t.change(t.ada, inactive)
			t.drops(t.ada)
			t.leave(t.group, t.ada)
			t.asksAgain(t.pool, "", 1)
			t.annotate(t.pool, v1alpha1.AnnotationRelease, t.decision(t.pool))
			t.eventually("the member leaves", func() error {
				if t.in(t.ada) == nil {
					return errors.New("is in the pool")
				}
				return nil
			})
			t.is(t.ada.Spec.UserName, portalapi.StatusActive) // that decision stays
		}},
		{"deactivation", "the same request", func(t *squad) {
			t.change(t.ada, inactive)
			id := t.drops(t.ada)
			t.send(http.MethodPatch, "/Users/"+t.ada.Name, idp.Patch(idp.SetActive(false)))
			t.change(t.ada, func(s *v1alpha1.ScimUserSpec) { s.Title = "Engineer" }) // a pass after it
			t.says(t.ada, v1alpha1.ConditionReady, v1alpha1.ReasonRemovalDropped)
			if says := describe(t.ada.Status.Conditions); !strings.Contains(says, id) || t.ada.Spec.Active == nil || *t.ada.Spec.Active {
				t.t.Errorf("the decision was %s: %s", id, says)
			}
		}},
		{"deactivation", "activation, and deactivation again", func(t *squad) {
			t.change(t.ada, inactive)
			id := t.drops(t.ada)
			t.change(t.ada, active)
			t.says(t.ada, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			t.change(t.ada, inactive)
			t.asksAgain(t.ada, id, 1)
		}},
		{"deletion", "deletion again", func(t *squad) {
			id := t.dropsDeletion(t.ada)
			t.remove(t.ada)
			t.asksAgain(t.ada, id, 1)
		}},
		{"deletion", "deactivation", func(t *squad) {
			id := t.dropsDeletion(t.ada)
			t.change(t.ada, inactive)
			t.asksAgain(t.ada, id, 1)
		}},
		{"removal from the group", "deletion of the group", func(t *squad) {
			t.leave(t.group, t.ada)
			id := t.drops(t.pool)
			t.remove(t.group)
			t.asksAgain(t.pool, id, 2)
		}},
		{"removal from the group", "deletion of the group without other members", func(t *squad) {
			t.leave(t.group, t.bob)
			t.annotate(t.pool, v1alpha1.AnnotationRelease, t.decision(t.pool))
			t.says(t.pool, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			t.leave(t.group, t.ada)
			t.drops(t.pool)
			t.remove(t.group)
			t.finished()
			t.must(t.in(t.ada)) // nothing that the deletion says was dropped
		}},
		{"removal from the group", "removal of another member", func(t *squad) {
			t.leave(t.group, t.ada)
			id := t.drops(t.pool)
			t.leave(t.group, t.bob)
			t.asksAgain(t.pool, id, 2)
		}},
		{"removal from the group", "addition, and removal again", func(t *squad) {
			t.leave(t.group, t.ada)
			id := t.drops(t.pool)
			t.add(t.group, t.ada)
			t.says(t.pool, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			t.leave(t.group, t.ada)
			t.asksAgain(t.pool, id, 1)
		}},
		{"removal from the group", "deletion of the user", func(t *squad) {
			t.leave(t.group, t.ada)
			t.drops(t.pool)
			t.remove(t.ada)
			t.annotate(t.ada, v1alpha1.AnnotationRelease, t.decision(t.ada))
			t.is(t.ada.Spec.UserName, portalapi.StatusDeactivated)
			if t.in(t.ada) == nil {
				t.t.Error("the user is in the pool")
			}
		}},
		{"deletion of the group", "deletion again", func(t *squad) {
			t.remove(t.group)
			id := t.decision(t.pool)
			t.annotate(t.pool, v1alpha1.AnnotationDrop, id)
			t.says(t.group, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			t.says(t.pool, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			t.remove(t.group)
			t.asksAgain(t.pool, id, 2)
		}},
	} {
		t.Run(tc.dropped+", then "+tc.later, func(t *testing.T) {
			inner := &world{t: t, cp: w.cp, client: w.client, namespace: w.namespace, store: w.store, server: w.server, faults: w.faults, provider: w.provider, file: w.file}
			tc.play(inner.squad(fmt.Sprintf("squad-%02d", i)))
		})
	}
}
