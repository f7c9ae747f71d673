// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strings"

	"lightrun.com/scim-operator/internal/scim/schema"
)

// Equality is a condition that every match of the filter satisfies: the attribute at Path equals
// Value.
type Equality struct {
	// Path is canonical: "userName", "id", "members.value", "emails.value". Both forms of a filter
	// on a work e-mail, emails[type eq "work"].value eq … and emails[type eq "work" and value eq
	// …], give `emails[type eq "work"].value` (the type in lower case), followed by the weaker
	// "emails.value".
	Path string
	// Value is the filter's value, not folded: string, bool, int64 or float64.
	Value any
}

// Equalities returns the equalities in the filter's top-level conjunction. An index that serves one
// of them returns a superset of the matches; call Match for each. For a filter from BindValue the
// paths are names of sub-attributes.
func (m *Matcher) Equalities() []Equality {
	eqs, _ := conjunction(m.root)
	return eqs
}

// Exact reports whether the filter has no conditions other than its Equalities.
func (m *Matcher) Exact() bool {
	_, whole := conjunction(m.root)
	return whole
}

// conjunction collects the equalities of a node. whole means that the node has no other condition.
func conjunction(m matcher) (eqs []Equality, whole bool) {
	switch m := m.(type) {
	case *leafMatcher:
		if m.test.op != Equal || m.test.value == nil {
			return nil, false
		}
		return []Equality{{m.ref.String(), m.test.value}}, true
	case andMatcher:
		whole = true
		for _, operand := range m {
			more, all := conjunction(operand)
			eqs, whole = append(eqs, more...), whole && all
		}
		return eqs, whole
	case *elementMatcher:
		return m.equalities(), false
	}
	return nil, false
}

// equalities converts the equalities of an element to equalities of the resource.
func (m *elementMatcher) equalities() []Equality {
	inner, _ := conjunction(m.inner)
	if m.then != nil {
		more, _ := conjunction(m.then)
		inner = append(inner, more...)
	}
	kind := ""
	for _, eq := range inner {
		if s, ok := eq.Value.(string); ok && eq.Path == "type" {
			kind = s
		}
	}
	var out []Equality
	attr := schema.Ref{Extension: m.ref.Extension, Attribute: m.ref.Attribute}.String()
	for _, eq := range inner {
		if eq.Path == "" { // the element of a simple attribute
			out = append(out, Equality{attr, eq.Value})
			continue
		}
		if kind != "" && eq.Path != "type" {
			out = append(out, Equality{attr + "[type eq " + Quote(strings.ToLower(kind)) + "]." + eq.Path, eq.Value})
		}
		out = append(out, Equality{attr + "." + eq.Path, eq.Value})
	}
	return out
}

// AnyOf returns the values of a filter whose only condition is that the attribute at path equals
// one of them: value eq "a" or value eq "b".
func (m *Matcher) AnyOf(path string) (values []string, ok bool) {
	operands := []matcher{m.root}
	if or, isOr := m.root.(orMatcher); isOr {
		operands = or
	}
	for _, operand := range operands {
		leaf, isLeaf := operand.(*leafMatcher)
		if !isLeaf || leaf.test.op != Equal || leaf.ref.String() != path {
			return nil, false
		}
		s, isText := leaf.test.value.(string)
		if !isText {
			return nil, false
		}
		values = append(values, s)
	}
	return values, true
}
