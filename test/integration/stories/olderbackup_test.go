// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/idp"
)

// export returns the group and its slices as restore creates them: without status and without what
// the API server sets.
func (w *world) export(g *v1alpha1.ScimGroup) (all []client.Object) {
	w.t.Helper()
	var slices v1alpha1.ScimGroupSliceList
	w.must(w.client.List(w.t.Context(), &slices, client.InNamespace(w.namespace), client.MatchingLabels{v1alpha1.LabelGroup: g.Name}))
	for i := range slices.Items {
		all = append(all, &slices.Items[i])
	}
	exported := &v1alpha1.ScimGroup{}
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(g), exported))
	exported.Status = v1alpha1.ScimGroupStatus{}
	all = append(all, exported)
	for _, o := range all {
		o.SetUID("")
		o.SetResourceVersion("")
		o.SetGeneration(0)
		o.SetCreationTimestamp(metav1.Time{})
		o.SetManagedFields(nil)
	}
	return all
}

// restore deletes the group's objects without a tombstone, which deprovisions no user, and creates
// the objects of the export.
func (w *world) restore(g *v1alpha1.ScimGroup, export []client.Object) {
	w.t.Helper()
	w.must(w.client.DeleteAllOf(w.t.Context(), &v1alpha1.ScimGroupSlice{}, client.InNamespace(w.namespace), client.MatchingLabels{v1alpha1.LabelGroup: g.Name}))
	w.must(w.client.Delete(w.t.Context(), g))
	for _, o := range export {
		w.must(w.client.Create(w.t.Context(), o))
	}
}

// pushAll replaces all members of the group, as a provider does that pushes whole groups.
func (w *world) pushAll(g *v1alpha1.ScimGroup, users ...*v1alpha1.ScimUser) {
	w.t.Helper()
	w.send(http.MethodPatch, "/Groups/"+g.Name, idp.Patch(idp.Replace("members", idp.Members(idsOf(users)))))
}

// TestOlderBackupOfAGroup: bob left the group after the backup. The group is restored, and then the
// provider adds carl.
func TestOlderBackupOfAGroup(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		resolve func(w *world, g *v1alpha1.ScimGroup, ada, bob, carl *v1alpha1.ScimUser)
		members [3]bool // true if ada, bob and carl are members afterwards
	}{
		"Pushed": {
			reason:  "A push of all members resolves BackupOlder.",
			resolve: func(w *world, g *v1alpha1.ScimGroup, ada, _, carl *v1alpha1.ScimUser) { w.pushAll(g, ada, carl) },
			members: [3]bool{true, false, true},
		},
		"PushedUnchanged": {
			reason:  "A push of all members resolves BackupOlder even if it changes no member.",
			resolve: func(w *world, g *v1alpha1.ScimGroup, ada, bob, carl *v1alpha1.ScimUser) { w.pushAll(g, ada, bob, carl) },
			members: [3]bool{true, true, true},
		},
		"Accepted": {
			reason: "An administrator accepts the backup: bob is a member again.",
			resolve: func(w *world, g *v1alpha1.ScimGroup, _, _, _ *v1alpha1.ScimUser) {
				w.annotate(g, v1alpha1.AnnotationAcceptBackup, strconv.FormatInt(g.Status.OlderThan, 10))
			},
			members: [3]bool{true, true, true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			pool := w.pool("ops", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
			ada, bob := w.push("ada@example.test", in("ops")), w.push("bob@example.test", in("ops"))
			carl := w.push("carl@example.test")
			w.provisioned(ada, user, quota)
			w.provisioned(bob, user, quota)
			g := w.groups.byName["ops"]
			backup := w.export(g)
			w.leave(g, bob)
			w.provisioned(bob, user)

			w.restore(g, backup)
			w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonBackupOlder)
			w.says(pool, v1alpha1.ConditionGroupsResolved, v1alpha1.ReasonBackupOlder)
			t.Log("while the group is BackupOlder, a change of single members neither restores bob nor adds carl, also after a restart of the manager")
			w.add(g, carl)
			w.stop()
			w.startManager()
			w.provisioned(w.push("dave@example.test", in("others")), user) // then the restarted manager has done its first passes
			w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonBackupOlder)
			for u, want := range map[*v1alpha1.ScimUser]bool{ada: true, bob: false, carl: false} {
				if got := w.inPool(u.Spec.UserName, "ops"); got != want {
					t.Errorf("%s is in the pool: got %v, want %v", u.Spec.UserName, got, want)
				}
			}

			tc.resolve(w, g, ada, bob, carl)
			t.Log(tc.reason)
			for i, u := range []*v1alpha1.ScimUser{ada, bob, carl} {
				w.isInPool(u.Spec.UserName, "ops", tc.members[i])
			}
			w.says(g, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			w.says(pool, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			if g.Status.OlderThan != 0 {
				t.Errorf("status.olderThan is %d, want 0", g.Status.OlderThan)
			}
		})
	}
}

// TestOlderExportIsRefused: the API server refuses an update that lowers the revision of a group,
// as applying an older export would. The group still works afterwards: its rename arrives in the
// portal.
func TestOlderExportIsRefused(t *testing.T) {
	w := newWorld(t)
	g := w.group("ops")
	older := g.DeepCopy()
	w.changeGroup(g, func(s *v1alpha1.ScimGroupSpec) { s.DisplayName = "Operations" })
	older.ResourceVersion = g.ResourceVersion
	if err := w.client.Update(w.t.Context(), older); err == nil || !strings.Contains(err.Error(), "newer revision") {
		t.Errorf("got %v, want a refusal that names the newer revision", err)
	}
	w.eventually("the portal has seen the newer revision", func() error {
		p := w.poolNamed("Operations")
		if p == nil || len(p.Pins) != 1 || p.Pins[0].ID != g.Name || p.Pins[0].Revision < g.Spec.Revision {
			return fmt.Errorf("the portal has %+v", p)
		}
		return nil
	})
}
