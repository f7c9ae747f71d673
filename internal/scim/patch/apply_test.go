// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/quirk"
	"lightrun.com/scim-operator/internal/scim/schema"
)

const (
	ent = scim.SchemaEnterpriseUser
	ada = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","` + ent + `"],"id":"u1","externalId":"e1","userName":"ada","title":"Engineer","active":true,
		"name":{"givenName":"Ada","familyName":"L"},
		"emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"b@x"}],
		"groups":[{"value":"g1","type":"direct"}],
		"meta":{"resourceType":"User","created":"2026-01-31T08:00:00Z"},
		"` + ent + `":{"department":"R&D","manager":{"value":"m1","displayName":"Em","$ref":"https://h/Users/m1"}}}`
)

func object(t testing.TB, text string) scim.Object {
	t.Helper()
	o, err := scim.DecodeJSON([]byte(text), scim.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func encode(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// operations reads a list of operations as the server does, quirks included.
func operations(rt *schema.ResourceType, ops scim.Object) ([]patch.Operation, error) {
	body, _ := quirk.Patch(rt, ops)
	return patch.Parse(body)
}

func apply(t testing.TB, start, ops string) (scim.Object, error) {
	t.Helper()
	user := object(t, start)
	before := encode(t, user)
	parsed, err := operations(schema.User(), object(t, `{"schemas":["`+scim.SchemaPatchOp+`"],"Operations":[`+ops+`]}`))
	if err != nil {
		return nil, err
	}
	out, err := patch.Apply(schema.User(), user, parsed)
	if after := encode(t, user); after != before {
		t.Errorf("Apply changed its input:\n%s", cmp.Diff(before, after))
	}
	return out, err
}

// edited is ada with changes: each key is set, null removes it.
func edited(t testing.TB, changes string) scim.Object {
	o := object(t, ada)
	for k, v := range object(t, changes) {
		if v == nil {
			delete(o, k)
		} else {
			o[k] = v
		}
	}
	return o
}

type change struct {
	reason, ops string
	want        string // changes to ada; "" if there is none
}

func runChanges(t *testing.T, cases map[string]change) {
	t.Helper()
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			want := edited(t, "{}")
			if tc.want != "" {
				want = edited(t, tc.want)
			}
			got, err := apply(t, ada, tc.ops)
			if err != nil {
				t.Fatalf("%s %v", tc.reason, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
		})
	}
}

// TestAdd tests RFC 7644 §3.5.2.1.
func TestAdd(t *testing.T) {
	runChanges(t, map[string]change{
		"Simple":           {"", `{"op":"add","path":"nickName","value":"A"}`, `{"nickName":"A"}`},
		"Replaces":         {"Add to a single value replaces it.", `{"op":"add","path":"title","value":"Boss"}`, `{"title":"Boss"}`},
		"Equal":            {"An add of an equal value changes nothing, so lastModified stays.", `{"op":"add","path":"title","value":"Engineer"}`, ``},
		"SubAttribute":     {"", `{"op":"add","path":"name.middleName","value":"K"}`, `{"name":{"givenName":"Ada","familyName":"L","middleName":"K"}}`},
		"Complex":          {"An add of a complex value merges it.", `{"op":"add","path":"name","value":{"MIDDLENAME":"K"}}`, `{"name":{"givenName":"Ada","familyName":"L","middleName":"K"}}`},
		"Append":           {"", `{"op":"add","path":"emails","value":[{"type":"other","value":"c@x"}]}`, `{"emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"b@x"},{"type":"other","value":"c@x"}]}`},
		"AppendOne":        {"An add of a single value to a list adds one element.", `{"op":"add","path":"emails","value":{"type":"other","value":"c@x"}}`, `{"emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"b@x"},{"type":"other","value":"c@x"}]}`},
		"AppendEqual":      {"", `{"op":"add","path":"emails","value":[{"type":"home","value":"B@x"}]}`, `{"emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"B@x"}]}`},
		"AppendSame":       {"", `{"op":"add","path":"emails","value":[{"type":"home","value":"b@x"}]}`, ``},
		"NewPrimary":       {"A new primary unsets the old (RFC 7643 §2.4).", `{"op":"add","path":"emails","value":[{"value":"c@x","primary":true}]}`, `{"emails":[{"type":"work","value":"a@x","primary":false},{"type":"home","value":"b@x"},{"value":"c@x","primary":true}]}`},
		"Pathless":         {"", `{"op":"add","value":{"nickName":"A","emails":[{"type":"other","value":"c@x"}]}}`, `{"nickName":"A","emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"b@x"},{"type":"other","value":"c@x"}]}`},
		"Extension":        {"", `{"op":"add","path":"` + ent + `:costCenter","value":"7"}`, `{"` + ent + `":{"department":"R&D","costCenter":"7","manager":{"value":"m1","displayName":"Em","$ref":"https://h/Users/m1"}}}`},
		"ExtensionObject":  {"", `{"op":"add","value":{"` + ent + `":{"costCenter":"7"}}}`, `{"` + ent + `":{"department":"R&D","costCenter":"7","manager":{"value":"m1","displayName":"Em","$ref":"https://h/Users/m1"}}}`},
		"ExtensionPath":    {"", `{"op":"add","path":"` + ent + `","value":{"costCenter":"7"}}`, `{"` + ent + `":{"department":"R&D","costCenter":"7","manager":{"value":"m1","displayName":"Em","$ref":"https://h/Users/m1"}}}`},
		"Nothing":          {"An add without a value changes nothing.", `{"op":"add","path":"title","value":""},{"op":"add","path":"emails","value":[]},{"op":"add","path":"name.givenName","value":null},{"op":"add","path":"name","value":{}}`, ``},
		"CoreURN":          {"", `{"op":"add","path":"` + scim.SchemaUser + `:title","value":"Boss"}`, `{"title":"Boss"}`},
		"CoreURNAlone":     {"The core URN means the resource.", `{"op":"add","path":"` + scim.SchemaUser + `","value":{"title":"Boss"}}`, `{"title":"Boss"}`},
		"ReadOnlyEqual":    {"An equal read-only value is tolerated.", `{"op":"add","value":{"id":"u1","groups":[{"value":"g1","type":"direct"}],"meta":{"x":"y"},"schemas":["urn:x"]}}`, ``},
		"UnknownNull":      {"null for an unknown attribute changes nothing.", `{"op":"add","value":{"nosuch":null}}`, ``},
		"Password":         {"A password is accepted and dropped.", `{"op":"add","path":"password","value":"p"}`, ``},
		"SeveralInOrder":   {"Operations apply in order.", `{"op":"add","path":"title","value":"A"},{"op":"remove","path":"title"},{"op":"add","path":"title","value":"B"}`, `{"title":"B"}`},
		"BackAgain":        {"Operations that restore the old value are no change.", `{"op":"remove","path":"title"},{"op":"add","path":"title","value":"Engineer"}`, ``},
		"MatchedElement":   {"", `{"op":"add","path":"emails[type eq \"home\"]","value":{"display":"H"}}`, `{"emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"b@x","display":"H"}]}`},
		"ElementPrimary":   {"", `{"op":"add","path":"emails[type eq \"home\"].primary","value":true}`, `{"emails":[{"type":"work","value":"a@x","primary":false},{"type":"home","value":"b@x","primary":true}]}`},
		"ReadOnlySubs":     {"A client can't set the sub-attributes of a manager that the server derives.", `{"op":"add","path":"` + ent + `:manager","value":{"value":"m1","displayName":"Liar"}}`, ``},
		"ManagerChanged":   {"A change of the manager removes the derived sub-attributes.", `{"op":"add","path":"` + ent + `:manager","value":{"value":"m2"}}`, `{"` + ent + `":{"department":"R&D","manager":{"value":"m2"}}}`},
		"ListWithoutValue": {"", `{"op":"add","path":"addresses","value":[{"type":"work","locality":"Paris"},{"type":"work","locality":"Paris"}]}`, `{"addresses":[{"type":"work","locality":"Paris"}]}`},
	})
}

