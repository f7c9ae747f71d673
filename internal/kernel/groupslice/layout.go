// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// known is what this process last saw of a slice that was in force then. A slice in force stays in
// force for what it covers, and covers less after a split, never more. So a stale entry leads to a
// refused write or a read of the neighbours, never to a wrong answer.
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

// knownMax bounds how many slices are remembered, at about 150 bytes each.
const knownMax = 1 << 17

// layout remembers the slices in force of the groups that this process has worked on.
type layout struct {
	mu     sync.Mutex
	groups map[string]map[uint16]known
	count  int
}

// learn remembers a slice in force.
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
		return old // a newer answer came first
	}
	if !ok && l.count >= knownMax || l.groups == nil {
		l.groups, l.count = map[string]map[uint16]known{}, 0
	}
	if l.groups[group] == nil {
		l.groups[group] = map[uint16]known{}
	}
	if _, again := l.groups[group][prefix]; !again {
		l.count++
	}
	l.groups[group][prefix] = k
	return k
}

// of finds the slice for a place: of the known ones that cover it, the one with the most bits,
// which is the newest.
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

// at finds a slice by its prefix.
func (l *layout) at(group string, prefix uint16) (known, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k, ok := l.groups[group][prefix]
	return k, ok
}

// size is how many slices of a group are known.
func (l *layout) size(group string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.groups[group])
}

// forget removes everything that is known of a group.
func (l *layout) forget(group string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count -= len(l.groups[group])
	delete(l.groups, group)
}
