// SPDX-License-Identifier: Apache-2.0

package quirk

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

const (
	core = `"schemas":["` + scim.SchemaUser + `"]`
	both = `"schemas":["` + scim.SchemaUser + `","` + scim.SchemaEnterpriseUser + `"]`
	ent  = scim.SchemaEnterpriseUser
)

func object(t testing.TB, text string) scim.Object {
	t.Helper()
	o, err := scim.DecodeJSON([]byte(text), scim.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

type rewrite struct {
	reason, in, want string // want "" for unchanged
	fired            []Name
}

func run(t *testing.T, cases map[string]rewrite, normalise func(*schema.ResourceType, scim.Object) (scim.Object, []Name), frame func(string) string) {
	t.Helper()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			in := object(t, frame(tc.in))
			want := object(t, frame(tc.in))
			if tc.want != "" {
				want = object(t, frame(tc.want))
			}
			got, fired := normalise(schema.User(), in)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
			slices.Sort(fired)
			slices.Sort(tc.fired)
			if diff := cmp.Diff(tc.fired, fired); diff != "" {
				t.Errorf("%s fired:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(object(t, frame(tc.in)), in); diff != "" {
				t.Errorf("the body was changed:\n%s", diff)
			}
			if again, refired := normalise(schema.User(), got); !scim.Equal(again, got) {
				t.Errorf("normalising again (%v) changes it:\n%s", refired, cmp.Diff(got, again))
			}
		})
	}
}

