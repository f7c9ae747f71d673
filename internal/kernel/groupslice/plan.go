// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// limits are numbers of users in a slice. A slice with more than target is split after the write. A
// write that would leave more than most is split before. A write that adds at least many users may
// leave up to bulk of them, and a later small write splits the slice: the provider sends a large
// group in several requests, each of which writes every slice. Tests use smaller limits than
// v1alpha1 has.
type limits struct{ target, bulk, most, many int }

// after returns the limits for a write that adds this number of users.
func (m limits) after(adds int) limits {
	if adds >= m.many {
		m.target = m.bulk
	}
	return m
}

// leaf is the desired state of a slice.
type leaf struct {
	prefix uint16
	bits   int32
	users  []string
}

// tooManyError is returned if more users than a slice can have share the first 16 bits of their
// ids.
type tooManyError struct {
	prefix      uint16
	count, most int
}

func (e *tooManyError) Error() string {
	return fmt.Sprintf("%d members have ids that begin with %04x; a group takes %d of these", e.count, e.prefix, e.most)
}

// partition divides the users of the slice (prefix, bits) into leaves, sorted by prefix, so that no
// leaf has more than target users, as far as the bits of a place allow it. The first leaf has the
// prefix of the slice. If a leaf with all bits would have too many users, it returns a
// tooManyError.
func (m limits) partition(prefix uint16, bits int32, users []string) ([]leaf, error) {
	sorted := slices.Clone(users)
	slices.SortFunc(sorted, func(a, b string) int {
		return cmp.Or(cmp.Compare(Place(a), Place(b)), cmp.Compare(a, b))
	})
	leaves := m.halve(nil, leaf{prefix, bits, sorted})
	for _, l := range leaves {
		if len(l.users) > m.most {
			return nil, &tooManyError{l.prefix, len(l.users), m.most}
		}
	}
	return leaves, nil
}

// halve divides l into leaves and appends them to out.
func (m limits) halve(out []leaf, l leaf) []leaf {
	if len(l.users) <= m.target || l.bits == v1alpha1.SliceMaxBits {
		return append(out, l)
	}
	bits := l.bits + 1
	upper := l.prefix | 1<<(v1alpha1.SliceMaxBits-bits)
	i := sort.Search(len(l.users), func(i int) bool { return Place(l.users[i]) >= upper })
	return m.halve(m.halve(out, leaf{l.prefix, bits, l.users[:i]}), leaf{upper, bits, l.users[i:]})
}

// next returns the prefix of the slice to read next for a place, if the slice with this prefix does
// not cover the place: it has one more set bit of the place.
func next(prefix, place uint16) uint16 {
	rest := place &^ prefix
	bit := uint16(1 << (v1alpha1.SliceMaxBits - 1))
	for bit > 0 && rest&bit == 0 {
		bit >>= 1
	}
	return prefix | bit
}

// applied returns members after changes.
func applied(members map[string]bool, changes map[string]bool) []string {
	out := make([]string, 0, len(members)+len(changes))
	for user, in := range members {
		if _, changed := changes[user]; in && !changed {
			out = append(out, user)
		}
	}
	for user, in := range changes {
		if in {
			out = append(out, user)
		}
	}
	return out
}

// set returns users as the members of a slice.
func set(users []string) map[string]bool {
	out := make(map[string]bool, len(users))
	for _, user := range users {
		out[user] = true
	}
	return out
}
