// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"fmt"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// TestEventsNameWhoDecided: an event and the portal's audit name the person who decided, for one
// object and for all held removals at once.
func TestEventsNameWhoDecided(t *testing.T) {
	zero := int32(0)
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		s.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &zero, MaxPercent: &zero}
	}))
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}})
	ada, bob, eve := w.push("ada@example.test", in("leads")), w.push("bob@example.test"), w.push("eve@example.test")
	w.provisioned(ada, user, manager)
	for _, u := range []*v1alpha1.ScimUser{bob, eve} {
		w.provisioned(u, user)
		w.change(u, inactive)
		w.says(u, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
	}
	w.changePool(leads, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{quota} })
	w.says(leads, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)

	w.decide(bob, v1alpha1.AnnotationRelease, w.decision(bob), "carol@example.test")
	w.is("bob@example.test", portalapi.StatusDeactivated)
	w.hasNote(bob, "RemovalReleased", "Released by carol@example.test")
	w.audits(w.account("bob@example.test").ID, "", "decidedBy", "carol@example.test")
	w.decide(leads, v1alpha1.AnnotationDrop, w.decision(leads), "dan@example.test")
	w.hasNote(leads, "RemovalDropped", "Dropped by dan@example.test")
	w.audits(w.poolNamed("leads").ID, "", "decidedBy", "dan@example.test")
	w.decide(eve, v1alpha1.AnnotationDrop, w.decision(eve), "frank@example.test")
	w.says(eve, v1alpha1.ConditionReady, v1alpha1.ReasonRemovalDropped)
	w.hasNote(eve, "RemovalDropped", "Dropped by frank@example.test")
	w.audits(w.account("eve@example.test").ID, "", "decidedBy", "frank@example.test")
}

// decide writes a decision as kubectl scim does, in one change.
func (w *world) decide(o client.Object, annotation, value, by string) {
	w.t.Helper()
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(o), o))
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q,%q:%q}}}`, annotation, value, v1alpha1.AnnotationDecidedBy, by)
	w.must(w.client.Patch(w.t.Context(), o, client.RawPatch("application/merge-patch+json", patch)))
}

// hasNote waits until an event about the object has the reason and starts with the note.
func (w *world) hasNote(o client.Object, reason, note string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("an event %s: %s", reason, note), func() error {
		var list eventsv1.EventList
		w.must(w.client.List(w.t.Context(), &list, client.InNamespace(w.namespace)))
		for _, e := range list.Items {
			if e.Reason == reason && e.Regarding.UID == o.GetUID() && strings.HasPrefix(e.Note, note) {
				return nil
			}
		}
		return fmt.Errorf("%d other events", len(list.Items))
	})
}
