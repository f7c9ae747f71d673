// SPDX-License-Identifier: Apache-2.0

package schema

import "lightrun.com/scim-operator/internal/scim"

// Object returns the schema for /Schemas (RFC 7643 §7). baseURL is the base URL of the service,
// without a trailing slash.
func (s *Schema) Object(baseURL string) scim.Object {
	return scim.Object{
		"schemas":     []any{scim.SchemaSchema},
		"id":          s.ID,
		"name":        s.Name,
		"description": s.Description,
		"attributes":  describe(s.Attributes),
		"meta":        scim.Object{"resourceType": "Schema", "location": baseURL + "/Schemas/" + s.ID},
	}
}

// Object returns the resource type for /ResourceTypes (RFC 7643 §6). baseURL is the base URL of the
// service, without a trailing slash.
func (rt *ResourceType) Object(baseURL string) scim.Object {
	out := scim.Object{
		"schemas":     []any{scim.SchemaResourceType},
		"id":          rt.Name,
		"name":        rt.Name,
		"description": rt.Description,
		"endpoint":    rt.Endpoint,
		"schema":      rt.Schema.ID,
		"meta":        scim.Object{"resourceType": "ResourceType", "location": baseURL + "/ResourceTypes/" + rt.Name},
	}
	if len(rt.Extensions) > 0 {
		extensions := make([]any, len(rt.Extensions))
		for i, e := range rt.Extensions {
			extensions[i] = scim.Object{"schema": e.Schema.ID, "required": e.Required}
		}
		out["schemaExtensions"] = extensions
	}
	return out
}

// All returns the schemas of the given types: the core schema of each, then its extensions, without
// duplicates.
func All(types ...*ResourceType) []*Schema {
	var out []*Schema
	seen := map[string]bool{}
	add := func(s *Schema) {
		if !seen[s.ID] {
			seen[s.ID] = true
			out = append(out, s)
		}
	}
	for _, rt := range types {
		add(rt.Schema)
		for _, e := range rt.Extensions {
			add(e.Schema)
		}
	}
	return out
}

// describe returns all characteristics of the attributes that are not hidden.
func describe(attributes []*Attribute) []any {
	out := make([]any, 0, len(attributes))
	for _, a := range attributes {
		if a.Hidden {
			continue
		}
		o := scim.Object{
			"name":        a.Name,
			"type":        string(a.Type),
			"multiValued": a.MultiValued,
			"description": a.Description,
			"required":    a.Required,
			"caseExact":   a.CaseExact,
			"mutability":  string(a.Mutability),
			"returned":    string(a.Returned),
			"uniqueness":  string(a.Uniqueness),
		}
		if len(a.CanonicalValues) > 0 {
			o["canonicalValues"] = texts(a.CanonicalValues)
		}
		if len(a.ReferenceTypes) > 0 {
			o["referenceTypes"] = texts(a.ReferenceTypes)
		}
		if len(a.SubAttributes) > 0 {
			o["subAttributes"] = describe(a.SubAttributes)
		}
		out = append(out, o)
	}
	return out
}

func texts(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}
