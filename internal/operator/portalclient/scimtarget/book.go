// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/scim"
)

// defaultPool is the id of the default pool, which exists only in the driver: the target has no
// group of it.
const (
	defaultPool     = "default"
	defaultPoolName = "Default"
)

// userRecord is what the ledger has about a user.
type userRecord struct {
	ID         string          `json:"id,omitempty"` // at the target; empty while Creating
	UserName   string          `json:"userName,omitempty"`
	ExternalID string          `json:"externalId,omitempty"`
	Owner      portalapi.Owner `json:"owner,omitzero"`
	WaitingFor portalapi.Owner `json:"waitingFor,omitzero"`
	Mark       *portalapi.Mark `json:"mark,omitempty"`
	Released   bool            `json:"released,omitempty"` // the operator deactivated it: the next owner needs no consent
	Creating   bool            `json:"creating,omitempty"` // a POST may have been sent, and its answer is not known
	Sent       []string        `json:"sent,omitempty"`     // attributes that the driver wrote
	Pools      []string        `json:"pools,omitempty"`    // only if the target has no groups
}

// poolRecord is what the ledger has about a pool.
type poolRecord struct {
	ID          string          `json:"id,omitempty"`
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	Owner       portalapi.Owner `json:"owner,omitzero"`
	Created     bool            `json:"created,omitempty"`
	Mark        *portalapi.Mark `json:"mark,omitempty"`
	Pins        []portalapi.Pin `json:"pins,omitempty"`
	Roles       []string        `json:"roles,omitempty"`
	Creating    bool            `json:"creating,omitempty"`
}

// account is one user of the target, with the ledger's record.
type account struct {
	id       string
	key      string // of the record in the ledger; empty if there is none
	record   userRecord
	have     scim.Object // the target's user in canonical form
	version  string      // of the target's user; empty if it has none
	pools    map[string]bool
	revision int64
	changed  int64 // the sequence of the last own write
	// wrote is the last write of this process, and nil after a start. Then stale is true if the
	// last listing found a difference to the wanted profile.
	wrote *written
	stale bool
}

// written is the last write of an account, and what the target had afterwards.
type written struct {
	write portalapi.AccountWrite
	roles []string
	seen  scim.Object // of the attributes that the driver writes
}

// pool is one group of the target, or the default pool, with the ledger's record.
type pool struct {
	id       string
	key      string
	record   poolRecord
	name     string // displayName at the target
	revision int64
	changed  int64
}

// state is what the ledger has about the configuration.
type state struct {
	Target           string                 `json:"target,omitempty"` // URL
	Binding          *portalapi.Binding     `json:"binding,omitempty"`
	Places           map[string]string      `json:"places,omitempty"` // place of an operator → id of its binding
	Leader           string                 `json:"leader,omitempty"`
	Former           []string               `json:"former,omitempty"` // the last leaders before
	LoginMethods     portalapi.LoginMethods `json:"loginMethods,omitzero"`
	ManagedElsewhere string                 `json:"managedElsewhere,omitempty"`
	Revision         int64                  `json:"revision,omitempty"`
}

// book is the state in memory. The caller has locked Client.mu.
type book struct {
	state    state
	accounts map[string]*account // by the target's id
	byOwner  map[string]*account // by the owner's UID
	ofOwner  map[string]*account // by the owner's name
	byName   map[string]*account // by the folded user name
	creating map[string]*account // by the owner's UID: users whose creation has no known result
	pools    map[string]*pool
	pending  map[string]*pool // by the owner's UID: groups whose creation has no known result
	retired  map[string]bool  // UIDs of owners that may not write any more
	released map[string]int64 // by the owner's name: the revision of the release, of owners without an account
	removed  []removal
	next     int64 // the next revision of a record

	releasedPins map[string][]portalapi.Pin // by the owner's name: the pins of the released pool, of owners without a pool
}

func newBook(revision int64) *book {
	return &book{
		accounts: map[string]*account{}, byOwner: map[string]*account{}, ofOwner: map[string]*account{}, byName: map[string]*account{}, creating: map[string]*account{},
		pools: map[string]*pool{}, pending: map[string]*pool{}, retired: map[string]bool{}, released: map[string]int64{}, next: revision,
		releasedPins: map[string][]portalapi.Pin{},
	}
}

