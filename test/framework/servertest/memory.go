// SPDX-License-Identifier: Apache-2.0

// Package servertest is a SCIM directory in memory, for tests of the server and of its clients. It
// passes the same contract suite as the real one (package directorytest) and is as simple as
// possible: one lock, maps, no index.
package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Memory is a directory in memory.
type Memory struct {
	// Fail, if set, is called before each call, with the method name such as "Users.Get"; the call
	// returns its error.
	Fail func(method string) error

	mu     sync.Mutex
	users  map[string]*item
	groups map[string]*item
	serial int
	now    func() time.Time
}

// item is one resource: its canonical attributes, and a group's members.
type item struct {
	id, key           string
	version           int
	created, modified time.Time
	attributes        scim.Object
	members           map[string]bool
}

// New returns an empty directory.
func New() *Memory {
	return &Memory{users: map[string]*item{}, groups: map[string]*item{}, now: time.Now}
}

// Users returns the directory's users.
func (m *Memory) Users() server.Users { return users{m} }

// Groups returns the directory's groups.
func (m *Memory) Groups() server.Groups { return groups{m} }

type (
	users  struct{ *Memory }
	groups struct{ *Memory }
)

// enter locks the directory, or returns Fail's error.
func (m *Memory) enter(method string) error {
	if m.Fail != nil {
		if err := m.Fail(method); err != nil {
			return err
		}
	}
	m.mu.Lock()
	return nil
}

func (m *Memory) add(all map[string]*item, o scim.Object) *item {
	m.serial++
	id, now := uuid.NewString(), m.now()
	it := &item{id: id, key: fmt.Sprintf("%09d%s", m.serial, id), version: 1, created: now, modified: now, members: map[string]bool{}}
	it.attributes = own(o)
	all[id] = it
	return it
}

// own returns the stored attributes of o; the others are derived each time.
func own(o scim.Object) scim.Object {
	out := maps.Clone(o)
	for _, name := range []string{"id", "meta", "schemas", "groups", "members"} {
		delete(out, name)
	}
	return out
}

// taken reports whether another item has the name.
func taken(all map[string]*item, attribute, name, except string) bool {
	for id, it := range all {
		if have, _ := it.attributes[attribute].(string); id != except && names.Fold(have) == names.Fold(name) {
			return true
		}
	}
	return false
}

// mark is the placeholder for the base URL; the engine allows no control character in a value.
const mark = "\x01"

// resource returns the resource of an item. The lock is locked; the links are collected
// immediately, so that they can be read after it is unlocked.
func (m *Memory) resource(rt *schema.ResourceType, it *item) *server.Resource {
	r := &server.Resource{Type: rt, ID: it.id, Key: it.key}
	meta := scim.Object{
		"resourceType": rt.Name, "created": it.created.UTC().Format(time.RFC3339Nano), "lastModified": it.modified.UTC().Format(time.RFC3339Nano),
		"location": mark + rt.Endpoint + "/" + it.id,
	}
	var links []server.Link
	if rt.Name == "User" {
		r.Version = fmt.Sprintf(`W/"%d"`, it.version)
		meta["version"] = r.Version
		links = m.groupsOf(it.id)
	} else {
		links = m.membersOf(it)
	}
	o := maps.Clone(it.attributes)
	o["id"], o["meta"] = it.id, meta
	o["schemas"] = rt.SchemasOf(o)
	body, err := json.Marshal(o)
	if err != nil {
		panic(err) // a decoded value can always be encoded
	}
	r.JSON = bytes.Replace(body, []byte(`\u0001`), []byte{server.BaseMark}, 1)
	if len(links) > 0 {
		r.Links = slices.Values(links)
	}
	return r
}

func (m *Memory) groupsOf(id string) []server.Link {
	var links []server.Link
	for _, g := range sorted(m.groups) {
		if g.members[id] {
			name, _ := g.attributes["displayName"].(string)
			links = append(links, server.Link{ID: g.id, Display: name, Type: "direct"})
		}
	}
	return links
}

func (m *Memory) membersOf(g *item) []server.Link {
	var links []server.Link
	for _, u := range sorted(m.users) {
		if g.members[u.id] {
			name, _ := u.attributes["userName"].(string)
			links = append(links, server.Link{ID: u.id, Display: name, Type: "User"})
		}
	}
	return links
}

func sorted(all map[string]*item) []*item {
	return slices.SortedFunc(maps.Values(all), func(a, b *item) int { return strings.Compare(a.key, b.key) })
}

func (m *Memory) list(q server.Query, rt *schema.ResourceType, all map[string]*item) (server.Page, error) {
	var seq iter.Seq[*server.Resource] = func(yield func(*server.Resource) bool) {
		for _, it := range sorted(all) {
			if !yield(m.resource(rt, it)) {
				return
			}
		}
	}
	return q.Run(seq)
}

func missing(kind, id string) error {
	return scim.NotFound("There is no %s with the id %q.", kind, id)
}

func conflict(attribute, name string) error {
	return scim.Conflict("Another resource has the %s %q.", attribute, name)
}

func (u users) Get(_ context.Context, id string) (*server.Resource, error) {
	if err := u.enter("Users.Get"); err != nil {
		return nil, err
	}
	defer u.mu.Unlock()
	if it := u.users[id]; it != nil {
		return u.resource(schema.User(), it), nil
	}
	return nil, missing("User", id)
}

func (u users) List(_ context.Context, q server.Query) (server.Page, error) {
	if err := u.enter("Users.List"); err != nil {
		return server.Page{}, err
	}
	defer u.mu.Unlock()
	return u.list(q, schema.User(), u.users)
}

