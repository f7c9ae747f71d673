// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMembersOfASlice(t *testing.T) {
	tests := map[string]struct {
		reason string
		spec   ScimGroupSliceSpec
		want   []string
	}{
		"Empty":         {reason: "a new group has no members", spec: ScimGroupSliceSpec{}},
		"Lines":         {reason: "one member on each line", spec: ScimGroupSliceSpec{Members: "a\nb\n"}, want: []string{"a", "b"}},
		"NoLineEnd":     {reason: "the last line of an edited export may have no end", spec: ScimGroupSliceSpec{Members: "a\nb"}, want: []string{"a", "b"}},
		"OtherLineEnds": {reason: "an editor may change the ends of lines", spec: ScimGroupSliceSpec{Members: "a\r\n\r\nb\r\n"}, want: []string{"a", "b"}},
		"Twice":         {reason: "a member counts once", spec: ScimGroupSliceSpec{Members: "a\na\n"}, want: []string{"a"}},
		"Added":         {reason: "changes add members", spec: ScimGroupSliceSpec{Members: "a\n", Changes: map[string]bool{"b": true}}, want: []string{"a", "b"}},
		"AddedTwice":    {reason: "adding a member again changes nothing", spec: ScimGroupSliceSpec{Members: "a\n", Changes: map[string]bool{"a": true}}, want: []string{"a"}},
		"Removed":       {reason: "changes take precedence", spec: ScimGroupSliceSpec{Members: "a\nb\n", Changes: map[string]bool{"a": false}}, want: []string{"b"}},
		"RemovedAbsent": {reason: "removing an absent member changes nothing", spec: ScimGroupSliceSpec{Members: "a\n", Changes: map[string]bool{"b": false}}, want: []string{"a"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, slices.Sorted(tc.spec.AllMembers())); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
			if n := tc.spec.CountMembers(); n != len(tc.want) {
				t.Errorf("%d members, want %d: %s", n, len(tc.want), tc.reason)
			}
			for _, user := range []string{"", "a", "b", "c"} {
				if have := tc.spec.HasMember(user); have != slices.Contains(tc.want, user) {
					t.Errorf("HasMember(%q) is %v: %s", user, have, tc.reason)
				}
			}
			var again ScimGroupSliceSpec
			again.SetMembers(slices.Concat(tc.want, tc.want))
			if diff := cmp.Diff(tc.want, slices.Sorted(again.AllMembers())); diff != "" {
				t.Errorf("after SetMembers: %s", diff)
			}
		})
	}
}