// The keys of the ledger.
const (
	keyState    = "state"
	keyUser     = "user."
	keyPool     = "pool."
	keyRemoved  = "removed."
	keyReleased = "released."
	keyPins     = "pins."
)

// keyOf returns the key of a record, by what identified it when the record was made.
func keyOf(kind, id string) string {
	sum := sha256.Sum256([]byte(id))
	return kind + hex.EncodeToString(sum[:12])
}

// load replaces the book's records by the ledger's. Records without a resource of the target wait
// for the next listing.
func (b *book) load(entries map[string][]byte) error {
	for key, value := range entries {
		var err error
		switch {
		case key == keyState:
			err = json.Unmarshal(value, &b.state)
		case strings.HasPrefix(key, keyUser):
			a := &account{key: key, pools: map[string]bool{}}
			if err = json.Unmarshal(value, &a.record); err == nil {
				b.enter(a)
			}
		case strings.HasPrefix(key, keyPool):
			p := &pool{key: key}
			if err = json.Unmarshal(value, &p.record); err == nil {
				b.enterPool(p)
			}
		case strings.HasPrefix(key, keyReleased):
			var o portalapi.ReleasedOwner
			err = json.Unmarshal(value, &o)
			b.released[o.Name] = o.Revision
		case strings.HasPrefix(key, keyPins):
			var o portalapi.ReleasedPool
			err = json.Unmarshal(value, &o)
			b.releasedPins[o.Name] = o.Pins
		case strings.HasPrefix(key, keyRemoved):
			var more []removal
			err = json.Unmarshal(value, &more)
			b.removed = append(b.removed, more...)
		}
		if err != nil {
			return fmt.Errorf("read the ledger's entry %s: %w", key, err)
		}
	}
	if b.pools[defaultPool] == nil {
		b.pools[defaultPool] = &pool{id: defaultPool, name: defaultPoolName}
	}
	b.pools[defaultPool].revision = b.revision()
	return nil
}

// enter adds the account of a record of the ledger.
func (b *book) enter(a *account) {
	if a.record.Creating {
		b.creating[a.record.Owner.UID] = a
		return
	}
	a.id = a.record.ID
	a.have = scim.Object{"userName": a.record.UserName, "externalId": a.record.ExternalID}
	for _, id := range a.record.Pools {
		a.pools[id] = true
	}
	b.add(a)
}

func (b *book) enterPool(p *pool) {
	if p.record.Creating {
		b.pending[p.record.Owner.UID] = p
		return
	}
	p.id, p.name = p.record.ID, p.record.Name
	p.revision = b.revision()
	b.pools[p.id] = p
}

func (b *book) revision() int64 {
	b.next++
	return b.next
}

// add stores the account under its id, its owner and its name.
func (b *book) add(a *account) {
	b.accounts[a.id] = a
	a.revision = b.revision()
	b.index(a)
}

func (b *book) index(a *account) {
	if uid := a.record.Owner.UID; uid != "" {
		b.byOwner[uid], b.ofOwner[a.record.Owner.Name] = a, a
	}
	if name := text(a.have, "userName"); name != "" {
		b.byName[names.Fold(name)] = a
	}
}

func (b *book) unindex(a *account) {
	if b.byOwner[a.record.Owner.UID] == a {
		delete(b.byOwner, a.record.Owner.UID)
	}
	if b.ofOwner[a.record.Owner.Name] == a {
		delete(b.ofOwner, a.record.Owner.Name)
	}
	if folded := names.Fold(text(a.have, "userName")); b.byName[folded] == a {
		delete(b.byName, folded)
	}
}

// drop removes the account, which the target does not have any more.
func (b *book) drop(a *account) {
	b.unindex(a)
	delete(b.accounts, a.id)
}

// ownedPool returns the pool whose owner has this UID, or nil. There are few pools.
func (b *book) ownedPool(uid string) *pool {
	for _, p := range b.pools {
		if uid != "" && p.record.Owner.UID == uid {
			return p
		}
	}
	return nil
}