func (u users) Create(_ context.Context, o scim.Object) (*server.Resource, error) {
	if err := u.enter("Users.Create"); err != nil {
		return nil, err
	}
	defer u.mu.Unlock()
	name, _ := o["userName"].(string)
	if taken(u.users, "userName", name, "") {
		return nil, conflict("userName", name)
	}
	return u.resource(schema.User(), u.add(u.users, o)), nil
}

func (u users) Update(_ context.Context, id string, ifVersion server.Precondition, change func(scim.Object) (scim.Object, error)) (*server.Resource, error) {
	if err := u.enter("Users.Update"); err != nil {
		return nil, err
	}
	defer u.mu.Unlock()
	it, before, err := u.found(id, ifVersion)
	if err != nil {
		return nil, err
	}
	after, err := change(before)
	if err != nil {
		return nil, err
	}
	name, _ := after["userName"].(string)
	if taken(u.users, "userName", name, id) {
		return nil, conflict("userName", name)
	}
	if now := own(after); !scim.Equal(now, it.attributes) {
		it.attributes, it.version, it.modified = now, it.version+1, u.now()
	}
	return u.resource(schema.User(), it), nil
}

// found returns the user if its version matches.
func (u users) found(id string, ifVersion server.Precondition) (*item, scim.Object, error) {
	it := u.users[id]
	if it == nil {
		return nil, nil, missing("User", id)
	}
	r := u.resource(schema.User(), it)
	if ifVersion != nil && !ifVersion(r.Version) {
		return nil, nil, scim.Failure(http.StatusPreconditionFailed, "The resource has changed.")
	}
	o, err := r.Object("", true)
	return it, o, err
}

func (u users) Delete(_ context.Context, id string, ifVersion server.Precondition) error {
	if err := u.enter("Users.Delete"); err != nil {
		return err
	}
	defer u.mu.Unlock()
	if _, _, err := u.found(id, ifVersion); err != nil {
		return err
	}
	delete(u.users, id)
	for _, g := range u.groups {
		delete(g.members, id)
	}
	return nil
}

func (g groups) Get(_ context.Context, id string, _ bool) (*server.Resource, error) {
	if err := g.enter("Groups.Get"); err != nil {
		return nil, err
	}
	defer g.mu.Unlock()
	if it := g.groups[id]; it != nil {
		return g.resource(schema.Group(), it), nil
	}
	return nil, missing("Group", id)
}

func (g groups) List(_ context.Context, q server.Query) (server.Page, error) {
	if err := g.enter("Groups.List"); err != nil {
		return server.Page{}, err
	}
	defer g.mu.Unlock()
	return g.list(q, schema.Group(), g.groups)
}

func (g groups) Create(_ context.Context, o scim.Object, members []string) (*server.Resource, error) {
	if err := g.enter("Groups.Create"); err != nil {
		return nil, err
	}
	defer g.mu.Unlock()
	name, _ := o["displayName"].(string)
	if taken(g.groups, "displayName", name, "") {
		return nil, conflict("displayName", name)
	}
	if err := g.known(members); err != nil {
		return nil, err
	}
	it := g.add(g.groups, o)
	for _, id := range members {
		it.members[id] = true
	}
	return g.resource(schema.Group(), it), nil
}

func (g groups) known(ids []string) error {
	for _, id := range ids {
		if g.users[id] == nil {
			return scim.BadRequest(scim.InvalidValue, "There is no User with the id %q.", id)
		}
	}
	return nil
}

func (g groups) Update(_ context.Context, id string, change func(scim.Object) (scim.Object, []patch.MemberChange, error)) (*server.Resource, error) {
	if err := g.enter("Groups.Update"); err != nil {
		return nil, err
	}
	defer g.mu.Unlock()
	it := g.groups[id]
	if it == nil {
		return nil, missing("Group", id)
	}
	before, err := g.resource(schema.Group(), it).Object("", false)
	if err != nil {
		return nil, err
	}
	after, changes, err := change(before)
	if err != nil {
		return nil, err
	}
	name, _ := after["displayName"].(string)
	if taken(g.groups, "displayName", name, id) {
		return nil, conflict("displayName", name)
	}
	members := maps.Clone(it.members)
	for _, c := range changes {
		if err := g.apply(members, c); err != nil {
			return nil, err
		}
	}
	if now := own(after); !scim.Equal(now, it.attributes) || !maps.Equal(members, it.members) {
		it.attributes, it.members, it.modified = now, members, g.now()
	}
	return g.resource(schema.Group(), it), nil
}

func (g groups) apply(members map[string]bool, c patch.MemberChange) error {
	switch c.Op {
	case patch.ReplaceMembers, patch.RemoveAll:
		clear(members)
	case patch.RemoveWhere:
		maps.DeleteFunc(members, func(id string, _ bool) bool {
			name, _ := g.users[id].attributes["userName"].(string)
			return c.Filter.MatchElement(scim.Object{"value": id, "type": "User", "display": name, "$ref": c.Base + "/Users/" + id})
		})
	}
	for _, id := range c.IDs {
		if c.Op == patch.RemoveMembers {
			delete(members, id)
			continue
		}
		if err := g.known([]string{id}); err != nil {
			return err
		}
		members[id] = true
	}
	return nil
}

func (g groups) Delete(_ context.Context, id string) error {
	if err := g.enter("Groups.Delete"); err != nil {
		return err
	}
	defer g.mu.Unlock()
	if g.groups[id] == nil {
		return missing("Group", id)
	}
	delete(g.groups, id)
	return nil
}
