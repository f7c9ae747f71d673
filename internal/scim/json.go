// SPDX-License-Identifier: Apache-2.0

package scim

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits limits what DecodeJSON accepts. A zero field has its default. The caller limits the length
// of a body.
type Limits struct {
	// Depth is the maximum nesting of arrays and objects; 16 by default. A bulk request with a
	// PATCH of a multi-valued complex attribute needs 9.
	Depth int
	// Values is the maximum number of values of any kind in a body; 100,000 by default. A MiB of
	// group members contains 60,000.
	Values int
}

const (
	defaultDepth  = 16
	defaultValues = 100_000

	byteOrderMark = "\ufeff"
)

// DecodeJSON decodes one JSON object (RFC 8259) strictly: it refuses invalid UTF-8, lone
// surrogates, data after the object, nesting or size beyond the limits, and an object that contains
// an attribute twice, where names that differ only in case are equal (RFC 7643 §2.1). Numbers
// without fraction or exponent that fit become int64, others float64. A leading byte order mark is
// ignored, as RFC 8259 §8.1 allows: some encoders write one. Names keep their case. Every error is
// a 400 invalidSyntax with the position.
func DecodeJSON(data []byte, limits Limits) (Object, error) {
	if limits.Depth == 0 {
		limits.Depth = defaultDepth
	}
	if limits.Values == 0 {
		limits.Values = defaultValues
	}
	if !utf8.Valid(data) {
		return nil, BadRequest(InvalidSyntax, "The body is not valid UTF-8.")
	}
	d := decoder{in: strings.TrimPrefix(string(data), byteOrderMark), depth: limits.Depth, values: limits.Values}
	d.space()
	if d.pos == len(d.in) {
		return nil, BadRequest(InvalidSyntax, "The body is empty; send a JSON object.")
	}
	if d.in[d.pos] != '{' {
		return nil, BadRequest(InvalidSyntax, "The body is not a JSON object.")
	}
	v, err := d.value()
	if err != nil {
		return nil, err
	}
	d.space()
	if d.pos != len(d.in) {
		return nil, d.fail("there is data after the JSON object")
	}
	return v.(Object), nil
}

// decoder reads the input once. depth and values count down to zero.
type decoder struct {
	in     string
	pos    int
	depth  int
	values int
}

func (d *decoder) fail(what string) error {
	line := 1 + strings.Count(d.in[:d.pos], "\n")
	column := d.pos - strings.LastIndexByte(d.in[:d.pos], '\n')
	return BadRequest(InvalidSyntax, "The body is not valid JSON at line %d, column %d: %s.", line, column, what)
}

