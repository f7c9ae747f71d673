// SPDX-License-Identifier: Apache-2.0

// Package membership joins what AgentPools say with what the portal holds into one picture of all
// pools, from which a person's access follows, and counts who is in which pool. The people's and
// the pools' controllers share one Book.
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
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Picture is all pools at one moment.
type Picture struct {
	*access.Pools
	ids    map[string]string // AgentPool name → portal id
	names  map[string]string // portal id → AgentPool name
	behind map[string]Behind // AgentPools whose change is not in the portal yet
	marked map[string]bool   // AgentPools of whose members a removal is held or was dropped

	index   *groupindex.Index
	version int64 // of the index
}

// Groups returns the ids of the living groups that contain the user. ok is false when what is known
// of groups changed since the picture was made: ask for a new picture.
func (p *Picture) Groups(user string) (ids []string, ok bool) {
	ids, version := p.index.Of(user)
	return ids, version == p.version
}

// Ruled says whether an AgentPool rules the portal's pool of that id. Until then people keep it:
// they may have been restored before it.
func (p *Picture) Ruled(id string) bool {
	_, ok := p.names[id]
	return ok
}

// PortalID returns the portal's id of the AgentPool; "" for one that is not in the portal.
func (p *Picture) PortalID(pool string) string { return p.ids[pool] }

// Marked says whether a removal of members of the AgentPool is held or was dropped: who is in the
// pool without being wanted in it stays.
func (p *Picture) Marked(pool string) bool { return p.marked[pool] }

// Names returns the names of the AgentPools that rule the portal's pools of those ids; of others
// nothing.
func (p *Picture) Names(ids []string) []string {
	var out []string
	for _, id := range ids {
		if name, ok := p.names[id]; ok {
			out = append(out, name)
		}
	}
	return out
}

// Book is safe for concurrent use.
type Book struct {
	client    client.Reader
	namespace string
	index     *groupindex.Index

	mu      sync.Mutex
	picture *Picture
	of      *mirror.Mirror // that picture was made with
	filters map[string]compiled
	census  map[string][]string // user → pools
	counts  map[string]int
	loading bool // not everybody of the first listing was recorded yet

	subscribers []func(pools []string)
	unsettled   []func(Unsettled)
}

// Unsettled says in which pools a user is without being wanted, or is wanted without being in them.
type Unsettled struct {
	User    string
	Pools   []string
	Request string // id of the SCIM request about the user that caused it; empty: none did
}

// OnUnsettled has f called for users whose memberships a pool's pass is to write. f must not block.
func (b *Book) OnUnsettled(f func(Unsettled)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsettled = append(b.unsettled, f)
}

// Unsettled asks for passes over the pools.
func (b *Book) Unsettled(u Unsettled) {
	b.mu.Lock()
	fs := b.unsettled
	b.mu.Unlock()
	for _, f := range fs {
		f(u)
	}
}

// Subscribe has f called with the pools that somebody joined or left. f must not block.
func (b *Book) Subscribe(f func(pools []string)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.subscribers = append(b.subscribers, f)
}

type compiled struct {
	matcher *filter.Matcher
	err     error
}

// NewBook returns an empty book over the AgentPools of the namespace, read from c, a cache, and the
// groups of the index.
func NewBook(c client.Reader, namespace string, index *groupindex.Index) *Book {
	return &Book{client: c, namespace: namespace, index: index, filters: map[string]compiled{}, census: map[string][]string{}, counts: map[string]int{}}
}

// Invalidate has the next Picture made anew: an AgentPool or a pool in the portal changed.
func (b *Book) Invalidate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.picture = nil
}

// Picture returns all pools as m and the cache hold them.
func (b *Book) Picture(ctx context.Context, m *mirror.Mirror) (*Picture, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.picture != nil && b.of == m && b.picture.version == b.index.Version() {
		return b.picture, nil
	}
	var list v1alpha1.AgentPoolList
	if err := b.client.List(ctx, &list, client.InNamespace(b.namespace)); err != nil {
		return nil, fmt.Errorf("list agent pools: %w", err)
	}
	b.picture, b.of = b.draw(list.Items, m), m
	return b.picture, nil
}

