// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"maps"
	"slices"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// own lists the attributes that are never part of a profile: the server's, and those that the
// driver handles apart.
var own = []string{"schemas", "id", "meta", "groups", "roles", "password"}

// wantedUser returns the user that the target shall have. profile is what the identity provider
// says about the user; nil if only the write is known. Attributes that the target does not take are
// left out.
func wantedUser(profile scim.Object, w portalapi.AccountWrite, roles []string, can *abilities, manager func(id string) string) scim.Object {
	o := scim.Object{}
	if profile != nil {
		o = maps.Clone(profile)
		for _, name := range own {
			delete(o, name)
		}
	} else {
		if name := parts(scim.Object{"givenName": w.GivenName, "familyName": w.FamilyName}); len(name) > 0 {
			o["name"] = name
		}
		if w.Email != "" {
			o["emails"] = []any{scim.Object{"value": w.Email, "type": "work", "primary": true}}
		}
	}
	o["userName"], o["externalId"], o["displayName"], o["active"] = w.UserName, w.ExternalID, w.DisplayName, w.Active
	if enterprise, ok := o[scim.SchemaEnterpriseUser].(scim.Object); ok {
		o[scim.SchemaEnterpriseUser] = withManager(enterprise, manager)
	}
	if can.roles && len(roles) > 0 {
		list := make([]any, len(roles))
		for i, r := range roles {
			list[i] = scim.Object{"value": r, "display": r}
		}
		o["roles"] = list
	}
	return can.users.of(o)
}

// withManager replaces the manager's SCIM id in the cluster by the id at the target. A manager who
// has no account there is left out.
func withManager(enterprise scim.Object, id func(string) string) scim.Object {
	m, ok := enterprise["manager"].(scim.Object)
	if !ok {
		return enterprise
	}
	out := maps.Clone(enterprise)
	delete(out, "manager")
	if value, _ := m["value"].(string); value != "" {
		if there := id(value); there != "" {
			out["manager"] = scim.Object{"value": there}
		}
	}
	return out
}

func parts(o scim.Object) scim.Object {
	maps.DeleteFunc(o, func(_ string, v any) bool { return scim.Unassigned(v) })
	return o
}

// of returns the assigned attributes of the canonical user that the target takes.
func (s shape) of(o scim.Object) scim.Object {
	out := scim.Object{}
	for name, v := range o {
		if scim.Unassigned(v) {
			continue
		}
		if name != scim.SchemaEnterpriseUser {
			if v = s.takes(name, v); v != nil {
				out[name] = v
			}
			continue
		}
		ext := scim.Object{}
		in, _ := v.(scim.Object)
		for part, v := range in {
			if v = s.takes(name+":"+part, v); !scim.Unassigned(v) {
				ext[part] = v
			}
		}
		if len(ext) > 0 {
			out[name] = ext
		}
	}
	return out
}

// canonicalUser returns the target's user in canonical form. An attribute that is not valid is left
// out: it then differs from the wanted one and is written.
func canonicalUser(rt *schema.ResourceType, o scim.Object) scim.Object {
	out := scim.Object{}
	take := func(into scim.Object, a *schema.Attribute, from scim.Object) {
		if a == nil || a.Mutability == schema.ReadOnly || a.Mutability == schema.WriteOnly {
			return
		}
		if v, err := a.Canonical(schema.ValueOf(from, a.Name), ""); err == nil && v != nil {
			into[a.Name] = v
		}
	}
	take(out, rt.Attribute("externalId"), o)
	for _, a := range rt.Schema.Attributes {
		take(out, a, o)
	}
	for _, e := range rt.Extensions {
		in, _ := schema.ValueOf(o, e.Schema.ID).(scim.Object)
		ext := scim.Object{}
		for _, a := range e.Schema.Attributes {
			take(ext, a, in)
		}
		if len(ext) > 0 {
			out[e.Schema.ID] = ext
		}
	}
	if out["active"] == nil {
		out["active"] = true // the default of RFC 7643 §4.1.1 is up to the target; one that omits it has no other state
	}
	return out
}

// listed returns the names of the attributes that the object has, sorted; those of the extension
// with its URN.
func listed(o scim.Object) []string {
	var out []string
	for name, v := range o {
		if name != scim.SchemaEnterpriseUser {
			out = append(out, name)
			continue
		}
		in, _ := v.(scim.Object)
		for part := range in {
			out = append(out, name+":"+part)
		}
	}
	slices.Sort(out)
	return out
}

