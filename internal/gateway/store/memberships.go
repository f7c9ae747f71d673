// SPDX-License-Identifier: Apache-2.0

package store

import (
	"iter"
	"math/bits"
	"slices"
	"sync"

	"github.com/google/uuid"
)

// memberships is the index of group memberships in the watch cache of slices, in both directions.
//
// 100,000 users in 20 groups each are two million memberships, so users and groups are numbered: a
// membership takes four bytes with its slice and four with its user. All members of a slice are
// stored, also if the slice is not the valid one for them (package groupslice): while a slice is
// split, two slices contain the same members. The reader finds the valid slice. The rule is that of
// groupslice.ValidSlices, and a test compares the two.
type memberships struct {
	mu     sync.RWMutex
	users  numbered[uuid.UUID, user]    // users who are in a slice
	groups numbered[string, groupParts] // groups that have a slice
}

// user is a user who is in at least one slice.
type user struct {
	id uuid.UUID
	in []uint32 // numbers of the groups that have a slice with the user, sorted
}

// groupParts contains the slices of one group.
type groupParts struct {
	id    string
	parts []part // by prefix
}

// part is one slice: members whose ids begin with the first bits of prefix.
type part struct {
	prefix  uint16
	bits    uint8
	members []uint32 // numbers of users, sorted
}

// placeBits is the number of leading bits of an id that are its place.
const placeBits = 16

// covers reports whether an id at this place belongs to the part.
func (p *part) covers(place uint16) bool {
	return (p.prefix^place)>>(placeBits-int(p.bits)) == 0
}

// placeOf returns an id's place.
func placeOf(id uuid.UUID) uint16 { return uint16(id[0])<<8 | uint16(id[1]) }

func newMemberships() *memberships {
	return &memberships{users: newNumbered[uuid.UUID, user](), groups: newNumbered[string, groupParts]()}
}

// put stores the current members of a slice, without ids that do not belong to it.
func (m *memberships) put(group string, prefix uint16, width uint8, ids []uuid.UUID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.groups.number(group, groupParts{id: group})
	now := part{prefix: prefix, bits: width}
	for _, id := range ids {
		if now.covers(placeOf(id)) {
			now.members = append(now.members, m.users.number(id, user{id: id}))
		}
	}
	now.members = slices.Clip(now.members)
	slices.Sort(now.members)
	m.replace(g, now)
}

// remove removes a slice.
func (m *memberships) remove(group string, prefix uint16) {
	m.mu.Lock()
	defer m.mu.Unlock()
	g, ok := m.groups.find(group)
	if !ok {
		return
	}
	parts := &m.groups.at(g).parts
	i, found := at(*parts, prefix)
	if !found {
		return
	}
	old := (*parts)[i].members
	*parts = slices.Delete(*parts, i, i+1)
	m.left(g, old, nil)
	if len(*parts) == 0 {
		m.groups.drop(group)
	}
}

// replace replaces the part with the same prefix.
func (m *memberships) replace(g uint32, now part) {
	parts := &m.groups.at(g).parts
	i, found := at(*parts, now.prefix)
	var old []uint32
	if found {
		old = (*parts)[i].members
		(*parts)[i] = now
	} else {
		*parts = slices.Insert(*parts, i, now)
	}
	for _, n := range now.members {
		u := m.users.at(n)
		u.in = inserting(u.in, g)
	}
	m.left(g, old, now.members)
}

// left removes the group from the users who were in one of its slices before, and are in none now.
func (m *memberships) left(g uint32, before, now []uint32) {
	for _, n := range before {
		if _, stayed := slices.BinarySearch(now, n); stayed || m.anywhere(g, n) {
			continue
		}
		u := m.users.at(n)
		if i, found := slices.BinarySearch(u.in, g); found {
			u.in = slices.Delete(u.in, i, i+1)
		}
		if len(u.in) == 0 {
			m.users.drop(u.id)
		}
	}
}

// anywhere reports whether any slice of the group contains the user, also one that is not valid.
func (m *memberships) anywhere(g, n uint32) bool {
	for p := range covering(m.groups.at(g).parts, placeOf(m.users.at(n).id)) {
		if _, found := slices.BinarySearch(p.members, n); found {
			return true
		}
	}
	return false
}

// inserting inserts n into a sorted list, and leaves little unused capacity.
func inserting(list []uint32, n uint32) []uint32 {
	i, found := slices.BinarySearch(list, n)
	if found {
		return list
	}
	if len(list) == cap(list) {
		list = append(make([]uint32, 0, len(list)+4), list...)
	}
	return slices.Insert(list, i, n)
}

func at(parts []part, prefix uint16) (int, bool) {
	return slices.BinarySearchFunc(parts, prefix, func(p part, prefix uint16) int { return int(p.prefix) - int(prefix) })
}

// covering yields the parts that an id at this place belongs to. A prefix has no bits set after the
// bits of its part, so there are at most 17 candidates.
func covering(parts []part, place uint16) iter.Seq[*part] {
	return func(yield func(*part) bool) {
		prefix := uint16(0)
		for rest := place; ; {
			if i, found := at(parts, prefix); found && parts[i].covers(place) && !yield(&parts[i]) {
				return
			}
			if rest == 0 {
				return
			}
			next := uint16(1) << (bits.Len16(rest) - 1)
			prefix, rest = prefix|next, rest&^next
		}
	}
}

// validPart returns the valid part for an id at this place: of the parts that cover the place, the
// one with the fewest bits. It returns nil if there is none.
func validPart(parts []part, place uint16) *part {
	var best *part
	for p := range covering(parts, place) {
		if best == nil || p.bits < best.bits {
			best = p
		}
		if best.bits == 0 {
			break
		}
	}
	return best
}

// knows reports whether a user is in any slice, also one that is not valid.
func (m *memberships) knows(id uuid.UUID) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, ok := m.users.find(id)
	return ok
}

// contains reports whether a user is in a group.
func (m *memberships) contains(group string, id uuid.UUID) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, known := m.users.find(id)
	g, has := m.groups.find(group)
	return known && has && m.in(g, n)
}

func (m *memberships) in(g, n uint32) bool {
	p := validPart(m.groups.at(g).parts, placeOf(m.users.at(n).id))
	if p == nil {
		return false
	}
	_, found := slices.BinarySearch(p.members, n)
	return found
}

// groupsOf lists the ids of the groups that a user is in, in no order.
func (m *memberships) groupsOf(id uuid.UUID) []string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, ok := m.users.find(id)
	if !ok {
		return nil
	}
	in := m.users.at(n).in
	out := make([]string, 0, len(in))
	for _, g := range in {
		if m.in(g, n) {
			out = append(out, m.groups.at(g).id)
		}
	}
	return out
}

// membersOf lists the ids of a group's members, sorted.
func (m *memberships) membersOf(group string) []uuid.UUID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	g, ok := m.groups.find(group)
	if !ok {
		return nil
	}
	var out []uuid.UUID
	parts := m.groups.at(g).parts
	for i := range parts {
		if validPart(parts, parts[i].prefix) != &parts[i] {
			continue
		}
		for _, n := range parts[i].members {
			out = append(out, m.users.at(n).id)
		}
	}
	slices.SortFunc(out, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return out
}
