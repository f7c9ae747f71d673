// Package mirror keeps what the portal holds in memory, so that a reconcile that finds nothing to
// do makes no call.
//
// Follow takes a position in the change feed, reads keyset pages, then follows the feed from that
// position. A feed that was truncated, restarted or has another epoch means listing again; a slow
// full listing also catches edits that went past the feed, such as raw database edits. Our own
// writes are put in at once (PutAccount, PutPool), and of two states of one record the newer
// revision wins, so that a page or a change that was read before our write can't undo it.
//
// Records handed out are shared and must not be changed.
package mirror

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"lightrun.com/scim-operator/internal/names"
	"lightrun.com/scim-operator/internal/portal"
)

// Event says what became different. Exactly one of the fields is set.
type Event struct {
	Account       *AccountEvent
	Pool          *PoolEvent
	Configuration bool // the login methods or the binding
	Keys          bool // API keys
	Listed        bool // the whole state was read for the first time, or again after the feed was lost
	Reachable     bool // the portal answers again
}

// AccountEvent is a change of one account; Before or After is nil when it came or went.
type AccountEvent struct{ Before, After *portal.Account }

// PoolEvent is a change of one pool; Before or After is nil when it came or went.
type PoolEvent struct{ Before, After *portal.Pool }

// Mirror is the portal's state in memory. It is safe for concurrent use.
type Mirror struct {
	notify func(Event)

	mu            sync.RWMutex
	accounts      map[string]*portal.Account
	accountByUID  map[string]*portal.Account
	accountOf     map[string]*portal.Account // by the owner's name, which survives a restore
	accountByName map[string]*portal.Account // folded
	pools         map[string]*portal.Pool
	poolByUID     map[string]*portal.Pool
	poolByName    map[string]*portal.Pool // folded
	defaultPool   *portal.Pool
	roles         map[string]portal.Role
	configuration *portal.Configuration
	locals        int
	listed        bool
	unreachable   error
	read          time.Time // when the portal last answered a reading

	// What we wrote since the listing under way began: the pages may be older. nil while nothing is
	// listed.
	written *written
}

// written are ids of records and whether the configuration is among them.
type written struct {
	accounts, pools map[string]bool
	configuration   bool
}

// New returns an empty mirror that is not listed. notify is called after each difference, outside
// the lock and from whatever goroutine saw it; it must not block for long.
func New(notify func(Event)) *Mirror {
	m := &Mirror{notify: notify}
	m.reset()
	return m
}

func (m *Mirror) reset() {
	m.accounts = map[string]*portal.Account{}
	m.accountByUID = map[string]*portal.Account{}
	m.accountOf = map[string]*portal.Account{}
	m.accountByName = map[string]*portal.Account{}
	m.locals = 0
}

// Listed says whether the whole state was read at least once.
func (m *Mirror) Listed() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.listed
}

// Unreachable returns why the portal can't be followed now, or nil.
func (m *Mirror) Unreachable() error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.unreachable
}

// LastRead is when the portal last answered a reading: what the mirror holds is at most that old.
// Zero before the first.
func (m *Mirror) LastRead() time.Time {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.read
}

// Owned returns the account whose owner has that UID, or nil.
func (m *Mirror) Owned(uid string) *portal.Account {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.accountByUID[uid]
}

// Of returns the account whose owner has that name, whatever its UID, or nil. A ScimUser's name is
// its SCIM id.
func (m *Mirror) Of(owner string) *portal.Account {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.accountOf[owner]
}

// Named returns the account that bears the name, or nil.
func (m *Mirror) Named(userName string) *portal.Account {
	folded := names.Fold(userName)
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.accountByName[folded]
}

// Pool returns the pool of that id, or nil.
func (m *Mirror) Pool(id string) *portal.Pool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.pools[id]
}

// OwnedPool returns the pool whose owner has that UID, or nil.
func (m *Mirror) OwnedPool(uid string) *portal.Pool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.poolByUID[uid]
}

// NamedPool returns the pool that bears the name, or nil.
func (m *Mirror) NamedPool(name string) *portal.Pool {
	folded := names.Fold(name)
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.poolByName[folded]
}

// DefaultPool returns the portal's default pool; nil before the first listing.
func (m *Mirror) DefaultPool() *portal.Pool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.defaultPool
}

// Role returns the catalogue's entry of that name.
func (m *Mirror) Role(name string) (portal.Role, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.roles[name]
	return r, ok
}

// Configuration returns the identity configuration in force; nil before the first listing.
func (m *Mirror) Configuration() *portal.Configuration {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.configuration
}

// Binding returns the id of the present binding; empty when none is known.
func (m *Mirror) Binding() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.configuration == nil || m.configuration.Binding == nil {
		return ""
	}
	return m.configuration.Binding.ID
}

// Counts returns how many accounts there are and how many of them are local.
func (m *Mirror) Counts() (accounts, local int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.accounts), m.locals
}

