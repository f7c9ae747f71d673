// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

// TestAnEventRenewsTheSnapshotBeforeItsPass: a pass must not decide on the pools as they were
// before the event that caused it. The lines of a changed pool are unresolved until a pass has
// written that they are resolved, and until then no member leaves.
func TestAnEventRenewsTheSnapshotBeforeItsPass(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*v1alpha1.AgentPool)
		renews bool
	}{
		"Resolved":    {"The snapshot is renewed when the lines of the current generation are resolved.", func(p *v1alpha1.AgentPool) { p.Status.ObservedGeneration = 2 }, true},
		"Spec":        {"The snapshot is renewed after a change of the spec.", func(p *v1alpha1.AgentPool) { p.Generation = 3 }, true},
		"Pinned":      {"The snapshot is renewed when a line is pinned to a group.", func(p *v1alpha1.AgentPool) { p.Status.Groups = []v1alpha1.PinnedGroup{{Group: "g"}} }, true},
		"MemberCount": {"The snapshot is not renewed when the number of members changes.", func(p *v1alpha1.AgentPool) { p.Status.MemberCount = 7 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := &v1alpha1.AgentPool{
				ObjectMeta: metav1.ObjectMeta{Namespace: "scim", Name: "ops", Generation: 2},
				Spec:       v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{DisplayName: "Ops"}}},
				Status:     v1alpha1.AgentPoolStatus{ObservedGeneration: 1},
			}
			scheme := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			r := &Reconciler{Pools: poolindex.New(kubefake.New(t, scheme, before), "scim", groupindex.New())}
			m := mirror.New(func(mirror.Event) {})
			was, err := r.Pools.Snapshot(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			after := before.DeepCopy()
			tc.change(after)
			if !r.renews().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}) {
				t.Error("the event is not passed on")
			}
			if now, err := r.Pools.Snapshot(t.Context(), m); err != nil || (now != was) != tc.renews {
				t.Errorf("%s\nanother snapshot: %t, %v", tc.reason, now != was, err)
			}
		})
	}
}
