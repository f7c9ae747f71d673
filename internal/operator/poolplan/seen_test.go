// SPDX-License-Identifier: Apache-2.0

package poolplan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/poolplan"
)

// TestOlderGroup: user-000000 is in the pool in the portal, user-000001 is not. The objects of the
// group say the opposite, and another pool saw the group too.
func TestOlderGroup(t *testing.T) {
	const group, at = "g", 7 // the revision of the objects
	for name, tc := range map[string]struct {
		reason      string
		here, there int64 // the revision in the pin of this pool, and of the other one
		edit        func(*v1alpha1.ScimGroup)
		changes     bool   // the members follow the objects
		seen        bool   // the portal learns the revision of the objects
		line        string // reason of GroupsResolved
	}{
		"NoRecord": {reason: "A group is not older if the portal has no record of it.", changes: true, seen: true, line: v1alpha1.ReasonResolved},
		"Pushed":   {reason: "A group at a newer revision than the portal's is sent with its members.", here: 6, there: 5, changes: true, seen: true, line: v1alpha1.ReasonResolved},
		"Same":     {reason: "A revision that the portal has is not sent again.", here: at, there: at, changes: true, line: v1alpha1.ReasonResolved},
		"Older":    {reason: "No user joins or leaves the pool of an older group.", here: 8, line: v1alpha1.ReasonBackupOlder},
		"SeenElsewhere": {reason: "A group is older if any pool has seen a newer revision: a new pool adds no former members either.",
			there: 8, line: v1alpha1.ReasonBackupOlder},
		"OlderDeletion": {reason: "A deletion in an older backup empties no pool.", here: 8,
			edit: func(g *v1alpha1.ScimGroup) { g.Spec.Deleted = true }, line: v1alpha1.ReasonBackupOlder},
		"Accepted": {reason: "After the backup was accepted, its members join and the others leave.", here: 8,
			edit:    func(g *v1alpha1.ScimGroup) { g.Annotations = map[string]string{v1alpha1.AnnotationAcceptBackup: "8"} },
			changes: true, line: v1alpha1.ReasonResolved},
		"Remembered": {reason: "A change of one member after the restore leaves the group older.", here: 6,
			edit: func(g *v1alpha1.ScimGroup) { g.Status.OlderThan = 6 }, line: v1alpha1.ReasonBackupOlder},
		"Replaced": {reason: "A push of all members after the restore ends it.", here: 6,
			edit:    func(g *v1alpha1.ScimGroup) { g.Status.OlderThan, g.Status.OlderRound = 6, 2 },
			changes: true, seen: true, line: v1alpha1.ReasonResolved},
	} {
		t.Run(name, func(t *testing.T) {
			c, m, own := newCompany(2)
			c.pool.Spec.MemberFilter = ""
			c.pool.Spec.Groups = []v1alpha1.GroupReference{{DisplayName: "Payments"}}
			c.pool.Generation, c.pool.Status.ObservedGeneration = 1, 1
			c.pool.Status.Groups = []v1alpha1.PinnedGroup{{GroupReference: c.pool.Spec.Groups[0], Group: group}}
			here := *own
			here.Pins = []portalapi.Pin{{Line: "displayName Payments", ID: group, Revision: tc.here}}
			m.PutPool(&here)
			m.PutPool(&portalapi.Pool{ID: "2", Name: "other", Owner: portalapi.Owner{UID: "other", Name: "other"}, Pins: []portalapi.Pin{{Line: "id g", ID: group, Revision: tc.there}}})
			groups := groupindex.New()
			groups.PutSlice(&v1alpha1.ScimGroupSlice{
				ObjectMeta: metav1.ObjectMeta{Name: groupslice.Name(group, 0), Labels: map[string]string{v1alpha1.LabelGroup: group}},
				Spec:       v1alpha1.ScimGroupSliceSpec{Revision: at, Round: 3, Members: "user-000001\n"},
			})
			g := &v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Name: group}, Spec: v1alpha1.ScimGroupSpec{DisplayName: "Payments", Revision: 1, Round: 3}}
			if tc.edit != nil {
				tc.edit(g)
			}
			if g.Status.OlderThan != 0 && g.Status.OlderRound == 0 {
				g.Status.OlderRound = 3
			}
			groups.Put(g)

			snapshot, err := poolindex.New(c, "", groups).Snapshot(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			got, ok, err := poolplan.MemberChanges(t.Context(), &c.pool, &here, poolplan.MemberFacts{
				Users: c, Groups: groups, Mirror: m, Snapshot: snapshot,
			})
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			var want poolplan.Changes
			if tc.changes {
				want.Join, want.Leave = []*portalapi.Account{m.Account("user-000001")}, []*portalapi.Account{m.Account("user-000000")}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if keeps := snapshot.Pool("payments").Keeps; keeps == tc.changes {
				t.Errorf("%s The pool keeps its members: %v", tc.reason, keeps)
			}
			var sent []portalapi.GroupRevision
			if tc.seen {
				sent = []portalapi.GroupRevision{{Group: group, Revision: at}}
			}
			if diff := cmp.Diff(sent, poolplan.Seen(here.Pins, groups, m)); diff != "" {
				t.Errorf("%s Sent to the portal (-want +got):\n%s", tc.reason, diff)
			}
			lines, pins, undecided := poolplan.Resolve(&c.pool, groups, m)
			state := groupindex.Resolved
			if tc.line == v1alpha1.ReasonBackupOlder {
				state = groupindex.StateOlder
			}
			if lines[0].State != state || undecided {
				t.Errorf("%s The line is %v, undecided %v", tc.reason, lines[0], undecided)
			}
			if diff := cmp.Diff(c.pool.Status.Groups, pins); diff != "" {
				t.Errorf("%s Pins (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestSnapshotOfAnOlderGroup: a push of all members changes no version of the index, and the next
// snapshot is another one.
func TestSnapshotOfAnOlderGroup(t *testing.T) {
	c, m, own := newCompany(0)
	c.pool = v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Name: "g", UID: "pool"}, Spec: v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{ID: "g"}}}}
	here := *own
	here.Pins = []portalapi.Pin{{Line: "id g", ID: "g", Revision: 8}}
	m.PutPool(&here)
	part := func(revision int64) *v1alpha1.ScimGroupSlice {
		return &v1alpha1.ScimGroupSlice{
			ObjectMeta: metav1.ObjectMeta{Name: groupslice.Name("g", 0), Labels: map[string]string{v1alpha1.LabelGroup: "g"}},
			Spec:       v1alpha1.ScimGroupSliceSpec{Revision: revision},
		}
	}
	groups := groupindex.New()
	groups.PutSlice(part(7))
	groups.Put(&v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Name: "g"}})
	index := poolindex.New(c, "", groups)
	for _, step := range []struct {
		reason   string
		revision int64
		keeps    bool
	}{{"The group is older than the portal's record.", 7, true}, {"The group is no longer older after a push of all members.", 9, false}, {"The group is older again after a restore of etcd.", 6, true}} {
		groups.PutSlice(part(step.revision))
		snapshot, err := index.Snapshot(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		if got := snapshot.Pool("g").Keeps; got != step.keeps {
			t.Errorf("%s The pool keeps its members: %v", step.reason, got)
		}
	}
}

// TestSnapshotOfARecordedDeletion: the deletion was interrupted after the group's slices were
// deleted, so the object has a lower revision than the portal. It is not from a backup if the
// portal has recorded the deletion too.
func TestSnapshotOfARecordedDeletion(t *testing.T) {
	for name, tc := range map[string]struct {
		reason   string
		recorded bool
		keeps    bool
	}{
		"Recorded": {"A deletion that the portal recorded continues: the members leave.", true, false},
		"Backup":   {"A deletion in an older backup empties no pool.", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			c, m, own := newCompany(2)
			c.pool.Spec.MemberFilter = ""
			c.pool.Spec.Groups = []v1alpha1.GroupReference{{DisplayName: "Payments"}}
			c.pool.Generation, c.pool.Status.ObservedGeneration = 1, 1
			c.pool.Status.Groups = []v1alpha1.PinnedGroup{{GroupReference: c.pool.Spec.Groups[0], Group: "g"}}
			here := *own
			here.Pins = []portalapi.Pin{{Line: "displayName Payments", ID: "g", Revision: 8, Deleted: tc.recorded}}
			m.PutPool(&here)
			groups := groupindex.New()
			groups.Put(&v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Name: "g"}, Spec: v1alpha1.ScimGroupSpec{DisplayName: "Payments", Revision: 1, Deleted: true}})
			snapshot, err := poolindex.New(c, "", groups).Snapshot(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if got := snapshot.Pool("payments").Keeps; got != tc.keeps {
				t.Errorf("%s The pool keeps its members: %v", tc.reason, got)
			}
		})
	}
}
