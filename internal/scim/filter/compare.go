// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// test is a comparison's operator and value, prepared for the type of the attribute.
type test struct {
	op    Op
	attr  *schema.Attribute
	value any // string, bool, int64, float64 or nil, as in the filter
	text  string
	at    time.Time
	ascii bool // text is plain ASCII, folded
}

// bind prepares t and checks that the operator and the value fit attr.
func (t *test) bind(n *Comparison, attr *schema.Attribute) error {
	t.op, t.attr, t.value = n.Op, attr, n.Value
	if n.Op == Present {
		return nil
	}
	if n.Value == nil {
		if n.Op != Equal && n.Op != NotEqual {
			return failAt(n.Pos, "null can be compared only with eq and ne")
		}
		return nil
	}
	if !fits(n.Op, attr.Type) {
		return failAt(n.Pos, "%s is not supported for %q, which has the type %s", n.Op, attr.Name, attr.Type)
	}
	return t.bindValue(n)
}

// fits returns which operators a type knows (RFC 7644 table 3).
func fits(op Op, t schema.Type) bool {
	switch op {
	case Contains, StartsWith, EndsWith:
		return t == schema.String || t == schema.Reference || t == schema.Binary
	case Greater, GreaterOrEqual, Less, LessOrEqual:
		return t != schema.Boolean && t != schema.Binary
	}
	return true
}

func (t *test) bindValue(n *Comparison) error {
	s, isText := n.Value.(string)
	ok := isText
	switch t.attr.Type {
	case schema.Boolean:
		if t.value, ok = boolean(n.Value); !ok {
			return failAt(n.Pos, "%q is compared with true or false", t.attr.Name)
		}
	case schema.Integer, schema.Decimal:
		if _, ok = number(n.Value); !ok {
			return failAt(n.Pos, "%q is compared with a number, without quotes", t.attr.Name)
		}
	case schema.DateTime:
		if t.at, ok = schema.ParseTime(s); !ok {
			return failAt(n.Pos, "%q is compared with a time such as \"2026-01-31T08:00:00Z\"", t.attr.Name)
		}
	default:
		if !ok {
			return failAt(n.Pos, "%q is compared with text; put the value in double quotes", t.attr.Name)
		}
		t.bindText(s)
	}
	return nil
}

func (t *test) bindText(s string) {
	t.text = s
	if !t.attr.CaseExact {
		t.text = t.fold(s)
		t.ascii = isASCII(t.text)
	}
}

// fold converts text to the form for case-insensitive comparison. Whole values fold as names do, so
// that a filter and the claim on a name agree; parts keep their outer white space.
func (t *test) fold(s string) string {
	if t.op == Equal || t.op == NotEqual {
		return names.Fold(s)
	}
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s)))
}

// holds reports whether v (nil for unassigned) satisfies the comparison.
func (t *test) holds(v any) bool {
	if t.op == Present {
		return present(v)
	}
	if t.value == nil {
		return present(v) == (t.op == NotEqual)
	}
	if v == nil {
		return t.op == NotEqual
	}
	switch t.attr.Type {
	case schema.Boolean:
		return (v == t.value) == (t.op == Equal)
	case schema.Integer, schema.Decimal:
		return t.holdsNumber(v)
	case schema.DateTime:
		s, _ := v.(string)
		at, ok := schema.ParseTime(s)
		return ok && t.ordered(at.Compare(t.at))
	}
	s, ok := v.(string)
	return ok && t.holdsText(s)
}

func (t *test) holdsText(s string) bool {
	if t.ascii && t.op == Equal && isASCII(s) {
		return len(s) >= len(t.text) && strings.EqualFold(strings.TrimSpace(s), t.text)
	}
	if !t.attr.CaseExact {
		s = t.fold(s)
	}
	switch t.op {
	case Contains:
		return strings.Contains(s, t.text)
	case StartsWith:
		return strings.HasPrefix(s, t.text)
	case EndsWith:
		return strings.HasSuffix(s, t.text)
	}
	return t.ordered(strings.Compare(s, t.text))
}

func (t *test) holdsNumber(v any) bool {
	if a, ok := v.(int64); ok {
		if b, ok := t.value.(int64); ok {
			return t.ordered(compare(a, b))
		}
	}
	a, okA := number(v)
	b, okB := number(t.value)
	return okA && okB && t.ordered(compare(a, b))
}

func compare[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// ordered interprets the order of the attribute's value and the filter's value.
func (t *test) ordered(c int) bool {
	switch t.op {
	case Equal:
		return c == 0
	case NotEqual:
		return c != 0
	case Greater:
		return c > 0
	case GreaterOrEqual:
		return c >= 0
	case Less:
		return c < 0
	case LessOrEqual:
		return c <= 0
	}
	return false
}

// present is RFC 7644's pr: assigned and not empty.
func present(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case scim.Object:
		return len(v) > 0
	}
	return true
}

// boolean also accepts "True" and "False", which Entra ID sends.
func boolean(v any) (any, bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		if strings.EqualFold(v, "true") || strings.EqualFold(v, "false") {
			return strings.EqualFold(v, "true"), true
		}
	}
	return nil, false
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
