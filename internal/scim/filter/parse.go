// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"strings"
	"unicode/utf8"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// The limits of a filter.
const (
	MaxLength = 4096 // bytes
	MaxTerms  = 100  // comparisons
	MaxDepth  = 20   // nested parentheses and brackets
)

// Parse parses a filter (RFC 7644 §3.4.2.2 figure 1) of at most MaxLength bytes, MaxTerms
// comparisons and MaxDepth levels. Every error is a 400 invalidFilter with the position and the
// problem.
func Parse(s string) (Node, error) {
	p, err := newParser(s)
	if err != nil {
		return nil, err
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.in) {
		return nil, p.fail("%q is not expected here; join comparisons with and or or", p.rest())
	}
	return n, nil
}

// ParseValueFilter parses the filter between the brackets of a value path; s starts after the
// opening bracket. It also returns the text after the closing bracket. Limits and errors are those
// of Parse.
func ParseValueFilter(s string) (n Node, rest string, err error) {
	p, err := newParser(s)
	if err != nil {
		return nil, "", err
	}
	p.inValue = true
	if n, err = p.or(); err != nil {
		return nil, "", err
	}
	if !p.skip(']') {
		return nil, "", p.fail("the closing ] is missing")
	}
	return n, p.in[p.pos:], nil
}

// parser reads the text once.
type parser struct {
	in           string
	pos          int
	terms, depth int
	inValue      bool // between the brackets of a value path
}

func newParser(s string) (*parser, error) {
	if len(s) > MaxLength {
		return nil, scim.BadRequest(scim.InvalidFilter, "The filter is longer than %d bytes.", MaxLength)
	}
	if !utf8.ValidString(s) {
		return nil, scim.BadRequest(scim.InvalidFilter, "The filter is not valid UTF-8.")
	}
	return &parser{in: s}, nil
}

func (p *parser) fail(format string, args ...any) error { return failAt(p.pos, format, args...) }

func failAt(pos int, format string, args ...any) error {
	return scim.BadRequest(scim.InvalidFilter, "The filter is wrong at position %d: "+format+".", append([]any{pos + 1}, args...)...)
}

// rest returns the beginning of the unread text, for an error.
func (p *parser) rest() string {
	r := []rune(p.in[p.pos:])
	return string(r[:min(len(r), 20)])
}

