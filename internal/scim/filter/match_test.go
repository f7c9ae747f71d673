// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

func ada() scim.Object {
	return scim.Object{
		"schemas":  []any{scim.SchemaUser, scim.SchemaEnterpriseUser},
		"id":       "2819c223",
		"userName": "Ada@Example.test",
		"name":     scim.Object{"givenName": "Ada", "familyName": "Straße"},
		"title":    "Engineer ",
		"active":   true,
		"emails": []any{
			scim.Object{"type": "work", "value": "ada@example.test", "primary": true},
			scim.Object{"type": "home", "value": "countess@example.org"},
		},
		"roles": []any{scim.Object{"value": "Admin"}},
		"meta":  scim.Object{"created": "2026-01-31T08:00:00Z", "lastModified": "2026-01-31T09:30:00.5+01:00"},
		scim.SchemaEnterpriseUser: scim.Object{
			"department": "R&D", "employeeNumber": "0815", "manager": scim.Object{"value": "M1"},
		},
	}
}

// TestMatch tests RFC 7644 §3.4.2.2 table 3 and RFC 7643 §2.3.
func TestMatch(t *testing.T) {
	const ent = scim.SchemaEnterpriseUser
	cases := map[string]struct {
		reason, in string
		want       bool
	}{
		"UserNameCase":      {"A userName is compared without regard to case: it is caseExact false.", `userName eq "ADA@example.TEST"`, true},
		"NameCase":          {"Attribute names are case-insensitive.", `USERNAME eq "ada@example.test"`, true},
		"IDExact":           {"An id is compared with regard to case: it is caseExact.", `id eq "2819C223"`, false},
		"NotEqual":          {"", `userName ne "bob"`, true},
		"NotEqualSame":      {"", `userName ne "ada@example.test"`, false},
		"NotEqualAbsent":    {"An unassigned value is not equal to any value.", `nickName ne "x"`, true},
		"FoldedUnicode":     {"Case is folded fully.", `name.familyName eq "STRASSE"`, true},
		"Contains":          {"", `userName co "A@EX"`, true},
		"ContainsSpace":     {"A part keeps its white space.", `userName co " "`, false},
		"StartsWith":        {"", `userName sw "ada"`, true},
		"EndsWith":          {"", `userName ew ".TEST"`, true},
		"EndsWithNot":       {"", `userName ew "x"`, false},
		"EqualTrimmed":      {"Outer white space does not distinguish two values.", `title eq "engineer"`, true},
		"Greater":           {"Strings are compared in their order.", `name.givenName gt "Aba"`, true},
		"GreaterOrEqual":    {"", `name.givenName ge "ada"`, true},
		"Less":              {"", `name.givenName lt "ada"`, false},
		"LessOrEqual":       {"", `name.givenName le "ada"`, true},
		"Present":           {"", `name pr`, true},
		"PresentAbsent":     {"", `nickName pr`, false},
		"Boolean":           {"", `active eq true`, true},
		"BooleanNot":        {"", `active ne true`, false},
		"BooleanString":     {"Entra ID compares with a string.", `active eq "True"`, true},
		"Null":              {"null is unassigned (RFC 7643 §2.5).", `nickName eq null and userName ne null`, true},
		"AnyElement":        {"A multi-valued attribute matches if one element does.", `emails.type eq "home"`, true},
		"ComplexIsValue":    {"PingFederate compares the attribute itself.", `emails eq "countess@example.org"`, true},
		"ComplexIsValueNot": {"", `emails eq "x"`, false},
		"TwoElements":       {"Without brackets each comparison may match another element.", `emails.type eq "home" and emails.value co "ada"`, true},
		"OneElement":        {"Within brackets one element satisfies all.", `emails[type eq "home" and value co "ada"]`, false},
		"OneElementHit":     {"", `emails[type eq "work" and value co "ada"]`, true},
		"Entra":             {"", `emails[type eq "work"].value eq "ADA@example.test"`, true},
		"EntraMiss":         {"The e-mail of another type does not count.", `emails[type eq "home"].value eq "ada@example.test"`, false},
		"AbsentList":        {"", `phoneNumbers.value ne "1"`, true},
		"AbsentListPath":    {"", `phoneNumbers[type eq "work"]`, false},
		"Instant":           {"Times are compared as instants, not as text.", `meta.lastModified eq "2026-01-31T08:30:00.500Z"`, true},
		"InstantGreater":    {"", `meta.created gt "2026-01-31T08:00:00+01:00"`, true},
		"Extension":         {"", ent + `:department eq "r&d"`, true},
		"ExtensionSub":      {"", ent + `:manager.value eq "M1"`, true},
		"ExtensionValue":    {"", ent + `:manager eq "M1"`, true},
		"ManagerExact":      {"A manager's id is compared with regard to case: it is caseExact.", ent + `:manager.value eq "m1"`, false},
		"CoreURN":           {"", scim.SchemaUser + `:name.givenName eq "ada"`, true},
		"Not":               {"", `not (active eq true)`, false},
		"Or":                {"", `active eq false or title pr`, true},
		"And":               {"", `active eq true and nickName pr`, false},
		"Schemas":           {"A simple multi-valued attribute matches if one element does.", `schemas eq "` + ent + `"`, true},
		"SchemasPath":       {"value is the element of a simple attribute.", `schemas[value ew ":User" and value co "enterprise"]`, true},
		"SingleComplex":     {"A single complex value is its only element.", `name[givenName eq "ada"]`, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m, err := Compile(tc.in, schema.User())
			if err != nil {
				t.Fatalf("Compile(%q): %v", tc.in, err)
			}
			if got := m.Match(ada()); got != tc.want {
				t.Errorf("%s %s: got %v, want %v", tc.reason, tc.in, got, tc.want)
			}
		})
	}
}

