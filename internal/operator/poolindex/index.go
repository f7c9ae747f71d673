// SPDX-License-Identifier: Apache-2.0

// Package poolindex combines the AgentPools with the portal's pools into one snapshot of all pools.
// A user's access follows from it. The package also counts the members of each pool. The
// controllers of all kinds share one Index.
package poolindex

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/memberlines"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Snapshot contains all pools at one moment.
type Snapshot struct {
	*access.Pools
	ids     map[string]string        // AgentPool name → portal id
	names   map[string]string        // portal id → AgentPool name
	behind  map[string]Behind        // AgentPools whose change is not in the portal yet
	marked  map[string]bool          // AgentPools of whose members a removal is held or was dropped
	filters map[string]*memberFilter // AgentPool → its filter

	built map[string]*v1alpha1.AgentPool // AgentPools, by name, that it was made from

	unmanaged map[string]Unmanaged // portal id → a pool that no AgentPool manages

	groups  *groupindex.Index
	version int64                       // of the index
	older   map[string]groupindex.Group // groups that come from an older backup, as they were
}

// current reports whether the groups are as they were when the snapshot was made, as far as it
// depends on them.
func (p *Snapshot) current() bool {
	for id, was := range p.older {
		if now, _ := p.groups.Group(id); now != was {
			return false
		}
	}
	return p.version == p.groups.Version()
}

// Groups returns the ids of the living groups that contain the user. ok is false if the index of
// groups has changed since the snapshot was made; then get a new snapshot.
func (p *Snapshot) Groups(user string) (ids []string, ok bool) {
	ids, version := p.groups.GroupsOf(user)
	return ids, version == p.version
}

// Observed reports whether the snapshot has this state of the AgentPool, as far as its members
// follow from it. It does not if the cache is behind a status that the caller has written.
func (p *Snapshot) Observed(pool *v1alpha1.AgentPool) bool {
	b := p.built[pool.Name]
	return b != nil && b.UID == pool.UID && sameLines(b, pool)
}

// sameLines reports whether two states of an AgentPool have the same spec, resolved to the same
// groups and users.
func sameLines(a, b *v1alpha1.AgentPool) bool {
	return a.Generation == b.Generation &&
		groupindex.Settled(a) == groupindex.Settled(b) && memberlines.Settled(a, nil) == memberlines.Settled(b, nil) &&
		slices.Equal(a.Status.Groups, b.Status.Groups) && slices.Equal(a.Status.Members, b.Status.Members)
}

// Managed reports whether an AgentPool manages the portal's pool with this id. If none does, the
// members stay in the pool, because users may have been restored before the AgentPool.
func (p *Snapshot) Managed(id string) bool {
	_, ok := p.names[id]
	return ok
}

// PortalID returns the portal's id of the AgentPool's pool, and "" if the pool is not in the
// portal.
func (p *Snapshot) PortalID(pool string) string { return p.ids[pool] }

// Marked reports whether a removal of members of the AgentPool is held or was dropped. Then these
// members stay.
func (p *Snapshot) Marked(pool string) bool { return p.marked[pool] }

// Names returns the names of the AgentPools that manage the portal's pools with these ids. It omits
// ids that no AgentPool manages.
func (p *Snapshot) Names(ids []string) []string {
	var out []string
	for _, id := range ids {
		if name, ok := p.names[id]; ok {
			out = append(out, name)
		}
	}
	return out
}

// Index is safe for concurrent use.
type Index struct {
	client    client.Reader
	namespace string
	groups    *groupindex.Index
	seen      *versions

	mu          sync.Mutex
	snapshot    *Snapshot
	of          *mirror.Mirror // the mirror that snapshot was made from
	filters     map[string]compiled
	memberships map[string][]string // user → pools
	counts      map[string]int
	loading     bool // true while the users of the first listing are being recorded

	subscribers []func(pools []string)
	unsettled   []func(Unsettled)
}

// Unsettled contains the pools that a user must join or leave.
type Unsettled struct {
	User    string
	Pools   []string
	Request string // id of the SCIM request about the user that caused it; empty if no request did
}

// OnUnsettled registers f, which is called for a user whose memberships the AgentPools' reconcilers
// must write. f must not block.
func (x *Index) OnUnsettled(f func(Unsettled)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unsettled = append(x.unsettled, f)
}

