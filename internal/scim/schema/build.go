// SPDX-License-Identifier: Apache-2.0

package schema

import "strings"

// Bounds of attributes. None is greater than the bound in the ScimUser or ScimGroup, so that every
// accepted value can be stored.
const (
	maxName   = 256
	maxText   = 1024
	maxURL    = 2048
	maxCert   = 8192
	maxList   = 20
	maxGrants = 50
	maxCerts  = 5
	maxID     = 256
)

// option changes a new attribute from the defaults of RFC 7643 §2.2.
type option func(*Attribute)

// attribute returns a descriptor with the defaults of RFC 7643 §2.2: single, optional, caseExact
// false, readWrite, returned by default, not unique. Reference and Binary are caseExact. Strings,
// References and Binaries also have a maximum length.
func attribute(name string, t Type, description string, options ...option) *Attribute {
	a := &Attribute{
		Name: name, Type: t, Description: description,
		Mutability: ReadWrite, Returned: Default, Uniqueness: UniqueNone,
	}
	if t == String {
		a.MaxLength = maxText
	}
	if t == Reference || t == Binary {
		a.CaseExact = true
		a.MaxLength = maxURL
	}
	for _, o := range options {
		o(a)
	}
	return a
}

func required(a *Attribute)  { a.Required = true }
func caseExact(a *Attribute) { a.CaseExact = true }
func readOnly(a *Attribute)  { a.Mutability = ReadOnly }
func immutable(a *Attribute) { a.Mutability = Immutable }
func hidden(a *Attribute)    { a.Hidden = true }
func unique(a *Attribute)    { a.Uniqueness = UniqueServer }
func defaults(v any) option  { return func(a *Attribute) { a.Default = v } }
func returned(r Returned) option {
	return func(a *Attribute) { a.Returned = r }
}
func length(n int) option { return func(a *Attribute) { a.MaxLength = n } }
func canonical(values ...string) option {
	return func(a *Attribute) { a.CanonicalValues = values }
}
func refers(types ...string) option { return func(a *Attribute) { a.ReferenceTypes = types } }
func checked(check func(string) string) option {
	return func(a *Attribute) { a.check = check }
}
func subs(attributes ...*Attribute) option {
	return func(a *Attribute) { a.SubAttributes = attributes }
}

// list makes the attribute multi-valued, with at most n elements; 0 for no bound.
func list(n int) option {
	return func(a *Attribute) { a.MultiValued, a.MaxItems = true, n }
}

func newSchema(id, name, description string, attributes ...*Attribute) *Schema {
	return &Schema{ID: id, Name: name, Description: description, Attributes: attributes, index: indexOf(attributes)}
}

func indexOf(attributes []*Attribute) map[string]*Attribute {
	index := make(map[string]*Attribute, len(attributes))
	for _, a := range attributes {
		index[strings.ToLower(a.Name)] = a
	}
	return index
}

// commonAttributes returns those that every resource has (RFC 7643 §3, §3.1). They are not part of
// a schema's definition.
func commonAttributes() []*Attribute {
	return []*Attribute{
		attribute("schemas", Reference, "URNs of the schemas that the resource uses.", list(0), required, returned(Always)),
		attribute("id", String, "The server's identifier of the resource.", caseExact, readOnly, returned(Always), unique, length(maxID)),
		attribute("externalId", String, "The client's identifier of the resource.", caseExact, length(maxID)),
		attribute("meta", Complex, "Metadata that the server maintains.", readOnly, subs(
			attribute("resourceType", String, "The resource's type.", caseExact, readOnly),
			attribute("created", DateTime, "When it was created.", readOnly),
			attribute("lastModified", DateTime, "When it last changed.", readOnly),
			attribute("location", Reference, "Its URL.", readOnly, refers("uri")),
			attribute("version", String, "Its entity tag.", caseExact, readOnly),
		)),
	}
}