// Accounts returns all accounts, in order of id.
func (m *Mirror) Accounts() []*portal.Account {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.SortedFunc(maps.Values(m.accounts), func(a, b *portal.Account) int { return strings.Compare(a.ID, b.ID) })
}

// Managers returns how many active members of the pool hold ROLE_MANAGER.
func (m *Mirror) Managers(poolID string) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := 0
	for _, a := range m.accounts {
		if a.Status == portal.StatusActive && slices.Contains(a.Pools, poolID) && slices.Contains(a.Roles, portal.RoleManager) {
			n++
		}
	}
	return n
}

// Without returns the accounts that somebody owns and whose owner known does not know, in order of
// id. known must not block.
func (m *Mirror) Without(known func(owner portal.Owner) bool) []*portal.Account {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []*portal.Account
	for _, a := range m.accountByUID {
		if !known(a.Owner) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *portal.Account) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// PutAccount puts in what a write of ours returned. Nobody is notified: whoever wrote knows.
func (m *Mirror) PutAccount(a *portal.Account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.written != nil {
		m.written.accounts[a.ID] = true
	}
	m.setAccount(a)
}

// PutPool puts in what a write of ours returned.
func (m *Mirror) PutPool(p *portal.Pool) {
	m.mu.Lock()
	if m.written != nil {
		m.written.pools[p.ID] = true
	}
	before, changed := m.setPool(p)
	m.mu.Unlock()
	if changed {
		m.notify(Event{Pool: &PoolEvent{Before: before, After: p}})
	}
}

// PutConfiguration puts in what a write of ours returned.
func (m *Mirror) PutConfiguration(c *portal.Configuration) {
	m.mu.Lock()
	if m.written != nil {
		m.written.configuration = true
	}
	changed := m.setConfiguration(c)
	m.mu.Unlock()
	if changed {
		m.notify(Event{Configuration: true})
	}
}

// setAccount stores a unless a newer revision is there. The caller holds the lock.
func (m *Mirror) setAccount(a *portal.Account) (before *portal.Account, changed bool) {
	before = m.accounts[a.ID]
	if before != nil && (before.Revision > a.Revision || sameAccount(before, a)) {
		return before, false
	}
	m.unindex(before)
	m.accounts[a.ID] = a
	if a.Owner.UID != "" {
		m.accountByUID[a.Owner.UID] = a
		m.accountOf[a.Owner.Name] = a
	}
	m.accountByName[names.Fold(a.UserName)] = a
	if a.ManagedBy == portal.ManagedByLocal {
		m.locals++
	}
	return before, true
}

func sameAccount(a, b *portal.Account) bool { return reflect.DeepEqual(a, b) }

// dropAccount forgets the account. The caller holds the lock.
func (m *Mirror) dropAccount(id string) *portal.Account {
	before := m.accounts[id]
	m.unindex(before)
	delete(m.accounts, id)
	return before
}

func (m *Mirror) unindex(a *portal.Account) {
	if a == nil {
		return
	}
	if m.accountByUID[a.Owner.UID] == a {
		delete(m.accountByUID, a.Owner.UID)
	}
	if m.accountOf[a.Owner.Name] == a {
		delete(m.accountOf, a.Owner.Name)
	}
	if folded := names.Fold(a.UserName); m.accountByName[folded] == a {
		delete(m.accountByName, folded)
	}
	if a.ManagedBy == portal.ManagedByLocal {
		m.locals--
	}
}

// setPool stores p unless a newer revision is there. The caller holds the lock. A pool's member
// count alone is no change.
func (m *Mirror) setPool(p *portal.Pool) (before *portal.Pool, changed bool) {
	before = m.pools[p.ID]
	if before != nil && before.Revision > p.Revision {
		return before, false
	}
	next := maps.Clone(m.pools)
	if next == nil {
		next = map[string]*portal.Pool{}
	}
	next[p.ID] = p
	m.indexPools(next)
	return before, before == nil || !samePool(before, p)
}

func samePool(a, b *portal.Pool) bool {
	x, y := *a, *b
	x.Members, y.Members, x.Revision, y.Revision = 0, 0, 0, 0
	return reflect.DeepEqual(x, y)
}

// indexPools replaces all pools. There are few of them. The caller holds the lock.
func (m *Mirror) indexPools(pools map[string]*portal.Pool) {
	m.pools = pools
	m.poolByUID = map[string]*portal.Pool{}
	m.poolByName = map[string]*portal.Pool{}
	m.defaultPool = nil
	for _, p := range pools {
		if p.Owner.UID != "" {
			m.poolByUID[p.Owner.UID] = p
		}
		m.poolByName[names.Fold(p.Name)] = p
		if p.Default {
			m.defaultPool = p
		}
	}
}

func (m *Mirror) setConfiguration(c *portal.Configuration) (changed bool) {
	if m.configuration != nil && (m.configuration.Revision > c.Revision || reflect.DeepEqual(m.configuration, c)) {
		return false
	}
	m.configuration = c
	return true
}
