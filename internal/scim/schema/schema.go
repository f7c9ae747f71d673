// Package schema describes resources: which attributes a User or a Group has and what is allowed of
// each (RFC 7643 §2, §7). The descriptors are data, built once and never changed, and everything
// else is driven by them: reading bodies, filters, paths, PATCH, what is returned, and the
// discovery endpoints.
//
// A newcomer who wants another attribute adds one line to user.go or group.go.
package schema

import (
	"strings"

	"lightrun.com/scim-operator/internal/scim"
)

// Type is an attribute's data type (RFC 7643 §2.3).
type Type string

// The data types.
const (
	String    Type = "string"
	Boolean   Type = "boolean"
	Decimal   Type = "decimal"
	Integer   Type = "integer"
	DateTime  Type = "dateTime"
	Binary    Type = "binary"
	Reference Type = "reference"
	Complex   Type = "complex"
)

// Mutability says who may set an attribute and when (RFC 7643 §7).
type Mutability string

// The mutabilities.
const (
	ReadWrite Mutability = "readWrite"
	ReadOnly  Mutability = "readOnly"
	Immutable Mutability = "immutable"
	WriteOnly Mutability = "writeOnly"
)

// Returned says when an attribute is part of an answer (RFC 7643 §7).
type Returned string

// The return rules.
const (
	Always    Returned = "always"
	Never     Returned = "never"
	Default   Returned = "default"
	OnRequest Returned = "request"
)

// Uniqueness says among whom a value is unique (RFC 7643 §7).
type Uniqueness string

// The uniqueness rules.
const (
	UniqueNone   Uniqueness = "none"
	UniqueServer Uniqueness = "server"
	UniqueGlobal Uniqueness = "global"
)

// Attribute describes one attribute or sub-attribute (RFC 7643 §7). It is read-only.
type Attribute struct {
	Name            string
	Type            Type
	MultiValued     bool
	Required        bool
	CaseExact       bool
	Mutability      Mutability
	Returned        Returned
	Uniqueness      Uniqueness
	CanonicalValues []string // suggestions; other values are accepted
	ReferenceTypes  []string
	SubAttributes   []*Attribute
	Description     string

	// MaxLength bounds a string in characters (Unicode code points); 0 for no bound.
	MaxLength int
	// MaxItems bounds how many elements a multi-valued attribute has; 0 for no bound.
	MaxItems int
	// Default is what SetDefaults sets a core attribute to that was left out; nil leaves it
	// unassigned.
	Default any
	// Hidden attributes are accepted but not listed under /Schemas, which clients want lean.
	Hidden bool

	// check says what is wrong with a string beyond its type and length, or "".
	check func(string) string
}

// Sub returns the sub-attribute of that name in any case, or nil.
func (a *Attribute) Sub(name string) *Attribute {
	for _, s := range a.SubAttributes {
		if len(s.Name) == len(name) && strings.EqualFold(s.Name, name) {
			return s
		}
	}
	return nil
}

// Schema is a named set of attributes (RFC 7643 §7).
type Schema struct {
	ID          string // a URN
	Name        string
	Description string
	Attributes  []*Attribute

	index map[string]*Attribute // by lower-case name
}

// Attribute returns the attribute of that name in any case, or nil.
func (s *Schema) Attribute(name string) *Attribute { return lookup(s.index, name) }

// Extension is a schema whose attributes a resource may have under its URN (RFC 7643 §3.3).
type Extension struct {
	Schema   *Schema
	Required bool
}

// ResourceType is a kind of resource: User or Group (RFC 7643 §6).
type ResourceType struct {
	Name        string // also its id
	Endpoint    string // relative to the base URL, such as "/Users"
	Description string
	Schema      *Schema
	Extensions  []Extension

	common map[string]*Attribute // schemas, id, externalId, meta (RFC 7643 §3.1)
}

// Attribute returns the core or common attribute of that name in any case, or nil.
func (rt *ResourceType) Attribute(name string) *Attribute {
	if a := rt.Schema.Attribute(name); a != nil {
		return a
	}
	return lookup(rt.common, name)
}

// Extension returns the extension schema of that URN in any case, or nil.
func (rt *ResourceType) Extension(urn string) *Schema {
	for _, e := range rt.Extensions {
		if len(e.Schema.ID) == len(urn) && strings.EqualFold(e.Schema.ID, urn) {
			return e.Schema
		}
	}
	return nil
}

// Ref is a resolved attribute name. The whole extension, named by its URN alone, has a nil
// Attribute.
type Ref struct {
	Extension *Schema    // nil for core and common attributes
	Attribute *Attribute // nil for a whole extension, or for the whole resource
	Sub       *Attribute // nil when the attribute itself is meant
}

// String is the name in schema case: "userName", "name.givenName", "urn:…:User:manager.value".
func (r Ref) String() string {
	if r.Extension == nil && r.Sub == nil && r.Attribute != nil {
		return r.Attribute.Name
	}
	var b strings.Builder
	if r.Extension != nil {
		b.WriteString(r.Extension.ID)
		if r.Attribute == nil {
			return b.String()
		}
		b.WriteByte(':')
	}
	if r.Attribute != nil {
		b.WriteString(r.Attribute.Name)
	}
	if r.Sub != nil {
		if r.Attribute != nil {
			b.WriteByte('.')
		}
		b.WriteString(r.Sub.Name)
	}
	return b.String()
}

// Leaf is the attribute that the name ends in: Sub, else Attribute.
func (r Ref) Leaf() *Attribute {
	if r.Sub != nil {
		return r.Sub
	}
	return r.Attribute
}

// Get returns the value of r's attribute (not its sub-attribute) in a canonical resource, or nil.
func (r Ref) Get(o scim.Object) any {
	if r.Extension != nil {
		ext, _ := o[r.Extension.ID].(scim.Object)
		if r.Attribute == nil {
			if ext == nil {
				return nil
			}
			return ext
		}
		return ext[r.Attribute.Name]
	}
	if r.Attribute == nil {
		return o
	}
	return o[r.Attribute.Name]
}

// Resolve finds what a name means for rt. uri is empty, the core schema's URN or an extension's
// URN. A name that is not found is an error in plain words, for the caller to wrap in the type of
// error that fits.
func (rt *ResourceType) Resolve(n AttrPath) (Ref, error) { return rt.resolve(n) }

// lookup finds name in any case without allocating.
func lookup(index map[string]*Attribute, name string) *Attribute {
	var buf [64]byte
	if len(name) > len(buf) {
		return nil
	}
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return index[string(buf[:len(name)])]
}