// TestRemove tests RFC 7644 §3.5.2.2.
func TestRemove(t *testing.T) {
	runChanges(t, map[string]change{
		"Simple":          {"", `{"op":"remove","path":"title"}`, `{"title":null}`},
		"Absent":          {"Removing a missing value succeeds.", `{"op":"remove","path":"nickName"},{"op":"remove","path":"ims[type eq \"x\"]"},{"op":"remove","path":"name.middleName"}`, ``},
		"SubAttribute":    {"", `{"op":"remove","path":"name.givenName"}`, `{"name":{"familyName":"L"}}`},
		"LastSub":         {"A complex attribute without parts is unassigned.", `{"op":"remove","path":"name.givenName"},{"op":"remove","path":"name.familyName"}`, `{"name":null}`},
		"Filtered":        {"", `{"op":"remove","path":"emails[type eq \"work\"]"}`, `{"emails":[{"type":"home","value":"b@x"}]}`},
		"FilteredAnd":     {"", `{"op":"remove","path":"emails[type eq \"work\" and value ew \"nothing\"]"}`, ``},
		"LastElement":     {"", `{"op":"remove","path":"emails[value pr]"}`, `{"emails":null}`},
		"FilteredSub":     {"An element that loses its value is removed.", `{"op":"remove","path":"emails[type eq \"work\"].value"}`, `{"emails":[{"type":"home","value":"b@x"}]}`},
		"All":             {"", `{"op":"remove","path":"emails"}`, `{"emails":null}`},
		"ValueList":       {"Entra ID's older form removes only the listed values.", `{"op":"Remove","path":"emails","value":[{"value":"b@x"}]}`, `{"emails":[{"type":"work","value":"a@x","primary":true}]}`},
		"ValueListType":   {"", `{"op":"remove","path":"emails","value":[{"value":"b@x","type":"work"}]}`, ``},
		"EmptyValueList":  {"A remove with an empty list of values removes no element.", `{"op":"remove","path":"emails","value":[]}`, ``},
		"ValueIgnored":    {"A remove of a single-valued attribute ignores the value of the operation.", `{"op":"Remove","path":"title","value":"old"}`, `{"title":null}`},
		"Extension":       {"", `{"op":"remove","path":"` + ent + `"}`, `{"` + ent + `":null,"schemas":["` + scim.SchemaUser + `"]}`},
		"ExtensionByPart": {"An extension without attributes leaves schemas.", `{"op":"remove","path":"` + ent + `:department"},{"op":"remove","path":"` + ent + `:manager"}`, `{"` + ent + `":null,"schemas":["` + scim.SchemaUser + `"]}`},
		"AllSubs":         {"A remove of a sub-attribute without a filter removes it from every element.", `{"op":"remove","path":"emails.type"}`, `{"emails":[{"value":"a@x","primary":true},{"value":"b@x"}]}`},
	})
}

