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
		"NoRecord":     {"A group is not older if the portal has no record of it.", Group{Whole: true, Revision: 5}, 0, false, 0},
		"Same":         {"A group at the revision that the portal recorded is not older.", Group{Whole: true, Revision: 5}, 5, false, 0},
		"Pushed":       {"A group at a newer revision than the portal recorded is not older.", Group{Whole: true, Revision: 9}, 5, false, 0},
		"Backup":       {"A group at an older revision than the portal recorded is from a backup.", Group{Whole: true, Revision: 4}, 5, false, 5},
		"NotWhole":     {"A group with a lower revision is older also while a slice is missing, which may be newer.", Group{Revision: 4}, 5, false, 5},
		"OneMember":    {"A change of one member after the restore does not resolve BackupOlder: the other members are those of the backup.", Group{Whole: true, Revision: 9, Replaced: 2, Round: 2, OlderThan: 5, OlderRound: 2}, 5, false, 5},
		"AllMembers":   {"A replacement of all members after the restore resolves BackupOlder.", Group{Whole: true, Revision: 9, Replaced: 3, Round: 3, OlderThan: 5, OlderRound: 2}, 5, false, 0},
		"Recorded":     {"BackupOlder is also resolved if the portal recorded the replacement and the status is behind.", Group{Whole: true, Revision: 9, Replaced: 3, Round: 3, OlderThan: 5, OlderRound: 2}, 9, false, 0},
		"PartOfAll":    {"A replacement that has not reached every slice does not resolve BackupOlder.", Group{Whole: true, Revision: 9, Replaced: 2, Round: 3, OlderThan: 5, OlderRound: 2}, 5, false, 5},
		"NewerExport":  {"A newer export that is restored over the older one resolves BackupOlder.", Group{Whole: true, Revision: 5, OlderThan: 5}, 5, false, 0},
		"Again":        {"An even older backup that is restored after the replacement is older again.", Group{Whole: true, Revision: 3, Replaced: 3, Round: 3, OlderThan: 5, OlderRound: 2}, 9, false, 9},
		"Accepted":     {"The annotation accept-backup resolves BackupOlder.", Group{Whole: true, Revision: 4, OlderThan: 5, Accepted: 5}, 5, false, 0},
		"AcceptedOnce": {"The annotation accept-backup does not count for another revision than the one that it names.", Group{Whole: true, Revision: 4, Accepted: 5}, 7, false, 7},
		"PortalLost":   {"A group that the status calls older stays older when the portal's record is lost.", Group{Whole: true, Revision: 4, OlderThan: 5}, 0, false, 5},
		"Deletion":     {"A deletion that the portal recorded continues, although its slices are deleted and the revision is lower.", Group{Deleted: true, Revision: 1}, 8, true, 0},
		"NotRecorded":  {"A deletion that the portal has not recorded is from a backup.", Group{Deleted: true, Revision: 1}, 8, false, 8},
		"DeletedSince": {"A group that the provider deleted after the backup is older: it does not return with the backup.", Group{Whole: true, Revision: 4}, 5, true, 5},
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
		{"The revision of a group is the highest one of its slices and its object, which may come after them.", func() { x.PutSlice(part(0, 4)); x.PutSlice(part(0x8000, 6)); x.Put(group(5, 0)) },
			Group{Whole: true, Revision: 6}, []bool{false, false, true}, 2},
		{"A push that changes no member is a change, and costs no new snapshot of all pools.", func() { x.PutSlice(part(0, 9)) },
			Group{Whole: true, Revision: 9}, []bool{false}, 0},
		{"An object that comes again without a change is no change of the group.", func() { x.PutSlice(part(0, 9)) }, Group{Whole: true, Revision: 9}, nil, 0},
		{"Older objects, as after a restore of etcd, are a change of the group.", func() { x.PutSlice(part(0, 3)) },
			Group{Whole: true, Revision: 6}, []bool{true}, 1},
		{"A replacement counts once all slices have its round.", func() {
			s := part(0, 9)
			s.Spec.Round = 2
			x.PutSlice(s)
		}, Group{Whole: true, Revision: 9, Round: 2}, []bool{false}, 0},
		{"The group is at its former revision again.", func() { x.PutSlice(part(0, 3)) }, Group{Whole: true, Revision: 6}, []bool{true}, 1},
		{"A change of olderThan in the status is a change of the group.", func() { x.Put(group(5, 9)) }, Group{Whole: true, Revision: 6, OlderThan: 9}, []bool{true}, 1},
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
