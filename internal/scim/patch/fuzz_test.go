// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/path"
	"lightrun.com/scim-operator/internal/scim/quirk"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// FuzzApply: whatever a PATCH body holds, the input stays as it was, the result is canonical, and a
// plain replace done again changes nothing.
func FuzzApply(f *testing.F) {
	for _, ops := range []string{
		`{"op":"replace","value":{"active":false,"name.givenName":"x","` + ent + `:manager":"m"}}`,
		`{"op":"Add","path":"addresses[type eq \"work\"].postalCode","value":"1"},{"op":"Add","path":"addresses[type eq \"work\"].region","value":"r"}`,
		`{"op":"Remove","path":"emails","value":[{"value":"a@x"}]},{"op":"add","path":"emails","value":{"value":"c","primary":true}}`,
		`{"op":"replace","path":"emails[type eq \"work\"]","value":{"value":"z","primary":"True"}}`,
		`{"op":"add","path":"` + ent + `","value":{"division":"d"}},{"op":"remove","path":"` + ent + `:department"}`,
		`{"op":"replace","value":{"id":"u1","emails":[{"value":"a"},{"value":"A"}],"photos":null}}`,
		`{"op":"add","path":"members","value":[{"value":"x"}]},{"op":"remove","path":"members[value eq \"x\"]"}`,
	} {
		f.Add([]byte(`{"schemas":["` + scim.SchemaPatchOp + `"],"Operations":[` + ops + `]}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := scim.DecodeJSON(data, scim.Limits{})
		if err != nil {
			return
		}
		checkPatch(t, schema.User(), ada, body)
		checkPatch(t, schema.Group(), `{"schemas":["`+scim.SchemaGroup+`"],"id":"g1","displayName":"G","members":[{"value":"x"}]}`, body)
	})
}

func checkPatch(t *testing.T, rt *schema.ResourceType, start string, body scim.Object) {
	t.Helper()
	sent := encode(t, body)
	resource := object(t, start)
	before := encode(t, resource)
	normal, _ := quirk.Patch(rt, body)
	ops, err := patch.Parse(normal)
	if err != nil {
		return
	}
	got, err := patch.Apply(rt, resource, ops)
	if encode(t, resource) != before || encode(t, body) != sent {
		t.Fatalf("%s: the input was changed", sent)
	}
	if _, _, err := patch.GroupOps(ops); err != nil && rt.Name == "Group" {
		wantSCIM(t, sent, err)
	}
	if err != nil {
		wantSCIM(t, sent, err)
		return
	}
	checkCanonical(t, rt, sent, got)
	if !plainReplace(rt, ops) {
		return
	}
	again, err := patch.Apply(rt, got, ops)
	if err != nil || !scim.Equal(again, got) {
		t.Errorf("%s: done again it changes\n%s to\n%s, error %v", sent, encode(t, got), encode(t, again), err)
	}
}

func wantSCIM(t *testing.T, sent string, err error) {
	t.Helper()
	if e := (*scim.Error)(nil); !errors.As(err, &e) {
		t.Errorf("%s: the error is no *scim.Error: %v", sent, err)
	}
}

// checkCanonical: what a PATCH leaves is what a POST of it would.
func checkCanonical(t *testing.T, rt *schema.ResourceType, sent string, got scim.Object) {
	t.Helper()
	again, err := schema.Canonicalize(rt, got, schema.Replace)
	if err != nil {
		t.Fatalf("%s: leaves %s, which is refused: %v", sent, encode(t, got), err)
	}
	put, err := patch.Put(rt, got, again)
	if err != nil || !scim.Equal(put, got) {
		t.Errorf("%s: leaves\n%s, which is not canonical:\n%s, error %v", sent, encode(t, got), encode(t, put), err)
	}
}

// plainReplace tells that there are replaces alone, none of which chooses elements: those can be
// done again without effect.
func plainReplace(rt *schema.ResourceType, ops []patch.Operation) bool {
	for _, op := range ops {
		if op.Op != patch.Replace {
			return false
		}
		if op.Path == "" {
			continue
		}
		p, err := path.Parse(op.Path, rt)
		if err != nil || p.Filter != nil || p.Attribute != nil && p.Attribute.MultiValued && p.Sub != nil {
			return false
		}
	}
	return true
}

// TestApplyProperties draws operations that make sense more often than those of the fuzzer.
func TestApplyProperties(t *testing.T) {
	target := rapid.SampledFrom([]string{
		"title", "name", "name.givenName", "emails", `emails[type eq "work"]`, `emails[type eq "home"].value`, `ims[type eq "x"].value`,
		`emails[primary eq true].display`, "emails.type", "active", ent + ":manager", ent + ":department", ent, "addresses", `addresses[type eq "work"].region`,
	})
	value := rapid.SampledFrom([]string{
		`"x"`, `""`, `null`, `"True"`, `true`, `{"givenName":"Z"}`, `{"value":"v","type":"work","primary":true}`, `[{"value":"a@x","type":"work"},{"value":"q"}]`,
		`[]`, `{}`, `{"department":"D","manager":"m9"}`, `{"value":"m2"}`, `[{"region":"R"},{"region":"R","type":"work"}]`,
	})
	operation := rapid.Custom(func(t *rapid.T) string {
		op := rapid.SampledFrom([]string{"add", "replace", "Replace", "remove"}).Draw(t, "op")
		if rapid.IntRange(0, 4).Draw(t, "pathless") == 0 {
			return fmt.Sprintf(`{"op":%q,"value":{%q:%s}}`, op, target.Draw(t, "key"), value.Draw(t, "value"))
		}
		return fmt.Sprintf(`{"op":%q,"path":%q,"value":%s}`, op, target.Draw(t, "path"), value.Draw(t, "value"))
	})
	applied := 0
	rapid.Check(t, func(r *rapid.T) {
		ops := strings.Join(rapid.SliceOfN(operation, 1, 4).Draw(r, "ops"), ",")
		checkPatch(t, schema.User(), ada, object(t, `{"Operations":[`+ops+`]}`))
		applied++
	})
	if applied == 0 {
		t.Error("nothing was applied")
	}
}