// TestReplace tests RFC 7644 §3.5.2.3.
func TestReplace(t *testing.T) {
	runChanges(t, map[string]change{
		"Simple":         {"", `{"op":"replace","path":"title","value":"Boss"}`, `{"title":"Boss"}`},
		"Absent":         {"A replace of an absent attribute adds it.", `{"op":"replace","path":"nickName","value":"A"}`, `{"nickName":"A"}`},
		"Clear":          {"A replace with the empty string removes the attribute.", `{"op":"replace","path":"title","value":""}`, `{"title":null}`},
		"ClearNull":      {"", `{"op":"replace","path":"title","value":null}`, `{"title":null}`},
		"ClearList":      {"", `{"op":"replace","path":"emails","value":[]}`, `{"emails":null}`},
		"Complex":        {"A replace of a complex attribute keeps the sub-attributes that are not in the value.", `{"op":"replace","path":"name","value":{"givenName":"A"}}`, `{"name":{"givenName":"A","familyName":"L"}}`},
		"ComplexClear":   {"", `{"op":"replace","path":"name","value":{"givenName":""}}`, `{"name":{"familyName":"L"}}`},
		"List":           {"A replace without a filter replaces the whole list.", `{"op":"replace","path":"emails","value":[{"value":"c@x"}]}`, `{"emails":[{"value":"c@x"}]}`},
		"Element":        {"A replace with a filter replaces the whole element, which keeps the values in the filter.", `{"op":"replace","path":"emails[type eq \"work\"]","value":{"value":"c@x"}}`, `{"emails":[{"type":"work","value":"c@x"},{"type":"home","value":"b@x"}]}`},
		"ElementInList":  {"", `{"op":"replace","path":"emails[type eq \"work\"]","value":[{"value":"c@x"}]}`, `{"emails":[{"type":"work","value":"c@x"},{"type":"home","value":"b@x"}]}`},
		"ElementEmpty":   {"", `{"op":"replace","path":"emails[type eq \"work\"]","value":null}`, `{"emails":[{"type":"home","value":"b@x"}]}`},
		"ElementSub":     {"", `{"op":"replace","path":"emails[type eq \"work\"].value","value":"c@x"}`, `{"emails":[{"type":"work","value":"c@x","primary":true},{"type":"home","value":"b@x"}]}`},
		"ElementSubGone": {"", `{"op":"replace","path":"emails[type eq \"work\"].value","value":""}`, `{"emails":[{"type":"home","value":"b@x"}]}`},
		"AllSubs":        {"", `{"op":"replace","path":"emails.display","value":"D"}`, `{"emails":[{"type":"work","value":"a@x","primary":true,"display":"D"},{"type":"home","value":"b@x","display":"D"}]}`},
		"Pathless":       {"A replace without a path keeps the attributes that are not in the value.", `{"op":"replace","value":{"active":false,"name":{"givenName":"A"},"title":null}}`, `{"active":false,"name":{"givenName":"A","familyName":"L"},"title":null}`},
		"PathlessGone":   {"", `{"op":"replace","value":{"` + ent + `":null}}`, `{"` + ent + `":null,"schemas":["` + scim.SchemaUser + `"]}`},
		"PrimaryMoves":   {"", `{"op":"replace","path":"emails[type eq \"home\"].primary","value":true}`, `{"emails":[{"type":"work","value":"a@x","primary":false},{"type":"home","value":"b@x","primary":true}]}`},
		"Same":           {"", `{"op":"replace","value":{"userName":"ada","emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"b@x"}]}}`, ``},
		"Folded":         {"Elements that become equal are merged.", `{"op":"replace","path":"emails[type eq \"home\"]","value":{"type":"work","value":"A@x","display":"D"}}`, `{"emails":[{"type":"work","value":"A@x","primary":true,"display":"D"}]}`},
	})
}

