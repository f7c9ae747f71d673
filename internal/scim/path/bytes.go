// SPDX-License-Identifier: Apache-2.0

package path

import (
	"bytes"

	"lightrun.com/scim-operator/internal/scim/schema"
)

// AppendJSON is Apply for a canonical resource that is already encoded: it appends the returned
// parts of the JSON in src to dst, copying bytes instead of decoding them. src must be one object
// that this program encoded with encoding/json: no white space between tokens, attribute names
// without escapes. Parts that the projection returns whole are copied unchanged.
func (p Projection) AppendJSON(dst, src []byte) []byte {
	return appendMembers(dst, src, func(dst, name, value []byte) ([]byte, bool) {
		if a := p.rt.Attribute(string(name)); a != nil {
			return p.appendAttribute(dst, a, value)
		}
		ext := p.rt.Extension(string(name))
		if ext == nil || value[0] != '{' {
			return append(dst, value...), true
		}
		start := len(dst)
		dst = appendMembers(dst, value, func(dst, name, value []byte) ([]byte, bool) {
			a := ext.Attribute(string(name))
			if a == nil {
				return dst, false
			}
			return p.appendAttribute(dst, a, value)
		})
		return dst, len(dst)-start > len("{}")
	})
}

// appendAttribute appends the returned parts of an attribute's value, and reports whether there are
// any.
func (p Projection) appendAttribute(dst []byte, a *schema.Attribute, value []byte) ([]byte, bool) {
	if p.drops(a) {
		return dst, false
	}
	if a.Type != schema.Complex {
		return append(dst, value...), true
	}
	start := len(dst)
	if value[0] != '[' {
		dst = p.appendComplex(dst, a, value)
		return dst, len(dst)-start > len("{}")
	}
	dst = append(dst, '[')
	for rest := value[1:]; rest[0] != ']'; {
		end := valueEnd(rest)
		before := len(dst)
		if before > start+1 {
			dst = append(dst, ',')
		}
		element := len(dst)
		if dst = p.appendComplex(dst, a, rest[:end]); len(dst)-element <= len("{}") {
			dst = dst[:before] // nothing of this element is returned
		}
		if rest = rest[end:]; rest[0] == ',' {
			rest = rest[1:]
		}
	}
	dst = append(dst, ']')
	return dst, len(dst)-start > len("[]")
}

// appendComplex appends the returned parts of one complex value.
func (p Projection) appendComplex(dst []byte, a *schema.Attribute, value []byte) []byte {
	if value[0] != '{' {
		return append(dst, value...)
	}
	return appendMembers(dst, value, func(dst, name, inner []byte) ([]byte, bool) {
		if p.dropsSub(a, string(name)) {
			return dst, false
		}
		return append(dst, inner...), true
	})
}

// appendMembers appends an object with the members of src for which keep appends a value.
func appendMembers(dst, src []byte, keep func(dst, name, value []byte) ([]byte, bool)) []byte {
	dst = append(dst, '{')
	first := true
	for rest := src[1:]; rest[0] != '}'; {
		colon := stringEnd(rest)
		name, value := rest[1:colon-1], rest[colon+1:]
		end := valueEnd(value)
		before := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = append(append(dst, rest[:colon]...), ':')
		var kept bool
		if dst, kept = keep(dst, name, value[:end]); kept {
			first = false
		} else {
			dst = dst[:before]
		}
		if rest = value[end:]; rest[0] == ',' {
			rest = rest[1:]
		}
	}
	return append(dst, '}')
}

// stringEnd returns the end of the JSON string at the start of b.
func stringEnd(b []byte) int {
	at := 1
	for {
		at += bytes.IndexByte(b[at:], '"')
		escapes := 0
		for b[at-1-escapes] == '\\' {
			escapes++
		}
		at++
		if escapes%2 == 0 {
			return at
		}
	}
}

// valueEnd returns the end of the JSON value at the start of b.
func valueEnd(b []byte) int {
	switch b[0] {
	case '"':
		return stringEnd(b)
	case '{', '[':
	default: // a number, true, false or null
		return bytes.IndexAny(b, ",}]")
	}
	depth := 0
	for at := 0; ; at++ {
		switch b[at] {
		case '"':
			at += stringEnd(b[at:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		}
	}
}
