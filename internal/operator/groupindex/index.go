// SPDX-License-Identifier: Apache-2.0

// Package groupindex knows which users each group contains and in which groups each user is, from
// the ScimGroups and ScimGroupSlices that the manager watches. Deciding who is in a pool asks it
// instead of listing: it costs some forty bytes a membership, and an answer costs what the one
// user's groups cost.
//
// What the index knows of a group can be incomplete: its slices arrive after a restore, or out of
// order after the watch was lost. It says so, and a decision based on it takes nothing away
// meanwhile.
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

// Group is what the index knows of one group.
type Group struct {
	ID          string
	DisplayName string
	ExternalID  string
	Deleted     bool // at the provider: it has no members, and the manager finishes its deletion
	Whole       bool // its slices cover all users
}

// Change is what became different. Users are those that joined or left the group; with All
// everything that depends on the group must be reconciled: it was created, removed, renamed or
// deleted at the provider, or became whole.
type Change struct {
	Group string
	Users []string
	All   bool
	Was   Group // with All: the group before; zero: it was not there
	// Request is the id of the SCIM request that caused it; empty: none did, or it was before this
	// process began.
	Request string
}

// Index is safe for concurrent use.
type Index struct {
	mu          sync.RWMutex
	groups      map[string]*group
	named       map[string][]string // folded displayName → ids of living groups
	externalIDs map[string][]string
	users       map[string][]*group // user → groups whose slices contain it, living or not
	version     int64               // grows when a group is created, removed, deleted at the provider, or becomes whole or not
	subscribers []func(Change)
	synced      []toolscache.InformerSynced
}

// group is a group and its slices. One without a ScimGroup has slices only: they are written before
// it, and removed after.
type group struct {
	Group
	exists bool
	round  int64                      // of the newest replacement of all members
	slices []*v1alpha1.ScimGroupSlice // in order of name; shared with the cache
}

// New returns an empty index.
func New() *Index {
	return &Index{groups: map[string]*group{}, named: map[string][]string{}, externalIDs: map[string][]string{}, users: map[string][]*group{}}
}

// Subscribe has f called after each change. f must not block.
func (x *Index) Subscribe(f func(Change)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.subscribers = append(x.subscribers, f)
}

// Put records the present state of g.
func (x *Index) Put(g *v1alpha1.ScimGroup) {
	x.put(g, requestid.Stamped(g.Annotations[v1alpha1.AnnotationRequest], g.Spec.Revision))
}

func (x *Index) put(g *v1alpha1.ScimGroup, request string) {
	now := Group{ID: g.Name, DisplayName: g.Spec.DisplayName, ExternalID: g.Spec.ExternalID, Deleted: g.Spec.Deleted}
	x.change(func() *Change {
		known := x.group(g.Name)
		now.Whole, known.round = known.Whole, g.Spec.Round
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

// Drop records that the ScimGroup is gone.
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

// PutSlice records the present state of s. It keeps s, which must not be changed.
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

// DropSlice records that the slice is gone.
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

// reslice calls f, which changes the group's slices, and updates users. The caller has locked mu.
func (x *Index) reslice(g *group, f func()) *Change {
	before, was := g.inForce(), g.Group
	f()
	after := g.inForce()
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
	changed := g.Whole != was.Whole
	if changed {
		x.version++
	}
	if !changed && len(joined)+len(left) == 0 {
		return nil
	}
	c := &Change{Group: g.ID, Users: append(joined, left...), All: changed && g.exists}
	if c.All {
		c.Was = was
	}
	return c
}

// group returns the entry of that id. The caller has locked mu.
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

// with and without copy: lists are handed out.
func with(list []string, id string) []string {
	out := append(slices.Clone(list), id)
	slices.Sort(out)
	return slices.Compact(out)
}

func without(list []string, id string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(o string) bool { return o == id })
}

// Group returns the group of that id. A group that is deleted at the provider is found until the
// manager has finished it.
func (x *Index) Group(id string) (Group, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	g := x.groups[id]
	if g == nil || !g.exists {
		return Group{}, false
	}
	return g.Group, true
}

// Named returns the ids of the living groups with that displayName, which is compared without
// regard to case; sorted.
func (x *Index) Named(displayName string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.named[names.Fold(displayName)]
}

// WithExternalID returns the ids of the living groups with that externalId; sorted.
func (x *Index) WithExternalID(externalID string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.externalIDs[externalID]
}

// Version grows whenever a group is created, removed, deleted at the provider, or becomes whole or
// not.
func (x *Index) Version() int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.version
}

// Of returns the ids of the living groups that contain the user, sorted, and the version at which
// that is so.
func (x *Index) Of(user string) (ids []string, version int64) {
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

// Containing returns the ids of all groups whose slices contain the user, whatever became of the
// group; sorted.
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

// Members returns the ids of the users in the group's slices, in no order, whatever became of the
// group.
func (x *Index) Members(id string) []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	g := x.groups[id]
	if g == nil {
		return nil
	}
	var out []string
	for _, s := range g.inForce() {
		out = slices.AppendSeq(out, s.Spec.AllMembers())
	}
	return out
}

// Contains says whether one of the groups' slices contains the user, whatever became of the group.
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

// Replaced says whether no replacement of all members of one of the groups is under way, as far as
// is known: every slice in force is of the group's round.
func (x *Index) Replaced(groups []string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, id := range groups {
		g := x.groups[id]
		if g == nil || !g.exists || g.Deleted {
			continue
		}
		for _, s := range g.inForce() {
			if s.Spec.Round != g.round {
				return false
			}
		}
	}
	return true
}

// Count returns how many of the group's members known knows. known must not block.
func (x *Index) Count(id string, known func(user string) bool) int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	g, n := x.groups[id], 0
	if g == nil || g.Deleted {
		return 0
	}
	for _, s := range g.inForce() {
		for u := range s.Spec.AllMembers() {
			if known(u) {
				n++
			}
		}
	}
	return n
}

// NewestSlice is when the newest slice of the group was created; zero for none.
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

// All are the groups whose ScimGroup exists, those deleted at the provider among them, in no order.
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

// Leftovers are the ids of groups that have slices and no ScimGroup, sorted.
func (x *Index) Leftovers() []string {
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