// draw makes the picture and forgets filters that no pool has any more. A pool gives what it has in
// the portal: a change that is on its way, or that waits for a person, gives and takes nothing
// before it is there. A pool that is being deleted is one until it is gone from the portal, so that
// its people lose it in one call and not before the guard lets them. The caller holds the lock.
func (b *Book) draw(pools []v1alpha1.AgentPool, m *mirror.Mirror) *Picture {
	p := &Picture{
		ids: map[string]string{}, names: map[string]string{}, behind: map[string]Behind{}, marked: map[string]bool{},
		index: b.index, version: b.index.Version(),
	}
	def := access.Pool{Name: v1alpha1.DefaultName}
	if d := m.DefaultPool(); d != nil {
		def.Roles, p.ids[def.Name] = provision.Granted(d), d.ID
		p.names[d.ID] = def.Name
	}
	var known []access.Pool
	used := make(map[string]compiled, len(b.filters))
	for i := range pools {
		pool := &pools[i]
		own := m.OwnedPool(string(pool.UID))
		if pool.Name == v1alpha1.DefaultName {
			own = m.DefaultPool()
		}
		groups, decided := b.filling(pool)
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
		matcher, err := b.compile(pool.Spec.MemberFilter)
		used[pool.Spec.MemberFilter] = compiled{matcher, err}
		a := access.Pool{Name: pool.Name, Roles: provision.Granted(own), Members: pool.UserNames(), Frozen: err != nil, Closed: !pool.DeletionTimestamp.IsZero(), Groups: groups, Keeps: !decided}
		// No user joins a pool that is to lose ROLE_MANAGER, until it has lost it or declares it
		// again: whether that is held, was dropped or is about to happen. The API bans a filter
		// beside the role, so no filter fills it.
		if slices.Contains(a.Roles, portalapi.RoleManager) && (matcher != nil || !slices.Contains(pool.Spec.Roles, v1alpha1.Role(portalapi.RoleManager))) {
			a.Closed = true
		}
		if own.Mark.Held() == portalapi.RemovalDeletion {
			a.Closed = true
		}
		if matcher != nil {
			a.Filter = matcher
		}
		known = append(known, a)
	}
	b.filters = used
	p.Pools = access.NewPools(known, def)
	return p
}

// filling returns the groups that fill the pool, and whether who is in it by them is decided: its
// lines were looked at, and each group is known as a whole. A group whose object is gone without
// the provider having deleted it takes nobody out; the pool that a group has of its own keeps its
// people until it is gone itself.
func (b *Book) filling(pool *v1alpha1.AgentPool) (groups []string, decided bool) {
	if own := pool.OwnPoolOf(); own != "" {
		g, known := b.index.Group(own)
		return []string{own}, known && g.Whole && !g.Deleted
	}
	groups, decided = groupindex.Filling(pool), groupindex.Settled(pool)
	for _, id := range groups {
		g, known := b.index.Group(id)
		decided = decided && known && (g.Whole || g.Deleted)
	}
	return groups, decided
}

// compile returns the matcher of a filter; nil for none. The caller holds the lock.
func (b *Book) compile(s string) (*filter.Matcher, error) {
	if s == "" {
		return nil, nil
	}
	if c, ok := b.filters[s]; ok {
		return c.matcher, c.err
	}
	m, err := filter.Compile(s, schema.User())
	return m, err
}

// Load notes that people are about to be recorded for the first time; Loaded, that all of them are.
// In between no pool's count is complete.
func (b *Book) Load() { b.load(true) }

// Loaded ends what Load began.
func (b *Book) Loaded() { b.load(false) }

func (b *Book) load(loading bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loading = loading
}

// Remember notes, at the start, which pools a person was in when they were last looked at. Nobody
// is told of it.
func (b *Book) Remember(user string, pools []string) { b.record(user, pools) }

// Record notes which pools a person is in now.
func (b *Book) Record(user string, pools []string) {
	changed, subscribers := b.record(user, pools)
	if len(changed) == 0 {
		return
	}
	for _, f := range subscribers {
		f(changed)
	}
}

// record returns the pools joined or left, and whom to tell.
func (b *Book) record(user string, pools []string) (changed []string, _ []func([]string)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.census[user]
	for _, p := range pools {
		if !slices.Contains(before, p) {
			b.counts[p]++
			changed = append(changed, p)
		}
	}
	for _, p := range before {
		if !slices.Contains(pools, p) {
			b.counts[p]--
			changed = append(changed, p)
		}
	}
	if len(pools) == 0 {
		delete(b.census, user)
	} else if len(changed) > 0 {
		b.census[user] = pools
	}
	return changed, b.subscribers
}

// Forget notes that the person is gone.
func (b *Book) Forget(user string) { b.Record(user, nil) }

// Count returns how many people are in the pool, and whether that is known of everybody yet.
func (b *Book) Count(pool string) (n int, complete bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts[pool], !b.loading
}

// Members returns the names of the ScimUsers in the pool, in no order.
func (b *Book) Members(pool string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for user, pools := range b.census {
		if slices.Contains(pools, pool) {
			out = append(out, user)
		}
	}
	return out
}
