// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// loss is that the target has not got most of the accounts that the operator manages there: it was
// reset, or the URL is another target's. Nothing is written until they are back or a person accepts
// the loss.
type loss struct {
	id             string // digest of the missing accounts
	missing, known int
}

// leastLoss is the number of missing accounts below which they are created again without a
// question.
const leastLoss = 2

func (l *loss) refusal() error {
	return refuse(http.StatusConflict, portalapi.CodeTargetChanged,
		"the target has not got %d of the %d accounts that this operator manages there, so nothing is written. If spec.portal.url or the credentials are another target's, correct them. If the target was reset and shall be filled again, accept loss %s", l.missing, l.known, l.id)
}

// Pools implements portalapi.Reader. It lists the target: users, and groups with their members.
func (c *Client) Pools(ctx context.Context) ([]portalapi.Pool, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	if err := c.list(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]portalapi.Pool, 0, len(c.book.pools))
	for _, p := range c.book.pools {
		out = append(out, c.book.poolView(p))
	}
	slices.SortFunc(out, func(a, b portalapi.Pool) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

// Accounts implements portalapi.Reader. It returns what the last listing (Pools) and this process's
// own writes show.
func (c *Client) Accounts(ctx context.Context, after string, limit int) (page []portalapi.Account, next string, err error) {
	if err := c.ready(ctx); err != nil {
		return nil, "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := slices.Sorted(maps.Keys(c.book.accounts))
	from, found := slices.BinarySearch(ids, after)
	if found {
		from++
	}
	page = []portalapi.Account{}
	for _, id := range ids[from:min(len(ids), from+limit)] {
		page = append(page, c.view(c.book.accounts[id]))
	}
	if from+limit < len(ids) {
		next = page[len(page)-1].ID
	}
	return page, next, nil
}

// Roles implements portalapi.Reader: the catalogue of the product.
func (c *Client) Roles(context.Context) ([]portalapi.Role, error) {
	return []portalapi.Role{
		{Name: portalapi.RoleAccountManager, Description: "Reserved for the vendor"},
		{Name: portalapi.RoleAdmin, Description: "Reserved for the vendor"},
		{Name: portalapi.RoleIgnoreQuota, Description: "Actions are not limited by quota", Grantable: true},
		{Name: portalapi.RoleManager, Description: "Manages users and settings", Grantable: true},
		{Name: portalapi.RoleUser, Description: "Every user has it", Grantable: true},
	}, nil
}

// found is the result of one walk over the target.
type found struct {
	users  map[string]scim.Object // as the target sent them
	groups map[string]scim.Object
}

// list reads the whole target and compares it with the book. Differences are in the feed
// afterwards. A record that this process writes meanwhile stays as written.
func (c *Client) list(ctx context.Context) error {
	c.listing.Lock()
	defer c.listing.Unlock()
	c.mu.Lock()
	began, groups := c.book.next, c.can.groups
	c.mu.Unlock()
	f := found{users: map[string]scim.Object{}, groups: map[string]scim.Object{}}
	if err := c.walk(ctx, "/Users", f.users); err != nil {
		return fmt.Errorf("list the target's users: %w", err)
	}
	if groups {
		if err := c.walk(ctx, "/Groups", f.groups); err != nil {
			return fmt.Errorf("list the target's groups: %w", err)
		}
	}
	missing, err := c.missing(f, began)
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	for _, id := range missing { // a page can omit a user while others are created or deleted
		o, err := c.read(ctx, "/Users", id)
		if err != nil {
			return fmt.Errorf("read a user that is missing in the list: %w", err)
		}
		if o == nil {
			gone[id] = true
		} else {
			f.users[id] = o
		}
	}
	return c.apply(ctx, f, gone, began)
}

// walk collects all resources at the path, page by page.
func (c *Client) walk(ctx context.Context, path string, into map[string]scim.Object) error {
	for start := 1; ; {
		query := url.Values{"startIndex": {strconv.Itoa(start)}, "count": {strconv.Itoa(c.can.page)}}
		a, err := c.endpoint.patiently(ctx, http.MethodGet, path+"?"+query.Encode(), nil, "")
		if err != nil {
			return err
		}
		total, ok := schema.ValueOf(a.Object, "totalResults").(int64)
		list, _ := schema.ValueOf(a.Object, "Resources").([]any)
		if !ok {
			return &portalapi.InvalidResponseError{Status: a.Status, Problem: "it has no totalResults"}
		}
		more := false
		for _, e := range list {
			o, _ := e.(scim.Object)
			id, _ := schema.ValueOf(o, "id").(string)
			if id == "" {
				return &portalapi.InvalidResponseError{Status: a.Status, Problem: "a resource has no id"}
			}
			more = more || into[id] == nil
			into[id] = o
		}
		start += len(list)
		if !more || start > int(total) {
			return nil
		}
	}
}

// read returns one resource, and nil if the target does not have it.
func (c *Client) read(ctx context.Context, path, id string) (scim.Object, error) {
	a, err := c.endpoint.patiently(ctx, http.MethodGet, path+"/"+url.PathEscape(id), nil, "")
	if portalapi.CodeOf(err) == portalapi.CodeNotFound {
		return nil, nil
	}
	return a.Object, err
}

// lookup returns the target's resource with that value of the attribute, in any case, or nil.
func (c *Client) lookup(ctx context.Context, path, attribute, value string) (scim.Object, error) {
	all := map[string]scim.Object{}
	if !c.can.filter {
		if err := c.walk(ctx, path, all); err != nil {
			return nil, err
		}
	} else {
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
		a, err := c.endpoint.do(ctx, http.MethodGet, path+"?"+url.Values{"filter": {attribute + ` eq "` + quoted + `"`}}.Encode(), nil, "")
		if err != nil {
			return nil, err
		}
		list, _ := schema.ValueOf(a.Object, "Resources").([]any)
		for _, e := range list {
			o, _ := e.(scim.Object)
			id, _ := schema.ValueOf(o, "id").(string)
			all[id] = o
		}
	}
	for _, o := range all {
		if have, _ := schema.ValueOf(o, attribute).(string); names.Fold(have) == names.Fold(value) {
			return o, nil
		}
	}
	return nil, nil
}

// missing returns the accounts of the book that the target did not list. If these are most of the
// accounts that the operator manages, it is a loss, unless a person accepted it.
func (c *Client) missing(f found, began int64) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	known, lost := 0, 0
	for id, a := range c.book.accounts {
		owned := a.record.Owner.UID != ""
		if owned {
			known++
		}
		if f.users[id] != nil || a.changed > began {
			continue
		}
		ids = append(ids, id)
		if owned {
			lost++
		}
	}
	slices.Sort(ids)
	if lost < leastLoss || 2*lost < known {
		c.loss = nil
		return ids, nil
	}
	sum := sha256.Sum256([]byte(strings.Join(ids, "\n")))
	l := &loss{id: hex.EncodeToString(sum[:4]), missing: lost, known: known}
	if c.accept == l.id {
		c.loss = nil
		return ids, nil
	}
	c.loss = l
	return nil, l.refusal()
}

// apply compares what was found with the book.
func (c *Client) apply(ctx context.Context, f found, gone map[string]bool, began int64) error {
	profiles, err := c.profilesOf(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	b, entries := c.book, map[string]any{}
	members := c.applyGroups(f, began, entries)
	for id, o := range f.users {
		a := b.accounts[id]
		if a == nil {
			a = c.discovered(id, o, entries)
			b.add(a)
			a.have = nil // so that it counts as changed
		} else if a.changed > began {
			continue
		}
		c.refresh(a, o, members[id], profiles[a.record.Owner.Name])
	}
	for id := range gone {
		a := b.accounts[id]
		if a == nil || a.changed > began {
			continue
		}
		b.drop(a)
		c.touch(portalapi.ChangeAccount, id)
		if a.key != "" {
			entries[a.key] = nil
		}
	}
	reads := c.leads() != nil || c.options.Leader == "" && b.state.Leader != ""
	c.mu.Unlock()
	if len(entries) == 0 || reads {
		return nil
	}
	return c.put(ctx, entries)
}

// discovered returns the account of a user that the book did not have. If the driver was about to
// create exactly this user when its answer was lost, it is the user's.
func (c *Client) discovered(id string, o scim.Object, entries map[string]any) *account {
	a := &account{id: id, have: canonicalUser(c.users, o), pools: map[string]bool{}}
	for uid, began := range c.book.creating {
		if c.matches(began.record, a.have) {
			a.key, a.record, a.stale = began.key, began.record, true
			a.record.ID, a.record.Creating = id, false
			delete(c.book.creating, uid)
			entries[a.key] = a.record
			break
		}
	}
	return a
}

// matches reports whether the target's user is the one that the driver began to create. A user
// without the externalId is, only if the target takes none. The caller has locked mu.
func (c *Client) matches(r userRecord, have scim.Object) bool {
	external := text(have, "externalId")
	return names.Fold(r.UserName) == names.Fold(text(have, "userName")) && (r.ExternalID == external || external == "" && c.can.users.takes("externalId", "") == nil)
}

// refresh updates the account from the target. The caller has locked mu.
func (c *Client) refresh(a *account, o scim.Object, members map[string]bool, profile scim.Object) {
	b := c.book
	have, version := canonicalUser(c.users, o), versionOf(o)
	was := a.stale
	if a.record.Owner.UID != "" && a.wrote == nil && profile != nil {
		a.stale = c.staleProfile(a, have, profile)
	}
	pools := a.pools
	if c.can.groups {
		pools = members
		if pools == nil {
			pools = map[string]bool{}
		}
	}
	if a.have != nil && scim.Equal(a.have, have) && maps.Equal(a.pools, pools) && was == a.stale {
		a.version = version
		return
	}
	b.unindex(a)
	a.have, a.version, a.pools = have, version, pools
	b.index(a)
	c.touched(a)
}

// staleProfile reports whether the target's user differs from the profile. It is for an account
// that this process has not written yet.
func (c *Client) staleProfile(a *account, have, profile scim.Object) bool {
	active, ok := profile["active"].(bool)
	w := portalapi.AccountWrite{
		UserName: text(profile, "userName"), ExternalID: text(profile, "externalId"), Active: active || !ok,
		DisplayName: cmp.Or(text(profile, "displayName"), text(have, "displayName")),
	}
	want := wantedUser(profile, w, c.book.rolesIn(c.book.in(a)), c.can, c.managerAt)
	return differs(c.users, have, want, a.record.Sent)
}

// managerAt returns the id at the target of the user with that SCIM id in the cluster. The caller
// has locked mu.
func (c *Client) managerAt(id string) string {
	if a := c.book.ofOwner[id]; a != nil {
		return a.id
	}
	return ""
}

// profilesOf returns the profiles of the accounts that this process has not written yet, by the
// owner's name.
func (c *Client) profilesOf(ctx context.Context) (map[string]scim.Object, error) {
	if c.options.Profiles == nil {
		return nil, nil
	}
	c.mu.Lock()
	var owners []string
	for _, a := range c.book.accounts {
		if a.record.Owner.UID != "" && a.wrote == nil {
			owners = append(owners, a.record.Owner.Name)
		}
	}
	c.mu.Unlock()
	out := make(map[string]scim.Object, len(owners))
	for _, name := range owners {
		o, err := c.options.Profiles.Profile(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("read the profile of ScimUser %s: %w", name, err)
		}
		out[name] = o
	}
	return out, nil
}

// applyGroups updates the pools, and returns the pools of each user. The caller has locked mu.
func (c *Client) applyGroups(f found, began int64, entries map[string]any) map[string]map[string]bool {
	b := c.book
	if !c.can.groups {
		return nil
	}
	members := map[string]map[string]bool{}
	enter := func(user, group string) {
		if members[user] == nil {
			members[user] = map[string]bool{}
		}
		members[user][group] = true
	}
	for id, o := range f.groups {
		p := b.pools[id]
		if p == nil {
			p = c.discoveredPool(id, o, entries)
			b.pools[id] = p
			c.poolTouched(p)
		} else if p.changed > began {
			continue
		}
		if name, _ := schema.ValueOf(o, "displayName").(string); name != p.name {
			p.name = name
			c.poolTouched(p)
		}
		for _, user := range memberIDs(o) {
			enter(user, id)
		}
	}
	for id, p := range b.pools {
		switch {
		case id == defaultPool:
		case p.changed > began: // written meanwhile: the members are as this process left them
			for user, a := range b.accounts {
				if a.pools[id] {
					enter(user, id)
				}
			}
		case f.groups[id] == nil:
			delete(b.pools, id)
			b.changePoolOwner(entries, p.record, portalapi.Owner{})()
			c.touch(portalapi.ChangePool, id)
			if p.key != "" {
				entries[p.key] = nil
			}
		}
	}
	return members
}

// discoveredPool is discovered for a group. A group that the driver began to create is its owner's
// only while it has no members, because then no other client has used it.
func (c *Client) discoveredPool(id string, o scim.Object, entries map[string]any) *pool {
	name, _ := schema.ValueOf(o, "displayName").(string)
	p := &pool{id: id, name: name}
	for uid, began := range c.book.pending {
		if names.Fold(began.record.Name) == names.Fold(name) && len(memberIDs(o)) == 0 {
			p.key, p.record = began.key, began.record
			p.record.ID, p.record.Creating = id, false
			delete(c.book.pending, uid)
			entries[p.key] = p.record
			break
		}
	}
	return p
}

// memberIDs returns the ids in the attribute members.
func memberIDs(group scim.Object) []string {
	var out []string
	list, _ := schema.ValueOf(group, "members").([]any)
	for _, e := range list {
		m, _ := e.(scim.Object)
		if id, _ := schema.ValueOf(m, "value").(string); id != "" {
			out = append(out, id)
		}
	}
	return out
}

// versionOf returns meta.version.
func versionOf(o scim.Object) string {
	meta, _ := schema.ValueOf(o, "meta").(scim.Object)
	v, _ := schema.ValueOf(meta, "version").(string)
	return v
}