// get returns the attribute with a name as listed returns it.
func get(o scim.Object, name string) any {
	if part, ok := strings.CutPrefix(name, scim.SchemaEnterpriseUser+":"); ok {
		in, _ := o[scim.SchemaEnterpriseUser].(scim.Object)
		return in[part]
	}
	return o[name]
}

// set returns o with the attribute; nil removes it. o is not changed.
func set(o scim.Object, name string, v any) scim.Object {
	out := maps.Clone(o)
	to, part := out, name
	if p, ok := strings.CutPrefix(name, scim.SchemaEnterpriseUser+":"); ok {
		in, _ := out[scim.SchemaEnterpriseUser].(scim.Object)
		if in = maps.Clone(in); in == nil {
			in = scim.Object{}
		}
		to, part = in, p
		out[scim.SchemaEnterpriseUser] = in
	}
	if v == nil {
		delete(to, part)
	} else {
		to[part] = v
	}
	if in, ok := out[scim.SchemaEnterpriseUser].(scim.Object); ok && len(in) == 0 {
		delete(out, scim.SchemaEnterpriseUser)
	}
	return out
}

// project returns the listed attributes of o.
func project(o scim.Object, list []string) scim.Object {
	out := scim.Object{}
	for _, name := range list {
		if v := get(o, name); v != nil {
			out = set(out, name, v)
		}
	}
	return out
}

// target returns the user that the target has after the smallest change: the wanted attributes, and
// the others as they are. sent lists the attributes that the driver sent before: if they are not
// wanted any more, they are removed. All others that are not wanted belong to the target.
func target(have, want scim.Object, sent []string) scim.Object {
	out := have
	for _, name := range union(listed(want), sent) {
		w := get(want, name)
		if h := get(have, name); w != nil && covers(h, w) {
			continue
		}
		out = set(out, name, w)
	}
	return out
}

// derived lists the sub-attributes that a target may add to what it was sent.
var derived = []string{"formatted", "display", "$ref", "primary"}

// covers reports whether the target's value is what was wanted, apart from sub-attributes that
// targets add, and the order of elements.
func covers(have, want any) bool {
	switch want := want.(type) {
	case scim.Object:
		have, ok := have.(scim.Object)
		if !ok {
			return false
		}
		for k, v := range want {
			if k == "display" && have[k] == nil {
				continue // a text for people, which some targets do not store
			}
			if !covers(have[k], v) {
				return false
			}
		}
		for k, v := range have {
			if want[k] == nil && !slices.Contains(derived, k) && !scim.Unassigned(v) {
				return false
			}
		}
		return true
	case []any:
		have, ok := have.([]any)
		if !ok || len(have) != len(want) {
			return false
		}
		left := slices.Clone(have)
		for _, w := range want {
			i := slices.IndexFunc(left, func(h any) bool { return covers(h, w) })
			if i < 0 {
				return false
			}
			left = slices.Delete(left, i, i+1)
		}
		return true
	}
	return scim.Equal(have, want)
}

// differs reports whether the target's user needs a change.
func differs(rt *schema.ResourceType, have, want scim.Object, sent []string) bool {
	return len(patch.Diff(rt, have, target(have, want, sent))) > 0
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// rolesOf returns the values of the attribute roles, sorted.
func rolesOf(o scim.Object) []string {
	var out []string
	list, _ := o["roles"].([]any)
	for _, e := range list {
		r, _ := e.(scim.Object)
		if v, _ := r["value"].(string); v != "" {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// mail returns the primary address, else the first work address, else the first one.
func mail(o scim.Object) string {
	best, rank := "", 0
	list, _ := o["emails"].([]any)
	for _, e := range list {
		m, _ := e.(scim.Object)
		value, _ := m["value"].(string)
		kind, _ := m["type"].(string)
		primary, _ := m["primary"].(bool)
		r := 1
		switch {
		case value == "":
			continue
		case primary:
			r = 3
		case strings.EqualFold(kind, "work"):
			r = 2
		}
		if r > rank {
			best, rank = value, r
		}
	}
	return best
}

func text(o scim.Object, name string) string {
	s, _ := o[name].(string)
	return s
}
