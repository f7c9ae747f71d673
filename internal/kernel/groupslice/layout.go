// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// known is a cached slice, as this process last read or wrote it. A split only takes
// places away from a valid slice, which stays valid for the others. Therefore a stale entry leads
// to a refused write, or to a read of the slices that were split off, never to a wrong result.
type known struct {
	prefix   uint16
	bits     int32
	uid      types.UID
	epoch    int64
	revision int64
	size     int // members
	pending  int // changes that are not in spec.members yet
	seen     time.Time
}

// knownMax is the maximum number of cached slices, at about 150 bytes each.
const knownMax = 1 << 17

// layout is a cache of the slices of the groups that this process has read or written.
type layout struct {
	mu     sync.Mutex
	groups map[string]map[uint16]known
	count  int
}

// learn caches a slice, unless the cache has a newer version of it, and returns the cached entry.
func (l *layout) learn(group string, s *v1alpha1.ScimGroupSlice, now time.Time) known {
	prefix, _ := Prefix(s.Name)
	k := known{
		prefix: prefix, bits: s.Spec.Bits, uid: s.UID, epoch: s.Spec.Epoch, revision: s.Spec.Revision,
		size: s.Spec.CountMembers(), pending: len(s.Spec.Changes), seen: now,
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old, ok := l.groups[group][prefix]
	if ok && old.uid == k.uid && (old.epoch > k.epoch || old.epoch == k.epoch && old.revision > k.revision) {
		return old // a later version was cached first
	}
	if !ok && l.count >= knownMax || l.groups == nil {
		l.groups, l.count = map[string]map[uint16]known{}, 0
	}
	if l.groups[group] == nil {
		l.groups[group] = map[uint16]known{}
	}
	if _, exists := l.groups[group][prefix]; !exists {
		l.count++
	}
	l.groups[group][prefix] = k
	return k
}

// of returns the cached slice for a place. If several cached slices cover the place, the one with
// the most bits is valid: the others were cached before they were split. It returns false if no
// cached slice covers the place.
func (l *layout) of(group string, place uint16) (known, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices := l.groups[group]
	found, ok := known{}, false
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
func (l *layout) at(group string, prefix uint16) (known, bool) {
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
