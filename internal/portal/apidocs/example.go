// SPDX-License-Identifier: Apache-2.0

package apidocs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// Example returns the example of a schema as indented JSON, with properties in the order of the
// page's tables. It returns an error if a required property has no example.
func Example(ref *openapi3.SchemaRef) (string, error) {
	value, err := valueOf(ref)
	if err != nil {
		return "", err
	}
	var flat, out bytes.Buffer
	if err := write(&flat, ref, value); err != nil {
		return "", err
	}
	if err := json.Indent(&out, flat.Bytes(), "", "  "); err != nil {
		return "", err
	}
	return out.String(), nil
}

// valueOf returns the schema's own example; otherwise an object of the required properties, a list
// of one item, or the first value of an enumeration.
func valueOf(ref *openapi3.SchemaRef) (any, error) {
	s := ref.Value
	switch {
	case s.Example != nil:
		return s.Example, nil
	case len(s.AllOf) == 1:
		return valueOf(s.AllOf[0])
	case len(s.Enum) > 0:
		return s.Enum[0], nil
	case s.Items != nil:
		item, err := valueOf(s.Items)
		return []any{item}, err
	case s.Type.Is(openapi3.TypeObject):
		object := map[string]any{}
		for _, name := range s.Required {
			value, err := valueOf(s.Properties[name])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			object[name] = value
		}
		return object, nil
	}
	return nil, fmt.Errorf("the schema needs an example")
}

// write writes the value as JSON. The schema decides the order of properties.
func write(out *bytes.Buffer, ref *openapi3.SchemaRef, value any) error {
	if ref != nil && len(ref.Value.AllOf) == 1 {
		return write(out, ref.Value.AllOf[0], value)
	}
	switch v := value.(type) {
	case map[string]any:
		names := slices.Sorted(maps.Keys(v))
		if ref != nil {
			names = slices.DeleteFunc(keys(ref.Value), func(name string) bool { _, ok := v[name]; return !ok })
		}
		out.WriteByte('{')
		for i, name := range names {
			if i > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(out, "%q:", name)
			var property *openapi3.SchemaRef
			if ref != nil {
				property = ref.Value.Properties[name]
			}
			if err := write(out, property, v[name]); err != nil {
				return err
			}
		}
		out.WriteByte('}')
	case []any:
		var item *openapi3.SchemaRef
		if ref != nil {
			item = ref.Value.Items
		}
		out.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				out.WriteByte(',')
			}
			if err := write(out, item, e); err != nil {
				return err
			}
		}
		out.WriteByte(']')
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return err
		}
		out.Write(text)
	}
	return nil
}
