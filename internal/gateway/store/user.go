// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// cachedUser is the cache entry of a ScimUser.
type cachedUser struct {
	resource *server.Resource
	modified string // AnnotationLastModified, which is part of the JSON
	entitled bool   // the status has the userName too, so the user has the claim on it
	label    string // the display name of the user as a member
	revision int64  // revision of the webhook's last write
}

// Prefixes of secondary keys.
const (
	keyUserName   = "u:" // folded userName
	keyExternalID = "x:" // externalId, unchanged
	keyEmail      = "e:" // folded e-mail address of any type
	keyName       = "d:" // folded displayName
)

// listKey orders resources by creation time and id.
func listKey(created int64, id string) string {
	return fmt.Sprintf("%0*d%s", createdDigits, max(created, 0), id)
}

// userRecord returns a user's record. It reuses the JSON of a record with the same version, because
// a status write does not change it.
func (d *Directory) userRecord(u *v1alpha1.ScimUser) (*record[*cachedUser], error) {
	v, err := version(u.ResourceVersion)
	if err != nil {
		return nil, err
	}
	p := &cachedUser{
		modified: u.Annotations[AnnotationLastModified],
		entitled: u.Status.UserName == u.Spec.UserName || names.Fold(u.Status.UserName) == names.Fold(u.Spec.UserName),
		revision: u.Spec.Revision,
	}
	p.label = u.Spec.DisplayName
	if p.label == "" {
		p.label = u.Spec.UserName
	}
	tag := userVersion(u)
	key := listKey(u.CreationTimestamp.Unix(), u.Name)
	r := &server.Resource{Type: schema.User(), ID: u.Name, Version: tag, Key: key}
	r.Links, r.Unlinked = d.groupsOf(u.Name)
	if have := d.users.get(u.Name); have != nil && have.value.resource.Version == tag && have.value.modified == p.modified {
		r.JSON = have.value.resource.JSON
	} else if r.JSON, err = encodeUser(u, tag); err != nil {
		return nil, err
	}
	p.resource = r
	return &record[*cachedUser]{key: key, uid: string(u.UID), version: v, keys: userKeys(&u.Spec), value: p}, nil
}

func userKeys(s *v1alpha1.ScimUserSpec) []string {
	keys := []string{keyUserName + names.Fold(s.UserName)}
	if s.ExternalID != "" {
		keys = append(keys, keyExternalID+s.ExternalID)
	}
	if s.DisplayName != "" {
		keys = append(keys, keyName+names.Fold(s.DisplayName))
	}
	for _, e := range s.Emails {
		keys = append(keys, keyEmail+names.Fold(e.Value))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// link returns the user as a member of a group.
func (p *cachedUser) link(id string) server.Link {
	return server.Link{ID: id, Display: p.label, Type: "User"}
}

// groupsOf lists a user's groups (RFC 7643 §4.1.2), in the order of lists. none reports whether
// there are none.
func (d *Directory) groupsOf(id string) (links iter.Seq[server.Link], none func() bool) {
	user, ok := userID(id)
	if !ok {
		return nil, nil
	}
	return func(yield func(server.Link) bool) {
		for _, g := range d.groupsContaining(user) {
			if !yield(server.Link{ID: g.id(), Display: g.value.name, Type: "direct"}) {
				return
			}
		}
	}, func() bool { return !d.members.knows(user) }
}

// groupsContaining lists a user's groups from the cache, in the order of lists.
func (d *Directory) groupsContaining(user uuid.UUID) []*record[*group] {
	ids := d.members.groupsOf(user)
	out := make([]*record[*group], 0, len(ids))
	for _, id := range ids {
		if r := d.groups.get(id); r != nil {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *record[*group]) int { return strings.Compare(a.key, b.key) })
	return out
}
