// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/path"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Users stores and returns the users of a server. Errors for the client are *scim.Error. For any
// other error the response is a 503 that asks the client to retry. Every method may be repeated,
// and none blocks longer than its context.
type Users interface {
	// Get reads the current state of one user, or returns a 404.
	Get(ctx context.Context, id string) (*Resource, error)
	// List returns a page of users, from a view that contains at least this replica's own writes.
	List(ctx context.Context, q Query) (Page, error)
	// Create stores a new user from canonical attributes, or returns a 409 uniqueness.
	Create(ctx context.Context, user scim.Object) (*Resource, error)
	// Update replaces a user with the result of change. change may run more than once, each time on
	// the current state; an equal result writes nothing. If ifVersion is not nil, Update calls it
	// with each version that it reads; if it returns false, the error is a 412.
	Update(ctx context.Context, id string, ifVersion Precondition, change func(scim.Object) (scim.Object, error)) (*Resource, error)
	// Delete deletes a user. From then on the user is a 404, and another user can get the name.
	Delete(ctx context.Context, id string, ifVersion Precondition) error
}

// Groups stores and returns the groups of a server. Members are never part of a group's attributes.
type Groups interface {
	// Get reads the current state of one group, or returns a 404. It reads the members only if
	// members is true.
	Get(ctx context.Context, id string, members bool) (*Resource, error)
	List(ctx context.Context, q Query) (Page, error)
	// Create stores a new group with these members, or returns a 409 uniqueness, or a 400
	// invalidValue when a member is unknown.
	Create(ctx context.Context, group scim.Object, members []string) (*Resource, error)
	// Update changes a group's attributes and members. It validates everything first: a *scim.Error
	// with a 4xx status means that nothing was written. Any other error means that the change may
	// be partly done, and that repeating it completes it.
	Update(ctx context.Context, id string, change func(scim.Object) (scim.Object, []patch.MemberChange, error)) (*Resource, error)
	// Delete deletes a group. From then on the group is a 404, and another group can get the name.
	Delete(ctx context.Context, id string) error
}

// Precondition is the If-Match condition on a version.
type Precondition func(version string) bool

// Query is a list request after parsing and validation.
type Query struct {
	Filter *filter.Matcher // nil matches all
	SortBy *path.Sort      // nil means the directory's own stable order
	Offset int             // number of matches to skip
	After  *Mark           // skip everything up to this place; Offset is then 0
	Count  int             // number of resources to return; 0 returns only the total
	// Base is the public URL of the service. Filters compare it in $ref and meta.location.
	Base string
	// Check, if set, is called periodically while a list is read; its error ends the list.
	Check func() error
}

// Mark is the place of a resource in the order of a query. The resource need not exist any longer,
// so a list can continue after a deleted resource.
type Mark struct {
	Sort path.Key // the resource's key for Query.SortBy; zero if there is no SortBy
	Key  string   // Resource.Key
}

// Page is a part of a list.
type Page struct {
	Total     int
	Resources []*Resource
	More      bool // there are more resources after the last of Resources
}

// BaseMark is the placeholder for the server's base URL in a Resource's JSON. JSON can't contain
// it.
const BaseMark = 0

// Resource is the state of one User or Group. It is shared and never changed.
type Resource struct {
	Type    *schema.ResourceType
	ID      string
	Version string // the entity tag, such as W/"3-1f09"; empty if there is none
	// Key is the order of resources: lists are sorted by it, and it never changes while the
	// resource exists.
	Key string
	// JSON is the resource, encoded once per change, without the content of Links and with BaseMark
	// for the base URL.
	JSON []byte
	// Links contains what is derived from other resources: a User's groups, or a Group's members.
	// nil if there are none.
	Links iter.Seq[Link]
	// Unlinked, if set, reports cheaply that Links is currently empty.
	Unlinked func() bool
}

// linked reports whether there may be links.
func (r *Resource) linked() bool {
	return r.Links != nil && (r.Unlinked == nil || !r.Unlinked())
}

// Link is one element of a User's groups or of a Group's members.
type Link struct {
	ID      string
	Display string
	Type    string // direct or indirect; User
}

// linkage returns the JSON form of a type's links.
func (r *Resource) linkage() (attribute, endpoint string) {
	if r.Type.Name == "Group" {
		return "members", "/Users/"
	}
	return "groups", "/Groups/"
}

// AppendJSON appends the whole resource to dst.
func (r *Resource) AppendJSON(dst []byte, base string) []byte {
	return r.appendLinks(r.appendFixed(dst, base), base, nil)
}

// write is AppendJSON to a stream: for any number of links, only a few are in memory at a time.
func (r *Resource) write(w *chunks, base string) {
	w.put(r.appendLinks(r.appendFixed(w.tail(), base), base, w))
}

// appendFixed appends JSON with the base URL.
func (r *Resource) appendFixed(dst []byte, base string) []byte {
	rest := r.JSON
	for {
		i := bytes.IndexByte(rest, BaseMark)
		if i < 0 {
			return append(dst, rest...)
		}
		dst = append(append(dst, rest[:i]...), base...)
		rest = rest[i+1:]
	}
}

// appendLinks inserts the links before the closing brace at the end of dst. If there is a stream,
// it flushes dst to it after each link.
func (r *Resource) appendLinks(dst []byte, base string, stream *chunks) []byte {
	if !r.linked() {
		return dst
	}
	return r.appendSomeLinks(dst, base, stream)
}

// appendSomeLinks is appendLinks for at least one link. It is separate because variables that an
// iterator loop uses escape to the heap.
func (r *Resource) appendSomeLinks(dst []byte, base string, stream *chunks) []byte {
	attribute, endpoint := r.linkage()
	first := true
	for link := range r.Links {
		if first {
			dst = append(dst[:len(dst)-1], `,"`+attribute+`":[`...)
		} else {
			dst = append(dst, ',')
		}
		first = false
		dst = link.appendJSON(dst, base+endpoint)
		if stream != nil {
			stream.put(dst)
			dst = stream.tail()
		}
	}
	if !first {
		dst = append(dst, "]}"...)
	}
	return dst
}

func (l Link) appendJSON(dst []byte, prefix string) []byte {
	dst = append(dst, `{"value":"`...)
	dst = append(dst, l.ID...) // an object's name: needs no escape
	dst = append(dst, `","$ref":"`...)
	dst = append(append(dst, prefix...), l.ID...)
	dst = append(dst, '"')
	if l.Display != "" {
		dst = append(dst, `,"display":`...)
		dst = appendString(dst, l.Display)
	}
	dst = append(dst, `,"type":"`...)
	dst = append(dst, l.Type...)
	return append(dst, `"}`...)
}

// appendString appends s as a JSON string. s is valid UTF-8.
func appendString(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c == 0x7f {
			b, _ := json.Marshal(s) // a string always marshals
			return append(dst, b...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// Object decodes the resource. It contains the links only if withLinks is true, since a group may
// have very many.
func (r *Resource) Object(base string, withLinks bool) (scim.Object, error) {
	o, err := scim.DecodeJSON(r.appendFixed(make([]byte, 0, len(r.JSON)+len(base)), base), scim.Limits{})
	if err != nil || !withLinks || !r.linked() {
		return o, err
	}
	attribute, endpoint := r.linkage()
	var links []any
	for l := range r.Links {
		link := scim.Object{"value": l.ID, "$ref": base + endpoint + l.ID, "type": l.Type}
		if l.Display != "" {
			link["display"] = l.Display
		}
		links = append(links, link)
	}
	if len(links) > 0 {
		o[attribute] = links
	}
	return o, nil
}
