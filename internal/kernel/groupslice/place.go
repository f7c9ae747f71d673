// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// prefixDigits is the length of a prefix in a slice's name, in hexadecimal digits.
const prefixDigits = 4

// Place returns the first 16 bits of a user's SCIM id, which choose the user's slice. Ids are
// random UUIDs, so places are evenly distributed. An id that does not begin with four hexadecimal
// digits has the place 0.
func Place(user string) uint16 {
	if len(user) < prefixDigits {
		return 0
	}
	place, err := strconv.ParseUint(user[:prefixDigits], 16, 16)
	if err != nil {
		return 0
	}
	return uint16(place)
}

// Name returns the name of the group's slice with the prefix.
func Name(group string, prefix uint16) string { return fmt.Sprintf("%s-%04x", group, prefix) }

// Prefix returns the prefix in a slice's name, and false for a name without a prefix.
func Prefix(name string) (uint16, bool) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 || len(name)-i-1 != prefixDigits {
		return 0, false
	}
	prefix, err := strconv.ParseUint(name[i+1:], 16, 16)
	return uint16(prefix), err == nil
}

// covers reports whether a slice with this prefix and number of bits covers a place.
func covers(prefix uint16, bits int32, place uint16) bool {
	return (prefix^place)>>(v1alpha1.SliceMaxBits-min(bits, v1alpha1.SliceMaxBits)) == 0
}

// Lookup returns the slice that a user's membership is read from. If several slices cover the
// user's place, it is the one with the fewest bits. Lookup returns nil if none covers it.
func Lookup(all []v1alpha1.ScimGroupSlice, user string) *v1alpha1.ScimGroupSlice {
	place := Place(user)
	var found *v1alpha1.ScimGroupSlice
	for i := range all {
		s := &all[i]
		prefix, ok := Prefix(s.Name)
		if ok && covers(prefix, s.Spec.Bits, place) && (found == nil || s.Spec.Bits < found.Spec.Bits) {
			found = s
		}
	}
	return found
}

// ValidSlices returns the valid slices of one group, from which its members are read, sorted by
// prefix. They never overlap; if no slice is missing, they cover every place. The other slices are
// unused: they come from splits that were not completed.
func ValidSlices(all []v1alpha1.ScimGroupSlice) []*v1alpha1.ScimGroupSlice {
	var sorted []*v1alpha1.ScimGroupSlice
	for i := range all {
		if _, ok := Prefix(all[i].Name); ok {
			sorted = append(sorted, &all[i])
		}
	}
	slices.SortFunc(sorted, func(a, b *v1alpha1.ScimGroupSlice) int { return cmp.Compare(a.Name, b.Name) })
	// An unused slice lies inside the range of a valid slice and has a higher prefix than it. Valid
	// slices do not overlap. So, in order of prefix, a slice that begins before the end of the last
	// valid one is unused.
	var out []*v1alpha1.ScimGroupSlice
	next := 0
	for _, s := range sorted {
		prefix, _ := Prefix(s.Name)
		if int(prefix) >= next {
			out = append(out, s)
			next = int(prefix) + width(s.Spec.Bits)
		}
	}
	return out
}

// width returns the number of places that a slice with this number of bits covers.
func width(bits int32) int { return 1 << (v1alpha1.SliceMaxBits - min(bits, v1alpha1.SliceMaxBits)) }

// MembersIn returns the sorted SCIM ids of a group's members in one snapshot of its slices.
func MembersIn(all []v1alpha1.ScimGroupSlice) []string {
	var out []string
	for _, s := range ValidSlices(all) {
		out = slices.AppendSeq(out, s.Spec.AllMembers())
	}
	slices.Sort(out)
	return out
}
