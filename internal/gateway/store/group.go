// SPDX-License-Identifier: Apache-2.0

package store

import (
	"iter"
	"slices"
	"strings"

	"github.com/google/uuid"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// group is the cache entry of a ScimGroup.
type group struct {
	resource *server.Resource
	name     string
}

// groupRecord returns a group's record for the cache.
func (d *Directory) groupRecord(g *v1alpha1.ScimGroup) (*record[*group], error) {
	v, err := version(g.ResourceVersion)
	if err != nil {
		return nil, err
	}
	key := listKey(g.CreationTimestamp.Unix(), g.Name)
	body, err := encodeGroup(g)
	if err != nil {
		return nil, err
	}
	r := &server.Resource{Type: schema.Group(), ID: g.Name, Key: key, JSON: body, Links: d.membersOf(g.Name)}
	return &record[*group]{
		key: key, uid: string(g.UID), version: v, keys: groupKeys(&g.Spec),
		value: &group{resource: r, name: g.Spec.DisplayName},
	}, nil
}

func groupKeys(s *v1alpha1.ScimGroupSpec) []string {
	keys := []string{keyName + names.Fold(s.DisplayName)}
	if s.ExternalID != "" {
		keys = append(keys, keyExternalID+s.ExternalID)
	}
	slices.Sort(keys)
	return keys
}

// membersOf lists a group's members from the cache.
func (d *Directory) membersOf(id string) iter.Seq[server.Link] {
	return func(yield func(server.Link) bool) {
		for _, member := range d.members.membersOf(id) {
			if r := d.users.get(member.String()); r != nil && !yield(r.value.link(r.id())) {
				return
			}
		}
	}
}

// pool is the cache entry of an AgentPool. It only has keys: the items of spec.groups.
type pool struct{}

// Prefixes of a pool's keys.
const (
	keyOfGroupName       = "n:" // folded displayName of a reference
	keyOfGroupExternalID = "x:" // externalId of a reference
	keyOfGroupID         = "i:" // id of a reference
)

func (d *Directory) poolRecord(p *v1alpha1.AgentPool) (*record[pool], error) {
	v, err := version(p.ResourceVersion)
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, line := range p.Spec.Groups {
		switch {
		case line.ID != "":
			keys = append(keys, keyOfGroupID+line.ID)
		case line.ExternalID != "":
			keys = append(keys, keyOfGroupExternalID+line.ExternalID)
		default:
			keys = append(keys, keyOfGroupName+names.Fold(line.DisplayName))
		}
	}
	slices.Sort(keys)
	key := listKey(p.CreationTimestamp.Unix(), p.Name)
	return &record[pool]{key: key, uid: string(p.UID), version: v, keys: slices.Compact(keys)}, nil
}

// named reports whether the cache contains a pool that names the group.
func (d *Directory) named(g *v1alpha1.ScimGroup) bool {
	return d.pools.count(keyOfGroupID+g.Name) > 0 ||
		d.pools.count(keyOfGroupName+names.Fold(g.Spec.DisplayName)) > 0 ||
		g.Spec.ExternalID != "" && d.pools.count(keyOfGroupExternalID+g.Spec.ExternalID) > 0
}

// slice is the cache entry of a ScimGroupSlice. Its members move to memberships when the record is
// stored.
type slice struct {
	group   string
	prefix  uint16
	bits    uint8
	members []uuid.UUID
}

func (d *Directory) sliceRecord(s *v1alpha1.ScimGroupSlice) (*record[*slice], error) {
	v, err := version(s.ResourceVersion)
	if err != nil {
		return nil, err
	}
	group, prefix, ok := sliceName(s.Name)
	if !ok {
		return nil, nil // the CRD's validation refuses such a name
	}
	value := &slice{group: group, prefix: prefix, bits: uint8(s.Spec.Bits)}
	for id := range s.Spec.AllMembers() {
		if member, ok := userID(id); ok {
			value.members = append(value.members, member)
		}
	}
	key := listKey(s.CreationTimestamp.Unix(), s.Name)
	return &record[*slice]{key: key, uid: string(s.UID), version: v, value: value}, nil
}

// sliceName splits a slice's name into its parts.
func sliceName(name string) (group string, prefix uint16, ok bool) {
	prefix, ok = groupslice.Prefix(name)
	return name[:max(strings.LastIndexByte(name, '-'), 0)], prefix, ok
}

// userID parses a user id. Only a lower-case UUID is valid.
func userID(id string) (uuid.UUID, bool) {
	if len(id) != 36 || strings.ToLower(id) != id {
		return uuid.UUID{}, false
	}
	u, err := uuid.Parse(id)
	return u, err == nil
}

// indexMembers updates memberships after a change of the table of slices, which has the newest
// version of each slice.
func (d *Directory) indexMembers(old, now *record[*slice]) {
	if now == nil {
		d.members.remove(old.value.group, old.value.prefix)
		return
	}
	s := now.value
	d.members.put(s.group, s.prefix, s.bits, s.members)
	s.members = nil
}
