// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"iter"
	"slices"
	"strings"
)

// SetMembers makes these users the only members of the slice. There are no changes then.
func (s *ScimGroupSliceSpec) SetMembers(users []string) {
	sorted := slices.Compact(slices.Sorted(slices.Values(users)))
	s.Members, s.Changes = "", nil
	if len(sorted) > 0 {
		s.Members = strings.Join(sorted, "\n") + "\n"
	}
}

// AllMembers yields each member of the slice, after the changes, in no order.
func (s *ScimGroupSliceSpec) AllMembers() iter.Seq[string] {
	return func(yield func(string) bool) {
		last := ""
		for user := range strings.FieldsSeq(s.Members) {
			if _, changed := s.Changes[user]; !changed && user != last && !yield(user) {
				return
			}
			last = user
		}
		for user, in := range s.Changes {
			if in && !yield(user) {
				return
			}
		}
	}
}

// CountMembers returns the number of members that the slice has after the changes.
func (s *ScimGroupSliceSpec) CountMembers() int {
	n := 0
	for range s.AllMembers() {
		n++
	}
	return n
}

// HasMember reports whether a user is a member of the slice, after the changes.
func (s *ScimGroupSliceSpec) HasMember(user string) bool {
	if in, changed := s.Changes[user]; changed {
		return in
	}
	for member := range strings.FieldsSeq(s.Members) {
		if member == user {
			return true
		}
	}
	return false
}
