// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"maps"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Put replaces resource with body, from schema.Canonicalize (RFC 7644 §3.5.1): read-only attributes
// stay, all others become those of body. It changes neither argument; the result equals resource
// when nothing changes. An immutable attribute that differs is a 400 mutability. For a Group whose
// members are stored elsewhere, omit members in both.
func Put(rt *schema.ResourceType, resource, body scim.Object) (scim.Object, error) {
	out := maps.Clone(body)
	for name, v := range resource {
		a := rt.Attribute(name)
		if a == nil {
			continue
		}
		if a.Mutability == schema.Immutable && !scim.Equal(v, body[name]) {
			return nil, scim.BadRequest(scim.Mutability, "Attribute %q is set once and can't be changed.", name)
		}
		if a.Mutability == schema.ReadOnly {
			out[name] = v
		} else if body[name] != nil {
			out[name] = keepDerived(a, v, body[name])
		}
	}
	for _, e := range rt.Extensions {
		old, _ := resource[e.Schema.ID].(scim.Object)
		given, _ := out[e.Schema.ID].(scim.Object)
		if given == nil {
			continue
		}
		merged := maps.Clone(given)
		for name, v := range given {
			merged[name] = keepDerived(e.Schema.Attribute(name), old[name], v)
		}
		out[e.Schema.ID] = merged
	}
	out["schemas"] = rt.SchemasOf(out)
	return out, nil
}

// keepDerived returns old if v differs from it only in read-only sub-attributes.
func keepDerived(a *schema.Attribute, old, v any) any {
	have, ok := old.(scim.Object)
	if ok && a != nil && scim.Equal(withoutDerived(a, have), v) {
		return old
	}
	return v
}
