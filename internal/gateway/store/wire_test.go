// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		body := drawResource(t, schema.User())
		body["userName"] = "ada@example.test"
		want, err := schema.Canonicalize(schema.User(), body, schema.Create)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := userFrom(want, &v1alpha1.ScimUserSpec{})
		if err != nil {
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
		delete(have, "id")
		delete(have, "meta")
		if diff := cmp.Diff(want, have); diff != "" {
			t.Fatalf("what is read back differs (-given +read):\n%s", diff)
		}
		again, err := userFrom(have, &v1alpha1.ScimUserSpec{})
		if err != nil || !cmp.Equal(spec, again) {
			t.Fatalf("the spec changed: %s %v", cmp.Diff(spec, again), err)
		}
	})
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

func TestMergePatch(t *testing.T) {
	type spec = v1alpha1.ScimUserSpec
	yes := true
	for name, test := range map[string]struct {
		old, now spec
		want     string
	}{
		"Equal":      {spec{UserName: "a", Emails: []v1alpha1.MultiValue{{Value: "a"}}}, spec{UserName: "a", Emails: []v1alpha1.MultiValue{{Value: "a"}}}, "null"},
		"Changed":    {spec{UserName: "a", Title: "x"}, spec{UserName: "a", Title: "y"}, `{"title":"y"}`},
		"Cleared":    {spec{UserName: "a", Title: "x"}, spec{UserName: "a"}, `{"title":null}`},
		"Boolean":    {spec{UserName: "a"}, spec{UserName: "a", Active: &yes}, `{"active":true}`},
		"WithinName": {spec{Name: &v1alpha1.Name{GivenName: "A", MiddleName: "B"}}, spec{Name: &v1alpha1.Name{GivenName: "C"}}, `{"name":{"givenName":"C","middleName":null}}`},
		"WholeList":  {spec{Emails: []v1alpha1.MultiValue{{Value: "a"}, {Value: "b"}}}, spec{Emails: []v1alpha1.MultiValue{{Value: "b"}}}, `{"emails":[{"value":"b"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			difference, err := mergePatch(&test.old, &test.now)
			if err != nil {
				t.Fatal(err)
			}
			have, _ := json.Marshal(difference)
			if string(have) != test.want {
				t.Errorf("the patch is %s and must be %s", have, test.want)
			}
		})
	}
}
