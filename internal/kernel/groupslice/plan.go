// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// limits are the thresholds at which a slice is split or rewritten. Tests use smaller ones than
// v1alpha1's.
type limits struct {
	target int // users; above, the slice is split after the write
	most   int // users or changes; above, it is rewritten and split before the write
	many   int // a write of at least so many changes rewrites the slice
	// bulk replaces target in such a write. A large group is pushed in several requests that each
	// write every slice; the next small write splits.
	bulk    int
	pending int // changes; above, they are moved into members after the write
}

// after returns the limits that apply after a write of this number of changes: from many on, bulk
// replaces target.
func (m limits) after(changes int) limits {
	if changes >= m.many {
		m.target = m.bulk
	}
	return m
}

// exceeded reports whether the slice k could have more than most users or changes after these
// changes. It counts each added user as new.
func (m limits) exceeded(k cachedSlice, changes map[string]bool) bool {
	return k.size+added(changes) > m.most || k.pending+len(changes) > m.most
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
	return fmt.Sprintf("%d members have ids that begin with %04x; a group can have at most %d such members", e.count, e.prefix, e.most)
}

// partition divides the users of the slice (prefix, bits) into leaves, sorted by prefix, so that no
// leaf has more than target users, as far as the bits of a place allow it. The first leaf has the
// prefix of the slice. If a leaf with all bits would have too many users, it returns a
// tooManyError.
func (m limits) partition(prefix uint16, bits int32, users []string) ([]leaf, error) {
	leaves := m.halve(nil, leaf{prefix, bits, byPlace(users)})
	for _, l := range leaves {
		if len(l.users) > m.most {
			return nil, &tooManyError{l.prefix, len(l.users), m.most}
		}
	}
	return leaves, nil
}

// byPlace returns users in the order of their places.
func byPlace(users []string) []string {
	type placed struct {
		place uint16
		user  string
	}
	all := make([]placed, len(users))
	for i, user := range users {
		all[i] = placed{Place(user), user}
	}
	slices.SortFunc(all, func(a, b placed) int { return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.user, b.user)) })
	out := make([]string, len(all))
	for i := range all {
		out[i] = all[i].user
	}
	return out
}

// halve appends the leaves that l is divided into.
func (m limits) halve(out []leaf, l leaf) []leaf {
	if len(l.users) <= m.target || l.bits == v1alpha1.SliceMaxBits {
		return append(out, l)
	}
	bits := l.bits + 1
	upper := l.prefix | 1<<(v1alpha1.SliceMaxBits-bits)
	i := sort.Search(len(l.users), func(i int) bool { return Place(l.users[i]) >= upper })
	return m.halve(m.halve(out, leaf{l.prefix, bits, l.users[:i]}), leaf{upper, bits, l.users[i:]})
}

// next returns the prefix to read after prefix in the search for place's slice: prefix plus the
// highest bit that is set in place and not in prefix.
func next(prefix, place uint16) uint16 {
	rest := place &^ prefix
	bit := uint16(1 << (v1alpha1.SliceMaxBits - 1))
	for bit > 0 && rest&bit == 0 {
		bit >>= 1
	}
	return prefix | bit
}

// applied returns the members of a slice after further changes.
func applied(spec *v1alpha1.ScimGroupSliceSpec, changes map[string]bool) []string {
	var out []string
	for user := range spec.AllMembers() {
		if _, changed := changes[user]; !changed {
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

// set returns users as a set.
func set(users []string) map[string]bool {
	out := make(map[string]bool, len(users))
	for _, user := range users {
		out[user] = true
	}
	return out
}