// namedPool returns the pool with that name in any case, or nil.
func (b *book) namedPool(name string) *pool {
	for _, p := range b.pools {
		if names.Fold(p.name) == names.Fold(name) {
			return p
		}
	}
	return nil
}

// managed reports whether the operator manages the account.
func (a *account) managed() bool { return a.record.Owner.UID != "" || a.record.Released }

func (a *account) active() bool {
	is, ok := a.have["active"].(bool)
	return is || !ok
}

// in returns the account's pools as the port shows them, sorted.
func (b *book) in(a *account) []string {
	out := slices.Collect(maps.Keys(a.pools))
	if !a.record.Released {
		out = append(out, defaultPool)
	}
	out = slices.DeleteFunc(out, func(id string) bool { return b.pools[id] == nil })
	slices.Sort(out)
	return slices.Compact(out)
}

// rolesIn returns the roles that these pools give, sorted.
func (b *book) rolesIn(pools []string) []string {
	roles := []string{portalapi.RoleUser}
	for _, id := range pools {
		if p := b.pools[id]; p != nil {
			roles = append(roles, p.record.Roles...)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// view returns the account as the port shows it. If the target differs from what the driver wrote
// in something that the port does not show, the owner's revision is one less: the next pass over
// the user then writes the account again.
func (c *Client) view(a *account) portalapi.Account {
	b := c.book
	pools := b.in(a)
	out := portalapi.Account{
		ID: a.id, UserName: text(a.have, "userName"), DisplayName: text(a.have, "displayName"), ExternalID: text(a.have, "externalId"), Email: mail(a.have),
		Status: portalapi.StatusActive, ManagedBy: portalapi.ManagedByLocal,
		Owner: a.record.Owner, WaitingFor: a.record.WaitingFor, Mark: a.record.Mark,
		Pools: pools, Roles: b.rolesIn(pools), Revision: a.revision,
	}
	if n, ok := a.have["name"].(scim.Object); ok {
		out.GivenName, out.FamilyName = text(n, "givenName"), text(n, "familyName")
	}
	if !a.active() {
		out.Status, out.DeactivatedBy = portalapi.StatusDeactivated, portalapi.ManagedByLocal
	}
	if a.managed() {
		out.ManagedBy = portalapi.ManagedBySCIM
		if out.DeactivatedBy != "" {
			out.DeactivatedBy = portalapi.ManagedBySCIM // the target does not say who did it: the provider decides
		}
	} else if direct := slices.DeleteFunc(rolesOf(a.have), func(r string) bool { return slices.Contains(out.Roles, r) }); len(direct) > 0 {
		out.DirectRoles = direct
		out.Roles = union(out.Roles, direct)
	}
	if a.record.Owner.UID == "" {
		return out
	}
	if c.drifted(a, out.Roles) {
		out.Owner.Revision--
	} else if w := a.wrote; w != nil { // what the target does not store is as it was written
		out.UserName, out.DisplayName, out.GivenName, out.FamilyName = w.write.UserName, w.write.DisplayName, w.write.GivenName, w.write.FamilyName
		out.Email, out.ExternalID = w.write.Email, w.write.ExternalID
	}
	return out
}

// drifted reports whether the target's user is not as the driver left it.
func (c *Client) drifted(a *account, roles []string) bool {
	if a.wrote == nil {
		return a.stale
	}
	return !scim.Equal(project(a.have, a.record.Sent), a.wrote.seen) || c.can.roles && !slices.Equal(a.wrote.roles, roles)
}

// poolView returns the pool as the port shows it.
func (b *book) poolView(p *pool) portalapi.Pool {
	out := portalapi.Pool{
		ID: p.id, Name: p.name, Description: p.record.Description, Roles: slices.Clone(p.record.Roles), Default: p.id == defaultPool,
		Owner: p.record.Owner, Created: p.record.Created, Mark: p.record.Mark, Pins: slices.Clone(p.record.Pins), Revision: p.revision,
	}
	if out.Roles == nil {
		out.Roles = []string{}
	}
	for _, a := range b.accounts {
		if a.pools[p.id] || out.Default && !a.record.Released {
			out.Members++
		}
	}
	return out
}
