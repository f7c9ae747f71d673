// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// matcher is a bound node. It tests a scope: a resource, or an element of a multi-valued attribute.
type matcher interface {
	match(scope any) bool
	terms() int
}

type (
	andMatcher []matcher
	orMatcher  []matcher
	notMatcher struct{ inner matcher }
	// leafMatcher compares one attribute: any of its elements if it is multi-valued.
	leafMatcher struct {
		ref  schema.Ref
		test test
	}
	// elementMatcher finds one element that satisfies inner and then.
	elementMatcher struct {
		ref         schema.Ref
		inner, then matcher
	}
)

func (m andMatcher) terms() int      { return termsOf(m) }
func (m orMatcher) terms() int       { return termsOf(m) }
func (m notMatcher) terms() int      { return m.inner.terms() }
func (m *leafMatcher) terms() int    { return 1 }
func (m *elementMatcher) terms() int { return m.inner.terms() + 1 }

func termsOf(all []matcher) int {
	n := 0
	for _, m := range all {
		n += m.terms()
	}
	return n
}

func (m andMatcher) match(scope any) bool {
	for _, inner := range m {
		if !inner.match(scope) {
			return false
		}
	}
	return true
}

func (m orMatcher) match(scope any) bool {
	for _, inner := range m {
		if inner.match(scope) {
			return true
		}
	}
	return false
}

func (m notMatcher) match(scope any) bool { return !m.inner.match(scope) }

// match is true for a multi-valued attribute if it is true for one element. An attribute without
// elements is treated as unassigned.
func (m *leafMatcher) match(scope any) bool {
	v := m.value(scope)
	elements, ok := v.([]any)
	if !ok {
		return m.test.holds(m.sub(v))
	}
	for _, e := range elements {
		if m.test.holds(m.sub(e)) {
			return true
		}
	}
	return len(elements) == 0 && m.test.holds(nil)
}

func (m *leafMatcher) value(scope any) any {
	if m.ref.Attribute == nil { // the scope is the element
		return scope
	}
	o, _ := scope.(scim.Object)
	return m.ref.Get(o)
}

func (m *leafMatcher) sub(v any) any {
	if m.ref.Sub == nil {
		return v
	}
	o, _ := v.(scim.Object)
	return o[m.ref.Sub.Name]
}

func (m *elementMatcher) match(scope any) bool {
	o, _ := scope.(scim.Object)
	switch v := m.ref.Get(o).(type) {
	case nil:
		return false
	case []any:
		for _, e := range v {
			if m.matchOne(e) {
				return true
			}
		}
		return false
	default:
		return m.matchOne(v)
	}
}

func (m *elementMatcher) matchOne(e any) bool {
	return m.inner.match(e) && (m.then == nil || m.then.match(e))
}