func (d *decoder) space() {
	for d.pos < len(d.in) {
		switch d.in[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

// skip skips white space and consumes c if it is next.
func (d *decoder) skip(c byte) bool {
	d.space()
	if d.pos < len(d.in) && d.in[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

func (d *decoder) value() (any, error) {
	d.space()
	if d.pos == len(d.in) {
		return nil, d.fail("it ends unexpectedly")
	}
	if d.values--; d.values < 0 {
		return nil, d.fail("it contains too many values")
	}
	switch c := d.in[d.pos]; {
	case c == '{':
		return d.nested(d.object)
	case c == '[':
		return d.nested(d.array)
	case c == '"':
		return d.text()
	case c == '-' || '0' <= c && c <= '9':
		return d.number()
	}
	return d.word()
}

func (d *decoder) nested(read func() (any, error)) (any, error) {
	if d.depth--; d.depth < 0 {
		return nil, d.fail("it is nested too deeply")
	}
	d.pos++
	v, err := read()
	d.depth++
	return v, err
}

func (d *decoder) object() (any, error) {
	out := Object{}
	var names foldedNames
	if d.skip('}') {
		return out, nil
	}
	for {
		d.space()
		if d.pos == len(d.in) || d.in[d.pos] != '"' {
			return nil, d.fail("a name in double quotes is missing")
		}
		name, err := d.text()
		if err != nil {
			return nil, err
		}
		if !names.add(name, out) {
			return nil, d.fail("the attribute " + strconv.Quote(clip(name)) + " occurs twice (names are case-insensitive)")
		}
		if !d.skip(':') {
			return nil, d.fail("a colon is missing after a name")
		}
		if out[name], err = d.value(); err != nil {
			return nil, err
		}
		if d.skip('}') {
			return out, nil
		}
		if !d.skip(',') {
			return nil, d.fail("a comma or } is missing")
		}
	}
}

func (d *decoder) array() (any, error) {
	out := []any{}
	if d.skip(']') {
		return out, nil
	}
	for {
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		if d.skip(']') {
			return out, nil
		}
		if !d.skip(',') {
			return nil, d.fail("a comma or ] is missing")
		}
	}
}

func (d *decoder) word() (any, error) {
	rest := d.in[d.pos:]
	for _, w := range [...]struct {
		text  string
		value any
	}{{"true", true}, {"false", false}, {"null", nil}} {
		if strings.HasPrefix(rest, w.text) {
			d.pos += len(w.text)
			return w.value, nil
		}
	}
	return nil, d.fail("a value is missing")
}

func (d *decoder) number() (any, error) {
	text, integer, ok := ScanNumber(d.in[d.pos:])
	if !ok {
		return nil, d.fail("the number is malformed")
	}
	d.pos += len(text)
	v, ok := ParseNumber(text, integer)
	if !ok {
		return nil, d.fail("the number is too large")
	}
	return v, nil
}

// text reads a string from its opening quote.
func (d *decoder) text() (string, error) {
	s, n, problem := ScanString(d.in[d.pos:])
	d.pos += n
	if problem != "" {
		return "", d.fail(problem)
	}
	return s, nil
}

// ScanNumber finds the JSON number (RFC 8259 §6) at the start of s. integer means that it has
// neither fraction nor exponent.
func ScanNumber(s string) (text string, integer, ok bool) {
	i := 0
	digits := func() bool {
		start := i
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		return i > start
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	first := i
	if !digits() || s[first] == '0' && i-first > 1 {
		return "", false, false
	}
	integer = true
	if i < len(s) && s[i] == '.' {
		i++
		integer = false
		if !digits() {
			return "", false, false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		integer = false
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return "", false, false
		}
	}
	return s[:i], integer, true
}

// ParseNumber converts the result of ScanNumber to an int64 or a float64; ok is false beyond
// float64's range.
func ParseNumber(text string, integer bool) (v any, ok bool) {
	if integer {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, true
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil && !math.IsInf(f, 0)
}

// ScanString reads the JSON string (RFC 8259 §7) at the start of s. It returns the text, the number
// of bytes read, and the problem, if any. A string without escapes shares s's memory. s must be
// valid UTF-8.
func ScanString(s string) (text string, n int, problem string) {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[1:i], i + 1, ""
		case c == '\\':
			return unescape(s, i)
		case c < ' ':
			return "", i, "a string contains a control character that is not escaped"
		}
	}
	return "", len(s), "a string is not closed"
}

// unescape continues ScanString from the first escape, at i.
func unescape(s string, i int) (string, int, string) {
	out := append(make([]byte, 0, len(s[:i])+32), s[1:i]...)
	for i < len(s) {
		switch c := s[i]; {
		case c == '"':
			return string(out), i + 1, ""
		case c < ' ':
			return "", i, "a string contains a control character that is not escaped"
		case c != '\\':
			out = append(out, c)
			i++
		default:
			r, n := escape(s[i:])
			if n == 0 {
				return "", i, "a string contains an invalid escape sequence"
			}
			out = utf8.AppendRune(out, r)
			i += n
		}
	}
	return "", len(s), "a string is not closed"
}

// escape decodes the escape at the start of s and returns its length, 0 for an invalid one.
func escape(s string) (rune, int) {
	if len(s) < 2 {
		return 0, 0
	}
	if i := strings.IndexByte(`"\/bfnrt`, s[1]); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i]), 2
	}
	r, ok := hex4(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	low, ok := hex4(s[6:])
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		return pair, 12
	}
	return 0, 0
}

// hex4 decodes the \uXXXX at the start of s.
func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 32)
	return rune(n), err == nil && s[2] != '+' && s[2] != '_'
}

// foldedNames are the names of an object in lower case, to detect names that differ only in case.
// It is nil for a few names, which are compared one by one.
type foldedNames map[string]bool

const fewNames = 12

// add reports whether the object lacks the name, and adds it.
func (f *foldedNames) add(name string, object Object) bool {
	if *f == nil {
		for have := range object {
			if strings.EqualFold(have, name) {
				return false
			}
		}
		if len(object) < fewNames {
			return true
		}
		*f = make(foldedNames, 4*fewNames)
		for have := range object {
			(*f)[strings.ToLower(have)] = true
		}
	}
	key := strings.ToLower(name)
	if (*f)[key] {
		return false
	}
	(*f)[key] = true
	return true
}

// clip shortens client text for an error message.
func clip(s string) string {
	const most = 64
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "…"
}
