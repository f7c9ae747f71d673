// SPDX-License-Identifier: Apache-2.0

// Package mirror keeps the portal's state in memory, so that a reconcile with nothing to do makes
// no call.
//
// Follow takes a position in the change feed, lists all pages, then follows the feed from that
// position. If the feed was truncated or restarted, or has another epoch, it lists again. A
// periodic full listing also finds edits that bypass the feed, such as edits in the database. The
// operator's own writes are applied immediately (PutAccount, PutPool). If there are two states of
// one record, the higher revision wins, so that a page or a change that was read before a write
// cannot undo that write.
//
// Returned records are shared. Callers must not change them.
package mirror

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Event describes one difference. Exactly one of the fields is set.
type Event struct {
	Account       *AccountEvent
	Pool          *PoolEvent
	Configuration bool // the login methods or the binding
	Keys          bool // API keys
	Listed        bool // the whole state was listed for the first time
	Relisted      bool // a later listing differed from the mirror; it follows the events of the differences
	Reachable     bool // the portal is reachable again
}

// AccountEvent is a change of one account. Before is nil for a new account, After for a deleted
// one.
type AccountEvent struct{ Before, After *portalapi.Account }

// PoolEvent is a change of one pool. Before is nil for a new pool, After for a deleted one.
type PoolEvent struct{ Before, After *portalapi.Pool }

// Mirror is the portal's state in memory. It is safe for concurrent use.
type Mirror struct {
	notify func(Event)

	mu            sync.RWMutex
	accounts      map[string]*portalapi.Account
	accountByUID  map[string]*portalapi.Account
	accountOf     map[string]*portalapi.Account // by the owner's name, which survives a restore
	accountByName map[string]*portalapi.Account // folded
	pools         map[string]*portalapi.Pool
	poolByUID     map[string]*portalapi.Pool
	poolOf        map[string]*portalapi.Pool // by the owner's name, which survives a restore
	poolByName    map[string]*portalapi.Pool // folded
	groups        map[string]int64           // SCIM id → highest revision in a pin of any pool
	deletedGroups map[string]bool            // SCIM id → a pin of any pool says that the provider deleted the group
	defaultPool   *portalapi.Pool
	released      map[string]int64           // SCIM id → revision of the release, of users without an account
	releasedPins  map[string][]portalapi.Pin // name of an AgentPool without a pool → the pins of its released pool
	roles         map[string]portalapi.Role
	configuration *portalapi.Configuration
	locals        int
	listed        bool
	unreachable   error
	read          time.Time // time of the last successful read

	// written contains the operator's own writes since the current listing began, because the pages
	// of the listing may be older. It is nil while no listing runs.
	written *written
}

// written contains the ids of written records, the names of owners that a write released or gave an
// account to, and whether the configuration was written.
type written struct {
	accounts, pools, owners map[string]bool
	configuration           bool
}

// New returns an empty mirror without a listing. It calls notify after each difference, without a
// lock and on the goroutine that found the difference; notify must not block for long.
func New(notify func(Event)) *Mirror {
	m := &Mirror{notify: notify, released: map[string]int64{}, releasedPins: map[string][]portalapi.Pin{}}
	m.reset()
	return m
}

func (m *Mirror) reset() {
	m.accounts = map[string]*portalapi.Account{}
	m.accountByUID = map[string]*portalapi.Account{}
	m.accountOf = map[string]*portalapi.Account{}
	m.accountByName = map[string]*portalapi.Account{}
	m.locals = 0
}

// Listed reports whether the whole state was listed at least once.
func (m *Mirror) Listed() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.listed
}

// Unreachable returns why the portal cannot be followed now, or nil.
func (m *Mirror) Unreachable() error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.unreachable
}

// LastRead returns the time of the last successful read: the mirror's state is at most that old.
// Zero before the first read.
func (m *Mirror) LastRead() time.Time {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.read
}

// OwnedAccount returns the account whose owner has this UID, or nil.
func (m *Mirror) OwnedAccount(uid string) *portalapi.Account {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.accountByUID[uid]
}

// AccountOf returns the account whose owner has this name, with any UID, or nil. A ScimUser's name
// is its SCIM id.
func (m *Mirror) AccountOf(owner string) *portalapi.Account {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.accountOf[owner]
}

// NamedAccount returns the account with the user name, or nil.
func (m *Mirror) NamedAccount(userName string) *portalapi.Account {
	folded := names.Fold(userName)
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.accountByName[folded]
}

// Account returns the account of that id, or nil.
func (m *Mirror) Account(id string) *portalapi.Account {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.accounts[id]
}

