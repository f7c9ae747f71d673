// SPDX-License-Identifier: Apache-2.0

// Package groupindex indexes which users each group contains and which groups each user is in, from
// the ScimGroups and ScimGroupSlices that the manager watches. The decision who is in a pool reads
// this index instead of a list of objects. The index takes about forty bytes for each membership,
// and a query costs as much as the one user has groups.
//
// The index of a group can be incomplete: during a restore its slices are created one by one, and
// after a lost watch their events come out of order. Then Group.Whole is false, and decisions take
// nothing away.
package groupindex

import (
	"slices"
	"sync"
	"time"

	toolscache "k8s.io/client-go/tools/cache"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/requestid"
)

// Group is the entry of one group in the index.
type Group struct {
	ID          string
	DisplayName string
	ExternalID  string
	Deleted     bool // at the provider: it has no members, and the manager finishes its deletion
	Whole       bool // its slices cover all users

	Revision   int64 // the highest revision of the group and its valid slices
	Round      int64 // round of the newest replacement of all members
	Replaced   int64 // the lowest round of the slices: each is of this replacement or a later one
	OlderThan  int64 // olderThan in the group's status
	OlderRound int64 // olderRound in the group's status
	Accepted   int64 // the portal's revision that a person lets the group overwrite; 0 if there is none
}

// Change is what became different. Users are those that joined or left the group: none, if only
// revisions grew. With All everything that depends on the group must be reconciled: it was created,
// removed, renamed or deleted at the provider, became whole, or is another version than before.
type Change struct {
	Group string
	Users []string
	All   bool
	Was   Group // with All: the group before the change; zero if there was none
	// Request is the id of the SCIM request that caused the change. It is empty if no request
	// caused it, or if the request was before the start of this process.
	Request string
}

// Index is safe for concurrent use.
type Index struct {
	mu          sync.RWMutex
	groups      map[string]*group
	named       map[string][]string // folded displayName → ids of living groups
	externalIDs map[string][]string
	users       map[string][]*group // user → groups whose slices contain it, living or not
	version     int64               // see Version
	subscribers []func(Change)
	synced      []toolscache.InformerSynced
}

// group is a group with its slices. Slices are written before their ScimGroup and removed after it,
// so a group can have slices but no ScimGroup.
type group struct {
	Group
	exists bool
	spec   v1alpha1.ScimGroupSpec     // of the ScimGroup
	slices []*v1alpha1.ScimGroupSlice // in order of name; shared with the cache
}

// New returns an empty index.
func New() *Index {
	return &Index{groups: map[string]*group{}, named: map[string][]string{}, externalIDs: map[string][]string{}, users: map[string][]*group{}}
}

// Subscribe registers f, which is called after each change. f must not block.
func (x *Index) Subscribe(f func(Change)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.subscribers = append(x.subscribers, f)
}

// Put records the current state of g.
func (x *Index) Put(g *v1alpha1.ScimGroup) {
	x.put(g, requestid.Stamped(g.Annotations[v1alpha1.AnnotationRequest], g.Spec.Revision))
}

func (x *Index) put(g *v1alpha1.ScimGroup, request string) {
	now := Group{ID: g.Name, DisplayName: g.Spec.DisplayName, ExternalID: g.Spec.ExternalID, Deleted: g.Spec.Deleted, OlderThan: g.Status.OlderThan, OlderRound: g.Status.OlderRound}
	now.Accepted = v1alpha1.AcceptedRevision(g.Annotations)
	x.change(func() *Change {
		known := x.group(g.Name)
		known.spec = g.Spec
		now.Whole = known.Whole
		now.count(known.spec, known.valid())
		if known.exists && known.Group == now {
			return nil
		}
		c := &Change{Group: g.Name, All: true, Request: request}
		if known.exists {
			c.Was = known.Group
			x.unname(known.Group)
		}
		known.Group, known.exists = now, true
		x.name(now)
		x.version++
		return c
	})
}

