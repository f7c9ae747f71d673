// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// TestEveryAttributeIsStored generates Users from the schema, to find attributes that the object
// can't store: what is read back must equal what was given.
func TestEveryAttributeIsStored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, err := schema.Canonicalize(schema.User(), drawUser(t), schema.Create)
		if err != nil {
			t.Fatal(err)
		}
		var spec, again v1alpha1.ScimUserSpec
		if err := specOf(want, &spec); err != nil {
			t.Fatal(err)
		}
		u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Name: "id"}, Spec: spec}
		data, err := encodeUser(u, `W/"1"`)
		if err != nil {
			t.Fatal(err)
		}
		have, err := (&server.Resource{Type: schema.User(), ID: "id", JSON: data}).Object("http://base", true)
		if err != nil {
			t.Fatal(err)
		}
		if e := edited(have, want); e.patch != nil {
			t.Fatalf("what was stored counts as changed: %v", e.patch)
		}
		if err := specOf(have, &again); err != nil || !cmp.Equal(spec, again) {
			t.Fatalf("the spec changed: %s %v", cmp.Diff(spec, again), err)
		}
		delete(have, "id")
		delete(have, "meta")
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("what is read back differs (-given +read):\n%s", diff)
		}
	})
}

// TestPatchOfSpec: the merge patch between two Users turns the stored spec of the first into that
// of the second.
func TestPatchOfSpec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var specs [2][]byte
		var users [2]scim.Object
		for i := range users {
			var err error
			if users[i], err = schema.Canonicalize(schema.User(), drawUser(t), schema.Create); err != nil {
				t.Fatal(err)
			}
			var spec v1alpha1.ScimUserSpec
			if err := specOf(users[i], &spec); err != nil {
				t.Fatal(err)
			}
			if specs[i], err = json.Marshal(spec); err != nil {
				t.Fatal(err)
			}
		}
		e := edited(users[0], users[1])
		if equal := bytes.Equal(specs[0], specs[1]); equal != (e.patch == nil) {
			t.Fatalf("the specs are equal: %v; the patch is %v", equal, e.patch)
		}
		patch, err := compact(e.patch)
		if err != nil {
			t.Fatal(err)
		}
		if e.patch == nil {
			patch = []byte("{}")
		}
		merged, err := jsonpatch.MergePatch(specs[0], patch)
		if err != nil {
			t.Fatal(err)
		}
		if !jsonpatch.Equal(merged, specs[1]) {
			t.Fatalf("%s and the patch %s are\n%s, must be\n%s", specs[0], patch, merged, specs[1])
		}
	})
}

func drawUser(t *rapid.T) scim.Object {
	body := drawResource(t, schema.User())
	body["userName"] = "ada@example.test"
	return body
}

// drawResource generates values for the writable attributes.
func drawResource(t *rapid.T, rt *schema.ResourceType) scim.Object {
	out := scim.Object{"schemas": []any{rt.Schema.ID}, "externalId": "x"}
	drawAttributes(t, rt.Schema.Attributes, out)
	for _, e := range rt.Extensions {
		extension := scim.Object{}
		drawAttributes(t, e.Schema.Attributes, extension)
		if len(extension) > 0 {
			out[e.Schema.ID] = extension
			out["schemas"] = append(out["schemas"].([]any), e.Schema.ID)
		}
	}
	return out
}

func drawAttributes(t *rapid.T, attributes []*schema.Attribute, out scim.Object) {
	for _, a := range attributes {
		if a.Mutability != schema.ReadWrite || !rapid.Bool().Draw(t, a.Name) {
			continue
		}
		if !a.MultiValued {
			out[a.Name] = drawValue(t, a)
			continue
		}
		var list []any
		for i := range rapid.IntRange(1, 3).Draw(t, a.Name+".#") {
			e := drawValue(t, a)
			if o, ok := e.(scim.Object); ok {
				delete(o, "primary")
				if i == 0 {
					o["primary"] = true
				}
			}
			list = append(list, e)
		}
		out[a.Name] = list
	}
}