func TestResource(t *testing.T) {
	run(t, map[string]rewrite{
		"Right": {"A correct request is not changed.", `{` + both + `,"userName":"a","active":true,"emails":[{"value":"x","primary":true},{"value":"y"}],"name":{"givenName":"A"},"` + ent + `":{"manager":{"value":"m"}}}`, ``, nil},
		"MissingSchemas": {"Without schemas the engine refuses: no provider is documented to omit them here.",
			`{"userName":"a"}`, ``, nil},
		"ExtraSchema": {"", `{"schemas":["` + scim.SchemaUser + `","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group","urn:ietf:params:scim:schemas:extension:acme:2.0:User"],"userName":"a"}`,
			`{` + core + `,"userName":"a"}`, []Name{ExtraSchema}},
		"OtherKind": {"A schema of another resource type stays and is refused later.", `{"schemas":["` + scim.SchemaGroup + `"],"userName":"a"}`, ``, nil},
		"Typo": {"", `{"schemas":["` + scim.SchemaUser + `","urn:ietf:params:scim:schemas:extension:enterprise:2.0User"],"urn:ietf:params:scim:schemas:extension:enterprise:2.0User":{"department":"D"}}`,
			`{` + both + `,"` + ent + `":{"department":"D"}}`, []Name{EnterpriseTypo}},
		"TypoBeside": {"", `{"schemas":["` + scim.SchemaUser + `","` + ent + `","urn:ietf:params:scim:schemas:extension:enterprise:2.0User"]}`,
			`{` + both + `}`, []Name{EnterpriseTypo}},
		"Draft": {"OneLogin lists the URNs of the drafts, and sends the enterprise attributes under them.",
			`{"schemas":["urn:scim:schemas:core:2.0","urn:scim:schemas:extension:enterprise:2.0"],"userName":"a","urn:scim:schemas:extension:enterprise:2.0":{"department":"D"}}`,
			`{` + both + `,"userName":"a","` + ent + `":{"department":"D"}}`, []Name{DraftSchema}},
		"DraftWithType": {"", `{"schemas":["urn:scim:schemas:core:2.0:User"],"urn:scim:schemas:extension:enterprise:2.0:User:department":"D"}`,
			`{` + both + `,"` + ent + `":{"department":"D"}}`, []Name{DraftSchema, QualifiedKey, UndeclaredExtension}},
		"DraftBeside":   {"If schemas has the right URN and the draft's, the right one remains.", `{"schemas":["` + scim.SchemaUser + `","urn:scim:schemas:core:2.0"]}`, `{` + core + `}`, []Name{DraftSchema}},
		"DraftOfAGroup": {"A draft's URN of another resource type is removed like any unknown schema.", `{"schemas":["` + scim.SchemaUser + `","urn:scim:schemas:core:2.0:Group"]}`, `{` + core + `}`, []Name{ExtraSchema}},
		"Undeclared":    {"", `{` + core + `,"` + ent + `":{"department":"D"}}`, `{` + both + `,"` + ent + `":{"department":"D"}}`, []Name{UndeclaredExtension}},
		"Booleans": {"", `{` + core + `,"active":"True","emails":[{"value":"x","primary":"FALSE"}],"title":"True"}`,
			`{` + core + `,"active":true,"emails":[{"value":"x","primary":false}],"title":"True"}`, []Name{BooleanString}},
		"NotABoolean": {"A text that is no boolean stays and is refused later.", `{` + core + `,"active":"yes"}`, ``, nil},
		"Manager":     {"", `{` + both + `,"` + ent + `":{"manager":"m"}}`, `{` + both + `,"` + ent + `":{"manager":{"value":"m"}}}`, []Name{ManagerShape}},
		"ManagerList": {"", `{` + both + `,"` + ent + `":{"manager":[{"value":"m"}]}}`, `{` + both + `,"` + ent + `":{"manager":{"value":"m"}}}`, []Name{ManagerShape}},
		"Reference": {"A manager with $ref alone gets its value (RFC 7643 §2.4).", `{` + both + `,"` + ent + `":{"manager":{"$ref":"https://x.test/scim/v2/Users/m"}}}`,
			`{` + both + `,"` + ent + `":{"manager":{"$ref":"https://x.test/scim/v2/Users/m","value":"m"}}}`, []Name{ReferenceAlone}},
		"ReferenceRelative": {"A manager with an empty value gets the value of a relative $ref.", `{` + both + `,"` + ent + `":{"manager":{"$REF":"../Users/a%20b","Value":""}}}`,
			`{` + both + `,"` + ent + `":{"manager":{"$REF":"../Users/a%20b","value":"a b"}}}`, []Name{ReferenceAlone}},
		"ReferenceElsewhere": {"A $ref to another resource gives no value.", `{` + both + `,"` + ent + `":{"manager":{"$ref":"https://x.test/people/m"}}}`, ``, nil},
		"ReferenceToGroup":   {"", `{` + both + `,"` + ent + `":{"manager":{"$ref":"../Groups/m"}}}`, ``, nil},
		"ManagerMany":        {"Several managers stay and are refused later.", `{` + both + `,"` + ent + `":{"manager":["m","n"]}}`, ``, nil},
		"ManagerEmpty":       {"", `{` + both + `,"` + ent + `":{"manager":""}}`, ``, nil},
		"Dotted":             {"", `{` + core + `,"name.givenName":"A","name.familyName":"L"}`, `{` + core + `,"name":{"givenName":"A","familyName":"L"}}`, []Name{DottedKey}},
		"DottedBeside":       {"A nested value takes precedence over a dotted name.", `{` + core + `,"name":{"GivenName":"A"},"name.givenName":"B","name.familyName":"L"}`, `{` + core + `,"name":{"GivenName":"A","familyName":"L"}}`, []Name{DottedKey}},
		"Qualified": {"", `{` + both + `,"` + ent + `:department":"D","` + ent + `:manager.value":"m","` + scim.SchemaUser + `:userName":"a"}`,
			`{` + both + `,"userName":"a","` + ent + `":{"department":"D","manager":{"value":"m"}}}`, []Name{QualifiedKey}},
		"CoreObject": {"", `{` + core + `,"` + scim.SchemaUser + `":{"userName":"a","title":"x"},"title":"t"}`, `{` + core + `,"userName":"a","title":"t"}`, []Name{QualifiedKey}},
		"Primaries": {"", `{` + core + `,"emails":[{"value":"x"},{"value":"y","primary":true},{"value":"z","Primary":true}]}`,
			`{` + core + `,"emails":[{"value":"x"},{"value":"y","primary":true},{"value":"z","Primary":false}]}`, []Name{SeveralPrimaries}},
		"Nulls":   {"", `{` + core + `,"emails":[{"value":"x","display":null}]}`, ``, []Name{NullSubAttribute}},
		"Unknown": {"An unknown attribute is not changed.", `{` + core + `,"urn:x:y":{"a":"True"},"a.b":"True","shoe":"True"}`, ``, nil},
	}, Resource, func(s string) string { return s })
}

