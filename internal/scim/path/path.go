// SPDX-License-Identifier: Apache-2.0

// Package path parses the attribute references in requests other than filters: the paths of PATCH
// operations (RFC 7644 §3.5.2), the projections attributes and excludedAttributes (§3.9), and
// sortBy (§3.4.2.3). It resolves them against a resource type immediately, so that no other package
// parses names.
package path

import (
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// MaxLength is the maximum length of a path, in bytes.
const MaxLength = filter.MaxLength

// Path is the target of an operation: an attribute, a sub-attribute, elements that a filter
// selects, or a sub-attribute of those. A nil Attribute means the whole extension, or without an
// extension the whole resource, named by its URN.
type Path struct {
	schema.Ref
	Filter *filter.Matcher // over the attribute's elements; nil if there is none

	node filter.Node
}

// String prints the path with names in schema case; Parse reads it back to the same path.
func (p Path) String() string {
	if p.Filter == nil {
		return p.Ref.String()
	}
	s := schema.Ref{Extension: p.Extension, Attribute: p.Attribute}.String() + "[" + p.node.String() + "]"
	if p.Sub != nil {
		s += "." + p.Sub.Name
	}
	return s
}

// Parse parses attrPath, or attrPath[filter] with an optional sub-attribute. Errors are 400
// invalidPath, and 400 invalidFilter for the text between the brackets (RFC 7644 §3.12).
func Parse(s string, rt *schema.ResourceType) (Path, error) {
	if len(s) > MaxLength {
		return Path{}, scim.BadRequest(scim.InvalidPath, "The path is longer than %d bytes.", MaxLength)
	}
	name, brackets, hasFilter := strings.Cut(s, "[")
	ref, err := resolve(name, s, rt)
	if err != nil || !hasFilter {
		return Path{Ref: ref}, err
	}
	if ref.Attribute == nil || ref.Sub != nil || !ref.Attribute.MultiValued {
		return Path{}, invalid(s, "brackets can follow only a multi-valued attribute")
	}
	p := Path{Ref: ref}
	var rest string
	if p.node, rest, err = filter.ParseValueFilter(brackets); err != nil {
		return Path{}, err
	}
	if p.Filter, err = filter.BindValue(p.node, ref.Attribute); err != nil {
		return Path{}, err
	}
	return p.withSub(rest, s)
}

// withSub parses the text after the closing bracket.
func (p Path) withSub(rest, whole string) (Path, error) {
	if rest == "" {
		return p, nil
	}
	name, ok := strings.CutPrefix(rest, ".")
	if !ok {
		return Path{}, invalid(whole, "after the closing ] only a dot and a sub-attribute can follow")
	}
	if p.Sub = p.Attribute.Sub(name); p.Sub == nil {
		return Path{}, invalid(whole, p.Attribute.Name+" has no such sub-attribute")
	}
	return p, nil
}

func resolve(name, whole string, rt *schema.ResourceType) (schema.Ref, error) {
	n, err := schema.ParseAttrPath(name)
	if err != nil {
		return schema.Ref{}, invalid(whole, err.Error())
	}
	ref, err := rt.Resolve(n)
	if err != nil {
		return schema.Ref{}, invalid(whole, err.Error())
	}
	return ref, nil
}

func invalid(path, why string) error {
	return scim.BadRequest(scim.InvalidPath, "The path %q is not valid: %s.", path, why)
}
