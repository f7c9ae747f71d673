// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
)

const (
	// maxUnknown is the number of unknown ids after which no further id is read.
	maxUnknown = 32
	// readers is the number of users that one request reads concurrently.
	readers = 8
)

// mentioned lists the ids that must be users for the changes to be valid. Removing an unknown id
// is no error: it is not in the group.
func mentioned(changes []patch.MemberChange) []string {
	var ids []string
	for _, c := range changes {
		if c.Op == patch.AddMembers || c.Op == patch.ReplaceMembers {
			ids = append(ids, c.IDs...)
		}
	}
	return ids
}

// knownUsers refuses ids that are not users, and names them. It reads ids that the cache does not
// contain from the API server.
func (d *Directory) knownUsers(ctx context.Context, ids []string) error {
	unknown := map[string]bool{}
	err := d.lookUp(ctx, ids, func(id string, r *record[*cachedUser]) bool {
		if r == nil {
			unknown[id] = true
		}
		return len(unknown) < maxUnknown
	})
	if err != nil {
		return err
	}
	if len(unknown) > 0 {
		return errUnknownMembers(slices.Sorted(maps.Keys(unknown)))
	}
	return nil
}

// lookUp calls found with each id and its record, or nil if there is no user with the id. It makes
// one call at a time, in no order, and stops if found returns false. Users that the cache does not
// contain are read from the API server.
func (d *Directory) lookUp(ctx context.Context, ids []string, found func(id string, r *record[*cachedUser]) (more bool)) error {
	var mu sync.Mutex
	enough := false
	report := func(id string, r *record[*cachedUser]) bool {
		mu.Lock()
		defer mu.Unlock()
		enough = enough || !found(id, r)
		return !enough
	}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(readers)
	for _, id := range ids {
		r := d.users.get(id)
		if r != nil {
			if !report(id, r) {
				break
			}
			continue
		}
		mu.Lock()
		stop := enough
		mu.Unlock()
		if stop {
			break
		}
		work.Go(func() error {
			u := &v1alpha1.ScimUser{}
			there, err := d.read(ctx, id, u)
			if err != nil {
				return err
			}
			var r *record[*cachedUser]
			if there {
				if r, err = d.userRecord(u); err != nil {
					return err
				}
				d.users.storeWrite(r)
			}
			report(id, r)
			return nil
		})
	}
	return work.Wait()
}

func errUnknownMembers(ids []string) error {
	const most = 10
	named, more := ids, ""
	if len(ids) > most {
		named, more = ids[:most], " and more"
	}
	for i, id := range named {
		named[i] = strconv.Quote(clip(id))
	}
	return scim.BadRequest(scim.InvalidValue, "There is no User with these ids: %s%s. Nothing was changed; create the users first.", strings.Join(named, ", "), more)
}

// liveMembers lists a group's current members, sorted by id. It omits an id without an existing
// user, after a live read.
func (g groups) liveMembers(ctx context.Context, id string) ([]server.Link, error) {
	ids, err := g.store.Members(ctx, id)
	if err != nil {
		return nil, storeError(id, err)
	}
	links := make([]server.Link, 0, len(ids))
	err = g.lookUp(ctx, ids, func(id string, r *record[*cachedUser]) bool {
		if r != nil {
			links = append(links, r.value.link(id))
		}
		return true
	})
	slices.SortFunc(links, func(a, b server.Link) int { return strings.Compare(a.ID, b.ID) })
	return links, err
}

// membership is the result of a sequence of changes to a group's members.
type membership struct {
	set map[string]bool // ids that a change names: true if the user is a member, false if not
	all bool            // ids that are not in set are no members
}

// planned applies the changes, in order. It reads the members only if a change searches them.
func (g groups) planned(ctx context.Context, id string, changes []patch.MemberChange) (membership, error) {
	var current []server.Link
	if slices.ContainsFunc(changes, func(c patch.MemberChange) bool { return c.Op == patch.RemoveWhere }) {
		var err error
		if current, err = g.liveMembers(ctx, id); err != nil {
			return membership{}, err
		}
	}
	return plan(changes, current), nil
}

// plan applies the changes, in order. Only RemoveWhere uses current.
func plan(changes []patch.MemberChange, current []server.Link) membership {
	m := membership{set: map[string]bool{}}
	for _, c := range changes {
		switch c.Op {
		case patch.AddMembers, patch.RemoveMembers:
			for _, id := range c.IDs {
				m.set[id] = c.Op == patch.AddMembers
			}
		case patch.ReplaceMembers, patch.RemoveAll:
			m = membership{set: map[string]bool{}, all: true}
			for _, id := range c.IDs {
				m.set[id] = true
			}
		case patch.RemoveWhere:
			m.removeWhere(c, current)
		}
	}
	return m
}

func (m membership) removeWhere(c patch.MemberChange, current []server.Link) {
	seen := map[string]bool{}
	for _, l := range current {
		seen[l.ID] = true
		in, decided := m.set[l.ID]
		if !decided {
			in = !m.all
		}
		if in && c.Filter.MatchElement(element(l, c.Base)) {
			m.set[l.ID] = false
		}
	}
	for id, in := range m.set {
		if in && !seen[id] && c.Filter.MatchElement(element(server.Link{ID: id, Type: "User"}, c.Base)) {
			m.set[id] = false
		}
	}
}

func element(l server.Link, base string) scim.Object {
	return scim.Object{"value": l.ID, "type": l.Type, "display": l.Display, "$ref": base + "/Users/" + l.ID}
}

// awaitsMembers reports whether a condition of the group waits until the provider pushes all
// members again. Then such a request is stored although it changes nothing.
func awaitsMembers(g *v1alpha1.ScimGroup) bool {
	c := meta.FindStatusCondition(g.Status.Conditions, v1alpha1.ConditionPoolsResolved)
	return c != nil && c.Reason == v1alpha1.ReasonBackupOlder
}

// apply writes the membership. After an error, a part may be written; repeating is safe.
func (g groups) apply(ctx context.Context, have *v1alpha1.ScimGroup, m membership) error {
	id := have.Name
	if m.all {
		var members []string
		for who, in := range m.set {
			if in {
				members = append(members, who)
			}
		}
		slices.Sort(members)
		if awaitsMembers(have) {
			return g.store.Confirm(ctx, id, members)
		}
		return g.store.Replace(ctx, id, members)
	}
	if len(m.set) == 0 {
		return nil
	}
	changes := make([]groupslice.Change, 0, len(m.set))
	for _, who := range slices.Sorted(maps.Keys(m.set)) {
		changes = append(changes, groupslice.Change{User: who, Add: m.set[who]})
	}
	return g.store.Change(ctx, id, changes)
}
