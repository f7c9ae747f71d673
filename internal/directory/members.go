package directory

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/server"
)

// How a membership changes. Each person touched gets one small patch of spec.pools, on top of the version that was read, so that changes of one person
// by several groups never overwrite each other. Whether somebody needs a patch at all is seen in the cache, which could be behind another
// replica: so every change leaves, on the pool, the highest version it wrote to a person, and every change begins by waiting until the
// cache has come that far. What an earlier, answered change did is then known here. What one did that was cut off before it left its trace may not be:
// so people whom the cache takes for settled are looked at, or the cache is brought abreast first (abreast.go). Additions and removals of named people
// may run side by side; a change that speaks about the whole membership runs alone (locks.go).

const (
	// annotationMembersAsOf is, on an AgentPool, its own UID and the highest resourceVersion that a change of its membership gave to a ScimUser.
	// With another UID it was restored from a backup and speaks of another etcd's versions.
	annotationMembersAsOf = "iam.lightrun.com/members-as-of"
	// maxPools is how many pools a person can be in; the CRD says the same.
	maxPools = 512
	// maxUnknown is after how many ids of nobody the rest is not asked for any more.
	maxUnknown = 32
	// writers is how many people are patched at a time for one request.
	writers = 8
)

// mentioned lists the ids that must be people for the changes to be valid. Removing somebody unknown is no error: they are not in the group.
func mentioned(changes []patch.MemberChange) []string {
	var ids []string
	for _, c := range changes {
		if c.Op == patch.AddMembers || c.Op == patch.ReplaceMembers {
			ids = append(ids, c.IDs...)
		}
	}
	return ids
}

// knownPeople refuses ids that are nobody's, naming them. Whom the cache doesn't know, the API server is asked for.
func (d *Directory) knownPeople(ctx context.Context, ids []string) error {
	var mu sync.Mutex
	unknown := map[string]bool{}
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(writers)
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(unknown) >= maxUnknown
	}
	for _, id := range ids {
		if d.people.get(id) != nil {
			continue
		}
		if enough() {
			break
		}
		work.Go(func() error {
			u := &v1alpha1.ScimUser{}
			found, err := d.read(ctx, id, u)
			if err != nil {
				return err
			}
			if found {
				_, err = users{d}.resource(u)
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			unknown[id] = true
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	if len(unknown) > 0 {
		return errUnknownMembers(slices.Sorted(maps.Keys(unknown)))
	}
	return nil
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
	return scim.BadRequest(scim.InvalidValue, "There is no User with these ids: %s%s. Nothing was changed; create the people first.", strings.Join(named, ", "), more)
}

// membership is what a sequence of changes makes of a group's members.
type membership struct {
	set map[string]bool // decided by name: in or out
	all bool            // everybody who is not in set is out
	// abreast says that the cache was brought abreast for this change, so that whom it takes for settled is.
	abreast bool
}

// wholly says whether the changes speak about people whom they don't name.
func wholly(changes []patch.MemberChange) bool {
	return slices.ContainsFunc(changes, func(c patch.MemberChange) bool {
		return c.Op == patch.ReplaceMembers || c.Op == patch.RemoveAll || c.Op == patch.RemoveWhere
	})
}

// plan folds the changes, in order. current is asked only by a RemoveWhere.
func plan(changes []patch.MemberChange, current func() []server.Link) membership {
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
			m.removeWhere(c, current())
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

// change applies changes to the members of a pool.
func (d *Directory) change(ctx context.Context, have *v1alpha1.AgentPool, changes []patch.MemberChange) error {
	if len(changes) == 0 {
		return nil
	}
	lock, caughtUp, whole := d.locks.shared, d.caughtUp, wholly(changes)
	if whole {
		lock, caughtUp = d.locks.exclusive, d.caughtUpWholly
	}
	held, err := lock(ctx, d, have)
	if err != nil {
		return err
	}
	defer held.unlock()
	if err := caughtUp(ctx, have); err != nil {
		return err
	}
	m := plan(changes, func() []server.Link { return slices.Collect(d.membersOf(have.Name)) })
	m.abreast = whole
	if err := d.roomFor(m, have.Name); err != nil {
		return err
	}
	if err := d.apply(ctx, have, m); err != nil {
		return err
	}
	return held.still(ctx)
}

// roomFor refuses a change before anything is written when somebody is in too many groups already.
func (d *Directory) roomFor(m membership, id string) error {
	for who, in := range m.set {
		r := d.people.get(who)
		if in && r != nil && len(r.value.asserted) >= maxPools && !slices.Contains(r.value.asserted, id) {
			return scim.BadRequest(scim.InvalidValue, "The User %q is in %d groups already, which is the most. Take them out of one first. Nothing was changed.", who, maxPools)
		}
	}
	return nil
}

// add makes people members of a pool.
func (g groups) add(ctx context.Context, have *v1alpha1.AgentPool, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return g.change(ctx, have, []patch.MemberChange{{Op: patch.AddMembers, IDs: ids}})
}

// empty takes everybody out of a pool; the caller holds its lock.
func (g groups) empty(ctx context.Context, have *v1alpha1.AgentPool) error {
	if err := g.caughtUpWholly(ctx, have); err != nil {
		return err
	}
	return g.apply(ctx, have, membership{all: true, abreast: true})
}

// strip takes out those whom a failed request put in. What it can't do is harmless: the pool's name is never used again.
func (g groups) strip(ctx context.Context, have *v1alpha1.AgentPool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	if err := g.apply(ctx, have, membership{all: true}); err != nil {
		g.log.Error(err, "Taking people out of a group that was not completed", "pool", have.Name)
	}
}

// caughtUp waits until the cache knows every change of the pool's membership that was answered before have was read.
func (d *Directory) caughtUp(ctx context.Context, have *v1alpha1.AgentPool) error {
	asOf := traced(have)
	ctx, cancel := context.WithTimeout(ctx, cleanupTime)
	defer cancel()
	return d.people.reached(ctx, asOf)
}
