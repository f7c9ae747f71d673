// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/schema"
)

func groupOps(t testing.TB, ops string) ([]patch.Operation, []patch.MemberChange, error) {
	t.Helper()
	parsed, err := operations(schema.Group(), object(t, `{"Operations":[`+ops+`]}`))
	if err != nil {
		return nil, nil, err
	}
	return patch.GroupOps(parsed)
}

// TestGroupOps: the ways in which providers change a group's membership (RFC 7644 §3.5.2,
// providers' documentation).
func TestGroupOps(t *testing.T) {
	cases := map[string]struct {
		reason, ops string
		attrs       []patch.Operation
		members     []patch.MemberChange
	}{
		"Add": {"An added member may have a display name, as Okta sends it.", `{"op":"add","path":"members","value":[{"value":"a","display":"A"},{"value":"b"},{"value":"a"}]}`,
			nil, []patch.MemberChange{{Op: patch.AddMembers, IDs: []string{"a", "b"}}}},
		"AddOne": {"", `{"op":"add","path":"members","value":{"value":"a"}}`,
			nil, []patch.MemberChange{{Op: patch.AddMembers, IDs: []string{"a"}}}},
		"NullRef": {"An added member may have $ref null, as Entra ID sends it.", `{"op":"Add","path":"members","value":[{"$ref":null,"value":"a"}]}`,
			nil, []patch.MemberChange{{Op: patch.AddMembers, IDs: []string{"a"}}}},
		"RemoveByFilter": {"", `{"op":"remove","path":"members[value eq \"a\"]"}`,
			nil, []patch.MemberChange{{Op: patch.RemoveMembers, IDs: []string{"a"}}}},
		"RemoveSeveral": {"", `{"op":"remove","path":"MEMBERS[value eq \"a\" or VALUE eq \"b\"]"}`,
			nil, []patch.MemberChange{{Op: patch.RemoveMembers, IDs: []string{"a", "b"}}}},
		"RemoveList": {"Entra ID's older form removes only the listed values.", `{"op":"Remove","path":"members","value":[{"$ref":null,"value":"a"}]}`,
			nil, []patch.MemberChange{{Op: patch.RemoveMembers, IDs: []string{"a"}}}},
		"RemoveEmptyList": {"A remove with an empty list of members removes no member.", `{"op":"remove","path":"members","value":[]}`,
			nil, []patch.MemberChange{{Op: patch.RemoveMembers, IDs: nil}}},
		"RemoveAll": {"", `{"op":"remove","path":"members"}`,
			nil, []patch.MemberChange{{Op: patch.RemoveAll}}},
		"Replace": {"", `{"op":"replace","path":"members","value":[{"value":"a"},{"value":"b","type":"User","$ref":"https://h/scim/v2/Users/b"}]}`,
			nil, []patch.MemberChange{{Op: patch.ReplaceMembers, IDs: []string{"a", "b"}}}},
		"ReplaceEmpty": {"Okta's push now of an empty group removes all members.", `{"op":"replace","path":"members","value":[]}`,
			nil, []patch.MemberChange{{Op: patch.ReplaceMembers, IDs: nil}}},
		"Rename": {"Okta's rename has no path and changes no members.", `{"op":"replace","value":{"id":"g","displayName":"New"}}`,
			[]patch.Operation{{Op: patch.Replace, Value: scim.Object{"id": "g", "displayName": "New"}, HasValue: true}}, nil},
		"Pathless": {"A replace without a path may change attributes and members.", `{"op":"replace","value":{"Members":[{"value":"a"}],"id":"g","displayName":"New"}}`,
			[]patch.Operation{{Op: patch.Replace, Value: scim.Object{"id": "g", "displayName": "New"}, HasValue: true}},
			[]patch.MemberChange{{Op: patch.ReplaceMembers, IDs: []string{"a"}}}},
		"PathlessAdd": {"An add without a path may add members, as SailPoint and WSO2 send it.", `{"op":"add","value":{"members":[{"value":"a"}]}}`,
			nil, []patch.MemberChange{{Op: patch.AddMembers, IDs: []string{"a"}}}},
		"InOrder": {"", `{"op":"remove","path":"members[value eq \"a\"]"},{"op":"replace","path":"displayName","value":"N"},{"op":"add","path":"members","value":[{"value":"b"}]}`,
			[]patch.Operation{{Op: patch.Replace, Path: "displayName", Value: "N", HasValue: true, Index: 1}},
			[]patch.MemberChange{{Op: patch.RemoveMembers, IDs: []string{"a"}}, {Op: patch.AddMembers, IDs: []string{"b"}}}},
		"CoreURN": {"", `{"op":"add","path":"` + scim.SchemaGroup + `:members","value":[{"value":"a"}]},{"op":"add","path":"` + scim.SchemaGroup + `","value":{"members":[{"value":"b"}]}}`,
			nil, []patch.MemberChange{{Op: patch.AddMembers, IDs: []string{"a"}}, {Op: patch.AddMembers, IDs: []string{"b"}}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			attrs, members, err := groupOps(t, tc.ops)
			if err != nil {
				t.Fatal(err)
			}
			for i := range members {
				if len(members[i].IDs) == 0 {
					members[i].IDs = nil
				}
			}
			if diff := cmp.Diff(tc.attrs, attrs); diff != "" {
				t.Errorf("%s attributes:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.members, members); diff != "" {
				t.Errorf("%s members:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRemoveWhere(t *testing.T) {
	_, members, err := groupOps(t, `{"op":"remove","path":"members[display sw \"a\" and type eq \"user\"]"}`)
	if err != nil || len(members) != 1 || members[0].Op != patch.RemoveWhere {
		t.Fatalf("got %v, %v", members, err)
	}
	if !members[0].Filter.MatchElement(scim.Object{"value": "1", "display": "Ada", "type": "User"}) {
		t.Error("Ada is not matched")
	}
	if members[0].Filter.MatchElement(scim.Object{"value": "2", "display": "Bob", "type": "User"}) {
		t.Error("Bob is matched")
	}
}

func TestGroupOpsRefuses(t *testing.T) {
	cases := map[string]struct {
		reason, ops string
		kind        scim.ErrorType
		says        string
	}{
		"NestedType":   {"A group as a member is refused, and the error says so (RFC 7643 §4.2).", `{"op":"add","path":"members","value":[{"value":"g","type":"Group"}]}`, scim.InvalidValue, `Operations[0]: Member "g" is a group; nested groups are not supported`},
		"NestedRef":    {"", `{"op":"add","path":"members","value":[{"value":"g","$ref":"https://h/scim/v2/Groups/g"}]}`, scim.InvalidValue, "is a group"},
		"OtherType":    {"", `{"op":"add","path":"members","value":[{"value":"g","type":"Device"}]}`, scim.InvalidValue, "only a User"},
		"NoID":         {"", `{"op":"add","path":"members","value":[{"display":"x"}]}`, scim.InvalidValue, "is the id of a User"},
		"BareID":       {"", `{"op":"add","path":"members","value":["x"]}`, scim.InvalidValue, "is the id of a User"},
		"LongID":       {"", `{"op":"add","path":"members","value":[{"value":"` + strings.Repeat("x", 257) + `"}]}`, scim.InvalidValue, "the maximum length is 256"},
		"NoValue":      {"", `{"op":"add","path":"members"}`, scim.InvalidValue, "value of add is missing"},
		"WithinMember": {"A sub-attribute of a member cannot be changed: members are immutable.", `{"op":"replace","path":"members[value eq \"a\"].display","value":"x"}`, scim.Mutability, "remove it and add another"},
		"ReplaceOne":   {"", `{"op":"replace","path":"members[value eq \"a\"]","value":{"value":"b"}}`, scim.Mutability, "remove it and add another"},
		"RemovePart":   {"", `{"op":"remove","path":"members.display"}`, scim.Mutability, "remove it and add another"},
		"BadPath":      {"", `{"op":"remove","path":"members[value]"}`, scim.InvalidFilter, "an operator is missing"},
		"UnknownPath":  {"", `{"op":"remove","path":"nosuch"}`, scim.InvalidPath, "no attribute"},
		"PathlessBad":  {"", `{"op":"replace","value":{"displayName":"x","members":[{"value":"g","type":"group"}]}}`, scim.InvalidValue, "is a group"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, got, err := groupOps(t, tc.ops)
			wantError(t, got, err, tc.kind, tc.says)
		})
	}
}

func TestMemberIDs(t *testing.T) {
	got, err := patch.MemberIDs(object(t, `{"MEMBERS":[{"value":"b","display":null},{"value":"a"},null,{"value":"b"}]}`))
	if diff := cmp.Diff([]string{"b", "a"}, got); diff != "" || err != nil {
		t.Errorf("error %v\n%s", err, diff)
	}
	if got, err := patch.MemberIDs(scim.Object{}); len(got) != 0 || err != nil {
		t.Errorf("got %v, %v for a group without members", got, err)
	}
}

// TestMembersAgainstApply: the changes that GroupOps finds lead to the members that Apply gives a
// whole group.
func TestMembersAgainstApply(t *testing.T) {
	id := rapid.SampledFrom([]string{"a", "b", "c", "d"})
	list := rapid.Custom(func(t *rapid.T) string {
		ids := rapid.SliceOfN(id, 0, 3).Draw(t, "ids")
		parts := make([]string, len(ids))
		for i, id := range ids {
			parts[i] = fmt.Sprintf(`{"value":%q}`, id)
		}
		return "[" + strings.Join(parts, ",") + "]"
	})
	operation := rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0:
			return `{"op":"add","path":"members","value":` + list.Draw(t, "list") + `}`
		case 1:
			return `{"op":"replace","path":"members","value":` + list.Draw(t, "list") + `}`
		case 2:
			return `{"op":"remove","path":"members","value":` + list.Draw(t, "list") + `}`
		case 3:
			return fmt.Sprintf(`{"op":"remove","path":"members[value eq \"%s\" or value eq \"%s\"]"}`, id.Draw(t, "id"), id.Draw(t, "id2"))
		case 4:
			return fmt.Sprintf(`{"op":"remove","path":"members[value gt \"%s\"]"}`, id.Draw(t, "id"))
		case 5:
			return `{"op":"replace","value":{"members":` + list.Draw(t, "list") + `}}`
		}
		return `{"op":"remove","path":"members"}`
	})
	rapid.Check(t, func(t *rapid.T) {
		ops := "[" + strings.Join(rapid.SliceOfN(operation, 1, 5).Draw(t, "ops"), ",") + "]"
		body, err := scim.DecodeJSON([]byte(`{"Operations":`+ops+`}`), scim.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := operations(schema.Group(), body)
		if err != nil {
			t.Fatal(err)
		}
		group := scim.Object{"displayName": "g", "members": []any{scim.Object{"value": "a"}, scim.Object{"value": "c"}}}
		whole, err := patch.Apply(schema.Group(), group, parsed)
		if err != nil {
			t.Fatal(err)
		}
		_, changes, err := patch.GroupOps(parsed)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := patch.MemberIDs(whole)
		if diff := cmp.Diff(sorted(want), sorted(replay([]string{"a", "c"}, changes))); diff != "" {
			t.Errorf("%s\n%s", ops, diff)
		}
	})
}

func sorted(ids []string) []string { return slices.Sorted(slices.Values(ids)) }

// replay applies changes to a set of ids, as a server does, and returns the resulting ids.
func replay(ids []string, changes []patch.MemberChange) []string {
	for _, c := range changes {
		switch c.Op {
		case patch.AddMembers:
			for _, id := range c.IDs {
				if !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
		case patch.RemoveMembers:
			ids = slices.DeleteFunc(ids, func(id string) bool { return slices.Contains(c.IDs, id) })
		case patch.ReplaceMembers:
			ids = slices.Clone(c.IDs)
		case patch.RemoveAll:
			ids = nil
		case patch.RemoveWhere:
			ids = slices.DeleteFunc(ids, func(id string) bool { return c.Filter.MatchElement(scim.Object{"value": id}) })
		}
	}
	return ids
}

// BenchmarkGroupOps10000 measures a full push of a large group.
func BenchmarkGroupOps10000(b *testing.B) {
	members := make([]any, 10_000)
	for i := range members {
		members[i] = scim.Object{"value": fmt.Sprintf("2819c223-7f76-453a-919d-%012d", i), "display": "x"}
	}
	ops := []patch.Operation{{Op: patch.Replace, Path: "members", Value: members, HasValue: true}}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := patch.GroupOps(ops); err != nil {
			b.Fatal(err)
		}
	}
}