func (p *parser) space() {
	for p.pos < len(p.in) && isSpace(p.in[p.pos]) {
		p.pos++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// skip skips white space and consumes c if it is next.
func (p *parser) skip(c byte) bool {
	p.space()
	if p.pos < len(p.in) && p.in[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// word returns and consumes the text up to white space, a bracket, a parenthesis or a quote.
func (p *parser) word() string {
	p.space()
	start := p.pos
	for p.pos < len(p.in) {
		switch p.in[p.pos] {
		case ' ', '\t', '(', ')', '[', ']', '"':
			return p.in[start:p.pos]
		}
		p.pos++
	}
	return p.in[start:]
}

// keyword consumes the word k if it is next, in any case.
func (p *parser) keyword(k string) bool {
	start := p.pos
	if strings.EqualFold(p.word(), k) {
		return true
	}
	p.pos = start
	return false
}

func (p *parser) or() (Node, error) {
	first, err := p.and()
	if err != nil || !p.keyword("or") {
		return first, err
	}
	out := &Or{Operands: []Node{first}}
	for {
		n, err := p.and()
		if err != nil {
			return nil, err
		}
		out.Operands = append(out.Operands, n)
		if !p.keyword("or") {
			return out, nil
		}
	}
}

func (p *parser) and() (Node, error) {
	first, err := p.term()
	if err != nil || !p.keyword("and") {
		return first, err
	}
	out := &And{Operands: []Node{first}}
	for {
		n, err := p.term()
		if err != nil {
			return nil, err
		}
		out.Operands = append(out.Operands, n)
		if !p.keyword("and") {
			return out, nil
		}
	}
}

// term is (filter), not (filter), a comparison or a value path.
func (p *parser) term() (Node, error) {
	if p.skip('(') {
		return p.group()
	}
	start := p.pos
	name := p.word()
	if strings.EqualFold(name, "not") && p.skip('(') {
		n, err := p.group()
		if err != nil {
			return nil, err
		}
		return &Not{n}, nil
	}
	if name == "" {
		return nil, p.fail("an attribute name is missing")
	}
	path, err := schema.ParseAttrPath(name)
	if err != nil {
		return nil, failAt(start, "%v", err)
	}
	if p.terms++; p.terms > MaxTerms {
		return nil, p.fail("there are more than %d comparisons", MaxTerms)
	}
	if p.pos < len(p.in) && p.in[p.pos] == '[' {
		return p.valuePath(path, start)
	}
	return p.comparison(path, start)
}

// group parses the rest of a parenthesised filter.
func (p *parser) group() (Node, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if !p.skip(')') {
		return nil, p.fail("a closing ) is missing")
	}
	p.depth--
	return n, nil
}

func (p *parser) enter() error {
	if p.depth++; p.depth > MaxDepth {
		return p.fail("it is nested deeper than %d levels", MaxDepth)
	}
	return nil
}

// valuePath parses a value path from its opening bracket.
func (p *parser) valuePath(path schema.AttrPath, start int) (Node, error) {
	if p.inValue {
		return nil, p.fail("brackets can't be nested, since complex attributes don't nest")
	}
	if path.Sub != "" {
		return nil, p.fail("a bracket can't follow a sub-attribute")
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	p.pos++
	p.inValue = true
	inner, err := p.or()
	if err != nil {
		return nil, err
	}
	if !p.skip(']') {
		return nil, p.fail("a closing ] is missing")
	}
	p.inValue = false
	p.depth--
	out := &ValuePath{Path: path, Filter: inner, Pos: start}
	if p.pos == len(p.in) || p.in[p.pos] != '.' {
		return out, nil
	}
	p.pos++
	out.Then, err = p.then()
	return out, err
}

// then parses sub op value after a value path.
func (p *parser) then() (*Comparison, error) {
	start := p.pos
	sub, err := schema.ParseAttrPath(p.word())
	if err != nil || sub.URI != "" || sub.Sub != "" {
		return nil, failAt(start, "a sub-attribute name is missing after the dot")
	}
	return p.comparison(sub, start)
}

// comparison parses op and value.
func (p *parser) comparison(path schema.AttrPath, start int) (*Comparison, error) {
	p.space()
	at := p.pos
	op, ok := operator(p.word())
	if !ok {
		p.pos = at
		return nil, p.fail("an operator is missing: eq, ne, co, sw, ew, pr, gt, ge, lt or le")
	}
	out := &Comparison{Path: path, Op: op, Pos: start}
	if op == Present {
		return out, nil
	}
	if p.pos == len(p.in) || !isSpace(p.in[p.pos]) {
		return nil, p.fail("a space and a value are missing after %s", op)
	}
	var err error
	out.Value, err = p.value()
	return out, err
}

func operator(word string) (Op, bool) {
	for _, op := range [...]Op{Equal, NotEqual, Contains, StartsWith, EndsWith, Present, Greater, GreaterOrEqual, Less, LessOrEqual} {
		if len(word) == 2 && strings.EqualFold(word, string(op)) {
			return op, true
		}
	}
	return "", false
}

// value returns a JSON string, number, true, false or null.
func (p *parser) value() (any, error) {
	p.space()
	if p.pos < len(p.in) && p.in[p.pos] == '"' {
		s, n, problem := scim.ScanString(p.in[p.pos:])
		p.pos += n
		if problem != "" {
			return nil, p.fail("%s", problem)
		}
		return s, nil
	}
	start := p.pos
	word := p.word()
	switch {
	case strings.EqualFold(word, "true"):
		return true, nil
	case strings.EqualFold(word, "false"):
		return false, nil
	case strings.EqualFold(word, "null"):
		return nil, nil
	}
	if text, integer, ok := scim.ScanNumber(word); ok && text == word {
		if v, ok := scim.ParseNumber(text, integer); ok {
			return v, nil
		}
	}
	return nil, failAt(start, "a value is missing: put text in double quotes; numbers, true, false and null have none")
}
