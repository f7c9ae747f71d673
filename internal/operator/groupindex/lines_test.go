// SPDX-License-Identifier: Apache-2.0

package groupindex

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
)

func scimGroup(id, displayName string, edit ...func(*v1alpha1.ScimGroupSpec)) *v1alpha1.ScimGroup {
	g := &v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Name: id}, Spec: v1alpha1.ScimGroupSpec{DisplayName: displayName, ExternalID: "x-" + id}}
	for _, f := range edit {
		f(&g.Spec)
	}
	return g
}

func deleted(s *v1alpha1.ScimGroupSpec) { s.Deleted = true }

func byName(name string) v1alpha1.GroupReference { return v1alpha1.GroupReference{DisplayName: name} }
func byID(id string) v1alpha1.GroupReference     { return v1alpha1.GroupReference{ID: id} }
func byExternalID(id string) v1alpha1.GroupReference {
	return v1alpha1.GroupReference{ExternalID: id}
}

func pin(ref v1alpha1.GroupReference, group string) v1alpha1.PinnedGroup {
	return v1alpha1.PinnedGroup{GroupReference: ref, Group: group}
}

func gone(p v1alpha1.PinnedGroup) v1alpha1.PinnedGroup {
	p.Deleted = true
	return p
}

func TestResolve(t *testing.T) {
	payments := byName("Payments")
	cases := map[string]struct {
		reason string
		groups []*v1alpha1.ScimGroup
		lines  []v1alpha1.GroupReference
		pins   []v1alpha1.PinnedGroup
		facts  Facts
		want   []Line
		now    []v1alpha1.PinnedGroup
	}{
		"ByName": {
			reason: "A line with a name matches the group without regard to case and is pinned to it.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "PAYMENTS")},
			lines:  []v1alpha1.GroupReference{payments},
			want:   []Line{{payments, Resolved, []string{"g1"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g1")},
		},
		"ByExternalID": {
			reason: "A line with an externalId matches the group with exactly this externalId.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Payments")},
			lines:  []v1alpha1.GroupReference{byExternalID("X-g1"), byExternalID("x-g1")},
			want:   []Line{{byExternalID("X-g1"), NotFound, nil, ""}, {byExternalID("x-g1"), Resolved, []string{"g1"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(byExternalID("x-g1"), "g1")},
		},
		"ByID": {
			reason: "A line with an id means the group with this id.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Payments")},
			lines:  []v1alpha1.GroupReference{byID("g1"), byID("g2")},
			want:   []Line{{byID("g1"), Resolved, []string{"g1"}, ""}, {byID("g2"), NotFound, nil, ""}},
			now:    []v1alpha1.PinnedGroup{pin(byID("g1"), "g1")},
		},
		"OlderStays": {
			reason: "A group from an older backup keeps its line, also if the backup says that the provider deleted the group.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Payments", deleted), scimGroup("g2", "Sales")},
			lines:  []v1alpha1.GroupReference{payments, byName("Sales")},
			pins:   []v1alpha1.PinnedGroup{pin(payments, "g1"), pin(byName("Sales"), "g2")},
			facts:  Facts{Portal: recorded{revisions: map[string]int64{"g1": 7}}},
			want: []Line{
				{payments, StateOlder, []string{"g1"}, BackupOlder("", Group{ID: "g1"}, 7)},
				{byName("Sales"), Resolved, []string{"g2"}, ""},
			},
			now: []v1alpha1.PinnedGroup{pin(payments, "g1"), pin(byName("Sales"), "g2")},
		},
		"OlderOfADeletedGroup": {
			reason: "A backup from before the deletion does not bring a deleted group back under its line.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Payments")},
			lines:  []v1alpha1.GroupReference{byExternalID("x")},
			pins:   []v1alpha1.PinnedGroup{{GroupReference: byExternalID("x"), Group: "g1", Deleted: true}},
			facts:  Facts{Portal: recorded{revisions: map[string]int64{"g1": 7}}},
			want:   []Line{{byExternalID("x"), NotFound, nil, ""}},
			now:    []v1alpha1.PinnedGroup{{GroupReference: byExternalID("x"), Group: "g1", Deleted: true}},
		},
		"OthersWork": {
			reason: "A line that no group matches does not delay other lines.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Payments")},
			lines:  []v1alpha1.GroupReference{byName("Unknown"), payments},
			want:   []Line{{byName("Unknown"), NotFound, nil, ""}, {payments, Resolved, []string{"g1"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g1")},
		},
		"Renamed": {
			reason: "A line stays with a group that the provider renames; another group that gets the name fills no pool.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Billing"), scimGroup("g2", "Payments")},
			lines:  []v1alpha1.GroupReference{payments},
			pins:   []v1alpha1.PinnedGroup{pin(payments, "g1")},
			facts:  Facts{Manager: true},
			want:   []Line{{payments, Renamed, []string{"g1"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g1")},
		},
		"WrittenAgain": {
			reason: "A line that an administrator removes and writes again loses its pin: it means the group that has the name now.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Billing"), scimGroup("g2", "Payments")},
			lines:  []v1alpha1.GroupReference{payments},
			want:   []Line{{payments, Resolved, []string{"g2"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g2")},
		},
		"OtherSpelling": {
			reason: "A line whose name changes only in case is the same line and keeps its pin.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Billing"), scimGroup("g2", "Payments")},
			lines:  []v1alpha1.GroupReference{byName("PAYMENTS")},
			pins:   []v1alpha1.PinnedGroup{pin(payments, "g1")},
			facts:  Facts{Manager: true},
			want:   []Line{{byName("PAYMENTS"), Renamed, []string{"g1"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(byName("PAYMENTS"), "g1")},
		},
		"OtherSpellingAfterDeletion": {
			reason: "A change of case in a line is no decision about another group.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g2", "Payments")},
			lines:  []v1alpha1.GroupReference{byName("PAYMENTS")},
			pins:   []v1alpha1.PinnedGroup{gone(pin(payments, "g1"))},
			facts:  Facts{Manager: true},
			want:   []Line{{byName("PAYMENTS"), Changed, []string{"g2"}, ""}},
			now:    []v1alpha1.PinnedGroup{gone(pin(byName("PAYMENTS"), "g1"))},
		},
		"OtherExternalID": {
			reason: "A line whose externalId changes in case is another line.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Billing")},
			lines:  []v1alpha1.GroupReference{byExternalID("X-g1")},
			pins:   []v1alpha1.PinnedGroup{pin(byExternalID("x-g1"), "g1")},
			want:   []Line{{byExternalID("X-g1"), NotFound, nil, ""}},
		},
		"LineLeft": {
			reason: "A pin is removed together with its line.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Payments")},
			pins:   []v1alpha1.PinnedGroup{pin(payments, "g1")},
		},
		"Deleted": {
			reason: "A group that the provider deleted fills no pool; the pin records which group it was.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Payments", deleted)},
			lines:  []v1alpha1.GroupReference{payments},
			pins:   []v1alpha1.PinnedGroup{pin(payments, "g1")},
			want:   []Line{{payments, NotFound, nil, ""}},
			now:    []v1alpha1.PinnedGroup{gone(pin(payments, "g1"))},
		},
		"Again": {
			reason: "After the deletion of the pinned group, the line is resolved to a new group with the name.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Payments", deleted), scimGroup("g2", "payments")},
			lines:  []v1alpha1.GroupReference{payments},
			pins:   []v1alpha1.PinnedGroup{gone(pin(payments, "g1"))},
			want:   []Line{{payments, Resolved, []string{"g2"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g2")},
		},
		"Vanished": {
			reason: "A group whose object disappeared keeps its pin until another group has the name.",
			lines:  []v1alpha1.GroupReference{payments},
			pins:   []v1alpha1.PinnedGroup{pin(payments, "g1")},
			want:   []Line{{payments, NotFound, nil, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g1")},
		},
		"VanishedAndNameTaken": {
			reason: "If the pinned group's object disappeared without a deletion by the provider, another group with its name needs a decision: the objects may come back.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g2", "Payments")},
			lines:  []v1alpha1.GroupReference{payments},
			pins:   []v1alpha1.PinnedGroup{pin(payments, "g1")},
			want:   []Line{{payments, Changed, []string{"g2"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g1")},
		},
		"ManagersAgain": {
			reason: "Another group fills a pool with ROLE_MANAGER only after a decision.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g2", "Payments")},
			lines:  []v1alpha1.GroupReference{payments},
			pins:   []v1alpha1.PinnedGroup{gone(pin(payments, "g1"))},
			facts:  Facts{Manager: true, Accepted: []string{"g3"}},
			want:   []Line{{payments, Changed, []string{"g2"}, ""}},
			now:    []v1alpha1.PinnedGroup{gone(pin(payments, "g1"))},
		},
		"ManagersAccepted": {
			reason: "The annotation accept-groups resolves the line to the group that it names.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g2", "Payments")},
			lines:  []v1alpha1.GroupReference{payments},
			pins:   []v1alpha1.PinnedGroup{gone(pin(payments, "g1"))},
			facts:  Facts{Manager: true, Accepted: []string{"g2"}},
			want:   []Line{{payments, Resolved, []string{"g2"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g2")},
		},
		"ManagersFirst": {
			reason: "A line that was never resolved needs no decision: its author had the right to grant.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Payments")},
			lines:  []v1alpha1.GroupReference{payments},
			facts:  Facts{Manager: true},
			want:   []Line{{payments, Resolved, []string{"g1"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g1")},
		},
		"Lost": {
			reason: "If a pool that was provisioned has lost its pins, a line with a name needs a decision and a line with an id does not.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Payments"), scimGroup("g2", "Sales")},
			lines:  []v1alpha1.GroupReference{payments, byID("g2")},
			facts:  Facts{Lost: true},
			want:   []Line{{payments, Changed, []string{"g1"}, ""}, {byID("g2"), Resolved, []string{"g2"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(byID("g2"), "g2")},
		},
		"LostAccepted": {
			reason: "The annotation accept-groups resolves a line of a pool that has lost its pins.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Payments")},
			lines:  []v1alpha1.GroupReference{payments},
			facts:  Facts{Lost: true, Accepted: []string{"g1"}},
			want:   []Line{{payments, Resolved, []string{"g1"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g1")},
		},
		"LostAndKnown": {
			reason: "The portal's record has the pin: the renamed group fills the pool, and the group that has its former name does not.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Billing"), scimGroup("g2", "Payments")},
			lines:  []v1alpha1.GroupReference{payments},
			pins:   []v1alpha1.PinnedGroup{pin(payments, "g1")},
			facts:  Facts{Lost: true},
			want:   []Line{{payments, Renamed, []string{"g1"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g1")},
		},
		"LostAndNotThere": {
			reason: "The pinned group may be restored after the pool, so another group with its name needs a decision.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g2", "Payments")},
			lines:  []v1alpha1.GroupReference{payments},
			pins:   []v1alpha1.PinnedGroup{pin(payments, "g1")},
			facts:  Facts{Lost: true},
			want:   []Line{{payments, Changed, []string{"g2"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g1")},
		},
		"LostAndDeleted": {
			reason: "After a deletion by the provider, the next group with the name fills the pool.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g2", "Payments")},
			lines:  []v1alpha1.GroupReference{payments},
			pins:   []v1alpha1.PinnedGroup{gone(pin(payments, "g1"))},
			facts:  Facts{Lost: true},
			want:   []Line{{payments, Resolved, []string{"g2"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g2")},
		},
		"DeletionDropped": {
			reason: "A group whose deletion was dropped keeps its line.",
			groups: []*v1alpha1.ScimGroup{scimGroup("g1", "Payments")},
			lines:  []v1alpha1.GroupReference{payments},
			pins:   []v1alpha1.PinnedGroup{gone(pin(payments, "g1"))},
			facts:  Facts{Manager: true},
			want:   []Line{{payments, Resolved, []string{"g1"}, ""}},
			now:    []v1alpha1.PinnedGroup{pin(payments, "g1")},
		},
		"Ambiguous": {
			reason: "Two groups with one externalId fill no pool until an administrator decides.",
			groups: []*v1alpha1.ScimGroup{
				scimGroup("g1", "A", func(s *v1alpha1.ScimGroupSpec) { s.ExternalID = "x" }), scimGroup("g2", "B", func(s *v1alpha1.ScimGroupSpec) { s.ExternalID = "x" }),
			},
			lines: []v1alpha1.GroupReference{byExternalID("x")},
			want:  []Line{{byExternalID("x"), Ambiguous, []string{"g1", "g2"}, ""}},
		},
		"AmbiguousAccepted": {
			reason: "The annotation accept-groups chooses one of two groups with one externalId.",
			groups: []*v1alpha1.ScimGroup{
				scimGroup("g1", "A", func(s *v1alpha1.ScimGroupSpec) { s.ExternalID = "x" }), scimGroup("g2", "B", func(s *v1alpha1.ScimGroupSpec) { s.ExternalID = "x" }),
			},
			lines: []v1alpha1.GroupReference{byExternalID("x")},
			facts: Facts{Accepted: []string{"g2"}},
			want:  []Line{{byExternalID("x"), Resolved, []string{"g2"}, ""}},
			now:   []v1alpha1.PinnedGroup{pin(byExternalID("x"), "g2")},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			x := New()
			for _, g := range tc.groups {
				x.Put(g)
			}
			got, now := Resolve(tc.lines, tc.pins, x, tc.facts)
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.now, now, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s pins (-want +got):\n%s", tc.reason, diff)
			}
			again, same := Resolve(tc.lines, now, x, Facts{Manager: tc.facts.Manager, Portal: tc.facts.Portal})
			if tc.facts.Lost {
				return // until a person decides
			}
			if diff := cmp.Diff(now, same, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("resolved again, the pins are others:\n%s", diff)
			}
			for i := range again {
				if got[i].State == Resolved && again[i].State != Resolved {
					t.Errorf("resolved again, the line %v is %v", again[i].GroupReference, again[i].State)
				}
			}
		})
	}
}
