// SPDX-License-Identifier: Apache-2.0

// Package apidocs reads the portal's OpenAPI document for the page /api/docs: the operations in
// groups, and for each one its parameters, a request that can be sent with curl, and an example of
// the response. Examples are those of the document's schemas; where an object has none, it is put
// together from its required properties.
package apidocs

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
)

// Docs is the content of the page.
type Docs struct {
	Intro   []string // paragraphs
	Groups  []Group
	Objects []Object
}

// Group contains the operations whose paths begin with the same segment, or the same two below
// /provisioning.
type Group struct {
	ID, Title  string
	Operations []Operation
}

// Operation is one method of one path.
type Operation struct {
	ID, Method, Path, Summary string
	Description               []string // paragraphs
	Scopes                    []string // of which the key needs one
	Parameters                []Field
	Body                      string // an example of the request's body as JSON; empty if there is none
	BodyObject                string // the name of the body's object
	Status                    string // of success, for example 200
	Response                  string // an example as JSON; empty if the response has no body
	ResponseObject            string
	Curl                      string
}

// Field is a parameter or a property.
type Field struct {
	Name, In, Type, Object, Description string // Object is the name of the type, if it is an object of the document
	Required                            bool
}

// Object is a schema of the document.
type Object struct {
	Name, Description string
	Values            []string // of an enumeration
	Fields            []Field
}

// Read returns the docs of the portal's own document. It returns an error if the document is
// invalid, or an operation has no example.
func Read() (*Docs, error) {
	doc, err := openapi3.NewLoader().LoadFromData(portalv1.Document)
	if err != nil {
		return nil, fmt.Errorf("load the API's document: %w", err)
	}
	d := &Docs{Intro: paragraphs(doc.Info.Description)}
	byGroup := map[string]*Group{}
	paths := doc.Paths.InMatchingOrder()
	slices.Sort(paths)
	for _, path := range paths {
		id := groupOf(path)
		g := byGroup[id]
		if g == nil {
			g = &Group{ID: id, Title: title(id)}
			byGroup[id] = g
		}
		item := doc.Paths.Value(path)
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			op := item.GetOperation(method)
			if op == nil {
				continue
			}
			o, err := operation(doc, method, path, item, op)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			g.Operations = append(g.Operations, o)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(byGroup)) {
		d.Groups = append(d.Groups, *byGroup[id])
	}
	// What an operator alone calls comes last.
	slices.SortStableFunc(d.Groups, func(a, b Group) int { return order(a.ID) - order(b.ID) })
	for _, name := range slices.Sorted(maps.Keys(doc.Components.Schemas)) {
		d.Objects = append(d.Objects, object(name, doc.Components.Schemas[name].Value))
	}
	return d, nil
}

func order(group string) int {
	if strings.HasPrefix(group, "provisioning") {
		return 1
	}
	return 0
}

// groupOf returns the first segment of the path.
func groupOf(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return first
}

func title(group string) string {
	if group == "api-keys" {
		return "API keys"
	}
	text := strings.ReplaceAll(group, "-", " ")
	return strings.ToUpper(text[:1]) + text[1:]
}

func operation(doc *openapi3.T, method, path string, item *openapi3.PathItem, op *openapi3.Operation) (Operation, error) {
	base := doc.Servers[0].URL
	o := Operation{ID: op.OperationID, Method: method, Path: base + path, Summary: op.Summary, Description: paragraphs(op.Description)}
	scopes, _ := op.Extensions["x-scopes"].([]any)
	for _, s := range scopes {
		o.Scopes = append(o.Scopes, fmt.Sprint(s))
	}
	url := base + path
	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		v := p.Value
		o.Parameters = append(o.Parameters, Field{Name: v.Name, In: v.In, Type: typeOf(v.Schema), Description: v.Description, Required: v.Required})
		switch {
		case v.In == openapi3.ParameterInPath:
			url = strings.ReplaceAll(url, "{"+v.Name+"}", "$"+variable(v.Name))
		case v.In == openapi3.ParameterInQuery && v.Required:
			separator := "?"
			if strings.Contains(url, "?") {
				separator = "&"
			}
			url += separator + v.Name + "=$" + variable(v.Name)
		}
	}
	if op.RequestBody != nil {
		schema := op.RequestBody.Value.Content.Get("application/json").Schema
		body, err := Example(schema)
		if err != nil {
			return o, fmt.Errorf("the body: %w", err)
		}
		o.Body, o.BodyObject = body, nameOf(schema)
	}
	for status, response := range op.Responses.Map() {
		if !strings.HasPrefix(status, "2") {
			continue
		}
		o.Status = status
		content := response.Value.Content.Get("application/json")
		if content == nil {
			continue
		}
		example, err := Example(content.Schema)
		if err != nil {
			return o, fmt.Errorf("the response %s: %w", status, err)
		}
		o.Response, o.ResponseObject = example, nameOf(content.Schema)
	}
	o.Curl = curl(method, url, o.Body)
	return o, nil
}

