// SPDX-License-Identifier: Apache-2.0

package path

import (
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Projection selects the attributes of a resource that are returned (RFC 7644 §3.9, RFC 7643 §7).
// The zero value is not usable; ParseProjection("", "", rt) is the default projection. It is safe
// for concurrent use.
type Projection struct {
	rt     *schema.ResourceType
	only   bool // picked are the requested attributes; otherwise the excluded ones
	picked map[*schema.Attribute]pick
	held   []string // root attributes that are never or only on request returned
}

// pick is the selected part of an attribute: the whole, or some sub-attributes.
type pick struct {
	whole bool
	subs  map[*schema.Attribute]bool
}

// ParseProjection parses the query parameters attributes and excludedAttributes, names separated by
// commas. Names may be qualified by a URN and may name a sub-attribute or a whole extension;
// unknown names are ignored. Using both parameters is a 400 invalidValue.
func ParseProjection(attributes, excluded string, rt *schema.ResourceType) (Projection, error) {
	return NewProjection(split(attributes), split(excluded), rt)
}

// NewProjection is ParseProjection for the lists of a SearchRequest (RFC 7644 §3.4.3).
func NewProjection(attributes, excluded []string, rt *schema.ResourceType) (Projection, error) {
	p := Projection{rt: rt}
	for _, a := range rt.Schema.Attributes {
		if a.Returned == schema.Never || a.Returned == schema.OnRequest {
			p.held = append(p.held, a.Name)
		}
	}
	switch {
	case len(attributes) > 0 && len(excluded) > 0:
		return p, scim.BadRequest(scim.InvalidValue, "Use either attributes or excludedAttributes, not both.")
	case len(attributes) > 0:
		p.only = true
		p.pickAll(attributes)
	case len(excluded) > 0:
		p.pickAll(excluded)
	}
	return p, nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

func (p *Projection) pickAll(names []string) {
	p.picked = make(map[*schema.Attribute]pick, len(names))
	for _, name := range names {
		n, err := schema.ParseAttrPath(name)
		if err != nil {
			continue
		}
		ref, err := p.rt.Resolve(n)
		switch {
		case err != nil:
		case ref.Attribute != nil:
			p.add(ref.Attribute, ref.Sub)
		case ref.Extension != nil:
			p.addSchema(ref.Extension)
		case p.only:
			p.addSchema(p.rt.Schema)
		}
	}
}

func (p *Projection) addSchema(s *schema.Schema) {
	for _, a := range s.Attributes {
		p.add(a, nil)
	}
}

func (p *Projection) add(a, sub *schema.Attribute) {
	have := p.picked[a]
	if sub == nil {
		have.whole = true
	} else {
		if have.subs == nil {
			have.subs = map[*schema.Attribute]bool{}
		}
		have.subs[sub] = true
	}
	p.picked[a] = have
}

// Excludes reports whether no part of the root attribute is returned, so that the caller need not
// fetch it: Excludes("members").
func (p Projection) Excludes(name string) bool {
	a := p.rt.Attribute(name)
	return a == nil || p.drops(a)
}

// drops reports whether no part of a is returned.
func (p Projection) drops(a *schema.Attribute) bool {
	picked, named := p.picked[a]
	switch a.Returned {
	case schema.Always:
		return false
	case schema.Never:
		return true
	case schema.OnRequest:
		return !p.only || !named
	}
	if p.only {
		return !named
	}
	return picked.whole
}

// Default reports whether the client uses the default projection, so that prepared representations
// can be sent unchanged.
func (p Projection) Default() bool { return !p.only && len(p.picked) == 0 }

// plain reports whether everything in o is returned by default. All our sub-attributes and
// extension attributes are.
func (p Projection) plain(o scim.Object) bool {
	for _, name := range p.held {
		if _, there := o[name]; there {
			return false
		}
	}
	return p.Default()
}

// Apply returns the returned parts of the canonical resource o. It never changes o and shares
// memory with it.
func (p Projection) Apply(o scim.Object) scim.Object {
	if p.plain(o) {
		return o
	}
	out := make(scim.Object, len(o))
	same := true
	for key, v := range o {
		kept, unchanged := p.value(key, v)
		same = same && unchanged
		if kept != nil {
			out[key] = kept
		}
	}
	if same {
		return o
	}
	return out
}

// value returns the returned parts of a root attribute or an extension; nil if there is none.
func (p Projection) value(key string, v any) (kept any, same bool) {
	if a := p.rt.Attribute(key); a != nil {
		return p.attribute(a, v)
	}
	ext := p.rt.Extension(key)
	in, ok := v.(scim.Object)
	if ext == nil || !ok {
		return v, true
	}
	out := make(scim.Object, len(in))
	same = true
	for name, inner := range in {
		a := ext.Attribute(name)
		if a == nil {
			continue
		}
		part, unchanged := p.attribute(a, inner)
		same = same && unchanged
		if part != nil {
			out[name] = part
		}
	}
	switch {
	case same:
		return v, true
	case len(out) == 0:
		return nil, false
	}
	return out, false
}

func (p Projection) attribute(a *schema.Attribute, v any) (kept any, same bool) {
	if p.drops(a) {
		return nil, false
	}
	if a.Type != schema.Complex {
		return v, true
	}
	list, ok := v.([]any)
	if !ok {
		return p.complex(a, v)
	}
	out := make([]any, 0, len(list))
	same = true
	for _, e := range list {
		part, unchanged := p.complex(a, e)
		same = same && unchanged
		if part != nil {
			out = append(out, part)
		}
	}
	switch {
	case same:
		return v, true
	case len(out) == 0:
		return nil, false
	}
	return out, false
}

// complex keeps the returned sub-attributes.
func (p Projection) complex(a *schema.Attribute, v any) (kept any, same bool) {
	in, ok := v.(scim.Object)
	if !ok {
		return v, true
	}
	dropped := 0
	for name := range in {
		if p.dropsSub(a, name) {
			dropped++
		}
	}
	if dropped == 0 {
		return v, true
	}
	if dropped == len(in) {
		return nil, false
	}
	out := make(scim.Object, len(in)-dropped)
	for name, inner := range in {
		if !p.dropsSub(a, name) {
			out[name] = inner
		}
	}
	return out, false
}

func (p Projection) dropsSub(a *schema.Attribute, name string) bool {
	sub := a.Sub(name)
	picked := p.picked[a]
	switch {
	case sub == nil || sub.Returned == schema.Never:
		return true
	case sub.Returned == schema.Always:
		return false
	case sub.Returned == schema.OnRequest:
		return !p.only || !picked.subs[sub]
	case p.only:
		return !picked.whole && !picked.subs[sub]
	}
	return picked.subs[sub]
}