// TestCreateOnAbsent: value paths that match nothing (entra-docs; the package comment describes the
// decision).
func TestCreateOnAbsent(t *testing.T) {
	runChanges(t, map[string]change{
		"Add":            {"", `{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"1"}`, `{"phoneNumbers":[{"type":"mobile","value":"1"}]}`},
		"Replace":        {"", `{"op":"Replace","path":"phoneNumbers[type eq \"mobile\"].value","value":"1"}`, `{"phoneNumbers":[{"type":"mobile","value":"1"}]}`},
		"OneElement":     {"Several operations with one filter change one new element.", `{"op":"Add","path":"addresses[type eq \"work\"].streetAddress","value":"1 Way"},{"op":"Add","path":"addresses[type eq \"work\"].postalCode","value":"98052"}`, `{"addresses":[{"type":"work","streetAddress":"1 Way","postalCode":"98052"}]}`},
		"PrimaryFirst":   {"Several operations with one filter change one new element, also if the first sets only primary.", `{"op":"Add","path":"ims[type eq \"x\"].primary","value":"True"},{"op":"Add","path":"ims[type eq \"x\"].value","value":"v"}`, `{"ims":[{"type":"x","primary":true,"value":"v"}]}`},
		"RoleByPrimary":  {"Entra ID compares primary with a string.", `{"op":"Add","path":"roles[primary eq \"True\"].value","value":"Admin"}`, `{"roles":[{"primary":true,"value":"Admin"}]}`},
		"Whole":          {"", `{"op":"add","path":"ims[type eq \"x\"]","value":{"value":"v"}}`, `{"ims":[{"type":"x","value":"v"}]}`},
		"WithAnd":        {"", `{"op":"add","path":"ims[type eq \"x\" and primary eq true].value","value":"v"}`, `{"ims":[{"type":"x","primary":true,"value":"v"}]}`},
		"Nothing":        {"An operation without a value creates no element.", `{"op":"replace","path":"ims[type eq \"x\"].value","value":""}`, ``},
		"NoFilter":       {"", `{"op":"add","path":"ims.value","value":"v"}`, `{"ims":[{"value":"v"}]}`},
		"Remove":         {"A remove with a filter that matches nothing creates no element.", `{"op":"remove","path":"ims[type eq \"x\"].value"}`, ``},
		"NewExtension":   {"", `{"op":"remove","path":"` + ent + `"},{"op":"add","path":"` + ent + `:department","value":"X"}`, `{"` + ent + `":{"department":"X"}}`},
		"PrimaryCreated": {"A created primary unsets the old.", `{"op":"add","path":"emails[type eq \"other\" and primary eq true].value","value":"c@x"}`, `{"emails":[{"type":"work","value":"a@x","primary":false},{"type":"home","value":"b@x"},{"type":"other","primary":true,"value":"c@x"}]}`},
	})
}

