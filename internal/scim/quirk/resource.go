// SPDX-License-Identifier: Apache-2.0

package quirk

import (
	"maps"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/path"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// misspelt is a wrong spelling of a schema's URN.
type misspelt struct {
	text, right string
	quirk       Name
	whole       bool // nothing may follow: a longer text is another URN
}

// spellings returns the wrong spellings; one that starts with another comes first.
func (n *normaliser) spellings() [4]misspelt {
	const core, enterprise = "urn:scim:schemas:core:2.0", "urn:scim:schemas:extension:enterprise:2.0"
	return [...]misspelt{
		{"urn:ietf:params:scim:schemas:extension:enterprise:2.0User", scim.SchemaEnterpriseUser, EnterpriseTypo, false},
		{enterprise + ":User", scim.SchemaEnterpriseUser, DraftSchema, false},
		{enterprise, scim.SchemaEnterpriseUser, DraftSchema, true},
		{core, n.rt.Schema.ID, DraftSchema, true},
	}
}

// spell replaces a misspelt URN at the start of s: EnterpriseTypo, DraftSchema.
func (n *normaliser) spell(s string) string {
	for _, m := range n.spellings() {
		if len(s) < len(m.text) || m.whole && len(s) > len(m.text) || !strings.EqualFold(s[:len(m.text)], m.text) {
			continue
		}
		n.fire(m.quirk)
		return m.right + s[len(m.text):]
	}
	if draft := "urn:scim:schemas:core:2.0:" + n.rt.Name; equalFold(s, draft) {
		n.fire(DraftSchema)
		return n.rt.Schema.ID
	}
	return s
}

// misspeltKeys implements EnterpriseTypo and DraftSchema for the names of a body. A value under the
// correct name has precedence.
func (n *normaliser) misspeltKeys(in scim.Object) scim.Object {
	out, copied := in, false
	for key := range in {
		if !strings.Contains(key, ":") {
			continue
		}
		right := n.spell(key)
		if right == key || !n.names(right) || schema.ValueOf(out, right) != nil {
			continue
		}
		if !copied {
			out, copied = maps.Clone(in), true
		}
		out[right] = in[key]
		delete(out, key)
	}
	return out
}

// names reports whether the type has a schema or an attribute with that qualified name.
func (n *normaliser) names(qualified string) bool {
	name, err := schema.ParseAttrPath(qualified)
	if err != nil {
		return false
	}
	_, err = n.rt.Resolve(name)
	return err == nil
}

// nestKeys implements DottedKey and QualifiedKey for the body of a POST or PUT. The value moves to
// the attribute that the name means, unless the attribute has a value.
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
		if p.Attribute == nil { // the core URN with all its attributes
			n.fire(QualifiedKey)
			n.flatten(out, in[key])
			continue
		}
		n.fire(keyQuirk(key))
		nest(out, p, in[key])
	}
	return out
}

// keyQuirk returns which of the two quirks a name is.
func keyQuirk(key string) Name {
	if strings.Contains(key, ":") {
		return QualifiedKey
	}
	return DottedKey
}

// flatten moves the attributes of v to the top level, except those that exist there. It drops
// attributes that the type does not know: they would be ignored, and searching for each of many
// names among many takes long.
func (n *normaliser) flatten(out scim.Object, v any) {
	o, _ := v.(scim.Object)
	for name, inner := range o {
		known := n.rt.Attribute(name) != nil || n.rt.Extension(name) != nil
		if known && schema.ValueOf(out, name) == nil {
			out[name] = inner
		}
	}
}

// nest sets v at p if there is no value. It may change out, but not the values in it.
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

// inner returns a copy of the object under the name that may be changed; a new object if there is
// none; nil if the value is no object.
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

// reserved are URNs of the RFCs' own resources and messages: another one in schemas is an error,
// not a quirk.
func reserved(urn string) bool {
	for _, prefix := range [...]string{"urn:ietf:params:scim:schemas:core:", "urn:ietf:params:scim:api:"} {
		if len(urn) >= len(prefix) && strings.EqualFold(urn[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

// schemas implements ExtraSchema, EnterpriseTypo and DraftSchema for the list of schemas.
func (n *normaliser) schemas(in scim.Object) scim.Object {
	return edit(in, func(key string, v any) any {
		list, ok := v.([]any)
		if !ok || !equalFold(key, "schemas") {
			return v
		}
		out := make([]any, 0, len(list))
		declared := map[any]bool{n.rt.Schema.ID: slices.Contains(list, any(n.rt.Schema.ID)), scim.SchemaEnterpriseUser: slices.Contains(list, any(scim.SchemaEnterpriseUser))}
		for _, e := range list {
			urn, ok := e.(string)
			if !ok {
				out = append(out, e)
				continue
			}
			fixed := n.spell(urn)
			if fixed != urn && declared[fixed] {
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

// undeclared implements UndeclaredExtension. It only extends an existing list: a missing one is an
// error.
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
