// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"errors"
	"fmt"
	"strings"
)

// AttrPath is an attribute name in filters, paths and projections: attrPath in RFC 7644 §3.4.2.2
// figure 1. A URN that names a whole schema is split at its last colon like any other; Resolve
// recognizes it.
type AttrPath struct {
	URI  string // without the colon before Name; empty if there is none
	Name string
	Sub  string // empty if there is none
}

// String prints the name as it was read.
func (p AttrPath) String() string {
	if p.URI == "" && p.Sub == "" {
		return p.Name
	}
	s := p.Name
	if p.URI != "" {
		s = p.URI + ":" + s
	}
	if p.Sub != "" {
		s += "." + p.Sub
	}
	return s
}

// ParseAttrPath splits [URI ":"] ATTRNAME ["." subAttr]. The error describes the problem, without a
// SCIM type.
func ParseAttrPath(s string) (AttrPath, error) {
	p := AttrPath{Name: s}
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		p.URI, p.Name = s[:i], s[i+1:]
		if p.URI == "" {
			return AttrPath{}, errors.New("the name starts with a colon")
		}
	}
	if i := strings.IndexByte(p.Name, '.'); i >= 0 {
		p.Name, p.Sub = p.Name[:i], p.Name[i+1:]
		if !validName(p.Sub) {
			return AttrPath{}, fmt.Errorf("%q is not a sub-attribute name", p.Sub)
		}
	}
	if !validName(p.Name) {
		return AttrPath{}, fmt.Errorf("%q is not an attribute name", p.Name)
	}
	return p, nil
}

// validName follows RFC 7643 §2.1, with a leading $ as in $ref.
func validName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case c == '$' && len(s) > 1:
		case i > 0 && ('0' <= c && c <= '9' || c == '-' || c == '_'):
		default:
			return false
		}
	}
	return s != ""
}

// resolve implements Resolve.
func (rt *ResourceType) resolve(n AttrPath) (Ref, error) {
	var attr *Attribute
	var ext *Schema
	switch {
	case n.URI == "":
		attr = rt.Attribute(n.Name)
	case equalFold(n.URI, rt.Schema.ID):
		attr = rt.Attribute(n.Name)
	default:
		if ext = rt.Extension(n.URI); ext != nil {
			attr = ext.Attribute(n.Name)
			break
		}
		if whole, ok := rt.wholeSchema(n); ok {
			return Ref{Extension: whole}, nil
		}
		return Ref{}, fmt.Errorf("%s has no schema %q", rt.Name, n.URI)
	}
	if attr == nil {
		return Ref{}, fmt.Errorf("%s has no attribute %q", rt.Name, AttrPath{URI: n.URI, Name: n.Name}.String())
	}
	if n.Sub == "" {
		return Ref{Extension: ext, Attribute: attr}, nil
	}
	sub := attr.Sub(n.Sub)
	if sub == nil {
		return Ref{}, fmt.Errorf("%q has no sub-attribute %q", attr.Name, n.Sub)
	}
	return Ref{Extension: ext, Attribute: attr, Sub: sub}, nil
}

// wholeSchema recognises a URN without an attribute. The core schema's own URN means the whole
// resource: a nil schema.
func (rt *ResourceType) wholeSchema(n AttrPath) (*Schema, bool) {
	if n.Sub != "" {
		return nil, false
	}
	urn := n.URI + ":" + n.Name
	if ext := rt.Extension(urn); ext != nil {
		return ext, true
	}
	return nil, equalFold(urn, rt.Schema.ID)
}

func equalFold(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }
