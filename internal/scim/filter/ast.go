// SPDX-License-Identifier: Apache-2.0

// Package filter parses filters (RFC 7644 §3.4.2.2), prints them, and matches resources against
// them.
//
// Parse converts text to a small syntax tree in one pass, without schemas. Bind checks the tree
// against a resource type and returns a Matcher, whose Match tests single resources. A Matcher also
// reports the equalities that it implies, so that an index can reduce the number of candidates.
//
// In addition to the RFC's grammar it accepts what Entra ID sends, emails[type eq "work"].value eq
// "x", compares a boolean with "True" and "False", and interprets a complex attribute without
// sub-attribute as its value: members eq "id".
package filter

import (
	"strconv"
	"strings"

	"lightrun.com/scim-operator/internal/scim/schema"
)

// Op is the operator of a comparison.
type Op string

// The operators (RFC 7644 table 3).
const (
	Equal          Op = "eq" // identical, with regard to caseExact
	NotEqual       Op = "ne" // not identical; an absent attribute matches
	Contains       Op = "co" // has the value as a part
	StartsWith     Op = "sw" // begins with the value
	EndsWith       Op = "ew" // ends with the value
	Present        Op = "pr" // has a value that is not empty; takes no value
	Greater        Op = "gt" // later, or after in order
	GreaterOrEqual Op = "ge" // greater or equal
	Less           Op = "lt" // earlier, or before in order
	LessOrEqual    Op = "le" // less or equal
)

// Node is a filter's syntax tree: *Comparison, *ValuePath, *And, *Or or *Not. String prints it so
// that Parse reads the same tree again.
type Node interface {
	String() string
	print(b *strings.Builder)
}

// Comparison is attrPath op value, or attrPath pr.
type Comparison struct {
	Path  schema.AttrPath
	Op    Op
	Value any // string, bool, int64, float64 or nil
	Pos   int // byte offset in the text, for errors
}

// ValuePath is attrPath[filter]: an element that satisfies the whole filter. With Then it is Entra
// ID's attrPath[filter].sub op value: the same element must also satisfy Then.
type ValuePath struct {
	Path   schema.AttrPath
	Filter Node
	Then   *Comparison // or nil; its Path is the sub-attribute
	Pos    int
}

// And is true when all of its two or more operands are true.
type And struct{ Operands []Node }

// Or is true when one of its two or more operands is true.
type Or struct{ Operands []Node }

// Not is true when its operand is false.
type Not struct{ Operand Node }

// String returns the comparison in the syntax of a filter.
func (n *Comparison) String() string { return text(n) }

// String returns the value path in the syntax of a filter.
func (n *ValuePath) String() string { return text(n) }

// String returns the conjunction in the syntax of a filter.
func (n *And) String() string { return text(n) }

// String returns the disjunction in the syntax of a filter.
func (n *Or) String() string { return text(n) }

// String returns the negation in the syntax of a filter.
func (n *Not) String() string { return text(n) }

func text(n Node) string {
	var b strings.Builder
	n.print(&b)
	return b.String()
}

func (n *Comparison) print(b *strings.Builder) {
	b.WriteString(n.Path.String())
	b.WriteByte(' ')
	b.WriteString(string(n.Op))
	if n.Op != Present {
		b.WriteByte(' ')
		printValue(b, n.Value)
	}
}

func (n *ValuePath) print(b *strings.Builder) {
	b.WriteString(n.Path.String())
	b.WriteByte('[')
	n.Filter.print(b)
	b.WriteByte(']')
	if n.Then != nil {
		b.WriteByte('.')
		n.Then.print(b)
	}
}

func (n *Not) print(b *strings.Builder) {
	b.WriteString("not (")
	n.Operand.print(b)
	b.WriteByte(')')
}

// print puts parentheses around nested conjunctions and disjunctions: and binds tighter than or.
func (n *And) print(b *strings.Builder) {
	for i, operand := range n.Operands {
		if i > 0 {
			b.WriteString(" and ")
		}
		switch operand.(type) {
		case *And, *Or:
			printGroup(b, operand)
		default:
			operand.print(b)
		}
	}
}

func (n *Or) print(b *strings.Builder) {
	for i, operand := range n.Operands {
		if i > 0 {
			b.WriteString(" or ")
		}
		if _, ok := operand.(*Or); ok {
			printGroup(b, operand)
		} else {
			operand.print(b)
		}
	}
}

func printGroup(b *strings.Builder, n Node) {
	b.WriteByte('(')
	n.print(b)
	b.WriteByte(')')
}

func printValue(b *strings.Builder, v any) {
	switch v := v.(type) {
	case string:
		printString(b, v)
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		s := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(s, ".e") {
			s += ".0"
		}
		b.WriteString(s)
	default:
		b.WriteString("null")
	}
}

// printString quotes like JSON, with as few escapes as possible.
func printString(b *strings.Builder, s string) {
	const hex = "0123456789abcdef"
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ':
			b.WriteString(`\u00`)
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}

// Quote returns s as a filter's string literal.
func Quote(s string) string {
	var b strings.Builder
	printString(&b, s)
	return b.String()
}