// TestApplyRefuses is RFC 7644 §3.5.2 and §3.12: what is refused, and as what.
func TestApplyRefuses(t *testing.T) {
	cases := map[string]struct {
		ops  string
		kind scim.ErrorType
		says string
	}{
		"UnknownPath":       {`{"op":"replace","path":"nosuch","value":"x"}`, scim.InvalidPath, `Operations[0]: The path "nosuch" is not valid: User has no attribute "nosuch".`},
		"UnknownSub":        {`{"op":"replace","path":"name.nosuch","value":"x"}`, scim.InvalidPath, "no sub-attribute"},
		"UnknownKey":        {`{"op":"replace","value":{"nosuch":"x"}}`, scim.InvalidPath, `no attribute "nosuch"`},
		"UnknownExtKey":     {`{"op":"replace","value":{"` + ent + `":{"nosuch":"x"}}}`, scim.InvalidPath, `no attribute "nosuch"`},
		"SecondOperation":   {`{"op":"replace","path":"title","value":"x"},{"op":"replace","path":"a b","value":"x"}`, scim.InvalidPath, "Operations[1]"},
		"BadFilter":         {`{"op":"remove","path":"emails[type is \"x\"]"}`, scim.InvalidFilter, "an operator is missing"},
		"FilterOnSingle":    {`{"op":"remove","path":"name[givenName eq \"x\"]"}`, scim.InvalidPath, "multi-valued"},
		"AfterBracket":      {`{"op":"remove","path":"emails[type eq \"x\"]value"}`, scim.InvalidPath, "after the closing ]"},
		"RemoveNoPath":      {`{"op":"remove","value":{"title":"x"}}`, scim.NoTarget, "needs a path"},
		"RemoveRequired":    {`{"op":"remove","path":"userName"}`, scim.Mutability, "is required"},
		"ClearRequired":     {`{"op":"replace","path":"userName","value":""}`, scim.InvalidValue, `"userName" is required`},
		"ReadOnly":          {`{"op":"replace","path":"id","value":"u2"}`, scim.Mutability, `"id" is read-only`},
		"ReadOnlyKey":       {`{"op":"replace","value":{"id":"u2"}}`, scim.Mutability, `"id" is read-only`},
		"ReadOnlyRemove":    {`{"op":"remove","path":"groups"}`, scim.Mutability, "read-only"},
		"ReadOnlyElement":   {`{"op":"remove","path":"groups[value eq \"g1\"]"}`, scim.Mutability, "read-only"},
		"ReadOnlySub":       {`{"op":"replace","path":"` + ent + `:manager.displayName","value":"x"}`, scim.Mutability, "read-only"},
		"Meta":              {`{"op":"replace","path":"meta.created","value":"2020-01-01T00:00:00Z"}`, scim.Mutability, "read-only"},
		"SchemasRemove":     {`{"op":"remove","path":"schemas"}`, scim.Mutability, "is derived from"},
		"NoValue":           {`{"op":"add","path":"title"}`, scim.InvalidValue, "value of add is missing"},
		"NoValueNoPath":     {`{"op":"add"}`, scim.InvalidValue, "must be an object"},
		"WrongType":         {`{"op":"replace","path":"title","value":5}`, scim.InvalidValue, `Attribute "title": the value must be a string`},
		"WrongTypeBool":     {`{"op":"replace","path":"active","value":"maybe"}`, scim.InvalidValue, "true or false"},
		"WrongTypeComplex":  {`{"op":"replace","path":"name","value":"x"}`, scim.InvalidValue, "must be an object"},
		"WrongTypeExt":      {`{"op":"replace","path":"` + ent + `","value":"x"}`, scim.InvalidValue, "must be an object"},
		"WrongTypeElement":  {`{"op":"add","path":"emails","value":["x"]}`, scim.InvalidValue, "must be an object"},
		"TooLong":           {`{"op":"replace","path":"` + ent + `:department","value":"` + strings.Repeat("x", 1025) + `"}`, scim.InvalidValue, ent + `:department": the maximum length is 1024`},
		"NoTarget":          {`{"op":"replace","path":"ims[type ne \"x\"].value","value":"v"}`, scim.NoTarget, "does not describe a new one"},
		"NoTargetValue":     {`{"op":"replace","path":"emails[value eq \"gone@x\"].type","value":"home"}`, scim.NoTarget, "No element of"},
		"NoTargetElement":   {`{"op":"replace","path":"emails[type eq \"work\" and value eq \"gone@x\"]","value":{"display":"x"}}`, scim.NoTarget, "No element of"},
		"NoTargetOr":        {`{"op":"add","path":"ims[type eq \"x\" or type eq \"y\"].value","value":"v"}`, scim.NoTarget, "does not describe"},
		"NoTargetEmpty":     {`{"op":"add","path":"ims[type eq \"\"].value","value":"v"}`, scim.NoTarget, "does not describe"},
		"Contradiction":     {`{"op":"add","path":"ims[type eq \"x\" and type eq \"y\"].value","value":"v"}`, scim.NoTarget, "does not describe"},
		"TwoPrimaries":      {`{"op":"replace","path":"emails[value pr].primary","value":true}`, scim.InvalidValue, "at most one element can be primary"},
		"BadPassword":       {`{"op":"replace","path":"password","value":5}`, scim.InvalidValue, "must be a string"},
		"UnknownOperation":  {`{"op":"move","path":"title","value":"x"}`, scim.InvalidSyntax, `"move" is not an operation`},
		"NoOperation":       {`{"path":"title","value":"x"}`, scim.InvalidSyntax, "is not an operation"},
		"NoObject":          {`"x"`, scim.InvalidSyntax, "must be an object"},
		"PathNoString":      {`{"op":"add","path":5,"value":"x"}`, scim.InvalidSyntax, "must be a string"},
		"Empty":             {``, scim.InvalidSyntax, "at least one operation"},
		"TooManyElements":   {strings.TrimSuffix(strings.Repeat(`{"op":"add","path":"emails","value":[{"value":"§"}]},`, 25), ","), scim.InvalidValue, "the maximum is 20 elements"},
		"FarTooMany":        {strings.TrimSuffix(strings.Repeat(`{"op":"add","path":"addresses","value":[{"locality":"§"}]},`, 90), ","), scim.InvalidValue, "the maximum is 20 elements"},
		"Long path":         {`{"op":"add","path":"` + strings.Repeat("x", 5000) + `","value":1}`, scim.InvalidPath, "longer than"},
		"BadUserName":       {`{"op":"replace","path":"userName","value":" ada"}`, scim.InvalidValue, "white space"},
		"CoreRemove":        {`{"op":"remove","path":"` + scim.SchemaUser + `"}`, scim.NoTarget, "needs a path"},
		"DottedUnknown":     {`{"op":"replace","value":{"name.nosuch":"x"}}`, scim.InvalidPath, "no attribute"},
		"SubOfReadOnlyName": {`{"op":"add","path":"groups.value","value":"g9"}`, scim.Mutability, "read-only"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			ops := tc.ops
			for n := 0; strings.Contains(ops, "§"); n++ {
				ops = strings.Replace(ops, "§", strings.Repeat("v", n+1), 1)
			}
			got, err := apply(t, ada, ops)
			wantError(t, got, err, tc.kind, tc.says)
		})
	}
}

