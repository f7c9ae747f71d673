package quirk

import (
	"maps"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/path"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// enterpriseTypo is what Microsoft's example has for the enterprise URN.
const enterpriseTypo = "urn:ietf:params:scim:schemas:extension:enterprise:2.0User"

// fixTypo: EnterpriseTypo, at the start of s.
func (n *normaliser) fixTypo(s string) string {
	if len(s) < len(enterpriseTypo) || !strings.EqualFold(s[:len(enterpriseTypo)], enterpriseTypo) {
		return s
	}
	n.fire(EnterpriseTypo)
	return scim.SchemaEnterpriseUser + s[len(enterpriseTypo):]
}

// typoKey: EnterpriseTypo, in the names of a body.
func (n *normaliser) typoKey(in scim.Object) scim.Object {
	out := in
	for key := range in {
		fixed := n.fixTypo(key)
		if fixed == key || schema.ValueOf(in, fixed) != nil {
			continue
		}
		out = maps.Clone(out)
		out[fixed] = in[key]
		delete(out, key)
	}
	return out
}

// nestKeys: DottedKey and QualifiedKey, in the body of a POST or PUT. Such a name moves to where it belongs, unless something is there.
func (n *normaliser) nestKeys(in scim.Object) scim.Object {
	var special []string
	for key := range in {
		if strings.ContainsAny(key, ".:") && n.rt.Extension(key) == nil {
			special = append(special, key)
		}
	}
	if special == nil {
		return in
	}
	out := maps.Clone(in)
	for _, key := range slices.Sorted(slices.Values(special)) {
		p, err := path.Parse(key, n.rt)
		if err != nil || p.Filter != nil || p.Sub != nil && p.Attribute.MultiValued {
			continue
		}
		delete(out, key)
		if p.Attribute == nil { // the core URN with all of its attributes
			n.fire(QualifiedKey)
			flatten(out, in[key])
			continue
		}
		n.fire(keyQuirk(key))
		nest(out, p, in[key])
	}
	return out
}

// keyQuirk tells which of the two quirks a name shows.
func keyQuirk(key string) Name {
	if strings.Contains(key, ":") {
		return QualifiedKey
	}
	return DottedKey
}

func flatten(out scim.Object, v any) {
	o, _ := v.(scim.Object)
	for name, inner := range o {
		if schema.ValueOf(out, name) == nil {
			out[name] = inner
		}
	}
}

// nest puts v where p says, if nothing is there. out may be changed, what it holds not.
func nest(out scim.Object, p path.Path, v any) {
	if p.Extension != nil {
		out = inner(out, p.Extension.ID)
	}
	name := p.Attribute.Name
	if p.Sub != nil {
		if out, name = inner(out, name), p.Sub.Name; out == nil {
			return
		}
	}
	if out != nil && schema.ValueOf(out, name) == nil {
		out[name] = v
	}
}

// inner returns the object under the name as a copy that may be changed, made if nothing is there; nil if something else is.
func inner(o scim.Object, name string) scim.Object {
	if o == nil {
		return nil
	}
	for key, v := range o {
		if equalFold(key, name) && v != nil {
			name = key
		}
	}
	have, ok := o[name].(scim.Object)
	if !ok && o[name] != nil {
		return nil
	}
	c := maps.Clone(have)
	if c == nil {
		c = scim.Object{}
	}
	o[name] = c
	return c
}

// reserved are URNs of the RFCs' own resources and messages: one of another kind in schemas is an error, not a habit.
func reserved(urn string) bool {
	for _, prefix := range [...]string{"urn:ietf:params:scim:schemas:core:", "urn:ietf:params:scim:api:"} {
		if len(urn) >= len(prefix) && strings.EqualFold(urn[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// schemas: ExtraSchema and EnterpriseTypo, in the list of schemas.
func (n *normaliser) schemas(in scim.Object) scim.Object {
	return edit(in, func(key string, v any) any {
		list, ok := v.([]any)
		if !ok || !equalFold(key, "schemas") {
			return v
		}
		out := make([]any, 0, len(list))
		for _, e := range list {
			urn, ok := e.(string)
			if !ok {
				out = append(out, e)
				continue
			}
			fixed := n.fixTypo(urn)
			if fixed != urn && slices.Contains(list, any(fixed)) {
				continue
			}
			if !n.known(fixed) && !reserved(fixed) {
				n.fire(ExtraSchema)
				continue
			}
			out = append(out, fixed)
		}
		return out
	})
}

func (n *normaliser) known(urn string) bool {
	return equalFold(urn, n.rt.Schema.ID) || n.rt.Extension(urn) != nil
}

// undeclared: UndeclaredExtension. The list is only added to where there is one: a missing one is an error.
func (n *normaliser) undeclared(in scim.Object) scim.Object {
	return edit(in, func(key string, v any) any {
		list, ok := v.([]any)
		if !ok || len(list) == 0 || !equalFold(key, "schemas") {
			return v
		}
		for _, e := range n.rt.Extensions {
			listed := slices.ContainsFunc(list, func(urn any) bool {
				s, _ := urn.(string)
				return equalFold(s, e.Schema.ID)
			})
			if !listed && !scim.Unassigned(schema.ValueOf(in, e.Schema.ID)) {
				n.fire(UndeclaredExtension)
				list = append(slices.Clone(list), e.Schema.ID)
			}
		}
		return list
	})
}