// Unsettled calls the functions of OnUnsettled, so that the pools are reconciled.
func (x *Index) Unsettled(u Unsettled) {
	x.mu.Lock()
	fs := x.unsettled
	x.mu.Unlock()
	for _, f := range fs {
		f(u)
	}
}

// Subscribe registers f, which is called with the pools that a user joined or left. f must not
// block.
func (x *Index) Subscribe(f func(pools []string)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.subscribers = append(x.subscribers, f)
}

type compiled struct {
	filter *memberFilter // or nil if there is none
	err    error
}

// New returns an index of the AgentPools of the namespace, which it reads from the cache c, and of
// the groups in the other index. No members are recorded in it yet.
func New(c client.Reader, namespace string, groups *groupindex.Index) *Index {
	return &Index{client: c, namespace: namespace, groups: groups, seen: &versions{users: map[string]uint64{}}, filters: map[string]compiled{}, memberships: map[string][]string{}, counts: map[string]int{}}
}

// Invalidate makes the next call of Snapshot build again: an AgentPool or a pool in the portal
// changed.
func (x *Index) Invalidate() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.snapshot = nil
}

// Affects reports whether a change of an AgentPool, from before to after, makes another snapshot.
func Affects(before, after *v1alpha1.AgentPool) bool {
	return !sameLines(before, after) || Waits(before) != Waits(after) || memberlines.Pinned(before, nil) != memberlines.Pinned(after, nil)
}

// Snapshot returns all pools in their current state in m and in the cache.
func (x *Index) Snapshot(ctx context.Context, m *mirror.Mirror) (*Snapshot, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.snapshot != nil && x.of == m && x.snapshot.current() {
		return x.snapshot, nil
	}
	var list v1alpha1.AgentPoolList
	if err := x.client.List(ctx, &list, client.InNamespace(x.namespace)); err != nil {
		return nil, fmt.Errorf("list agent pools: %w", err)
	}
	x.snapshot, x.of = x.build(list.Items, m), m
	return x.snapshot, nil
}

// build makes the snapshot, and removes the compiled filters that no pool has any more. A pool
// grants what it grants in the portal: a change that is in progress, or that waits for a person,
// has no effect before it is written there. A pool that is being deleted is in the snapshot until
// it is deleted in the portal, so that its members lose it in one call, and not before the guard
// allows it. The caller has locked mu.
func (x *Index) build(pools []v1alpha1.AgentPool, m *mirror.Mirror) *Snapshot {
	p := &Snapshot{
		ids: map[string]string{}, names: map[string]string{}, behind: map[string]Behind{}, marked: map[string]bool{},
		built: make(map[string]*v1alpha1.AgentPool, len(pools)), filters: map[string]*memberFilter{}, groups: x.groups, version: x.groups.Version(), older: map[string]groupindex.Group{},
	}
	def := access.Pool{Name: v1alpha1.DefaultName}
	if d := m.DefaultPool(); d != nil {
		def.Roles, p.ids[def.Name] = provision.Granted(d), d.ID
		p.names[d.ID] = def.Name
	}
	var known []access.Pool
	used := make(map[string]compiled, len(x.filters))
	for i := range pools {
		pool := &pools[i]
		p.built[pool.Name] = pool
		own := m.OwnedPool(string(pool.UID))
		if pool.Name == v1alpha1.DefaultName {
			own = m.DefaultPool()
		}
		groups, decided := p.filling(pool, m)
		if own == nil {
			if pool.DeletionTimestamp.IsZero() {
				known = append(known, access.Pool{Name: pool.Name, Groups: groups, Pending: true})
			}
			continue
		}
		if late := behind(pool, own, m); late.Pool != "" {
			p.behind[pool.Name] = late
		}
		if pool.Name == v1alpha1.DefaultName {
			continue
		}
		p.ids[pool.Name], p.names[own.ID] = own.ID, pool.Name
		p.marked[pool.Name] = own.Mark != nil
		matcher, err := x.compile(pool.Spec.MemberFilter, used)
		declared := memberlines.DeclaredBy(pool, own)
		a := access.Pool{Name: pool.Name, Roles: provision.Granted(own), Members: declared.Names, IDs: declared.IDs, Open: declared.Open,
			Frozen: err != nil, Closed: !pool.DeletionTimestamp.IsZero(), Groups: groups, Keeps: !decided || !memberlines.Settled(pool, own)}
		// No user joins a pool that is to lose ROLE_MANAGER, before it has lost the role or
		// declares it again. It does not matter whether the change is held, was dropped or is in
		// progress. The API does not allow a filter together with this role, so no filter fills
		// such a pool.
		if slices.Contains(a.Roles, portalapi.RoleManager) && (matcher != nil || !slices.Contains(pool.Spec.Roles, v1alpha1.Role(portalapi.RoleManager))) {
			a.Closed = true
		}
		if own.Mark.Held() == portalapi.RemovalDeletion {
			a.Closed = true
		}
		if matcher != nil {
			a.Filter, p.filters[pool.Name] = matcher, matcher
		}
		known = append(known, a)
	}
	p.unmanaged = unmanaged(m, p.names, pools)
	x.filters = used
	p.Pools = access.NewPools(known, def)
	return p
}