func drawValue(t *rapid.T, a *schema.Attribute) any {
	switch {
	case a.Type == schema.Complex:
		o := scim.Object{}
		drawAttributes(t, a.SubAttributes, o)
		return o
	case a.Type == schema.Boolean:
		return rapid.Bool().Draw(t, a.Name)
	case a.Type == schema.Binary:
		return "QUJD"
	case a.Type == schema.Reference:
		return "https://example.test/" + rapid.StringMatching(`[a-z]{1,8}`).Draw(t, a.Name)
	case a.Name == "locale" || a.Name == "preferredLanguage" || a.Name == "timezone":
		return rapid.StringMatching(`[a-z]{2}-[A-Z]{2}`).Draw(t, a.Name)
	}
	return rapid.StringMatching(`[ -~äß]{1,20}`).Filter(func(s string) bool { return strings.TrimSpace(s) == s }).Draw(t, a.Name)
}

func TestEncodedMark(t *testing.T) {
	u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Name: "id"}, Spec: v1alpha1.ScimUserSpec{UserName: "a", Title: "\ue000 & <b>"}}
	data, err := encodeUser(u, "")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), "\x00"); n != 1 {
		t.Errorf("there must be one mark, not %d", n)
	}
	out := (&server.Resource{Type: schema.User(), ID: "id", JSON: data}).AppendJSON(nil, "https://x")
	var o map[string]any
	if err := json.Unmarshal(out, &o); err != nil {
		t.Fatal(err)
	}
	if o["title"] != "\ue000 & <b>" || o["meta"].(map[string]any)["location"] != "https://x/Users/id" {
		t.Errorf("the user is %s", out)
	}
}

func TestEdited(t *testing.T) {
	const enterprise = `"` + scim.SchemaEnterpriseUser + `":`
	for name, test := range map[string]struct{ reason, before, after, want string }{
		"Equal":      {"Attributes that the server derives are not compared.", `{"schemas":["x"],"id":"1","meta":{},"groups":[{"value":"g"}],"emails":[{"value":"a"}]}`, `{"emails":[{"value":"a"}]}`, "null"},
		"Changed":    {"A changed attribute has its new value in the patch.", `{"userName":"a","title":"x"}`, `{"userName":"a","title":"y"}`, `{"title":"y"}`},
		"Cleared":    {"A removed attribute is null in the patch.", `{"userName":"a","title":"x"}`, `{"userName":"a"}`, `{"title":null}`},
		"Boolean":    {"A boolean that was absent is in the patch.", `{"userName":"a"}`, `{"userName":"a","active":true}`, `{"active":true}`},
		"WithinName": {"The sub-attributes of name are changed one by one.", `{"name":{"givenName":"A","middleName":"B"}}`, `{"name":{"givenName":"C"}}`, `{"name":{"givenName":"C","middleName":null}}`},
		"WholeList":  {"A list is replaced as a whole.", `{"emails":[{"value":"a"},{"value":"b"}]}`, `{"emails":[{"value":"b"}]}`, `{"emails":[{"value":"b"}]}`},
		"Enterprise": {"Attributes of the enterprise extension are changed beside the core attributes, as the spec has them.", `{` + enterprise + `{"department":"D","division":"V"}}`, `{` + enterprise + `{"department":"E"}}`, `{"department":"E","division":null}`},
		"NoLonger":   {"Removing an extension removes each of its attributes.", `{` + enterprise + `{"department":"D"}}`, `{}`, `{"department":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			have, _ := json.Marshal(edited(object(t, test.before), object(t, test.after)).patch)
			if string(have) != test.want {
				t.Errorf("%s the patch is %s and must be %s", test.reason, have, test.want)
			}
		})
	}
}

func object(t *testing.T, text string) scim.Object {
	t.Helper()
	o, err := scim.DecodeJSON([]byte(text), scim.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}