// Released returns the revision at which the account of the owner with this name was released, and
// 0 if it was not, or the owner has an account again.
func (m *Mirror) Released(owner string) int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.released[owner]
}

// ReleasedPins returns the pins of the pool that the owner with this name had until its release, as
// portalapi.ReleasedPins. It returns nil if the owner has a pool again.
func (m *Mirror) ReleasedPins(owner string) []portalapi.Pin {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.releasedPins[owner]
}

// Pool returns the pool with the id, or nil.
func (m *Mirror) Pool(id string) *portalapi.Pool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.pools[id]
}

// OwnedPool returns the pool whose owner has that UID, or nil.
func (m *Mirror) OwnedPool(uid string) *portalapi.Pool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.poolByUID[uid]
}

// PoolOf returns the pool whose owner has this name, with any UID, or nil.
func (m *Mirror) PoolOf(owner string) *portalapi.Pool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.poolOf[owner]
}

// NamedPool returns the pool with the name, or nil.
func (m *Mirror) NamedPool(name string) *portalapi.Pool {
	folded := names.Fold(name)
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.poolByName[folded]
}

// DefaultPool returns the portal's default pool, and nil before the first listing.
func (m *Mirror) DefaultPool() *portalapi.Pool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.defaultPool
}

// Role returns the catalogue's entry for the role.
func (m *Mirror) Role(name string) (portalapi.Role, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r, ok := m.roles[name]
	return r, ok
}

// Configuration returns the current identity configuration, and nil before the first listing.
func (m *Mirror) Configuration() *portalapi.Configuration {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.configuration
}

// Binding returns the id of the current binding, and "" if it is unknown.
func (m *Mirror) Binding() string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.configuration == nil || m.configuration.Binding == nil {
		return ""
	}
	return m.configuration.Binding.ID
}

// Counts returns the number of accounts, and how many of them are local.
func (m *Mirror) Counts() (accounts, local int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.accounts), m.locals
}

// Accounts returns all accounts, sorted by id.
func (m *Mirror) Accounts() []*portalapi.Account {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.SortedFunc(maps.Values(m.accounts), func(a, b *portalapi.Account) int { return strings.Compare(a.ID, b.ID) })
}

// Pools returns all pools, sorted by id.
func (m *Mirror) Pools() []*portalapi.Pool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.SortedFunc(maps.Values(m.pools), func(a, b *portalapi.Pool) int { return strings.Compare(a.ID, b.ID) })
}

// HasMembers reports whether any account is in the pool.
func (m *Mirror) HasMembers(poolID string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, a := range m.accounts {
		if slices.Contains(a.Pools, poolID) {
			return true
		}
	}
	return false
}

// Managers returns the number of active members of the pool that have ROLE_MANAGER.
func (m *Mirror) Managers(poolID string) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := 0
	for _, a := range m.accounts {
		if a.Status == portalapi.StatusActive && slices.Contains(a.Pools, poolID) && slices.Contains(a.Roles, portalapi.RoleManager) {
			n++
		}
	}
	return n
}