// Drop records that the ScimGroup no longer exists.
func (x *Index) Drop(id string) {
	x.change(func() *Change {
		known := x.groups[id]
		if known == nil || !known.exists {
			return nil
		}
		was := known.Group
		x.unname(was)
		known.exists = false
		x.forget(known)
		x.version++
		return &Change{Group: id, All: true, Was: was}
	})
}

// PutSlice records the current state of s. It keeps s: callers must not change s afterwards.
func (x *Index) PutSlice(s *v1alpha1.ScimGroupSlice) {
	x.putSlice(s, requestid.Stamped(s.Annotations[v1alpha1.AnnotationRequest], s.Spec.Revision))
}

func (x *Index) putSlice(s *v1alpha1.ScimGroupSlice, request string) {
	x.change(func() *Change {
		g := x.group(s.Labels[v1alpha1.LabelGroup])
		c := x.reslice(g, func() {
			at, found := g.find(s.Name)
			if found {
				g.slices[at] = s
			} else {
				g.slices = slices.Insert(g.slices, at, s)
			}
		})
		if c != nil {
			c.Request = request
		}
		return c
	})
}

// DropSlice records that the slice no longer exists.
func (x *Index) DropSlice(s *v1alpha1.ScimGroupSlice) {
	x.change(func() *Change {
		g := x.groups[s.Labels[v1alpha1.LabelGroup]]
		if g == nil {
			return nil
		}
		c := x.reslice(g, func() {
			if at, found := g.find(s.Name); found {
				g.slices = slices.Delete(g.slices, at, at+1)
			}
		})
		x.forget(g)
		return c
	})
}

// change calls f, and notifies the subscribers of the change that it returns.
func (x *Index) change(f func() *Change) {
	x.mu.Lock()
	c := f()
	subscribers := x.subscribers
	x.mu.Unlock()
	if c == nil {
		return
	}
	for _, s := range subscribers {
		s(*c)
	}
}

// reslice calls f, which changes the group's slices, and then updates x.users. The caller has
// locked mu.
func (x *Index) reslice(g *group, f func()) *Change {
	before, was := g.valid(), g.Group
	f()
	after := g.valid()
	joined, left := difference(before, after)
	for _, u := range left {
		x.users[u] = slices.DeleteFunc(x.users[u], func(o *group) bool { return o == g })
		if len(x.users[u]) == 0 {
			delete(x.users, u)
		}
	}
	for _, u := range joined {
		x.users[u] = append(x.users[u], g)
	}
	g.Whole = whole(after)
	g.count(g.spec, after)
	changed := g.Whole != was.Whole || g.Revision < was.Revision // a restored etcd has older objects
	if changed {
		x.version++
	}
	if g.Group == was && len(joined)+len(left) == 0 {
		return nil
	}
	c := &Change{Group: g.ID, Users: append(joined, left...), All: changed && g.exists}
	if c.All {
		c.Was = was
	}
	return c
}

// group returns the entry of the group, and creates it if there is none. The caller has locked mu.
func (x *Index) group(id string) *group {
	g := x.groups[id]
	if g == nil {
		g = &group{Group: Group{ID: id}}
		x.groups[id] = g
	}
	return g
}

// forget removes the entry if it is empty. The caller has locked mu.
func (x *Index) forget(g *group) {
	if !g.exists && len(g.slices) == 0 {
		delete(x.groups, g.ID)
	}
}

func (x *Index) name(g Group) {
	if g.Deleted {
		return
	}
	folded := names.Fold(g.DisplayName)
	x.named[folded] = with(x.named[folded], g.ID)
	if g.ExternalID != "" {
		x.externalIDs[g.ExternalID] = with(x.externalIDs[g.ExternalID], g.ID)
	}
}

func (x *Index) unname(g Group) {
	for _, in := range []struct {
		of  map[string][]string
		key string
	}{{x.named, names.Fold(g.DisplayName)}, {x.externalIDs, g.ExternalID}} {
		if in.of[in.key] = without(in.of[in.key], g.ID); len(in.of[in.key]) == 0 {
			delete(in.of, in.key)
		}
	}
}

