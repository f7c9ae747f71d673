// SPDX-License-Identifier: Apache-2.0

package quirk

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

func equalFold(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// values normalises the value of each attribute of a resource, or of a PATCH value that represents
// one.
func (n *normaliser) values(in scim.Object) scim.Object {
	return edit(in, func(key string, v any) any {
		if a := n.rt.Attribute(key); a != nil {
			return n.value(a, v)
		}
		if ext := n.rt.Extension(key); ext != nil {
			return n.extension(ext, v)
		}
		return v
	})
}

func (n *normaliser) extension(ext *schema.Schema, v any) any {
	o, ok := v.(scim.Object)
	if !ok {
		return v
	}
	return edit(o, func(key string, inner any) any {
		if a := ext.Attribute(key); a != nil {
			return n.value(a, inner)
		}
		return inner
	})
}

// value normalises the value sent for a: a single value, or a list.
func (n *normaliser) value(a *schema.Attribute, v any) any {
	if a.Type == schema.Boolean {
		return n.booleanString(v)
	}
	if a.Type != schema.Complex || a.Mutability == schema.ReadOnly {
		return v
	}
	if !a.MultiValued {
		return n.complex(a, n.managerShape(a, v))
	}
	list, ok := v.([]any)
	if !ok {
		return n.complex(a, v)
	}
	out := list
	for i, e := range list {
		changed := n.complex(a, e)
		if scim.Equal(changed, e) {
			continue
		}
		if &out[0] == &list[0] {
			out = append([]any(nil), list...)
		}
		out[i] = changed
	}
	return n.severalPrimaries(out)
}

// complex normalises the sub-attributes of one value.
func (n *normaliser) complex(a *schema.Attribute, v any) any {
	o, ok := v.(scim.Object)
	if !ok {
		return v
	}
	o = n.referenceAlone(a, o)
	return edit(o, func(key string, inner any) any {
		if inner == nil {
			n.fire(NullSubAttribute)
			return nil
		}
		if sub := a.Sub(key); sub != nil && sub.Type == schema.Boolean {
			return n.booleanString(inner)
		}
		return inner
	})
}

// edit returns o with each value replaced by the result of change; o itself if nothing changes.
func edit(o scim.Object, change func(key string, v any) any) scim.Object {
	out := o
	copied := false
	for k, v := range o {
		changed := change(k, v)
		if scim.Equal(changed, v) {
			continue
		}
		if !copied {
			out, copied = maps.Clone(o), true
		}
		out[k] = changed
	}
	return out
}

// booleanString implements BooleanString.
func (n *normaliser) booleanString(v any) any {
	s, ok := v.(string)
	if !ok {
		return v
	}
	for text, b := range map[string]bool{"true": true, "false": false} {
		if equalFold(s, text) {
			n.fire(BooleanString)
			return b
		}
	}
	return v
}

// managerShape implements ManagerShape. It applies to every single-valued complex attribute that
// has a value.
func (n *normaliser) managerShape(a *schema.Attribute, v any) any {
	if a.Sub("value") == nil {
		return v
	}
	if list, ok := v.([]any); ok && len(list) == 1 {
		n.fire(ManagerShape)
		v = list[0]
	}
	if s, ok := v.(string); ok && s != "" {
		n.fire(ManagerShape)
		return scim.Object{"value": s}
	}
	return v
}

// referenceAlone implements ReferenceAlone. It keeps a URL whose type is not one that the attribute
// refers to.
func (n *normaliser) referenceAlone(a *schema.Attribute, o scim.Object) scim.Object {
	ref, _ := schema.ValueOf(o, "$ref").(string)
	target := a.Sub("$ref")
	if ref == "" || target == nil || !scim.Unassigned(schema.ValueOf(o, "value")) {
		return o
	}
	kind, id := cutLast(ref)
	_, kind = cutLast(kind)
	id, err := url.PathUnescape(id)
	if err != nil || id == "" || !slices.Contains(target.ReferenceTypes, strings.TrimSuffix(kind, "s")) {
		return o
	}
	n.fire(ReferenceAlone)
	out := maps.Clone(o)
	maps.DeleteFunc(out, func(key string, _ any) bool { return equalFold(key, "value") })
	out["value"] = id
	return out
}

// cutLast splits a URL at its last slash.
func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, '/')
	return s[:max(i, 0)], s[i+1:]
}

// severalPrimaries implements SeveralPrimaries.
func (n *normaliser) severalPrimaries(list []any) []any {
	found := false
	out := list
	for i, e := range list {
		o, ok := e.(scim.Object)
		if !ok || schema.ValueOf(o, "primary") != true {
			continue
		}
		if !found {
			found = true
			continue
		}
		n.fire(SeveralPrimaries)
		if &out[0] == &list[0] {
			out = append([]any(nil), list...)
		}
		out[i] = edit(o, func(key string, v any) any {
			if equalFold(key, "primary") {
				return false
			}
			return v
		})
	}
	return out
}
