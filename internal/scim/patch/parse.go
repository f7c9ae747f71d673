// Package patch applies PATCH and PUT requests (RFC 7644 §3.5) as pure functions: a canonical
// resource and operations in, a new canonical resource out, and whether anything changed. The input
// is never changed, and a failing operation leaves no trace of those before it.
//
// Where the RFC leaves room, this is decided:
//   - A value path that matches nothing creates the element for add and for replace, with what its
//     filter says (type eq "work" gives type work), so that later operations of the same request
//     land on it. Entra ID relies on this. A filter that is more than equalities joined by and
//     can't be satisfied by a new element, and a replace of an element that the filter names by its
//     value means that one alone: 400 noTarget.
//   - replace of elements chosen by a filter replaces them whole, but keeps what the filter's
//     equalities say of them.
//   - remove with a list of values removes those elements alone (Entra ID's older form); an empty
//     list removes none. On a single-valued attribute the value is ignored. Removing what is not
//     there succeeds.
//   - add of nothing (null, "", []) changes nothing, replace with nothing clears.
//   - Without a path, replace merges: attributes not mentioned stay, complex ones keep unmentioned
//     sub-attributes.
//   - schemas and meta in a value without path are ignored; other read-only attributes must equal
//     what is there.
package patch

import (
	"errors"
	"strconv"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Op is what an operation does.
type Op string

// The operations.
const (
	Add     Op = "add"
	Remove  Op = "remove"
	Replace Op = "replace"
)

// MaxOperations is how many operations a request may hold.
const MaxOperations = 10_000

// Operation is one element of Operations.
type Operation struct {
	Op       Op
	Path     string // empty for none
	Value    any
	HasValue bool // value was there, be it null
	Index    int  // position in the request, for errors
}

// Parse reads a PATCH body that quirk.Patch has normalised. Errors are 400 invalidSyntax: schemas
// lacks the PatchOp URN, Operations is missing, empty or no list of objects, an op is unknown, a
// path is no string. Names may be in any case.
func Parse(body scim.Object) ([]Operation, error) {
	if !holds(schema.ValueOf(body, "schemas"), scim.SchemaPatchOp) {
		return nil, scim.BadRequest(scim.InvalidSyntax, "The attribute \"schemas\" must hold %q.", scim.SchemaPatchOp)
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

// at says in the error which operation it is about.
func at(index int, err error) error {
	var e *scim.Error
	if !errors.As(err, &e) {
		return err
	}
	out := *e
	out.Detail = "Operations[" + strconv.Itoa(index) + "]: " + out.Detail
	return &out
}
