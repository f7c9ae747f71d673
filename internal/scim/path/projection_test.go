// SPDX-License-Identifier: Apache-2.0

package path

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

func object(t testing.TB, text string) scim.Object {
	t.Helper()
	o, err := scim.DecodeJSON([]byte(text), scim.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

const ada = `{"schemas":["x"],"id":"u1","userName":"ada","name":{"givenName":"Ada","familyName":"L"},
	"emails":[{"type":"work","value":"a@x"},{"value":"b@x"}],"meta":{"location":"l","version":"v"},
	"` + ent + `":{"department":"R&D","manager":{"value":"m1"}}}`

// TestProjection is RFC 7644 §3.9 and the returned characteristic of RFC 7643 §7.
func TestProjection(t *testing.T) {
	cases := map[string]struct{ reason, attributes, excluded, want string }{
		"Default":      {"", "", "", ada},
		"Only":         {"schemas and id are always returned.", "userName", "", `{"schemas":["x"],"id":"u1","userName":"ada"}`},
		"OnlyCase":     {"", " USERNAME , Name.GivenName ", "", `{"schemas":["x"],"id":"u1","userName":"ada","name":{"givenName":"Ada"}}`},
		"OnlySub":      {"", "emails.value", "", `{"schemas":["x"],"id":"u1","emails":[{"value":"a@x"},{"value":"b@x"}]}`},
		"OnlySubPart":  {"An element without the requested sub-attribute is not returned.", "emails.type", "", `{"schemas":["x"],"id":"u1","emails":[{"type":"work"}]}`},
		"OnlySubGone":  {"", "emails.display", "", `{"schemas":["x"],"id":"u1"}`},
		"OnlyWhole":    {"A request for an attribute and for a part of it returns the whole attribute.", "name.givenName,name", "", `{"schemas":["x"],"id":"u1","name":{"givenName":"Ada","familyName":"L"}}`},
		"OnlyURN":      {"", scim.SchemaUser + ":userName," + ent + ":department", "", `{"schemas":["x"],"id":"u1","userName":"ada","` + ent + `":{"department":"R&D"}}`},
		"OnlyExt":      {"", ent, "", `{"schemas":["x"],"id":"u1","` + ent + `":{"department":"R&D","manager":{"value":"m1"}}}`},
		"OnlyCore":     {"", scim.SchemaUser, "", `{"schemas":["x"],"id":"u1","userName":"ada","name":{"givenName":"Ada","familyName":"L"},"emails":[{"type":"work","value":"a@x"},{"value":"b@x"}]}`},
		"OnlyUnknown":  {"An unknown name in attributes is ignored.", "nosuch,%%", "", `{"schemas":["x"],"id":"u1"}`},
		"OnlyPassword": {"An attribute that is never returned is not returned on request.", "password,id", "", `{"schemas":["x"],"id":"u1"}`},
		"Except":       {"", "", "emails,name.familyName," + ent + ",meta", `{"schemas":["x"],"id":"u1","userName":"ada","name":{"givenName":"Ada"}}`},
		"ExceptSub":    {"", "", "name.givenName,name.familyName,emails.type," + ent + ":manager", `{"schemas":["x"],"id":"u1","userName":"ada","emails":[{"value":"a@x"},{"value":"b@x"}],"meta":{"location":"l","version":"v"},"` + ent + `":{"department":"R&D"}}`},
		"ExceptAlways": {"An attribute that is always returned cannot be excluded.", "", "id,schemas,nosuch," + scim.SchemaUser, ada},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := ParseProjection(tc.attributes, tc.excluded, schema.User())
			if err != nil {
				t.Fatal(err)
			}
			in := object(t, ada)
			if diff := cmp.Diff(object(t, tc.want), p.Apply(in)); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
			encoded := p.AppendJSON([]byte("before"), compact(t, in))
			if diff := cmp.Diff(object(t, tc.want), object(t, string(bytes.TrimPrefix(encoded, []byte("before"))))); diff != "" {
				t.Errorf("%s, of encoded bytes\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(object(t, ada), in); diff != "" {
				t.Errorf("Apply changed its input\n%s", diff)
			}
		})
	}
}

func TestProjectionOfSecret(t *testing.T) {
	p, err := ParseProjection("", "", schema.User())
	if err != nil {
		t.Fatal(err)
	}
	got := p.Apply(object(t, `{"id":"u1","password":"p"}`))
	if diff := cmp.Diff(object(t, `{"id":"u1"}`), got); diff != "" {
		t.Error(diff)
	}
}

func TestProjectionRefuses(t *testing.T) {
	if _, err := ParseProjection("userName", "emails", schema.User()); err == nil {
		t.Error("attributes and excludedAttributes went together (RFC 7644 §3.9)")
	}
}

func TestExcludes(t *testing.T) {
	cases := map[string]struct {
		attributes, excluded string
		want                 bool
	}{
		"Default":     {"", "", false},
		"Excluded":    {"", "Members", true},
		"ExcludedURN": {"", scim.SchemaGroup + ":members", true},
		"ExcludedSub": {"", "members.display", false},
		"Other":       {"displayName", "", true},
		"Asked":       {"displayName,members.value", "", false},
	}
	for name, tc := range cases {
		p, err := ParseProjection(tc.attributes, tc.excluded, schema.Group())
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Excludes("members"); got != tc.want {
			t.Errorf("%s: Excludes(members) is %v", name, got)
		}
		if p.Excludes("id") {
			t.Errorf("%s: id is always returned", name)
		}
	}
}

// TestHeldBack: the short way of Default relies on nothing but core attributes being held back.
func TestHeldBack(t *testing.T) {
	var check func(where string, attributes []*schema.Attribute, top bool)
	check = func(where string, attributes []*schema.Attribute, top bool) {
		for _, a := range attributes {
			if !top && (a.Returned == schema.Never || a.Returned == schema.OnRequest) {
				t.Errorf("%s.%s is returned %s", where, a.Name, a.Returned)
			}
			check(where+"."+a.Name, a.SubAttributes, false)
		}
	}
	for _, rt := range []*schema.ResourceType{schema.User(), schema.Group()} {
		check(rt.Name, rt.Schema.Attributes, true)
		for _, e := range rt.Extensions {
			check(e.Schema.Name, e.Schema.Attributes, false)
		}
	}
}

func BenchmarkDefaultProjection(b *testing.B) {
	p, _ := ParseProjection("", "", schema.User())
	user := object(b, ada)
	b.ReportAllocs()
	for b.Loop() {
		p.Apply(user)
	}
}

// compact returns a resource as a directory encodes it.
func compact(t testing.TB, o scim.Object) []byte {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzAppendJSON: of any canonical person, a projection of the encoded bytes returns what a
// projection of the object does.
func FuzzAppendJSON(f *testing.F) {
	for _, names := range []string{"", "userName", "name.givenName,emails.type", "emails.value,meta.location," + ent + ":manager.value", ent, "active,schemas"} {
		f.Add(ada, names, true)
		f.Add(`{"id":"\\","userName":"a\"}],\\","active":true,"emails":[{"value":"{\"[\\\\"},{"type":"work","primary":true}]}`, names, false)
	}
	f.Fuzz(func(t *testing.T, text, names string, only bool) {
		in, err := scim.DecodeJSON([]byte(text), scim.Limits{})
		if err != nil {
			return
		}
		if in, err = schema.Canonicalize(schema.User(), in, schema.Create); err != nil {
			return
		}
		attributes, excluded := names, ""
		if !only {
			attributes, excluded = "", names
		}
		p, err := ParseProjection(attributes, excluded, schema.User())
		if err != nil {
			t.Fatal(err)
		}
		got := object(t, string(p.AppendJSON(nil, compact(t, in))))
		if diff := cmp.Diff(p.Apply(in), got); diff != "" {
			t.Errorf("attributes %q, excludedAttributes %q of %s\n%s", attributes, excluded, strings.TrimSpace(text), diff)
		}
	})
}

// BenchmarkAppendJSON projects one person.
func BenchmarkAppendJSON(b *testing.B) {
	p, err := ParseProjection("userName,name.givenName", "", schema.User())
	if err != nil {
		b.Fatal(err)
	}
	in := compact(b, object(b, ada))
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = p.AppendJSON(out[:0], in)
	}
}
