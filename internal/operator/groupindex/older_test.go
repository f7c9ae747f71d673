// SPDX-License-Identifier: Apache-2.0

package groupindex

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// recorded is a Portal.
type recorded struct {
	revisions map[string]int64
	deleted   bool
}

func (r recorded) GroupRevision(id string) (revision int64, deleted bool) {
	return r.revisions[id], r.deleted
}

func TestOlder(t *testing.T) {
	for name, tc := range map[string]struct {
		reason   string
		group    Group
		recorded int64
		deleted  bool
		want     int64
	}{
		"NoRecord":     {"A portal that was lost knows of nothing newer, and so does one that never saw the group.", Group{Whole: true, Revision: 5}, 0, false, 0},
		"Same":         {"The group is as the portal saw it.", Group{Whole: true, Revision: 5}, 5, false, 0},
		"Pushed":       {"A push is newer, whatever it changed.", Group{Whole: true, Revision: 9}, 5, false, 0},
		"Backup":       {"The objects are from before what the portal saw.", Group{Whole: true, Revision: 4}, 5, false, 5},
		"NotWhole":     {"Slices that were not restored yet may be newer; until then the group changes nothing.", Group{Revision: 4}, 5, false, 5},
		"OneMember":    {"A change of one member after that leaves the others as in the backup.", Group{Whole: true, Revision: 9, Replaced: 2, Round: 2, OlderThan: 5, OlderRound: 2}, 5, false, 5},
		"AllMembers":   {"All members were replaced since.", Group{Whole: true, Revision: 9, Replaced: 3, Round: 3, OlderThan: 5, OlderRound: 2}, 5, false, 0},
		"Recorded":     {"The portal has seen that, and the status does not say so yet.", Group{Whole: true, Revision: 9, Replaced: 3, Round: 3, OlderThan: 5, OlderRound: 2}, 9, false, 0},
		"PartOfAll":    {"A replacement of all members has not reached every slice.", Group{Whole: true, Revision: 9, Replaced: 2, Round: 3, OlderThan: 5, OlderRound: 2}, 5, false, 5},
		"NewerExport":  {"A newer export was restored over the older one.", Group{Whole: true, Revision: 5, OlderThan: 5}, 5, false, 0},
		"Again":        {"An even older backup was restored after the push of all members.", Group{Whole: true, Revision: 3, Replaced: 3, Round: 3, OlderThan: 5, OlderRound: 2}, 9, false, 9},
		"Accepted":     {"A person decided that the backup counts.", Group{Whole: true, Revision: 4, OlderThan: 5, Accepted: 5}, 5, false, 0},
		"AcceptedOnce": {"The decision was about another revision.", Group{Whole: true, Revision: 4, Accepted: 5}, 7, false, 7},
		"PortalLost":   {"What was found to be older stays so when the portal is lost as well.", Group{Whole: true, Revision: 4, OlderThan: 5}, 0, false, 5},
		"Deletion":     {"The deletion was interrupted after its slices were deleted; it is carried out to its end.", Group{Deleted: true, Revision: 1}, 8, true, 0},
		"NotRecorded":  {"The portal has recorded no deletion, so a backup has it.", Group{Deleted: true, Revision: 1}, 8, false, 8},
		"DeletedSince": {"The provider deleted the group after the backup: it does not return with it.", Group{Whole: true, Revision: 4}, 5, true, 5},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Older(tc.group, recorded{revisions: map[string]int64{"": tc.recorded}, deleted: tc.deleted}); got != tc.want {
				t.Errorf("%d, want %d: %s", got, tc.want, tc.reason)
			}
		})
	}
}

// TestRevisions follows one group of two slices.
func TestRevisions(t *testing.T) {
	x := New()
	var changes []Change
	x.Subscribe(func(c Change) { changes = append(changes, c) })
	group := func(revision, olderThan int64) *v1alpha1.ScimGroup {
		g := scimGroup("g1", "Payments")
		g.Spec.Revision, g.Status.OlderThan = revision, olderThan
		g.Annotations = map[string]string{v1alpha1.AnnotationAcceptBackup: "12"}
		return g
	}
	part := func(prefix uint16, revision int64) *v1alpha1.ScimGroupSlice {
		s := slice("g1", prefix, 1, "u")
		s.Spec.Members, s.Spec.Revision = "", revision
		return s
	}
	for _, step := range []struct {
		reason  string
		do      func()
		want    Group
		changes []bool // All of each
		version int64  // by how much it grows
	}{
		{"Slices come before the group, and its own revision counts too.", func() { x.PutSlice(part(0, 4)); x.PutSlice(part(0x8000, 6)); x.Put(group(5, 0)) },
			Group{Whole: true, Revision: 6}, []bool{false, false, true}, 2},
		{"A push that changes no member is a change, and costs no new snapshot of all pools.", func() { x.PutSlice(part(0, 9)) },
			Group{Whole: true, Revision: 9}, []bool{false}, 0},
		{"The same again is none.", func() { x.PutSlice(part(0, 9)) }, Group{Whole: true, Revision: 9}, nil, 0},
		{"A restored etcd has older objects, and all that depends on the group is decided again.", func() { x.PutSlice(part(0, 3)) },
			Group{Whole: true, Revision: 6}, []bool{true}, 1},
		{"A replacement is one when all slices have its round.", func() {
			s := part(0, 9)
			s.Spec.Round = 2
			x.PutSlice(s)
		}, Group{Whole: true, Revision: 9, Round: 2}, []bool{false}, 0},
		{"Back.", func() { x.PutSlice(part(0, 3)) }, Group{Whole: true, Revision: 6}, []bool{true}, 1},
		{"What the status remembers is a change.", func() { x.Put(group(5, 9)) }, Group{Whole: true, Revision: 6, OlderThan: 9}, []bool{true}, 1},
		{"A group with a slice missing is not whole.", func() { x.DropSlice(part(0, 3)) }, Group{Revision: 6, OlderThan: 9}, []bool{true}, 1},
	} {
		before := x.Version()
		changes = nil
		step.do()
		step.want.ID, step.want.DisplayName, step.want.ExternalID, step.want.Accepted = "g1", "Payments", "x-g1", 12
		got, _ := x.Group("g1")
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.reason, diff)
		}
		var all []bool
		for _, c := range changes {
			all = append(all, c.All)
		}
		if diff := cmp.Diff(step.changes, all); diff != "" {
			t.Errorf("%s Changes (-want +got):\n%s", step.reason, diff)
		}
		if grew := x.Version() - before; grew != step.version {
			t.Errorf("%s The version grew by %d, want %d", step.reason, grew, step.version)
		}
	}
}
