// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// cachedSlice is the state of one slice, as this process last read or wrote it. It can be stale,
// but never gives a wrong result: a split only removes places from a slice. A stale entry therefore
// leads to a refused write, or find continues with the slices that were split off.
type cachedSlice struct {
	prefix   uint16
	bits     int32
	uid      types.UID
	epoch    int64
	revision int64
	size     int // members
	pending  int // changes that are not in spec.members yet
	seen     time.Time
}

// cachedMax is the maximum number of cached slices. A slice takes about 250 bytes if its group has
// many, and about 950 bytes if it is the only one: then most is the map of its group.
const cachedMax = 1 << 17

// layout is a cache of the slices of the groups that this process has read or written.
type layout struct {
	mu     sync.Mutex
	groups map[string]map[uint16]cachedSlice
	count  int
}

// learn caches a slice, unless the cache has a newer version of it, and returns the cached entry. A
// full cache is emptied first.
func (l *layout) learn(group string, s *v1alpha1.ScimGroupSlice, now time.Time) cachedSlice {
	prefix, _ := Prefix(s.Name)
	k := cachedSlice{
		prefix: prefix, bits: s.Spec.Bits, uid: s.UID, epoch: s.Spec.Epoch, revision: s.Spec.Revision,
		size: s.Spec.CountMembers(), pending: len(s.Spec.Changes), seen: now,
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old, ok := l.groups[group][prefix]
	if ok && old.uid == k.uid && (old.epoch > k.epoch || old.epoch == k.epoch && old.revision > k.revision) {
		return old // a later version was cached first
	}
	if full := !ok && l.count >= cachedMax; full || l.groups == nil {
		l.groups, l.count = map[string]map[uint16]cachedSlice{}, 0 // later reads fill it again
	}
	if l.groups[group] == nil {
		l.groups[group] = map[uint16]cachedSlice{}
	}
	if !ok {
		l.count++
	}
	l.groups[group][prefix] = k
	return k
}

// of returns the cached slice for a place. If several cached slices cover the place, the one with
// the most bits is valid: the others were cached before they were split. Only slices that were
// valid when they were read are cached, so this differs from Lookup, which also sees unused slices.
// It returns false if no cached slice covers the place.
func (l *layout) of(group string, place uint16) (cachedSlice, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices := l.groups[group]
	found, ok := cachedSlice{}, false
	for prefix := uint16(0); ; prefix = next(prefix, place) {
		if k, exists := slices[prefix]; exists && covers(prefix, k.bits, place) {
			found, ok = k, true
		}
		if prefix == place {
			return found, ok
		}
	}
}

// at returns the cached slice with this prefix, and false if there is none.
func (l *layout) at(group string, prefix uint16) (cachedSlice, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.groups[group][prefix]
	return k, ok
}

// size returns the number of cached slices of a group.
func (l *layout) size(group string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.groups[group])
}

// forget removes all slices of a group from the cache.
func (l *layout) forget(group string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count -= len(l.groups[group])
	delete(l.groups, group)
}
