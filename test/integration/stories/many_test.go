// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
)

func keyOf(o client.Object) client.ObjectKey { return client.ObjectKeyFromObject(o) }

// TestBudgets in test/scale does the same with 10,000 users and counts every call, without an API
// server.
func TestRolesOfALargePoolChange(t *testing.T) {
	const many = 200
	w := newWorld(t)
	p := w.pool("fast", v1alpha1.AgentPoolSpec{})
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	people := make([]*v1alpha1.ScimUser, many)
	var all sync.WaitGroup
	for i := range people {
		all.Go(func() { people[i] = w.push(fmt.Sprintf("p%d@example.test", i), in("fast")) })
	}
	all.Wait()
	for _, u := range people {
		w.provisioned(u, user)
	}
	w.recorded("fast")
	w.faults.reset()
	t.Log("all users have the new role after one call to the portal, and a concurrent push does not wait for their status")
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{quota} })
	late := w.push("late@example.test", in("fast"))
	w.provisioned(late, user, quota)
	for _, u := range people {
		w.provisioned(u, user, quota)
	}
	// A push of a member is three changes: the slice, the group's revision and, later, the account.
	// Each may have a pass of its own, which is one call for all users.
	var members, others []string
	for _, call := range w.faults.writes() {
		if strings.HasSuffix(call, "/members") {
			members = append(members, call)
		} else {
			others = append(others, call)
		}
	}
	if len(others) > 2 {
		t.Errorf("%d calls, want one for the pool and one for the new user: %v", len(others), others)
	}
	if len(members) > 3 {
		t.Errorf("%d calls for the members, want one for each change at most: %v", len(members), members)
	}
	t.Log("one call removes it again")
	w.recorded("fast")
	w.faults.reset()
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{} })
	for _, u := range people {
		w.provisioned(u, user)
	}
	if got := w.faults.writes(); len(got) != 1 {
		t.Errorf("%d calls: %v", len(got), got)
	}
}

// recorded waits until the portal has the revision of the group's last change. The call that
// records the revision may follow the calls that add the members.
func (w *world) recorded(name string) {
	w.t.Helper()
	g := w.groups.byName[name]
	w.eventually("the portal has the revision of "+name, func() error {
		w.must(w.client.Get(w.t.Context(), keyOf(g), g))
		want := g.Spec.Revision
		var all v1alpha1.ScimGroupSliceList
		w.must(w.client.List(w.t.Context(), &all, client.InNamespace(w.namespace), client.MatchingLabels{v1alpha1.LabelGroup: g.Name}))
		for _, s := range all.Items {
			want = max(want, s.Spec.Revision)
		}
		if p := w.poolNamed(name); p == nil || len(p.Pins) != 1 || p.Pins[0].Revision < want {
			return fmt.Errorf("the portal has %+v, want revision %d", p, want)
		}
		return nil
	})
}

func TestFirstBindingWins(t *testing.T) {
	w := newWorld(t)
	w.says(w.identity(), v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.remove(w.identity())
	w.gone(w.identity())
	t.Log("another cluster, and another provider in a third, bind at the same moment")
	rivals := []*world{w.rival("cluster-b", v1alpha1.ProviderOkta), w.rival("cluster-c", v1alpha1.ProviderEntraID)}
	ready := func(r *world) error {
		c := r.identity()
		r.must(r.client.Get(t.Context(), keyOf(c), c))
		if !conditions.IsTrue(c.Status.Conditions, v1alpha1.ConditionReady) {
			return errors.New(describe(c.Status.Conditions))
		}
		return nil
	}
	first, second := rivals[0], rivals[1]
	w.eventually("one is bound", func() error {
		if ready(second) == nil {
			first, second = second, first
		}
		return ready(first)
	})
	c := second.identity()
	second.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonBoundElsewhere)
	if got := describe(c.Status.Conditions); !strings.Contains(got, first.namespace) || !strings.Contains(got, first.cluster) {
		t.Errorf("the message must name the first operator: %s", got)
	}
	if got := describe(c.Status.Conditions); strings.Contains(got, "portal answered") {
		t.Errorf("the portal's sentence is not alone: %s", got)
	}
	ada := first.push("ada@example.test")
	first.provisioned(ada, user)
	refused := second.push("bob@example.test")
	second.says(refused, v1alpha1.ConditionReady, v1alpha1.ReasonConfigurationNotOK)
	t.Log("the first unbinds, then the second is bound, and its users are provisioned")
	c = first.identity()
	first.remove(c)
	first.gone(c)
	second.says(second.identity(), v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	second.provisioned(refused, user)
	if a := first.account("ada@example.test"); a == nil || a.Owner.UID != string(ada.UID) {
		t.Errorf("the accounts of the first operator changed: %+v", a)
	}
}

// rival is another cluster's namespace, with this provider, that binds the same portal.
func (w *world) rival(cluster string, provider v1alpha1.ProviderType) *world {
	w.t.Helper()
	o := &world{t: w.t, cp: w.cp, client: w.client, namespace: w.cp.Namespace(w.t), store: w.store, server: w.server, faults: w.faults, cluster: cluster}
	o.create(&corev1.Secret{ObjectMeta: metav1Name(o.namespace, "portal"), Data: map[string][]byte{"token": []byte(operatorKey)}})
	c := o.configuration()
	c.Spec.IdentityProvider.Type = provider
	o.create(c)
	o.startWebhook()
	o.startManager()
	return o
}

// hasEvent waits until an event about the object has the reason.
func (w *world) hasEvent(o client.Object, reason string) {
	w.t.Helper()
	w.eventually("an event has the reason "+reason, func() error {
		var list eventsv1.EventList
		w.must(w.client.List(w.t.Context(), &list, client.InNamespace(w.namespace)))
		for _, e := range list.Items {
			if e.Reason == reason && e.Regarding.UID == o.GetUID() {
				return nil
			}
		}
		return fmt.Errorf("%d other events", len(list.Items))
	})
}
