package filter

import (
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// matcher is a bound node. It is asked about a scope: a resource, or an element of a multi-valued
// attribute.
type matcher interface {
	match(scope any) bool
	terms() int
}

type (
	andMatcher []matcher
	orMatcher  []matcher
	notMatcher struct{ inner matcher }
	// leafMatcher compares one attribute, any element of it if it has several.
	leafMatcher struct {
		ref  schema.Ref
		test test
	}
	// elementMatcher looks for one element that satisfies inner, and then as well.
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

// match holds for an attribute of several elements when it holds for one of them, and for one
// without any as for an unassigned one.
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
