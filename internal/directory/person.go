package directory

import (
	"fmt"
	"iter"
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/names"
	"lightrun.com/scim-operator/internal/scim/schema"
	"lightrun.com/scim-operator/internal/scim/server"
)

// person is what the cache keeps of a ScimUser.
type person struct {
	resource *server.Resource
	modified string   // AnnotationLastModified, which the JSON shows
	entitled bool     // status bears the userName too, so the claim on it is theirs
	label    string   // how the person is shown as a member
	asserted []string // spec.pools, sorted
	indirect []string // other pools that the person is in, sorted
}

// Prefixes of secondary keys.
const (
	keyUserName   = "u:" // folded userName
	keyExternalID = "x:" // externalId as it is
	keyEmail      = "e:" // folded e-mail address of any type
	keyName       = "d:" // folded displayName
	keyPool       = "p:" // name of a pool that the provider put the person in
	keyOffered    = "o:" // folded groupName of a pool that waits for the provider's group
)

// listKey orders resources by creation and id.
func listKey(created int64, id string) string {
	return fmt.Sprintf("%0*d%s", createdDigits, max(created, 0), id)
}

// personRecord is a person's record. The JSON of a record with the same version is used again, since a status write leaves it as it is.
func (d *Directory) personRecord(u *v1alpha1.ScimUser) (*record[*person], error) {
	v, err := version(u.ResourceVersion)
	if err != nil {
		return nil, err
	}
	p := &person{
		modified: u.Annotations[AnnotationLastModified],
		entitled: u.Status.UserName == u.Spec.UserName || names.Fold(u.Status.UserName) == names.Fold(u.Spec.UserName),
		asserted: slices.Sorted(slices.Values(u.Spec.Pools)),
	}
	for _, m := range u.Status.Pools {
		if m.Source != v1alpha1.PoolSourceAssigned && m.Source != v1alpha1.PoolSourceDefault {
			p.indirect = append(p.indirect, m.Name)
		}
	}
	slices.Sort(p.indirect)
	p.label = u.Spec.DisplayName
	if p.label == "" {
		p.label = u.Spec.UserName
	}
	tag := userVersion(u)
	key := listKey(u.CreationTimestamp.Unix(), u.Name)
	r := &server.Resource{Type: schema.User(), ID: u.Name, Version: tag, Key: key, Links: d.groupsOf(p)}
	if have := d.people.get(u.Name); have != nil && have.value.resource.Version == tag && have.value.modified == p.modified {
		r.JSON = have.value.resource.JSON
	} else if r.JSON, err = encodeUser(u, tag); err != nil {
		return nil, err
	}
	p.resource = r
	return &record[*person]{key: key, uid: string(u.UID), version: v, keys: personKeys(&u.Spec), value: p}, nil
}

func personKeys(s *v1alpha1.ScimUserSpec) []string {
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
	for _, p := range s.Pools {
		keys = append(keys, keyPool+p)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// groupsOf lists a person's groups (RFC 7643 §4.1.2): direct are those that the provider put them in, indirect are visible pools
// that other rules put them in.
func (d *Directory) groupsOf(p *person) iter.Seq[server.Link] {
	if len(p.asserted)+len(p.indirect) == 0 {
		return nil
	}
	return func(yield func(server.Link) bool) {
		for _, id := range p.asserted {
			if link, ok := d.groupLink(id, "direct"); ok && !yield(link) {
				return
			}
		}
		for _, id := range p.indirect {
			if _, also := slices.BinarySearch(p.asserted, id); also {
				continue
			}
			if link, ok := d.groupLink(id, "indirect"); ok && !yield(link) {
				return
			}
		}
	}
}

func (d *Directory) groupLink(id, how string) (server.Link, bool) {
	r := d.pools.get(id)
	if r == nil || r.value.resource == nil {
		return server.Link{}, false
	}
	return server.Link{ID: id, Display: r.value.name, Type: how}, true
}
