// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"fmt"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
)

// Mode is the method that a body belongs to.
type Mode int

// The modes.
const (
	Create  Mode = iota // POST, RFC 7644 §3.3
	Replace             // PUT, RFC 7644 §3.5.1
)

// Canonicalize converts the body of a POST or PUT to canonical form: names in schema case, values
// checked against type and bounds, unassigned values omitted, duplicate elements merged, schemas
// derived from the content. Read-only and unknown attributes are ignored; a password is checked and
// dropped. body is not changed.
//
// Errors are 400 invalidSyntax for a wrong `schemas` (RFC 7643 §3) and 400 invalidValue, naming the
// attribute, for a value of the wrong type, beyond a bound, a second primary, or a missing required
// attribute.
func Canonicalize(rt *ResourceType, body scim.Object, mode Mode) (scim.Object, error) {
	if err := rt.checkSchemas(ValueOf(body, "schemas")); err != nil {
		return nil, err
	}
	out := scim.Object{}
	external := rt.common["externalid"]
	if err := external.putInto(out, body, ""); err != nil {
		return nil, err
	}
	for _, a := range rt.Schema.Attributes {
		if err := a.putInto(out, body, ""); err != nil {
			return nil, err
		}
	}
	for _, e := range rt.Extensions {
		if err := e.putInto(out, body); err != nil {
			return nil, err
		}
	}
	if err := rt.CheckRequired(out); err != nil {
		if mode == Replace {
			err.Detail += " PUT replaces the whole resource, so attributes that the body omits are cleared."
		}
		return nil, err
	}
	out["schemas"] = rt.SchemasOf(out)
	return out, nil
}

// SetDefaults sets the default values of the attributes that a POST or PUT omitted in a canonical
// resource (RFC 7644 §3.3, §3.5.1).
func (rt *ResourceType) SetDefaults(o scim.Object) {
	for _, a := range rt.Schema.Attributes {
		if a.Default != nil && o[a.Name] == nil {
			o[a.Name] = a.Default
		}
	}
}

// ValueOf returns the value in o under the name in any case, or nil.
func ValueOf(o scim.Object, name string) any {
	if v, ok := o[name]; ok {
		return v
	}
	for k, v := range o {
		if equalFold(k, name) {
			return v
		}
	}
	return nil
}

// putInto copies a from body to out, under its name in schema case. prefix precedes the name in
// errors.
func (a *Attribute) putInto(out, body scim.Object, prefix string) error {
	if a.Mutability == ReadOnly {
		return nil
	}
	v, err := a.Canonical(ValueOf(body, a.Name), prefix)
	if err == nil && v != nil && a.Mutability != WriteOnly {
		out[a.Name] = v
	}
	return err
}

func (e Extension) putInto(out, body scim.Object) error {
	v := ValueOf(body, e.Schema.ID)
	if scim.Unassigned(v) {
		return nil
	}
	in, ok := v.(scim.Object)
	if !ok {
		return scim.BadRequest(scim.InvalidValue, "Attribute %q must be an object.", e.Schema.ID)
	}
	ext := scim.Object{}
	for _, a := range e.Schema.Attributes {
		if err := a.putInto(ext, in, e.Schema.ID+":"); err != nil {
			return err
		}
	}
	if len(ext) > 0 {
		out[e.Schema.ID] = ext
	}
	return nil
}

// CheckRequired returns an error that names the first required attribute or extension that a
// canonical resource lacks, or nil.
func (rt *ResourceType) CheckRequired(o scim.Object) *scim.Error {
	for _, a := range rt.Schema.Attributes {
		if a.Required && o[a.Name] == nil {
			return scim.BadRequest(scim.InvalidValue, "Attribute %q is required for a %s.", a.Name, rt.Name)
		}
	}
	for _, e := range rt.Extensions {
		if e.Required && o[e.Schema.ID] == nil {
			return scim.BadRequest(scim.InvalidValue, "Extension %q is required for a %s.", e.Schema.ID, rt.Name)
		}
	}
	return nil
}

// SchemasOf returns the value of `schemas` for a canonical resource: the core schema and each
// extension with attributes.
func (rt *ResourceType) SchemasOf(o scim.Object) []any {
	out := []any{rt.Schema.ID}
	for _, e := range rt.Extensions {
		if ext, _ := o[e.Schema.ID].(scim.Object); len(ext) > 0 {
			out = append(out, e.Schema.ID)
		}
	}
	return out
}

// checkSchemas follows RFC 7643 §3: present, the core schema among them, every one known to the
// type, none twice.
func (rt *ResourceType) checkSchemas(v any) error {
	list, _ := v.([]any)
	if len(list) == 0 {
		return scim.BadRequest(scim.InvalidSyntax, "The attribute \"schemas\" must be a list that contains %q.", rt.Schema.ID)
	}
	seen := map[string]bool{}
	for _, e := range list {
		urn, ok := e.(string)
		if !ok {
			return scim.BadRequest(scim.InvalidSyntax, "The attribute \"schemas\" must contain only strings.")
		}
		if !equalFold(urn, rt.Schema.ID) && rt.Extension(urn) == nil {
			return scim.BadRequest(scim.InvalidSyntax, "%q in \"schemas\" is not a schema of a %s.", urn, rt.Name)
		}
		key := strings.ToLower(urn)
		if seen[key] {
			return scim.BadRequest(scim.InvalidSyntax, "\"schemas\" contains %q twice.", urn)
		}
		seen[key] = true
	}
	if !seen[strings.ToLower(rt.Schema.ID)] {
		return scim.BadRequest(scim.InvalidSyntax, "The attribute \"schemas\" must contain %q.", rt.Schema.ID)
	}
	return nil
}

// invalid returns the error for a value of a; prefix precedes its name.
func (a *Attribute) invalid(prefix, format string, args ...any) error {
	return scim.BadRequest(scim.InvalidValue, "Attribute %q: %s.", prefix+a.Name, fmt.Sprintf(format, args...))
}
