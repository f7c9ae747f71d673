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

// Users is the people that a server serves. Errors that a client should see are *scim.Error; any
// other error is answered as a 503 that asks the client to repeat. Every method may be repeated;
// none blocks longer than its context.
type Users interface {
	// Get reads one person as of now, or 404.
	Get(ctx context.Context, id string) (*Resource, error)
	// List answers a query from a view that holds at least this replica's own writes.
	List(ctx context.Context, q Query) (Page, error)
	// Create stores a new person from canonical attributes, or 409 uniqueness.
	Create(ctx context.Context, user scim.Object) (*Resource, error)
	// Update replaces a person by what change makes of them. change may run more than once, on
	// fresh data each time; an equal result writes nothing. ifVersion, when not nil, is asked about
	// each version found, and false is a 412.
	Update(ctx context.Context, id string, ifVersion Precondition, change func(scim.Object) (scim.Object, error)) (*Resource, error)
	// Delete removes a person: 404 from then on, the name free at once.
	Delete(ctx context.Context, id string, ifVersion Precondition) error
}

// Groups is the groups that a server serves. Members are never passed as part of a group's
// attributes.
type Groups interface {
	// Get reads one group as of now, or 404. Without members they are not read.
	Get(ctx context.Context, id string, members bool) (*Resource, error)
	List(ctx context.Context, q Query) (Page, error)
	// Create stores a new group with these members, or 409 uniqueness, or 400 invalidValue when a
	// member is unknown.
	Create(ctx context.Context, group scim.Object, members []string) (*Resource, error)
	// Update changes a group's attributes and members. Everything is validated first: an error that
	// is a *scim.Error with a 4xx status means that nothing was written. Any other means that the
	// change may be done in part, and that repeating it completes it.
	Update(ctx context.Context, id string, change func(scim.Object) (scim.Object, []patch.MemberChange, error)) (*Resource, error)
	// Delete removes a group: 404 from then on, the name free at once.
	Delete(ctx context.Context, id string) error
}

// Precondition is what If-Match asks of a version.
type Precondition func(version string) bool

// Query is a list request, read and checked.
type Query struct {
	Filter *filter.Matcher // nil for all
	SortBy *path.Sort      // nil for the directory's own stable order
	Offset int             // how many matches to pass over
	After  *Mark           // pass over everything up to this place; then Offset is 0
	Count  int             // how many to return; 0 for the total alone
	// Base is the public URL of the service, which the filter finds in $ref and in meta.location as
	// the client sees them.
	Base string
	// Check, if set, is asked now and then while a list is gone through; its error is the list's.
	Check func() error
}

// Mark is a place in the order of a query: where a resource is, or was. It needs no resource that
// still exists, so a list can continue behind one that was deleted meanwhile.
type Mark struct {
	Sort path.Key // what Query.SortBy orders the resource by; the zero value without SortBy
	Key  string   // Resource.Key
}

// Page is a part of a list.
type Page struct {
	Total     int
	Resources []*Resource
	More      bool // there is something behind the last of Resources
}

// BaseMark stands in a Resource's JSON where the server's base URL goes. JSON can't contain it.
const BaseMark = 0

// Resource is one User or Group as it stands. It is shared and never changed.
type Resource struct {
	Type    *schema.ResourceType
	ID      string
	Version string // the entity tag, such as W/"3-1f09"; empty for none
	// Key orders resources: lists are sorted by it, and it never changes while the resource lives.
	Key string
	// JSON is the resource, encoded once per change, without what Links holds and with BaseMark for
	// the base URL.
	JSON []byte
	// Links is what follows from other resources: a User's groups, a Group's members. nil for none.
	Links iter.Seq[Link]
	// Unlinked, if set, says at little cost that Links has none now.
	Unlinked func() bool
}

// linked says whether there may be links.
func (r *Resource) linked() bool {
	return r.Links != nil && (r.Unlinked == nil || !r.Unlinked())
}

// Link is one element of a User's groups or of a Group's members.
type Link struct {
	ID      string
	Display string
	Type    string // direct or indirect; User
}

// linkage is how a type's links look in JSON.
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

// write is AppendJSON into a stream: however many links there are, few are in memory at a time.
func (r *Resource) write(w *chunks, base string) {
	w.put(r.appendLinks(r.appendFixed(w.tail(), base), base, w))
}

// appendFixed appends JSON with the base URL in place.
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

// appendLinks puts the links before the closing brace that dst ends in. A stream, if there is one,
// takes what there is after each.
func (r *Resource) appendLinks(dst []byte, base string, stream *chunks) []byte {
	if !r.linked() {
		return dst
	}
	return r.appendSomeLinks(dst, base, stream)
}

// appendSomeLinks is appendLinks where there are links: apart from it, since what a loop over an
// iterator touches is moved to the heap.
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

// Object decodes the resource. Links are part of it only when withLinks is true, since a group may
// have very many.
func (r *Resource) Object(base string, withLinks bool) (scim.Object, error) {
	o, err := scim.DecodeJSON(r.appendFixed(nil, base), scim.Limits{})
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
