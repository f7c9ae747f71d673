// SPDX-License-Identifier: Apache-2.0

// Package schema describes resources: the attributes of a User or a Group, with their
// characteristics (RFC 7643 §2, §7). The descriptors are data, built once and never changed, and
// drive everything else: reading bodies, filters, paths, PATCH, projections, and the discovery
// endpoints.
//
// To add an attribute, add one line to user.go or group.go.
package schema

import (
	"strings"

	"lightrun.com/scim-operator/internal/scim"
)

// Type is an attribute's data type (RFC 7643 §2.3).
type Type string

// The data types.
const (
	String    Type = "string"    // string
	Boolean   Type = "boolean"   // bool
	Decimal   Type = "decimal"   // float64 or int64
	Integer   Type = "integer"   // int64
	DateTime  Type = "dateTime"  // string, as in RFC 3339
	Binary    Type = "binary"    // string, in base64
	Reference Type = "reference" // string, a URI
	Complex   Type = "complex"   // scim.Object
)

// Mutability is who may set an attribute, and when (RFC 7643 §7).
type Mutability string

// The mutabilities.
const (
	ReadWrite Mutability = "readWrite" // clients may change it
	ReadOnly  Mutability = "readOnly"  // the service sets it
	Immutable Mutability = "immutable" // clients set it once
	WriteOnly Mutability = "writeOnly" // clients set it and never read it
)

// Returned is when a response contains an attribute (RFC 7643 §7).
type Returned string

// The return rules.
const (
	Always    Returned = "always"  // whatever the client asks for
	Never     Returned = "never"   // not even on request
	Default   Returned = "default" // unless the client excludes it
	OnRequest Returned = "request" // only if the client asks for it
)

// Uniqueness is the scope in which a value is unique (RFC 7643 §7).
type Uniqueness string

// The uniqueness rules.
const (
	UniqueNone   Uniqueness = "none"   // several resources may have the value
	UniqueServer Uniqueness = "server" // one resource of this service
	UniqueGlobal Uniqueness = "global" // one resource anywhere
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

	// MaxLength limits a string, in characters (Unicode code points); 0 for no limit.
	MaxLength int
	// MaxItems limits the number of elements of a multi-valued attribute; 0 for no limit.
	MaxItems int
	// Default is the value that SetDefaults sets if a core attribute was omitted; nil leaves it
	// unassigned.
	Default any
	// Hidden attributes are accepted but not listed under /Schemas, which clients want to be short.
	Hidden bool

	// check returns the problem of a string other than its type and length, or "".
	check func(string) string
}

// Sub returns the sub-attribute with that name in any case, or nil.
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

// Attribute returns the attribute with that name in any case, or nil.
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

// Attribute returns the core or common attribute with that name in any case, or nil.
func (rt *ResourceType) Attribute(name string) *Attribute {
	if a := rt.Schema.Attribute(name); a != nil {
		return a
	}
	return lookup(rt.common, name)
}

// Extension returns the extension schema with that URN in any case, or nil.
func (rt *ResourceType) Extension(urn string) *Schema {
	for _, e := range rt.Extensions {
		if len(e.Schema.ID) == len(urn) && strings.EqualFold(e.Schema.ID, urn) {
			return e.Schema
		}
	}
	return nil
}

// Ref is a resolved attribute name. A whole extension, named only by its URN, has a nil Attribute.
type Ref struct {
	Extension *Schema    // nil for core and common attributes
	Attribute *Attribute // nil for a whole extension, or for the whole resource
	Sub       *Attribute // nil for the attribute itself
}

// String returns the name in schema case: "userName", "name.givenName", "urn:…:User:manager.value".
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

// Leaf returns the attribute at the end of the name: Sub, else Attribute.
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

// Resolve finds the attribute that a name means for rt. uri is empty, the core schema's URN or an
// extension's URN. The error for an unknown name has no SCIM type: the caller wraps it in the
// appropriate one.
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