// curl returns a command for a POSIX shell. PORTAL_URL and KEY are its variables, beside those of
// the path.
func curl(method, url, body string) string {
	command := "curl --fail-with-body"
	if method != http.MethodGet {
		command += " -X " + method
	}
	command += ` -H "Authorization: Bearer $KEY"`
	if body == "" {
		return command + ` "$PORTAL_URL` + url + `"`
	}
	return command + " -H 'Content-Type: application/json' \\\n  \"$PORTAL_URL" + url + "\" -d @- <<'END'\n" + body + "\nEND"
}

// variable returns the shell variable of a parameter: OWNER_UID for ownerUid.
func variable(parameter string) string {
	var b strings.Builder
	for _, r := range parameter {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

func object(name string, s *openapi3.Schema) Object {
	o := Object{Name: name, Description: s.Description}
	for _, v := range s.Enum {
		o.Values = append(o.Values, fmt.Sprint(v))
	}
	for _, property := range keys(s) {
		ref := s.Properties[property]
		o.Fields = append(o.Fields, Field{
			Name: property, Type: typeOf(ref), Object: nameOf(ref), Description: ref.Value.Description, Required: slices.Contains(s.Required, property),
		})
	}
	return o
}

// keys returns the names of the properties: the required ones in the order of the document, then
// the others in alphabetical order, because the loader does not keep their order.
func keys(s *openapi3.Schema) []string {
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(s.Properties)), func(name string) bool { return slices.Contains(s.Required, name) })
	return slices.Concat(s.Required, rest)
}

// nameOf returns the name of the schema in the document, or of its items; empty for a type without
// a name.
func nameOf(ref *openapi3.SchemaRef) string {
	switch {
	case ref.Ref != "":
		return ref.Ref[strings.LastIndexByte(ref.Ref, '/')+1:]
	case len(ref.Value.AllOf) == 1:
		return nameOf(ref.Value.AllOf[0])
	case ref.Value.Items != nil:
		return nameOf(ref.Value.Items)
	}
	return ""
}

// typeOf describes a type with its bounds: "string, at most 64 characters".
func typeOf(ref *openapi3.SchemaRef) string {
	s := ref.Value
	if s.Items != nil {
		text := "list of " + typeOf(s.Items)
		if s.MaxItems != nil {
			text += fmt.Sprintf("; at most %d", *s.MaxItems)
		}
		return text
	}
	if name := nameOf(ref); name != "" {
		return name
	}
	if len(s.Enum) > 0 {
		values := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			values[i] = fmt.Sprint(v)
		}
		return strings.Join(values, " or ")
	}
	text := strings.Join(s.Type.Slice(), " or ")
	switch {
	case s.Format == "date-time":
		text = "time (RFC 3339)"
	case s.MinLength > 1 && s.MaxLength != nil:
		text += fmt.Sprintf(", %d to %d characters", s.MinLength, *s.MaxLength)
	case s.MaxLength != nil:
		text += fmt.Sprintf(", at most %d characters", *s.MaxLength)
	case s.Min != nil && s.Max != nil:
		text += fmt.Sprintf(", %s to %s", number(*s.Min), number(*s.Max))
	case s.Min != nil:
		text += ", at least " + number(*s.Min)
	}
	if s.Default != nil {
		text += fmt.Sprintf(", default %v", s.Default)
	}
	return text
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// paragraphs splits a description at its empty lines.
func paragraphs(text string) []string {
	var all []string
	for p := range strings.SplitSeq(text, "\n\n") {
		if p = strings.Join(strings.Fields(p), " "); p != "" {
			all = append(all, p)
		}
	}
	return all
}