// TestBindRefuses tests RFC 7644 §3.4.2.2: filters that match no resource type.
func TestBindRefuses(t *testing.T) {
	cases := map[string]struct{ in, says string }{
		"Unknown":         {`active eq true and nosuch eq 1`, `position 20: User has no attribute "nosuch"`},
		"UnknownSub":      {`name.nosuch eq "x"`, `"name" has no sub-attribute "nosuch"`},
		"UnknownSchema":   {`urn:x:userName eq "x"`, `has no schema "urn:x"`},
		"WholeSchema":     {scim.SchemaEnterpriseUser + ` pr`, "names a whole schema"},
		"CoreSchema":      {scim.SchemaUser + ` pr`, "names a whole schema"},
		"BooleanOrder":    {`active gt true`, "gt is not supported for"},
		"BinaryOrder":     {`x509Certificates.value ge "x"`, "ge is not supported for"},
		"TimeContains":    {`meta.created co "2026"`, "co is not supported for"},
		"NumberForText":   {`userName eq 5`, "put the value in double quotes"},
		"BoolForText":     {`userName eq true`, "put the value in double quotes"},
		"TextForBool":     {`active eq "yes"`, "true or false"},
		"BadTime":         {`meta.created gt "yesterday"`, "compared with a time"},
		"NullOrder":       {`title gt null`, "only with eq and ne"},
		"Complex":         {`name eq "x"`, "compare one of its sub-attributes, such as name.formatted"},
		"ElementUnknown":  {`emails[nosuch pr]`, `"emails" has no sub-attribute "nosuch"`},
		"ElementDotted":   {`emails[emails.type eq "x"]`, "only names of sub-attributes"},
		"NoElements":      {`userName[value eq "x"]`, "is not multi-valued"},
		"ExtensionPath":   {scim.SchemaEnterpriseUser + `[department pr]`, "names a whole schema"},
		"ThenUnknown":     {`emails[type eq "x"].nosuch eq "y"`, `no sub-attribute "nosuch"`},
		"ElementInValues": {`schemas[type eq "x"]`, `"schemas" has no sub-attribute "type"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m, err := Compile(tc.in, schema.User())
			wantFilterError(t, m, err, tc.says)
		})
	}
}

// TestSensitive tests RFC 7644 §7.5.2: attributes that are never returned can't be searched.
func TestSensitive(t *testing.T) {
	for _, text := range []string{`password eq "x"`, `userName eq "a" or PASSWORD sw "s"`, scim.SchemaUser + `:password pr`} {
		var e *scim.Error
		if _, err := Compile(text, schema.User()); !errors.As(err, &e) || e.Status != 403 || e.Type != scim.Sensitive {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestTerms(t *testing.T) {
	for text, want := range map[string]int{`userName pr`: 1, `not (a.b pr)`: 0, `title pr and (active eq true or not (nickName pr))`: 3, `emails[type eq "work" and value pr]`: 3} {
		m, err := Compile(text, schema.User())
		if want == 0 {
			if err == nil {
				t.Errorf("%s must be refused", text)
			}
			continue
		}
		if err != nil || m.Terms() != want {
			t.Errorf("%s: %d terms, want %d, %v", text, m.Terms(), want, err)
		}
	}
}

func TestEqualities(t *testing.T) {
	cases := map[string]struct {
		reason, in string
		want       []Equality
		exact      bool
	}{
		"One":     {"", `DISPLAYNAME eq "Ada"`, []Equality{{"displayName", "Ada"}}, true},
		"Two":     {"Entra ID's probe of a membership.", `id eq "g" and members eq "u"`, []Equality{{"id", "g"}, {"members.value", "u"}}, true},
		"Mixed":   {"Match checks conditions that are no equality.", `id eq "g" and displayName pr`, []Equality{{"id", "g"}}, false},
		"Or":      {"A disjunction implies neither side.", `id eq "a" or id eq "b"`, nil, false},
		"Not":     {"", `not (id eq "a")`, nil, false},
		"Null":    {"", `externalId eq null`, nil, false},
		"Grouped": {"", `(id eq "g" and (displayName eq "x" and displayName pr))`, []Equality{{"id", "g"}, {"displayName", "x"}}, false},
		"Element": {"", `members[value eq "u" and type eq "User"]`, []Equality{{`members[type eq "user"].value`, "u"}, {"members.value", "u"}, {"members.type", "User"}}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m, err := Compile(tc.in, schema.Group())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, m.Equalities()); diff != "" || m.Exact() != tc.exact {
				t.Errorf("%s exact %v, want %v\n%s", tc.reason, m.Exact(), tc.exact, diff)
			}
		})
	}
}

func TestEqualitiesOfWorkMail(t *testing.T) {
	want := []Equality{
		{"emails.type", "Work"}, {`emails[type eq "work"].value`, "x"}, {"emails.value", "x"},
	}
	for _, in := range []string{`emails[type eq "Work"].value eq "x"`, `emails[type eq "Work" and value eq "x"]`} {
		m, err := Compile(in, schema.User())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, m.Equalities()); diff != "" {
			t.Errorf("%s:\n%s", in, diff)
		}
	}
}

func TestAnyOf(t *testing.T) {
	for in, want := range map[string][]string{
		`value eq "a"`: {"a"},
		`value eq "a" or value eq "b" or value eq "a"`: {"a", "b", "a"},
		`value eq "a" or display eq "b"`:               nil,
		`value ne "a"`:                                 nil,
		`value eq "a" and value eq "b"`:                nil,
		`value eq null`:                                nil,
	} {
		n, rest, err := ParseValueFilter(in + "].x")
		if err != nil || rest != ".x" {
			t.Fatalf("ParseValueFilter(%q) leaves %q, error %v", in, rest, err)
		}
		m, err := BindValue(n, schema.Group().Attribute("members"))
		if err != nil {
			t.Fatal(err)
		}
		got, ok := m.AnyOf("value")
		if diff := cmp.Diff(want, got); ok != (want != nil) || ok && diff != "" {
			t.Errorf("AnyOf of %s = %v, %v, want %v", in, got, ok, want)
		}
	}
}

// BenchmarkUserNameEq measures the filter that every provider sends before it creates a user.
func BenchmarkUserNameEq(b *testing.B) {
	user := ada()
	b.ReportAllocs()
	for b.Loop() {
		m, err := Compile(`userName eq "ADA@example.test"`, schema.User())
		if err != nil || !m.Match(user) {
			b.Fatal("no match", err)
		}
	}
}

func BenchmarkMatchUserNameEq(b *testing.B) {
	user := ada()
	m, err := Compile(`userName eq "ADA@example.test"`, schema.User())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Match(user)
	}
}

func BenchmarkWorkMailEq(b *testing.B) {
	user := ada()
	b.ReportAllocs()
	for b.Loop() {
		m, err := Compile(`emails[type eq "work"].value eq "ada@example.test"`, schema.User())
		if err != nil || !m.Match(user) {
			b.Fatal("no match", err)
		}
	}
}
