// SPDX-License-Identifier: Apache-2.0

// Package patch applies PATCH and PUT requests (RFC 7644 §3.5) as pure functions: the input is a
// canonical resource and operations, the output is a new canonical resource. The input is never
// changed, and a failed operation discards the ones before it.
//
// Where the RFC allows several interpretations, this package does the following:
//   - For add and replace, a value path that matches nothing creates the element with the values in
//     its filter (type eq "work" gives type work), so that later operations of the same request
//     find it. Entra ID relies on this. There are two exceptions, which are 400 noTarget: a filter
//     that is not only equalities joined by and, which a new element can't satisfy; and a replace
//     of an element that the filter names by its value.
//   - replace of elements that a filter selects replaces them whole, but keeps the values in the
//     filter's equalities.
//   - remove with a list of values removes only those elements (Entra ID's older form); an empty
//     list removes none. On a single-valued attribute the value is ignored. Removing a missing
//     value succeeds.
//   - add of an empty value (null, "", []) changes nothing, replace with an empty value clears.
//   - Without a path, replace merges: attributes that are not in the value stay, and complex
//     attributes keep their other sub-attributes.
//   - schemas and meta in a value without path are ignored; other read-only attributes must equal
//     the current value.
package patch

import (
	"errors"
	"strconv"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Op is the kind of an operation.
type Op string

// The operations.
const (
	Add     Op = "add"     // adds values; merges into complex ones
	Remove  Op = "remove"  // removes what the path selects
	Replace Op = "replace" // sets values; the others of the resource stay
)

// MaxOperations is the maximum number of operations in a request.
const MaxOperations = 10_000

// Operation is one element of Operations.
type Operation struct {
	Op       Op
	Path     string // empty if there is none
	Value    any
	HasValue bool // the operation has a value, possibly null
	Index    int  // position in the request, for errors
}

// Parse parses a PATCH body that quirk.Patch has normalised. Errors are 400 invalidSyntax: schemas
// lacks the PatchOp URN, Operations is missing, empty or no list of objects, an op is unknown, a
// path is no string. Names are case-insensitive.
func Parse(body scim.Object) ([]Operation, error) {
	if !holds(schema.ValueOf(body, "schemas"), scim.SchemaPatchOp) {
		return nil, scim.BadRequest(scim.InvalidSyntax, "The attribute \"schemas\" must contain %q.", scim.SchemaPatchOp)
	}
	list, ok := schema.ValueOf(body, "Operations").([]any)
	if !ok || len(list) == 0 {
		return nil, scim.BadRequest(scim.InvalidSyntax, "The attribute \"Operations\" must be a list of at least one operation.")
	}
	if len(list) > MaxOperations {
		return nil, scim.BadRequest(scim.InvalidSyntax, "There are more than %d operations; send them in several requests.", MaxOperations)
	}
	out := make([]Operation, len(list))
	for i, e := range list {
		op, err := parseOne(e)
		if err != nil {
			return nil, at(i, err)
		}
		op.Index = i
		out[i] = op
	}
	return out, nil
}

func holds(list any, urn string) bool {
	elements, _ := list.([]any)
	for _, e := range elements {
		if s, ok := e.(string); ok && strings.EqualFold(s, urn) {
			return true
		}
	}
	return false
}

func parseOne(e any) (Operation, error) {
	in, ok := e.(scim.Object)
	if !ok {
		return Operation{}, scim.BadRequest(scim.InvalidSyntax, "An operation must be an object with op, path and value.")
	}
	var op Operation
	for name, v := range in {
		switch strings.ToLower(name) {
		case "op":
			s, _ := v.(string)
			op.Op = Op(s)
		case "path":
			if op.Path, ok = v.(string); !ok && v != nil {
				return Operation{}, scim.BadRequest(scim.InvalidSyntax, "The path of an operation must be a string.")
			}
		case "value":
			op.Value, op.HasValue = v, true
		}
	}
	switch op.Op {
	case Add, Remove, Replace:
		return op, nil
	}
	return Operation{}, scim.BadRequest(scim.InvalidSyntax, "%q is not an operation; use add, remove or replace.", op.Op)
}

// at adds the index of the operation to the error.
func at(index int, err error) error {
	var e *scim.Error
	if !errors.As(err, &e) {
		return err
	}
	out := *e
	out.Detail = "Operations[" + strconv.Itoa(index) + "]: " + out.Detail
	return &out
}