// filling returns the groups whose members are in the pool, and whether the members by groups are
// decided: its lines are resolved, and each group is known as a whole. A group whose object is gone
// although the provider did not delete it removes no user; a group's own pool keeps its members
// until it is gone itself. A group from an older backup neither adds nor removes a user.
func (p *Snapshot) filling(pool *v1alpha1.AgentPool, m *mirror.Mirror) (groups []string, decided bool) {
	own := pool.OwnPoolOf()
	decided = own != "" || groupindex.Settled(pool)
	for _, id := range groupindex.Filling(pool) {
		g, known := p.groups.Group(id)
		if known && groupindex.Older(g, m) != 0 {
			p.older[id], decided = g, false
			continue
		}
		groups = append(groups, id)
		decided = decided && known && (g.Whole || g.Deleted) && (own == "" || !g.Deleted)
	}
	return groups, decided
}

// compile returns a filter and adds it to used; nil if there is none. Pools with the same filter
// share it, with its answers. The caller has locked mu.
func (x *Index) compile(s string, used map[string]compiled) (*memberFilter, error) {
	if s == "" {
		return nil, nil
	}
	c, ok := used[s]
	if !ok {
		c, ok = x.filters[s]
	}
	if !ok {
		c.filter, c.err = compile(s, x.seen)
	}
	used[s] = c
	return c.filter, c.err
}

// Load begins the recording of the users of the first listing, and Loaded ends it. In between no
// pool's count is complete.
func (x *Index) Load() { x.load(true) }

// Loaded ends what Load began.
func (x *Index) Loaded() { x.load(false) }

func (x *Index) load(loading bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.loading = loading
}

// Remember records, at the start of the manager, the pools in the user's status. It does not notify
// subscribers.
func (x *Index) Remember(user string, pools []string) { x.record(user, pools) }

// Record records the pools that a user is in now.
func (x *Index) Record(user string, pools []string) {
	changed, subscribers := x.record(user, pools)
	if len(changed) == 0 {
		return
	}
	for _, f := range subscribers {
		f(changed)
	}
}

// record returns the pools that the user joined or left, and the subscribers to notify.
func (x *Index) record(user string, pools []string) (changed []string, _ []func([]string)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.memberships[user]
	for _, p := range pools {
		if !slices.Contains(before, p) {
			x.counts[p]++
			changed = append(changed, p)
		}
	}
	for _, p := range before {
		if !slices.Contains(pools, p) {
			x.counts[p]--
			changed = append(changed, p)
		}
	}
	if len(pools) == 0 {
		delete(x.memberships, user)
	} else if len(changed) > 0 {
		x.memberships[user] = pools
	}
	return changed, x.subscribers
}

// Forget removes a user that is gone.
func (x *Index) Forget(user string) {
	x.Record(user, nil)
	x.Vanished(user)
}

// Count returns the number of users in the pool. complete is false until all users are recorded.
func (x *Index) Count(pool string) (n int, complete bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.counts[pool], !x.loading
}

// Members returns the names of the ScimUsers in the pool, in no order.
func (x *Index) Members(pool string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []string
	for user, pools := range x.memberships {
		if slices.Contains(pools, pool) {
			out = append(out, user)
		}
	}
	return out
}