func wantError(t *testing.T, got any, err error, kind scim.ErrorType, says string) {
	t.Helper()
	var e *scim.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v and error %v, want a *scim.Error", got, err)
	}
	if e.Status != 400 || e.Type != kind || !strings.Contains(e.Detail, says) {
		t.Errorf("got %v, want a 400 %s that says %q", e, kind, says)
	}
}

// TestAtomic is RFC 7644 §3.5.2: a failing operation leaves nothing of those before it.
func TestAtomic(t *testing.T) {
	got, err := apply(t, ada, `{"op":"replace","path":"title","value":"x"},{"op":"remove","path":"userName"}`)
	if err == nil || got != nil {
		t.Errorf("got %v, error %v", got, err)
	}
}

// TestPut is RFC 7644 §3.5.1.
func TestPut(t *testing.T) {
	cases := map[string]struct{ reason, body, want string }{
		"Cleared":       {"A PUT clears the attributes that it omits and keeps the read-only ones.", `{"userName":"ada"}`, `{"schemas":["` + scim.SchemaUser + `"],"id":"u1","userName":"ada","groups":[{"value":"g1","type":"direct"}],"meta":{"resourceType":"User","created":"2026-01-31T08:00:00Z"}}`},
		"ReadOnly":      {"A PUT ignores read-only attributes.", `{"id":"u2","userName":"ada","groups":[]}`, `{"schemas":["` + scim.SchemaUser + `"],"id":"u1","userName":"ada","groups":[{"value":"g1","type":"direct"}],"meta":{"resourceType":"User","created":"2026-01-31T08:00:00Z"}}`},
		"SameIsNothing": {"A PUT with equal attributes changes nothing.", `{"externalId":"e1","userName":"ada","title":"Engineer","active":true,"name":{"givenName":"Ada","familyName":"L"},"emails":[{"type":"work","value":"a@x","primary":true},{"type":"home","value":"b@x"}],"` + ent + `":{"department":"R&D","manager":{"value":"m1"}}}`, ``},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			user := object(t, ada)
			in := object(t, tc.body)
			in["schemas"] = []any{scim.SchemaUser}
			in, _ = quirk.Resource(schema.User(), in)
			body, err := schema.Canonicalize(schema.User(), in, schema.Replace)
			if err != nil {
				t.Fatal(err)
			}
			got, err := patch.Put(schema.User(), user, body)
			if err != nil {
				t.Fatal(err)
			}
			want := user
			if tc.want != "" {
				want = object(t, tc.want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(object(t, ada), user); diff != "" {
				t.Errorf("Put changed its input\n%s", diff)
			}
		})
	}
}