func TestPatch(t *testing.T) {
	run(t, map[string]rewrite{
		"Right":         {"A correct request is not changed.", `{"op":"replace","path":"active","value":true},{"op":"remove","path":"emails[type eq \"work\"]"},{"op":"add","value":{"title":"True","name":{"givenName":"A"}}},{"op":"remove","path":"title"}`, ``, nil},
		"Capitalised":   {"", `{"op":"Replace","path":"title","value":"Add"}`, `{"op":"replace","path":"title","value":"Add"}`, []Name{CapitalisedOperation}},
		"UnknownOp":     {"", `{"op":"Move","path":"title"}`, ``, nil},
		"Boolean":       {"", `{"op":"replace","path":"active","value":"False"}`, `{"op":"replace","path":"active","value":false}`, []Name{BooleanString}},
		"BooleanText":   {"A string attribute keeps a text that looks like a boolean.", `{"op":"replace","path":"title","value":"False"}`, ``, nil},
		"BooleanSub":    {"", `{"op":"replace","path":"emails[type eq \"work\"].primary","value":"True"}`, `{"op":"replace","path":"emails[type eq \"work\"].primary","value":true}`, []Name{BooleanString}},
		"BooleanInside": {"", `{"op":"replace","value":{"active":"False","emails":[{"value":"x","primary":"True"}]}}`, `{"op":"replace","value":{"active":false,"emails":[{"value":"x","primary":true}]}}`, []Name{BooleanString}},
		"Manager":       {"", `{"op":"add","path":"` + ent + `:manager","value":"m"}`, `{"op":"add","path":"` + ent + `:manager","value":{"value":"m"}}`, []Name{ManagerShape}},
		"ManagerShort":  {"", `{"op":"add","path":"manager","value":[{"$ref":"r","value":"m"}]}`, `{"op":"add","path":"` + ent + `:manager","value":{"$ref":"r","value":"m"}}`, []Name{ManagerShape, BareExtensionPath}},
		"ManagerValue":  {"", `{"op":"add","path":"` + ent + `:manager.value","value":"m"}`, ``, nil},
		"ManagerInside": {"", `{"op":"add","path":"` + ent + `","value":{"manager":"m"}}`, `{"op":"add","path":"` + ent + `","value":{"manager":{"value":"m"}}}`, []Name{ManagerShape}},
		"Keys": {"Names that are paths become operations of their own, after the rest.",
			`{"op":"replace","value":{"displayName":"B","name.givenName":"K","` + ent + `:employeeNumber":"A","emails[type eq \"work\"].primary":"True"}}`,
			`{"op":"replace","value":{"displayName":"B"}},{"op":"replace","path":"emails[type eq \"work\"].primary","value":true},{"op":"replace","path":"name.givenName","value":"K"},{"op":"replace","path":"` + ent + `:employeeNumber","value":"A"}`,
			[]Name{DottedKey, QualifiedKey, BooleanString}},
		"OnlyKeys":    {"", `{"op":"Add","VALUE":{"name.givenName":"K"}}`, `{"op":"add","path":"name.givenName","value":"K"}`, []Name{CapitalisedOperation, DottedKey}},
		"UnknownKey":  {"", `{"op":"add","value":{"a.b":"K"}}`, ``, nil},
		"Typo":        {"", `{"op":"add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0User:department","value":"D"}`, `{"op":"add","path":"` + ent + `:department","value":"D"}`, []Name{EnterpriseTypo}},
		"TypoInside":  {"", `{"op":"add","value":{"urn:ietf:params:scim:schemas:extension:enterprise:2.0User":{"department":"D"}}}`, `{"op":"add","value":{"` + ent + `":{"department":"D"}}}`, []Name{EnterpriseTypo}},
		"ValueList":   {"", `{"op":"remove","path":"emails","value":[{"value":"x"}]}`, ``, []Name{ValueListRemoval}},
		"SingleValue": {"", `{"op":"remove","path":"title","value":"x"}`, ``, nil},
		"Echo":        {"", `{"op":"replace","value":{"id":"g","title":"x"}}`, ``, []Name{ReadOnlyEcho}},
		"BadPath":     {"", `{"op":"add","path":"emails[","value":"True"}`, ``, nil},
		"CorePath":    {"", `{"op":"add","path":"` + scim.SchemaUser + `","value":{"title":"x"}}`, ``, nil},
		"NoObject":    {"", `"x"`, ``, nil},
		"NoValue":     {"", `{"op":"add","value":"x"}`, ``, nil},
	}, Patch, func(ops string) string {
		return `{"schemas":["` + scim.SchemaPatchOp + `"],"Operations":[` + ops + `]}`
	})
}

func TestPatchBody(t *testing.T) {
	run(t, map[string]rewrite{
		"MissingSchemas": {"A request of Okta's push now, without schemas, is completed.", `{"Operations":[{"op":"remove","path":"title"}]}`, `{"schemas":["` + scim.SchemaPatchOp + `"],"Operations":[{"op":"remove","path":"title"}]}`, []Name{MissingSchemas}},
		"NullSchemas":    {"", `{"Schemas":null,"operations":[]}`, `{"schemas":["` + scim.SchemaPatchOp + `"],"operations":[]}`, []Name{MissingSchemas}},
		"Empty":          {"", `{}`, `{"schemas":["` + scim.SchemaPatchOp + `"]}`, []Name{MissingSchemas}},
		"NoList":         {"", `{"schemas":["x"],"Operations":5}`, ``, nil},
	}, Patch, func(s string) string { return s })
	if got, _ := Patch(schema.User(), nil); got == nil {
		t.Error("a nil body gives a nil body")
	}
}

// TestNames: every quirk that fires anywhere is listed once.
func TestNames(t *testing.T) {
	seen := map[Name]bool{}
	for _, n := range Names() {
		if seen[n] {
			t.Errorf("%s occurs twice", n)
		}
		seen[n] = true
	}
	if len(seen) != 16 {
		t.Errorf("%d quirks are listed", len(seen))
	}
}
