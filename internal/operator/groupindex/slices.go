// SPDX-License-Identifier: Apache-2.0

package groupindex

import (
	"cmp"
	"slices"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
)

// places is how many places there are for users: the first 16 bits of their ids.
const places = 1 << v1alpha1.SliceMaxBits

// span is the places that a slice covers, from the first up to and without the last.
func span(s *v1alpha1.ScimGroupSlice) (first, end int) {
	prefix, ok := groupslice.Prefix(s.Name)
	if !ok {
		return 0, 0 // the API refuses such a name
	}
	size := places >> s.Spec.Bits
	first = int(prefix) / size * size
	return first, first + size
}

func (g *group) find(name string) (int, bool) {
	return slices.BinarySearchFunc(g.slices, name, func(s *v1alpha1.ScimGroupSlice, name string) int { return cmp.Compare(s.Name, name) })
}

// inForce are the slices that count. Two slices are either apart or one contains the other; then
// the one with fewer bits counts. In order of name the one that contains others comes first, as it
// is named by its first place.
func (g *group) inForce() []*v1alpha1.ScimGroupSlice {
	out := make([]*v1alpha1.ScimGroupSlice, 0, len(g.slices))
	covered := 0
	for _, s := range g.slices {
		if first, end := span(s); first >= covered {
			out, covered = append(out, s), end
		}
	}
	return out
}

// whole says whether slices in force cover every place.
func whole(inForce []*v1alpha1.ScimGroupSlice) bool {
	n := 0
	for _, s := range inForce {
		first, end := span(s)
		n += end - first
	}
	return n == places
}

// difference returns the users who are in after and not in before, and the other way round. Slices
// that are the same in both are skipped.
func difference(before, after []*v1alpha1.ScimGroupSlice) (joined, left []string) {
	old, now := changed(before, after), changed(after, before)
	return only(now, old), only(old, now)
}

func changed(in, other []*v1alpha1.ScimGroupSlice) []*v1alpha1.ScimGroupSlice {
	var out []*v1alpha1.ScimGroupSlice
	i := 0
	for _, s := range in { // both are in order of name
		for i < len(other) && other[i].Name < s.Name {
			i++
		}
		if i == len(other) || other[i] != s {
			out = append(out, s)
		}
	}
	return out
}

// only are the users of some slices that are in none of the others. They are copies, because an id
// is a part of the text that a slice has for all of its members.
func only(in, others []*v1alpha1.ScimGroupSlice) []string {
	known := map[string]bool{}
	for _, s := range others {
		for u := range s.Spec.AllMembers() {
			known[u] = true
		}
	}
	var out []string
	for _, s := range in {
		for u := range s.Spec.AllMembers() {
			if !known[u] {
				out = append(out, strings.Clone(u))
			}
		}
	}
	return out
}
