// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"maps"
	"slices"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/path"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// newValue returns the new value of the attribute; nil means unassigned. old is not changed.
func newValue(p path.Path, old any, op Operation) (any, error) {
	a := p.Attribute
	switch {
	case a.MultiValued:
		list, _ := old.([]any)
		out, err := newList(p, list, op)
		if err != nil || len(out) == 0 {
			return nil, err
		}
		if a.MaxItems > 0 && len(out) > 4*a.MaxItems {
			return nil, scim.BadRequest(scim.InvalidValue, "Attribute %q: the maximum is %d elements.", a.Name, a.MaxItems)
		}
		return out, nil
	case a.Type == schema.Complex:
		return newComplex(p, old, op)
	case op.Op == Remove:
		return nil, nil
	}
	v, err := a.Canonical(op.Value, prefix(p))
	if err == nil && v == nil && op.Op == Add {
		return old, nil
	}
	return v, err
}

func prefix(p path.Path) string {
	if p.Extension != nil {
		return p.Extension.ID + ":"
	}
	return ""
}

// newComplex changes a single-valued complex attribute, or one of its sub-attributes.
func newComplex(p path.Path, old any, op Operation) (any, error) {
	have, _ := old.(scim.Object)
	a := p.Attribute
	var out scim.Object
	var err error
	switch {
	case p.Sub != nil:
		out, err = withSub(have, p.Sub, op, prefix(p)+a.Name+".")
	case op.Op == Remove || op.Op == Replace && scim.Unassigned(op.Value):
		return nil, nil
	default:
		out, err = mergeComplex(a, have, op, prefix(p))
	}
	if err != nil {
		return nil, err
	}
	if !scim.Equal(have, out) {
		out = withoutDerived(a, out)
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// withSub sets or clears one sub-attribute; have is not changed.
func withSub(have scim.Object, sub *schema.Attribute, op Operation, prefix string) (scim.Object, error) {
	var v any
	if op.Op != Remove {
		var err error
		if v, err = sub.Canonical(op.Value, prefix); err != nil {
			return nil, err
		}
		if v == nil && op.Op == Add {
			return have, nil
		}
	}
	if sub.Mutability == schema.Immutable && have[sub.Name] != nil && !scim.Equal(have[sub.Name], v) {
		return nil, scim.BadRequest(scim.Mutability, "Attribute %q is set once and can't be changed; remove the element and add another.", prefix+sub.Name)
	}
	out := clone(have)
	if v == nil {
		delete(out, sub.Name)
	} else {
		out[sub.Name] = v
	}
	return out, nil
}

// mergeComplex merges the value's sub-attributes into the current ones. A replace clears the
// sub-attributes that the value contains without a value.
func mergeComplex(a *schema.Attribute, have scim.Object, op Operation, prefix string) (scim.Object, error) {
	v, err := a.CanonicalElement(op.Value, prefix)
	if err != nil {
		return nil, err
	}
	value, _ := v.(scim.Object)
	out := clone(have)
	maps.Copy(out, value)
	if raw, ok := op.Value.(scim.Object); ok && op.Op == Replace {
		for name, given := range raw {
			if sub := a.Sub(name); sub != nil && sub.Mutability != schema.ReadOnly && scim.Unassigned(given) {
				delete(out, sub.Name)
			}
		}
	}
	return out, nil
}

// withoutDerived drops read-only sub-attributes, such as a manager's name, after a change: the
// server derives them again.
func withoutDerived(a *schema.Attribute, o scim.Object) scim.Object {
	for _, sub := range a.SubAttributes {
		if sub.Mutability == schema.ReadOnly && o[sub.Name] != nil {
			o = clone(o)
			delete(o, sub.Name)
		}
	}
	return o
}

func clone(o scim.Object) scim.Object {
	if o == nil {
		return scim.Object{}
	}
	return maps.Clone(o)
}

// newList changes a multi-valued attribute. old is not changed.
func newList(p path.Path, old []any, op Operation) ([]any, error) {
	if p.Filter != nil || p.Sub != nil {
		return newElements(p, old, op)
	}
	if op.Op == Remove && !op.HasValue || op.Op == Remove && op.Value == nil {
		return nil, nil
	}
	if op.Op == Replace && scim.Unassigned(op.Value) {
		return nil, nil
	}
	given, err := elements(p, op.Value)
	if err != nil {
		return nil, err
	}
	switch op.Op {
	case Remove:
		return slices.DeleteFunc(slices.Clone(old), func(e any) bool { return listed(e, given) }), nil
	case Replace:
		return given, nil
	}
	return addElements(p.Attribute, old, given), nil
}

// elements converts the value of a multi-valued attribute to a list: it is a list or one element.
func elements(p path.Path, v any) ([]any, error) {
	if _, ok := v.([]any); !ok && !scim.Unassigned(v) {
		v = []any{v}
	}
	c, err := p.Attribute.Canonical(v, prefix(p))
	list, _ := c.([]any)
	return list, err
}

// listed reports whether e matches one of the given elements: e has all of its sub-attributes
// except the display name. An element with a value is identified by the value, and by the type if
// it has one.
func listed(e any, given []any) bool {
	return slices.ContainsFunc(given, func(g any) bool {
		want, ok := g.(scim.Object)
		have, _ := e.(scim.Object)
		if !ok {
			return scim.Equal(e, g)
		}
		for name, v := range want {
			relevant := name == "value" || name == "type" || want["value"] == nil && name != "display"
			if relevant && !scim.Equal(have[name], v) {
				return false
			}
		}
		return true
	})
}

// addElements appends new elements, merges existing ones, and lets a new primary unset the old one
// (RFC 7643 §2.4).
func addElements(a *schema.Attribute, old, given []any) []any {
	out := slices.Clone(old)
	var touched []int
	for _, g := range given {
		i := slices.IndexFunc(out, func(e any) bool { return a.SameElement(e, g) })
		if i < 0 {
			i = len(out)
			out = append(out, g)
		} else {
			out[i] = overlay(out[i], g)
		}
		touched = append(touched, i)
	}
	return onePrimary(out, touched)
}

func overlay(e, over any) any {
	have, ok := e.(scim.Object)
	more, okMore := over.(scim.Object)
	if !ok || !okMore {
		return over
	}
	out := maps.Clone(have)
	maps.Copy(out, more)
	return out
}

// onePrimary unsets primary on all other elements if one of the touched elements is primary.
func onePrimary(list []any, touched []int) []any {
	if !slices.ContainsFunc(touched, func(i int) bool { return schema.IsPrimary(list[i]) }) {
		return list
	}
	for i, e := range list {
		if schema.IsPrimary(e) && !slices.Contains(touched, i) {
			list[i] = overlay(e, scim.Object{"primary": false})
		}
	}
	return list
}

// newElements changes the elements that the filter selects (without a filter, all), or a
// sub-attribute of them.
func newElements(p path.Path, old []any, op Operation) ([]any, error) {
	chosen := func(e any) bool { return p.Filter == nil || p.Filter.MatchElement(e) }
	if op.Op == Remove && p.Sub == nil {
		return slices.DeleteFunc(slices.Clone(old), chosen), nil
	}
	out := slices.Clone(old)
	var touched []int
	for i, e := range out {
		if !chosen(e) {
			continue
		}
		changed, err := newElement(p, e, op)
		if err != nil {
			return nil, err
		}
		out[i] = changed
		touched = append(touched, i)
	}
	if len(touched) == 0 && op.Op != Remove && !scim.Unassigned(op.Value) {
		e, err := createElement(p, op)
		if err != nil {
			return nil, err
		}
		touched = []int{len(out)}
		out = append(out, e)
	}
	return onePrimary(out, touched), nil
}

// newElement changes one selected element.
func newElement(p path.Path, e any, op Operation) (any, error) {
	have, _ := e.(scim.Object)
	if p.Sub != nil {
		return withSub(have, p.Sub, op, prefix(p)+p.Attribute.Name+".")
	}
	if scim.Unassigned(op.Value) {
		if op.Op == Replace {
			return scim.Object{}, nil // tidying the list drops it
		}
		return e, nil
	}
	v, err := p.Attribute.CanonicalElement(single(op.Value), prefix(p))
	if err != nil {
		return nil, err
	}
	if op.Op == Replace {
		base, _ := fromFilter(p)
		return overlay(base, v), nil
	}
	return overlay(e, v), nil
}

// createElement creates the element that a value path did not find.
func createElement(p path.Path, op Operation) (any, error) {
	base, ok := fromFilter(p)
	if op.Op == Replace && base["value"] != nil {
		return nil, scim.BadRequest(scim.NoTarget, "No element of %q has the value in the path.", p.Attribute.Name)
	}
	if !ok {
		return nil, scim.BadRequest(scim.NoTarget, "No element of %q matches the path, and its filter does not describe a new one.", p.Attribute.Name)
	}
	if p.Sub != nil {
		return withSub(base, p.Sub, Operation{Op: Replace, Value: op.Value}, prefix(p)+p.Attribute.Name+".")
	}
	v, err := p.Attribute.CanonicalElement(single(op.Value), prefix(p))
	if err != nil {
		return nil, err
	}
	return overlay(base, v), nil
}

// fromFilter returns the element that a filter describes; ok is false if it describes none. An
// empty string describes none: it is not stored, so no element would ever match.
func fromFilter(p path.Path) (o scim.Object, ok bool) {
	o = scim.Object{}
	if p.Filter == nil {
		return o, true
	}
	for _, eq := range p.Filter.Equalities() {
		if eq.Value == "" {
			return o, false
		}
		if have, there := o[eq.Path]; there && !scim.Equal(have, eq.Value) {
			return o, false
		}
		o[eq.Path] = eq.Value
	}
	return o, p.Filter.Exact()
}

// single unwraps a list with one element.
func single(v any) any {
	if list, ok := v.([]any); ok && len(list) == 1 {
		return list[0]
	}
	return v
}