// WithoutKnownOwner returns the accounts that have an owner for which known returns false, sorted
// by id. known must not block.
func (m *Mirror) WithoutKnownOwner(known func(owner portalapi.Owner) bool) []*portalapi.Account {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var out []*portalapi.Account
	for _, a := range m.accountByUID {
		if !known(a.Owner) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *portalapi.Account) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// PutAccount applies the result of the operator's own write. It does not notify, because the writer
// knows the change.
func (m *Mirror) PutAccount(a *portalapi.Account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.written != nil {
		m.written.accounts[a.ID] = true
	}
	m.setAccount(a)
}

// PutReleased applies the operator's own release of the account of owner.
func (m *Mirror) PutReleased(owner portalapi.Owner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.setReleased(owner)
}

// setReleased applies the release of owner. The caller has locked m.mu.
func (m *Mirror) setReleased(owner portalapi.Owner) {
	if owner.Name == "" {
		return
	}
	m.released[owner.Name] = max(m.released[owner.Name], owner.Revision)
	if m.written != nil {
		m.written.owners[owner.Name] = true
	}
}

// setOwner applies that an account of before belongs to after now. Either may be empty. The caller
// has locked m.mu.
func (m *Mirror) setOwner(before, after portalapi.Owner) {
	if before.UID == after.UID {
		return
	}
	if before.Name != after.Name {
		m.setReleased(before)
	}
	if after.Name != "" {
		delete(m.released, after.Name)
		if m.written != nil {
			m.written.owners[after.Name] = true
		}
	}
}

// PutPool applies the result of the operator's own write.
func (m *Mirror) PutPool(p *portalapi.Pool) {
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

// PutConfiguration applies the result of the operator's own write.
func (m *Mirror) PutConfiguration(c *portalapi.Configuration) {
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

// setAccount stores a, unless the mirror has a newer revision. The caller has locked m.mu.
func (m *Mirror) setAccount(a *portalapi.Account) (before *portalapi.Account, changed bool) {
	before = m.accounts[a.ID]
	if before != nil && (before.Revision > a.Revision || sameAccount(before, a)) {
		return before, false
	}
	m.unindex(before)
	var owner portalapi.Owner
	if before != nil {
		owner = before.Owner
	}
	m.setOwner(owner, a.Owner)
	m.accounts[a.ID] = a
	if a.Owner.UID != "" {
		m.accountByUID[a.Owner.UID] = a
		m.accountOf[a.Owner.Name] = a
	}
	m.accountByName[names.Fold(a.UserName)] = a
	if a.ManagedBy == portalapi.ManagedByLocal {
		m.locals++
	}
	return before, true
}

func sameAccount(a, b *portalapi.Account) bool { return reflect.DeepEqual(a, b) }

// dropAccount removes the account. The caller has locked m.mu.
func (m *Mirror) dropAccount(id string) *portalapi.Account {
	before := m.accounts[id]
	if before != nil {
		m.setOwner(before.Owner, portalapi.Owner{})
	}
	m.unindex(before)
	delete(m.accounts, id)
	return before
}

func (m *Mirror) unindex(a *portalapi.Account) {
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
	if a.ManagedBy == portalapi.ManagedByLocal {
		m.locals--
	}
}

// setPool stores p, unless the mirror has a newer revision. The caller has locked m.mu. A different
// member count alone is no change.
func (m *Mirror) setPool(p *portalapi.Pool) (before *portalapi.Pool, changed bool) {
	before = m.pools[p.ID]
	if before != nil && before.Revision > p.Revision {
		return before, false
	}
	m.setPoolOwner(before, p)
	next := maps.Clone(m.pools)
	if next == nil {
		next = map[string]*portalapi.Pool{}
	}
	next[p.ID] = p
	m.indexPools(next)
	return before, before == nil || !samePool(before, p)
}

// setPoolOwner does for released pools what setOwner does for released accounts. before is nil for
// a new pool, and after for a deleted one. The caller has locked m.mu.
func (m *Mirror) setPoolOwner(before, after *portalapi.Pool) {
	var from, to portalapi.Owner
	if before != nil {
		from = before.Owner
	}
	if after != nil {
		to = after.Owner
	}
	if from.UID == to.UID {
		return
	}
	if from.Name != "" && from.Name != to.Name {
		if pins := portalapi.ReleasedPins(before.Pins); len(pins) > 0 {
			m.releasedPins[from.Name] = pins
		} else {
			delete(m.releasedPins, from.Name)
		}
	}
	delete(m.releasedPins, to.Name)
}

func samePool(a, b *portalapi.Pool) bool {
	x, y := *a, *b
	x.Members, y.Members, x.Revision, y.Revision = 0, 0, 0, 0
	return reflect.DeepEqual(x, y)
}

// indexPools replaces all pools, of which there are few. The caller has locked m.mu.
func (m *Mirror) indexPools(pools map[string]*portalapi.Pool) {
	m.pools = pools
	m.poolByUID = map[string]*portalapi.Pool{}
	m.poolOf, m.poolByName = map[string]*portalapi.Pool{}, map[string]*portalapi.Pool{}
	m.groups, m.deletedGroups = map[string]int64{}, map[string]bool{}
	m.defaultPool = nil
	for _, p := range pools {
		if p.Owner.UID != "" {
			m.poolByUID[p.Owner.UID] = p
			m.poolOf[p.Owner.Name] = p
		}
		m.poolByName[names.Fold(p.Name)] = p
		for _, pin := range p.Pins {
			m.groups[pin.ID] = max(m.groups[pin.ID], pin.Revision)
			m.deletedGroups[pin.ID] = m.deletedGroups[pin.ID] || pin.Deleted
		}
		if p.Default {
			m.defaultPool = p
		}
	}
}

func (m *Mirror) setConfiguration(c *portalapi.Configuration) (changed bool) {
	if m.configuration != nil && (m.configuration.Revision > c.Revision || reflect.DeepEqual(m.configuration, c)) {
		return false
	}
	m.configuration = c
	return true
}