// with and without return copies, because callers of the index keep the lists.
func with(list []string, id string) []string {
	out := append(slices.Clone(list), id)
	slices.Sort(out)
	return slices.Compact(out)
}

func without(list []string, id string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(o string) bool { return o == id })
}

// Group returns the group with this id. It also finds a group that the provider has deleted, until
// the manager has deleted the ScimGroup.
func (x *Index) Group(id string) (Group, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	g := x.groups[id]
	if g == nil || !g.exists {
		return Group{}, false
	}
	return g.Group, true
}

// WithDisplayName returns the sorted ids of the living groups with this displayName, regardless of
// case, width and Unicode composition.
func (x *Index) WithDisplayName(displayName string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.named[names.Fold(displayName)]
}

// WithExternalID returns the sorted ids of the living groups with this externalId.
func (x *Index) WithExternalID(externalID string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.externalIDs[externalID]
}

// Version returns a number that grows if a ScimGroup is created, removed or changed in a field
// other than its round, and if slices make the group whole, incomplete or older. It does not grow
// with the revisions of slices.
func (x *Index) Version() int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.version
}

// GroupsOf returns the sorted ids of the living groups that contain the user, and the current
// version.
func (x *Index) GroupsOf(user string) (ids []string, version int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, g := range x.users[user] {
		if g.exists && !g.Deleted {
			ids = append(ids, g.ID)
		}
	}
	slices.Sort(ids)
	return ids, x.version
}

// Containing returns the sorted ids of all groups whose slices contain the user, also if the
// provider deleted the group or its ScimGroup does not exist.
func (x *Index) Containing(user string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var ids []string
	for _, g := range x.users[user] {
		ids = append(ids, g.ID)
	}
	slices.Sort(ids)
	return ids
}

// Members returns the ids of the users in the group's slices, in no order, also if the provider
// deleted the group or its ScimGroup does not exist.
func (x *Index) Members(id string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	g := x.groups[id]
	if g == nil {
		return nil
	}
	var out []string
	for _, s := range g.valid() {
		out = slices.AppendSeq(out, s.Spec.AllMembers())
	}
	return out
}

// Contains reports whether a slice of one of the groups contains the user, also if the provider
// deleted the group or its ScimGroup does not exist.
func (x *Index) Contains(groups []string, user string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, g := range x.users[user] {
		if slices.Contains(groups, g.ID) {
			return true
		}
	}
	return false
}

// ReplacementsComplete reports whether every valid slice of the groups has the group's round. If
// not, a replacement of all members is in progress.
func (x *Index) ReplacementsComplete(groups []string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, id := range groups {
		g := x.groups[id]
		if g == nil || !g.exists || g.Deleted {
			continue
		}
		for _, s := range g.valid() {
			if s.Spec.Round != g.spec.Round {
				return false
			}
		}
	}
	return true
}

// Count returns the number of the group's members for which known returns true. known must not
// block.
func (x *Index) Count(id string, known func(user string) bool) int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	g, n := x.groups[id], 0
	if g == nil || g.Deleted {
		return 0
	}
	for _, s := range g.valid() {
		for u := range s.Spec.AllMembers() {
			if known(u) {
				n++
			}
		}
	}
	return n
}

// NewestSlice returns the creation time of the group's newest slice; zero if it has none.
func (x *Index) NewestSlice(id string) time.Time {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var newest time.Time
	if g := x.groups[id]; g != nil {
		for _, s := range g.slices {
			if at := s.CreationTimestamp.Time; at.After(newest) {
				newest = at
			}
		}
	}
	return newest
}

// All returns the groups whose ScimGroup exists, in no order. It includes groups that the provider
// deleted.
func (x *Index) All() []Group {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var out []Group
	for _, g := range x.groups {
		if g.exists {
			out = append(out, g.Group)
		}
	}
	return out
}

// WithoutScimGroup returns the sorted ids of the groups that have slices but no ScimGroup.
func (x *Index) WithoutScimGroup() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var out []string
	for id, g := range x.groups {
		if !g.exists {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}
