// SPDX-License-Identifier: Apache-2.0

package groupindex

import (
	"cmp"
	"slices"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
)

// places is the number of places. A place is the first 16 bits of a user's id.
const places = 1 << v1alpha1.SliceMaxBits

// span returns the places that a slice covers: from first up to, but without, end.
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

// valid returns the valid slices. Two slices either have no place in common, or the one with
// fewer bits contains the other one and is valid. In order of name the containing slice comes
// first, because it is named by its first place.
func (g *group) valid() []*v1alpha1.ScimGroupSlice {
	out := make([]*v1alpha1.ScimGroupSlice, 0, len(g.slices))
	covered := 0
	for _, s := range g.slices {
		if first, end := span(s); first >= covered {
			out, covered = append(out, s), end
		}
	}
	return out
}

// whole reports whether the valid slices cover every place.
func whole(valid []*v1alpha1.ScimGroupSlice) bool {
	n := 0
	for _, s := range valid {
		first, end := span(s)
		n += end - first
	}
	return n == places
}

// count sets the revision and the rounds from the ScimGroup and its valid slices.
func (g *Group) count(spec v1alpha1.ScimGroupSpec, valid []*v1alpha1.ScimGroupSlice) {
	g.Revision, g.Round, g.Replaced = spec.Revision, spec.Round, 0
	for i, s := range valid {
		g.Revision, g.Round = max(g.Revision, s.Spec.Revision), max(g.Round, s.Spec.Round)
		if i == 0 || s.Spec.Round < g.Replaced {
			g.Replaced = s.Spec.Round
		}
	}
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
