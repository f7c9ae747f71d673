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

// missingSchemas implements MissingSchemas.
func (n *normaliser) missingSchemas(body scim.Object) scim.Object {
	if schema.ValueOf(body, "schemas") != nil {
		return body
	}
	n.fire(MissingSchemas)
	out := maps.Clone(body)
	if out == nil {
		out = scim.Object{}
	}
	for key := range body {
		if equalFold(key, "schemas") {
			delete(out, key)
		}
	}
	out["schemas"] = []any{scim.SchemaPatchOp}
	return out
}

// operation normalises one operation; it may become several.
func (n *normaliser) operation(in scim.Object) []any {
	op := edit(in, func(key string, v any) any {
		s, ok := v.(string)
		switch {
		case !ok:
		case equalFold(key, "op"):
			return n.capitalised(s)
		case equalFold(key, "path"):
			return n.barePath(n.spell(s))
		}
		return v
	})
	if text, _ := schema.ValueOf(op, "path").(string); text != "" {
		return []any{n.pathed(op, text)}
	}
	return n.pathless(op)
}

// capitalised implements CapitalisedOperation.
func (n *normaliser) capitalised(op string) string {
	lower := strings.ToLower(op)
	if lower == op || lower != "add" && lower != "replace" && lower != "remove" {
		return op
	}
	n.fire(CapitalisedOperation)
	return lower
}

// barePath implements BareExtensionPath.
func (n *normaliser) barePath(text string) string {
	name, err := schema.ParseAttrPath(text)
	if err != nil || name.URI != "" || n.rt.Attribute(name.Name) != nil {
		return text
	}
	for _, e := range n.rt.Extensions {
		if e.Schema.Attribute(name.Name) != nil {
			n.fire(BareExtensionPath)
			return e.Schema.ID + ":" + text
		}
	}
	return text
}

// pathed normalises the value of an operation with a path, according to the attribute at the path.
func (n *normaliser) pathed(op scim.Object, text string) any {
	p, err := path.Parse(text, n.rt)
	if err != nil {
		return op // the engine refuses it
	}
	return edit(op, func(key string, v any) any {
		switch {
		case !equalFold(key, "value") || v == nil:
			return v
		case p.Attribute == nil && p.Extension == nil:
			return v
		case p.Attribute == nil:
			return n.extension(p.Extension, v)
		}
		if o, _ := schema.ValueOf(op, "op").(string); o == "remove" && p.Filter == nil && p.Sub == nil && p.Attribute.MultiValued {
			n.fire(ValueListRemoval)
		}
		if p.Sub != nil {
			return n.value(p.Sub, v)
		}
		return n.value(p.Attribute, v)
	})
}

// pathless normalises the value of an operation without a path, and converts names that are paths
// to separate operations.
func (n *normaliser) pathless(op scim.Object) []any {
	value, ok := schema.ValueOf(op, "value").(scim.Object)
	if !ok {
		return []any{op}
	}
	n.countEchoes(value)
	value = n.misspeltKeys(value)
	plain, paths := n.splitKeys(value)
	var out []any
	if len(plain) > 0 || len(paths) == 0 {
		out = append(out, with(op, "value", n.values(plain)))
	}
	for _, text := range paths {
		one := with(with(op, "path", text), "value", value[text])
		out = append(out, n.pathed(one, text))
	}
	return out
}

// splitKeys implements DottedKey and QualifiedKey for the value of an operation without a path.
// Sub-attributes and value paths come after the attributes that contain them.
func (n *normaliser) splitKeys(value scim.Object) (plain scim.Object, paths []string) {
	for key := range value {
		if n.rt.Attribute(key) != nil || n.rt.Extension(key) != nil || !strings.ContainsAny(key, ".:[") {
			continue
		}
		if _, err := path.Parse(key, n.rt); err == nil {
			n.fire(keyQuirk(key))
			paths = append(paths, key)
		}
	}
	if paths == nil {
		return value, nil
	}
	slices.Sort(paths)
	plain = maps.Clone(value)
	for _, key := range paths {
		delete(plain, key)
	}
	return plain, paths
}

// countEchoes implements ReadOnlyEcho.
func (n *normaliser) countEchoes(value scim.Object) {
	for key := range value {
		if a := n.rt.Attribute(key); a != nil && a.Mutability == schema.ReadOnly {
			n.fire(ReadOnlyEcho)
		}
	}
}

// with returns o with another value for the name, which is case-insensitive.
func with(o scim.Object, name string, v any) scim.Object {
	out := maps.Clone(o)
	for key := range o {
		if equalFold(key, name) {
			delete(out, key)
		}
	}
	out[name] = v
	return out
}
