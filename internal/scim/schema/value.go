// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/base64"
	"math"
	"strings"
	"unicode/utf8"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/scim"
)

// Canonical converts a value for a (for a multi-valued attribute, all elements) as Canonicalize
// does; nil means unassigned. Errors are 400 invalidValue; in them, prefix precedes the attribute's
// name.
func (a *Attribute) Canonical(v any, prefix string) (any, error) {
	if scim.Unassigned(v) {
		return nil, nil
	}
	if !a.MultiValued {
		return a.CanonicalElement(v, prefix)
	}
	in, ok := v.([]any)
	if !ok {
		return nil, a.invalid(prefix, "the value must be a list")
	}
	list := make([]any, 0, len(in))
	for _, e := range in {
		value, err := a.CanonicalElement(e, prefix)
		if err != nil {
			return nil, err
		}
		if value != nil {
			list = append(list, value)
		}
	}
	list, err := a.Tidy(list, prefix)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list, nil
}

// CanonicalElement is Canonical for one element of a multi-valued attribute.
func (a *Attribute) CanonicalElement(v any, prefix string) (any, error) {
	if scim.Unassigned(v) {
		return nil, nil
	}
	switch a.Type {
	case Complex:
		return a.complex(v, prefix)
	case Boolean:
		if _, ok := v.(bool); !ok {
			return nil, a.invalid(prefix, "the value must be true or false")
		}
	case Integer:
		if _, ok := v.(int64); !ok {
			return nil, a.invalid(prefix, "the value must be a whole number")
		}
	case Decimal:
		f, isFloat := v.(float64)
		if _, ok := v.(int64); !ok && (!isFloat || math.IsNaN(f)) {
			return nil, a.invalid(prefix, "the value must be a number")
		}
	default:
		return a.text(v, prefix)
	}
	return v, nil
}

// text checks values that JSON represents as strings.
func (a *Attribute) text(v any, prefix string) (any, error) {
	s, ok := v.(string)
	if !ok {
		return nil, a.invalid(prefix, "the value must be a string")
	}
	if a.MaxLength > 0 && len(s) > a.MaxLength && utf8.RuneCountInString(s) > a.MaxLength {
		return nil, a.invalid(prefix, "the maximum length is %d characters", a.MaxLength)
	}
	switch a.Type {
	case DateTime:
		if _, ok := ParseTime(s); !ok {
			return nil, a.invalid(prefix, "the value must be a time such as 2026-01-31T08:00:00Z")
		}
	case Binary:
		if !isBase64(s) {
			return nil, a.invalid(prefix, "the value must be base64")
		}
	}
	if strings.ContainsFunc(s, unprintable) {
		return nil, a.invalid(prefix, "text contains no control characters except tabs and line breaks")
	}
	if a.check != nil {
		if problem := a.check(s); problem != "" {
			return nil, a.invalid(prefix, "%s", problem)
		}
	}
	return s, nil
}

// isBase64 follows RFC 7643 §2.3.6: RFC 4648 §4, in which the padding at the end is optional.
func isBase64(s string) bool {
	_, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return err == nil && (!strings.HasSuffix(s, "=") || len(s)%4 == 0)
}

// unprintable reports control characters, which no provider sends on purpose and which deceive the
// reader of a log or a terminal.
func unprintable(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f
}

// complex reads the sub-attributes. It ignores unknown and read-only ones.
func (a *Attribute) complex(v any, prefix string) (any, error) {
	in, ok := v.(scim.Object)
	if !ok {
		return nil, a.invalid(prefix, "the value must be an object, of %s", strings.Join(a.subNames(), ", "))
	}
	out := make(scim.Object, len(in))
	for _, sub := range a.SubAttributes {
		if err := sub.putInto(out, in, prefix+a.Name+"."); err != nil {
			return nil, err
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

func (a *Attribute) subNames() []string {
	out := make([]string, 0, len(a.SubAttributes))
	for _, s := range a.SubAttributes {
		if s.Mutability != ReadOnly {
			out = append(out, s.Name)
		}
	}
	return out
}

// Tidy normalises the canonical elements of a multi-valued attribute: it drops elements that
// contain only a type or a primary mark, and merges later elements into earlier ones with the same
// type and value (RFC 7643 §2.4). It returns a new list. Errors are 400 invalidValue: more than
// MaxItems elements, or more than one primary.
func (a *Attribute) Tidy(list []any, prefix string) ([]any, error) {
	if a.MaxItems > 0 && len(list) > 4*a.MaxItems { // too many to search for duplicates
		return nil, a.invalid(prefix, "the maximum is %d elements", a.MaxItems)
	}
	list = a.fold(list)
	if a.MaxItems > 0 && len(list) > a.MaxItems {
		return nil, a.invalid(prefix, "the maximum is %d elements", a.MaxItems)
	}
	primaries := 0
	for _, e := range list {
		if IsPrimary(e) {
			primaries++
		}
	}
	if primaries > 1 {
		return nil, a.invalid(prefix, "at most one element can be primary")
	}
	return list, nil
}

// fold drops empty elements and merges duplicates, keeping the order.
func (a *Attribute) fold(list []any) []any {
	out := make([]any, 0, len(list))
	at := make(map[string]int, len(list))
	for _, e := range list {
		if isHusk(e) {
			continue
		}
		key, ok := a.elementKey(e)
		if !ok {
			if a.MaxItems == 0 || !contains(out, e) { // an unbounded list is not searched
				out = append(out, e)
			}
			continue
		}
		if i, there := at[key]; there {
			out[i] = merged(out[i], e)
			continue
		}
		at[key] = len(out)
		out = append(out, e)
	}
	return out
}

// elementKey identifies an element by type and value (RFC 7643 §2.4); elements without a value have
// no key.
func (a *Attribute) elementKey(e any) (string, bool) {
	o, isObject := e.(scim.Object)
	if !isObject {
		s, ok := e.(string)
		return s, ok
	}
	value, ok := o["value"].(string)
	if !ok {
		return "", false
	}
	if sub := a.Sub("value"); sub != nil && !sub.CaseExact {
		value = names.Fold(value)
	}
	kind, _ := o["type"].(string)
	return strings.ToLower(kind) + "\x00" + value, true
}

// SameElement reports whether two elements of a are the same: the same type and value, or equal if
// there is no value.
func (a *Attribute) SameElement(x, y any) bool {
	keyX, okX := a.elementKey(x)
	keyY, okY := a.elementKey(y)
	if okX && okY {
		return keyX == keyY
	}
	return scim.Equal(x, y)
}

func isHusk(e any) bool {
	o, ok := e.(scim.Object)
	if !ok {
		return e == nil
	}
	for k := range o {
		if k != "type" && k != "primary" {
			return false
		}
	}
	return true
}

func contains(list []any, e any) bool {
	for _, have := range list {
		if scim.Equal(have, e) {
			return true
		}
	}
	return false
}

// merged returns x with the sub-attributes of y, which have precedence; neither is changed.
func merged(x, y any) any {
	a, okA := x.(scim.Object)
	b, okB := y.(scim.Object)
	if !okA || !okB {
		return y
	}
	out := make(scim.Object, len(a)+len(b))
	for k, v := range a {
		out[k] = v
	}
	for k, v := range b {
		out[k] = v
	}
	return out
}

// IsPrimary reports whether an element is marked as the preferred one.
func IsPrimary(e any) bool {
	o, _ := e.(scim.Object)
	p, _ := o["primary"].(bool)
	return p
}
