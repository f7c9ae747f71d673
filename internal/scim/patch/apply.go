// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"maps"
	"slices"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/path"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Apply applies ops in order to resource, all or none (RFC 7644 §3.5.2). resource is canonical and
// complete (with id and groups, so that equal read-only values can be distinguished from different
// ones) and is not changed. The result shares memory with it, and equals it when nothing changes.
//
// Errors are 400 and name the operation: invalidPath, invalidFilter, noTarget (a remove without
// path; a value path that can't be created), mutability (a read-only or required target),
// invalidValue; and 413 for operations that in total compare too much.
func Apply(rt *schema.ResourceType, resource scim.Object, ops []Operation) (scim.Object, error) {
	e := editor{rt: rt, out: maps.Clone(resource), lists: map[schema.Ref]bool{}}
	if e.out == nil {
		e.out = scim.Object{}
	}
	for _, op := range ops {
		if err := e.apply(op); err != nil {
			return nil, at(op.Index, err)
		}
	}
	if err := e.finish(); err != nil {
		return nil, err
	}
	return e.out, nil
}

// editor contains the resource after the operations so far. Values are replaced, never changed in
// place.
type editor struct {
	rt    *schema.ResourceType
	out   scim.Object
	lists map[schema.Ref]bool // multi-valued attributes that were written
	work  int                 // cost of the comparisons so far; see charge
}

func (e *editor) apply(op Operation) error {
	if op.Path == "" {
		return e.applyAll(op)
	}
	p, err := path.Parse(op.Path, e.rt)
	switch {
	case err != nil:
		return err
	case p.Attribute != nil:
		return e.applyTo(p, op)
	case p.Extension != nil:
		return e.applyExtension(p.Extension, op)
	}
	return e.applyAll(op)
}

// applyAll applies an operation without a path: each attribute of its value separately.
func (e *editor) applyAll(op Operation) error {
	if op.Op == Remove {
		return scim.BadRequest(scim.NoTarget, "A remove needs a path.")
	}
	value, ok := op.Value.(scim.Object)
	if !ok {
		return scim.BadRequest(scim.InvalidValue, "Without a path the value must be an object of attributes.")
	}
	for _, key := range slices.Sorted(maps.Keys(value)) {
		if err := e.applyKey(key, value[key], op.Op); err != nil {
			return err
		}
	}
	return nil
}

func (e *editor) applyKey(key string, v any, do Op) error {
	op := Operation{Op: do, Value: v, HasValue: true}
	if a := e.rt.Attribute(key); a != nil {
		if a.Name == "meta" || a.Name == "schemas" {
			return nil
		}
		return e.applyTo(path.Path{Ref: schema.Ref{Attribute: a}}, op)
	}
	if ext := e.rt.Extension(key); ext != nil {
		return e.applyExtension(ext, op)
	}
	if v == nil {
		return nil
	}
	return scim.BadRequest(scim.InvalidPath, "%s has no attribute %q.", e.rt.Name, key)
}

func (e *editor) applyExtension(ext *schema.Schema, op Operation) error {
	if op.Op == Remove || op.Op == Replace && scim.Unassigned(op.Value) {
		delete(e.out, ext.ID)
		return nil
	}
	if scim.Unassigned(op.Value) {
		return nil
	}
	value, ok := op.Value.(scim.Object)
	if !ok {
		return scim.BadRequest(scim.InvalidValue, "The value for %q must be an object.", ext.ID)
	}
	for _, key := range slices.Sorted(maps.Keys(value)) {
		a := ext.Attribute(key)
		if a == nil && value[key] == nil {
			continue
		}
		if a == nil {
			return scim.BadRequest(scim.InvalidPath, "%q has no attribute %q.", ext.ID, key)
		}
		one := Operation{Op: op.Op, Value: value[key], HasValue: true}
		if err := e.applyTo(path.Path{Ref: schema.Ref{Extension: ext, Attribute: a}}, one); err != nil {
			return err
		}
	}
	return nil
}

// applyTo applies op to the attribute at p.
func (e *editor) applyTo(p path.Path, op Operation) error {
	if op.Op != Remove && !op.HasValue {
		return scim.BadRequest(scim.InvalidValue, "The value of %s is missing.", op.Op)
	}
	if done, err := e.checkMutability(p, op); done || err != nil {
		return err
	}
	old := p.Get(e.out)
	if err := e.charge(p, old, op); err != nil {
		return err
	}
	value, err := newValue(p, old, op)
	if err != nil {
		return err
	}
	if p.Attribute.Mutability == schema.Immutable && old != nil && !scim.Equal(old, value) {
		return mutability(p, "is set once and can't be changed")
	}
	e.set(p.Ref, value)
	return nil
}

// checkMutability reports that there is nothing to do, or returns an error if the change is not
// allowed.
func (e *editor) checkMutability(p path.Path, op Operation) (done bool, err error) {
	a := p.Attribute
	switch {
	case a.Name == "schemas" && p.Extension == nil:
		if op.Op == Remove {
			return true, mutability(p, "is derived from other attributes")
		}
		return true, nil
	case a.Mutability == schema.ReadOnly || p.Sub != nil && p.Sub.Mutability == schema.ReadOnly:
		if op.Op != Remove && p.Filter == nil && equalReadOnly(p, e.out, op.Value) {
			return true, nil
		}
		return true, mutability(p, "is read-only")
	case a.Mutability == schema.WriteOnly:
		_, err = a.Canonical(op.Value, "")
		return true, err
	case op.Op == Remove && a.Required && p.Filter == nil && p.Sub == nil:
		return true, mutability(p, "is required and can't be removed")
	}
	return false, nil
}

func equalReadOnly(p path.Path, o scim.Object, v any) bool {
	have := p.Get(o)
	if p.Sub != nil {
		inner, _ := have.(scim.Object)
		have = inner[p.Sub.Name]
	}
	return scim.Equal(have, v) || scim.Unassigned(have) && scim.Unassigned(v)
}

func mutability(p path.Path, why string) error {
	return scim.BadRequest(scim.Mutability, "Attribute %q %s.", p.Ref.String(), why)
}

// set sets the value at ref; nil for unassigned.
func (e *editor) set(ref schema.Ref, value any) {
	ref.Sub = nil
	if ref.Attribute.MultiValued {
		e.lists[ref] = true
	}
	target := e.out
	if ref.Extension != nil {
		old, _ := e.out[ref.Extension.ID].(scim.Object)
		if target = maps.Clone(old); target == nil {
			target = scim.Object{}
		}
		defer func() {
			if len(target) == 0 {
				delete(e.out, ref.Extension.ID)
			} else {
				e.out[ref.Extension.ID] = target
			}
		}()
	}
	if value == nil {
		delete(target, ref.Attribute.Name)
	} else {
		target[ref.Attribute.Name] = value
	}
}

// finish tidies the written lists, checks required attributes and derives schemas.
func (e *editor) finish() error {
	for ref := range e.lists {
		list, ok := ref.Get(e.out).([]any)
		if !ok {
			continue
		}
		tidy, err := ref.Attribute.Tidy(list, "")
		if err != nil {
			return err
		}
		if len(tidy) == 0 {
			e.set(ref, nil)
		} else {
			e.set(ref, tidy)
		}
	}
	if err := e.rt.CheckRequired(e.out); err != nil {
		return err
	}
	e.out["schemas"] = e.rt.SchemasOf(e.out)
	return nil
}
