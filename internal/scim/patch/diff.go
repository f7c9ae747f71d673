// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"maps"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// Diff returns the smallest list of operations that changes the canonical resource from into to:
// Apply(rt, from, Diff(rt, from, to)) equals to, apart from read-only attributes and members of
// groups. The operations are in the order of their paths. Each has a path, because some servers
// refuse an operation without one:
//   - a single-valued attribute, or a sub-attribute of a complex one, is replaced or removed
//   - a multi-valued attribute is replaced as a whole: a value path would need elements that both
//     sides identify in the same way
func Diff(rt *schema.ResourceType, from, to scim.Object) []Operation {
	d := differ{}
	d.attributes(rt.Schema.Attributes, "", from, to)
	if a := rt.Attribute("externalId"); a != nil {
		d.attributes([]*schema.Attribute{a}, "", from, to)
	}
	for _, e := range rt.Extensions {
		before, _ := from[e.Schema.ID].(scim.Object)
		after, _ := to[e.Schema.ID].(scim.Object)
		d.attributes(e.Schema.Attributes, e.Schema.ID+":", before, after)
	}
	slices.SortFunc(d.ops, func(a, b Operation) int { return strings.Compare(a.Path, b.Path) })
	for i := range d.ops {
		d.ops[i].Index = i
	}
	return d.ops
}

type differ struct{ ops []Operation }

func (d *differ) attributes(all []*schema.Attribute, prefix string, from, to scim.Object) {
	for _, a := range all {
		before, after := from[a.Name], to[a.Name]
		if a.Mutability == schema.ReadOnly || strings.EqualFold(a.Name, "members") || scim.Equal(before, after) {
			continue
		}
		old, isOld := before.(scim.Object)
		now, isNow := after.(scim.Object)
		if isOld && isNow && !a.MultiValued {
			d.parts(a, prefix, old, now)
			continue
		}
		d.set(prefix+a.Name, after)
	}
}

// parts compares the sub-attributes of a complex attribute that both resources have.
func (d *differ) parts(a *schema.Attribute, prefix string, from, to scim.Object) {
	for _, name := range slices.Sorted(maps.Keys(merged(from, to))) {
		s := a.Sub(name)
		if s == nil || s.Mutability == schema.ReadOnly || scim.Equal(from[name], to[name]) {
			continue
		}
		d.set(prefix+a.Name+"."+s.Name, to[name])
	}
}

func (d *differ) set(path string, value any) {
	if scim.Unassigned(value) {
		d.ops = append(d.ops, Operation{Op: Remove, Path: path})
		return
	}
	d.ops = append(d.ops, Operation{Op: Replace, Path: path, Value: value, HasValue: true})
}

func merged(a, b scim.Object) scim.Object {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// Body returns the PATCH request with these operations (RFC 7644 §3.5.2).
func Body(ops []Operation) scim.Object {
	list := make([]any, len(ops))
	for i, op := range ops {
		o := scim.Object{"op": string(op.Op)}
		if op.Path != "" {
			o["path"] = op.Path
		}
		if op.HasValue {
			o["value"] = op.Value
		}
		list[i] = o
	}
	return scim.Object{"schemas": []any{scim.SchemaPatchOp}, "Operations": list}
}
