// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"fmt"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Matcher is a filter bound to a resource type, or to the elements of one attribute. It is safe for
// concurrent use.
type Matcher struct{ root matcher }

// Compile parses s and binds it to rt. Errors are those of Parse and Bind.
func Compile(s string, rt *schema.ResourceType) (*Matcher, error) {
	n, err := Parse(s)
	if err != nil {
		return nil, err
	}
	return Bind(n, rt)
}

// Bind checks n against rt: attributes exist and may be filtered on, comparisons match their types.
// Errors are 400 invalidFilter, with the position and the problem, and 403 sensitive (RFC 7644
// §7.5.2) for an attribute that is never returned.
func Bind(n Node, rt *schema.ResourceType) (*Matcher, error) {
	root, err := binder{rt: rt}.bind(n)
	if err != nil {
		return nil, err
	}
	return &Matcher{root}, nil
}

// BindValue binds the filter of a value path to the elements of attr: names are sub-attributes, or
// value for the elements of a simple attribute. Errors are those of Bind.
func BindValue(n Node, attr *schema.Attribute) (*Matcher, error) {
	root, err := binder{element: attr}.bind(n)
	if err != nil {
		return nil, err
	}
	return &Matcher{root}, nil
}

// Terms returns the maximum number of comparisons that the filter makes for a resource or an
// element.
func (m *Matcher) Terms() int { return m.root.terms() }

// Match reports whether the canonical resource o satisfies the filter.
func (m *Matcher) Match(o scim.Object) bool { return m.root.match(o) }

// MatchElement reports whether an element satisfies a filter from BindValue.
func (m *Matcher) MatchElement(v any) bool { return m.root.match(v) }

// binder resolves names in a resource, or in the elements of an attribute.
type binder struct {
	rt      *schema.ResourceType
	element *schema.Attribute
}

func (b binder) bind(n Node) (matcher, error) {
	switch n := n.(type) {
	case *Comparison:
		return b.comparison(n)
	case *ValuePath:
		return b.valuePath(n)
	case *Not:
		inner, err := b.bind(n.Operand)
		if err != nil {
			return nil, err
		}
		return notMatcher{inner}, nil
	case *And:
		all, err := b.bindAll(n.Operands)
		return andMatcher(all), err
	case *Or:
		all, err := b.bindAll(n.Operands)
		return orMatcher(all), err
	}
	return nil, fmt.Errorf("filter: unknown node %T", n)
}

func (b binder) bindAll(nodes []Node) ([]matcher, error) {
	out := make([]matcher, len(nodes))
	for i, n := range nodes {
		m, err := b.bind(n)
		if err != nil {
			return nil, err
		}
		out[i] = m
	}
	return out, nil
}

func (b binder) resolve(p schema.AttrPath, pos int) (schema.Ref, error) {
	if b.element != nil {
		return b.resolveSub(p, pos)
	}
	ref, err := b.rt.Resolve(p)
	if err != nil {
		return ref, failAt(pos, "%v", err)
	}
	if ref.Attribute == nil {
		return ref, failAt(pos, "%q names a whole schema; compare one of its attributes", p.String())
	}
	if ref.Leaf().Returned == schema.Never {
		return ref, &scim.Error{Status: 403, Type: scim.Sensitive, Detail: fmt.Sprintf("%q is never returned, so it can't be searched. Remove it from the filter.", p.String())}
	}
	return ref, nil
}

func (b binder) resolveSub(p schema.AttrPath, pos int) (schema.Ref, error) {
	if p.URI != "" || p.Sub != "" {
		return schema.Ref{}, failAt(pos, "%q: only names of sub-attributes are allowed between brackets", p.String())
	}
	if sub := b.element.Sub(p.Name); sub != nil {
		return schema.Ref{Sub: sub}, nil
	}
	if b.element.Type != schema.Complex && (schema.AttrPath{Name: "value"}) == p {
		return schema.Ref{}, nil
	}
	return schema.Ref{}, failAt(pos, "%q has no sub-attribute %q", b.element.Name, p.Name)
}

// comparison binds to the named attribute. A complex attribute means its value, except with pr.
func (b binder) comparison(n *Comparison) (matcher, error) {
	ref, err := b.resolve(n.Path, n.Pos)
	if err != nil {
		return nil, err
	}
	leaf := ref.Leaf()
	if leaf == nil { // an element of a simple attribute
		leaf = b.element
	}
	if leaf.Type == schema.Complex && n.Op != Present {
		if ref.Sub = leaf.Sub("value"); ref.Sub == nil {
			return nil, failAt(n.Pos, "%q is complex; compare one of its sub-attributes, such as %s.%s", leaf.Name, leaf.Name, leaf.SubAttributes[0].Name)
		}
		leaf = ref.Sub
	}
	out := &leafMatcher{ref: ref}
	if err := out.test.bind(n, leaf); err != nil {
		return nil, err
	}
	return out, nil
}

func (b binder) valuePath(n *ValuePath) (matcher, error) {
	ref, err := b.resolve(n.Path, n.Pos)
	if err != nil {
		return nil, err
	}
	elements := binder{element: ref.Attribute}
	if elements.element == nil || elements.element.Type != schema.Complex && !elements.element.MultiValued {
		return nil, failAt(n.Pos, "%q is not multi-valued, so brackets can't follow it", n.Path.String())
	}
	out := &elementMatcher{ref: ref}
	if out.inner, err = elements.bind(n.Filter); err != nil {
		return nil, err
	}
	if n.Then != nil {
		if out.then, err = elements.comparison(n.Then); err != nil {
			return nil, err
		}
	}
	return out, nil
}
