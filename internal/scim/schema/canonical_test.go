// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	elimity "github.com/elimity-com/scim/schema"
	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/scim"
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

// TestCanonicalizeUser is RFC 7643 §2 to §4.3 and RFC 7644 §3.3.
func TestCanonicalizeUser(t *testing.T) {
	cases := map[string]struct{ reason, in, want string }{
		"SchemaCase": {"Names are answered in schema case (RFC 7643 §2.1).",
			`{` + core + `,"USERNAME":"ada","Name":{"GIVENNAME":"Ada"},"EMAILS":[{"VALUE":"a@x","Primary":true}]}`,
			`{` + core + `,"userName":"ada","name":{"givenName":"Ada"},"emails":[{"value":"a@x","primary":true}]}`},
		"Unassigned": {"null, empty and absent are one state (§2.5).",
			`{` + core + `,"userName":"ada","title":null,"nickName":"","emails":[],"name":{},"addresses":null,"ims":[null,{},{"value":""}],"photos":[{"type":"photo"}]}`,
			`{` + core + `,"userName":"ada"}`},
		"ReadOnly": {"A read-only attribute is ignored (§7).",
			`{` + core + `,"id":"x","userName":"ada","meta":{"resourceType":"User","junk":1},"groups":[{"value":"g"}]}`,
			`{` + core + `,"userName":"ada"}`},
		"Password": {"A password is dropped (§4.1.1).",
			`{` + core + `,"userName":"ada","password":"1mz050nq"}`,
			`{` + core + `,"userName":"ada"}`},
		"Unknown": {"An unknown attribute is ignored: providers send more than a schema has.",
			`{` + core + `,"userName":"ada","department":null,"shoeSize":{"x":[1]},"name":{"nick":"x","givenName":"A"},"urn:custom":{"a":1}}`,
			`{` + core + `,"userName":"ada","name":{"givenName":"A"}}`},
		"Duplicates": {"Elements of one type and value are one (§2.4).",
			`{` + core + `,"userName":"ada","emails":[{"type":"work","value":"a@x"},{"type":"WORK","value":"A@X","primary":true},{"type":"home","value":"a@x"}],"addresses":[{"locality":"P"},{"locality":"P"}]}`,
			`{` + core + `,"userName":"ada","emails":[{"type":"WORK","value":"A@X","primary":true},{"type":"home","value":"a@x"}],"addresses":[{"locality":"P"}]}`},
		"Enterprise": {"Extension attributes live under their URN (§3.3); what the server derives is not taken.",
			`{` + both + `,"userName":"ada","` + strings.ToUpper(ent) + `":{"Department":"R&D","manager":{"value":"m1","displayName":"x","$ref":"y"}}}`,
			`{` + both + `,"userName":"ada","` + ent + `":{"department":"R&D","manager":{"value":"m1"}}}`},
		"EmptyExtension": {"schemas lists only the extensions that have attributes (§3).",
			`{` + both + `,"userName":"ada","` + ent + `":{"department":""}}`,
			`{` + core + `,"userName":"ada"}`},
		"NoExtension": {"An extension without a value is absent (§2.5).",
			`{` + both + `,"userName":"ada","` + ent + `":[]}`,
			`{` + core + `,"userName":"ada"}`},
		"Everything": {"",
			`{` + core + `,"userName":"ada","externalId":"e","displayName":"A","nickName":"n","profileUrl":"https://x/y?z#f","title":"t","userType":"u","preferredLanguage":"en-US, de;q=0.5","locale":"en_US","timezone":"America/Los_Angeles","active":false,"phoneNumbers":[{"value":"tel:+1-555","type":"work","display":"d"}],"ims":[{"value":"i"}],"photos":[{"value":"https://x/p.png","type":"photo"}],"entitlements":[{"value":"e"}],"roles":[{"value":"r","display":"R"}],"x509Certificates":[{"value":"AAEC"}],"addresses":[{"formatted":"1 Way\nP","country":"FR","primary":true}],"name":{"formatted":"f","middleName":"m","honorificPrefix":"p","honorificSuffix":"s"}}`,
			`{` + core + `,"userName":"ada","externalId":"e","displayName":"A","nickName":"n","profileUrl":"https://x/y?z#f","title":"t","userType":"u","preferredLanguage":"en-US, de;q=0.5","locale":"en_US","timezone":"America/Los_Angeles","active":false,"phoneNumbers":[{"value":"tel:+1-555","type":"work","display":"d"}],"ims":[{"value":"i"}],"photos":[{"value":"https://x/p.png","type":"photo"}],"entitlements":[{"value":"e"}],"roles":[{"value":"r","display":"R"}],"x509Certificates":[{"value":"AAEC"}],"addresses":[{"formatted":"1 Way\nP","country":"FR","primary":true}],"name":{"formatted":"f","middleName":"m","honorificPrefix":"p","honorificSuffix":"s"}}`},
		"Characters": {"The length of a text is counted in characters.", `{` + core + `,"userName":"` + strings.Repeat("é", 256) + `"}`, `{` + core + `,"userName":"` + strings.Repeat("é", 256) + `"}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			in := object(t, tc.in)
			got, err := Canonicalize(User(), in, Create)
			if err != nil {
				t.Fatalf("%s %v", tc.reason, err)
			}
			if diff := cmp.Diff(object(t, tc.want), got); diff != "" {
				t.Errorf("%s\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(object(t, tc.in), in); diff != "" {
				t.Errorf("the body was changed:\n%s", diff)
			}
			checkElimity(t, got)
			if again, err := Canonicalize(User(), got, Replace); err != nil || !scim.Equal(got, again) {
				t.Errorf("canonical form is not stable: %v, %v", again, err)
			}
		})
	}
}

func TestCanonicalizeRefuses(t *testing.T) {
	list := func(n int, element string) string {
		return strings.TrimSuffix(strings.Repeat(element+",", n), ",")
	}
	user := func(more string) string { return `{` + core + `,"userName":"ada",` + more + `}` }
	cases := map[string]struct {
		in   string
		kind scim.ErrorType
		says string
	}{
		"NoSchemas":        {`{"userName":"ada"}`, scim.InvalidSyntax, `"schemas" must be a list that contains`},
		"EmptySchemas":     {`{"schemas":[],"userName":"ada"}`, scim.InvalidSyntax, "must be a list"},
		"SchemasText":      {`{"schemas":"x","userName":"ada"}`, scim.InvalidSyntax, "must be a list"},
		"SchemasNumber":    {`{"schemas":[1],"userName":"ada"}`, scim.InvalidSyntax, "only strings"},
		"UnknownSchema":    {`{"schemas":["` + scim.SchemaUser + `","urn:x"],"userName":"ada"}`, scim.InvalidSyntax, `"urn:x" in "schemas" is not a schema of a User`},
		"OtherSchema":      {`{"schemas":["` + scim.SchemaGroup + `"],"userName":"ada"}`, scim.InvalidSyntax, "is not a schema of a User"},
		"DuplicateSchema":  {`{"schemas":["` + scim.SchemaUser + `","` + strings.ToUpper(scim.SchemaUser) + `"],"userName":"ada"}`, scim.InvalidSyntax, "twice"},
		"NoBaseSchema":     {`{"schemas":["` + ent + `"],"userName":"ada"}`, scim.InvalidSyntax, "must contain"},
		"NoUserName":       {`{` + core + `}`, scim.InvalidValue, `"userName" is required for a User`},
		"EmptyUserName":    {`{` + core + `,"userName":""}`, scim.InvalidValue, `"userName" is required`},
		"BlankUserName":    {`{` + core + `,"userName":"  "}`, scim.InvalidValue, `Attribute "userName": the name is empty`},
		"InvisibleName":    {`{` + core + `,"userName":"a\u200bda"}`, scim.InvalidValue, "invisible"},
		"LongUserName":     {`{` + core + `,"userName":"` + strings.Repeat("x", 257) + `"}`, scim.InvalidValue, `"userName": the maximum length is 256 characters`},
		"NumberName":       {`{` + core + `,"userName":5}`, scim.InvalidValue, `"userName": the value must be a string`},
		"LongExternal":     {user(`"externalId":"` + strings.Repeat("x", 257) + `"`), scim.InvalidValue, `"externalId": the maximum length is 256`},
		"LongTitle":        {user(`"title":"` + strings.Repeat("x", 1025) + `"`), scim.InvalidValue, `"title": the maximum length is 1024`},
		"LongURL":          {user(`"profileUrl":"https://x/` + strings.Repeat("x", 2048) + `"`), scim.InvalidValue, `"profileUrl": the maximum length is 2048`},
		"LongPhoto":        {user(`"photos":[{"value":"https://x/` + strings.Repeat("x", 2048) + `"}]`), scim.InvalidValue, `"photos.value": the maximum length is 2048`},
		"LongCertificate":  {user(`"x509Certificates":[{"value":"` + strings.Repeat("AAAA", 2049) + `"}]`), scim.InvalidValue, `"x509Certificates.value": the maximum length is 8192`},
		"BadURL":           {user(`"profileUrl":"my page"`), scim.InvalidValue, "no spaces"},
		"BadURL2":          {user(`"profileUrl":"http://[::1"`), scim.InvalidValue, "not a URL"},
		"BadCertificate":   {user(`"x509Certificates":[{"value":"?"}]`), scim.InvalidValue, "must be base64"},
		"BadLocale":        {user(`"locale":"<en>"`), scim.InvalidValue, "written like en-US"},
		"BadTimezone":      {user(`"timezone":"☃"`), scim.InvalidValue, "written like Europe/Paris"},
		"StringBool":       {user(`"active":"true"`), scim.InvalidValue, `"active": the value must be true or false`},
		"NumberBool":       {user(`"active":1`), scim.InvalidValue, "true or false"},
		"PrimaryText":      {user(`"emails":[{"value":"x","primary":"yes"}]`), scim.InvalidValue, `"emails.primary": the value must be true or false`},
		"TwoPrimaries":     {user(`"emails":[{"value":"x","primary":true},{"value":"y","primary":true}]`), scim.InvalidValue, `"emails": at most one element can be primary`},
		"NoList":           {user(`"emails":{"value":"x"}`), scim.InvalidValue, `"emails": the value must be a list`},
		"NoObject":         {user(`"name":"Ada"`), scim.InvalidValue, `"name": the value must be an object, of formatted, familyName`},
		"NoElementObject":  {user(`"emails":["x"]`), scim.InvalidValue, `"emails": the value must be an object`},
		"ManyEmails":       {user(`"emails":[` + uniqueList(21) + `]`), scim.InvalidValue, `"emails": the maximum is 20 elements`},
		"ManyRoles":        {user(`"roles":[` + uniqueList(51) + `]`), scim.InvalidValue, `"roles": the maximum is 50 elements`},
		"ManyAddresses":    {user(`"addresses":[` + list(5000, `{"locality":"P"}`) + `]`), scim.InvalidValue, "the maximum is 20 elements"},
		"ManyCertificates": {user(`"x509Certificates":[{"value":"AAEC"},{"value":"AAED"},{"value":"AAEE"},{"value":"AAEF"},{"value":"AAEG"},{"value":"AAEH"}]`), scim.InvalidValue, "the maximum is 5 elements"},
		"ExtensionText":    {user(`"` + ent + `":"x"`), scim.InvalidValue, "must be an object"},
		"ExtensionLong":    {user(`"` + ent + `":{"division":"` + strings.Repeat("x", 1025) + `"}`), scim.InvalidValue, ent + `:division": the maximum length is`},
		"ManagerText":      {user(`"` + ent + `":{"manager":"m1"}`), scim.InvalidValue, ent + `:manager": the value must be an object, of value`},
		"PasswordNumber":   {user(`"password":5`), scim.InvalidValue, `"password": the value must be a string`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Canonicalize(User(), object(t, tc.in), Create)
			var e *scim.Error
			if !errors.As(err, &e) || e.Status != 400 || e.Type != tc.kind || !strings.Contains(e.Detail, tc.says) {
				t.Errorf("got %v and error %v, want a 400 %s that says %q", got, err, tc.kind, tc.says)
			}
		})
	}
}

func uniqueList(n int) string {
	var parts []string
	for i := range n {
		parts = append(parts, `{"value":"v`+strings.Repeat("x", i)+`"}`)
	}
	return strings.Join(parts, ",")
}

// TestCanonicalizeGroup is RFC 7643 §4.2: displayName is required, members are without bound.
func TestCanonicalizeGroup(t *testing.T) {
	const group = `"schemas":["` + scim.SchemaGroup + `"]`
	got, err := Canonicalize(Group(), object(t, `{`+group+`,"displayName":"G","externalId":"e","members":[{"value":"a","display":null,"$ref":null},{"value":"a"},`+uniqueList(250)+`]}`), Create)
	if err != nil {
		t.Fatal(err)
	}
	if members, _ := got["members"].([]any); len(members) != 251 || got["displayName"] != "G" || got["externalId"] != "e" {
		t.Errorf("got %d members of %v", len(members), got["displayName"])
	}
	if _, err := Canonicalize(Group(), object(t, `{`+group+`}`), Replace); err == nil || !strings.Contains(err.Error(), "PUT replaces the whole resource") {
		t.Errorf("got %v for a group without a name", err)
	}
}

// TestDiscovery is RFC 7643 §6, §7: what /Schemas and /ResourceTypes show.
func TestDiscovery(t *testing.T) {
	schemas := All(User(), Group())
	var ids []string
	for _, s := range schemas {
		ids = append(ids, s.ID)
		checkAttributes(t, s.ID, s.Object("https://h/scim/v2")["attributes"].([]any))
	}
	if diff := cmp.Diff([]string{scim.SchemaUser, ent, scim.SchemaGroup}, ids); diff != "" {
		t.Error(diff)
	}
	text, err := json.Marshal(schemas[0].Object("https://h/scim/v2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, lean := range []string{`"password"`, `null`, `"externalId"`} {
		if strings.Contains(string(text), lean) {
			t.Errorf("/Schemas holds %s, which clients stumble over", lean)
		}
	}
	want := object(t, `{"schemas":["`+scim.SchemaResourceType+`"],"id":"User","name":"User","description":"A person","endpoint":"/Users","schema":"`+scim.SchemaUser+`",
		"schemaExtensions":[{"schema":"`+ent+`","required":false}],"meta":{"resourceType":"ResourceType","location":"https://h/scim/v2/ResourceTypes/User"}}`)
	if diff := cmp.Diff(want, User().Object("https://h/scim/v2")); diff != "" {
		t.Error(diff)
	}
	if _, ok := Group().Object("")["schemaExtensions"]; ok {
		t.Error("a Group has no extensions")
	}
}

func checkAttributes(t *testing.T, where string, attributes []any) {
	t.Helper()
	for _, a := range attributes {
		o := a.(scim.Object)
		for _, name := range []string{"name", "type", "multiValued", "description", "required", "caseExact", "mutability", "returned", "uniqueness"} {
			if o[name] == nil || o[name] == "" {
				t.Errorf("%s: attribute %v lacks %s", where, o["name"], name)
			}
		}
		if o["type"] == "complex" && o["subAttributes"] == nil {
			t.Errorf("%s: complex attribute %v lacks subAttributes", where, o["name"])
		}
		if inner, ok := o["subAttributes"].([]any); ok {
			checkAttributes(t, where, inner)
		}
	}
}

func TestParseTime(t *testing.T) {
	for _, ok := range []string{"2011-05-13T04:42:34Z", "2011-05-13T04:42:34.123456789+02:00", "2011-05-13T04:42:34"} {
		if _, valid := ParseTime(ok); !valid {
			t.Errorf("%s is a dateTime (RFC 7643 §2.3.5)", ok)
		}
	}
	for _, bad := range []string{"", "2011-05-13", "2011-05-13 04:42:34Z", "2011-05-13T04:42:34,5Z", "2011-13-13T04:42:34Z", "now"} {
		if _, valid := ParseTime(bad); valid {
			t.Errorf("%s is no dateTime (RFC 7643 §2.3.5)", bad)
		}
	}
}

// FuzzCanonicalize: whatever a body holds, canonical form is stable and within bounds.
func FuzzCanonicalize(f *testing.F) {
	f.Add([]byte(`{` + both + `,"userName":"ada","emails":[{"type":"work","value":"a@x","primary":true},{"value":""}],"` + ent + `":{"manager":{"value":"m"}}}`))
	f.Add([]byte(`{` + core + `,"USERNAME":"ada","active":true,"name":{"x":1},"x509Certificates":[{"value":"AAEC"}],"password":"p"}`))
	f.Add([]byte(`{"schemas":["` + scim.SchemaGroup + `"],"displayName":"g","members":[{"value":"a"},{"value":"a","type":"User"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := scim.DecodeJSON(data, scim.Limits{})
		if err != nil {
			return
		}
		for _, rt := range []*ResourceType{User(), Group()} {
			once, err := Canonicalize(rt, body, Create)
			if err != nil {
				continue
			}
			twice, err := Canonicalize(rt, once, Replace)
			if err != nil || !scim.Equal(once, twice) {
				t.Errorf("%s: %v becomes %v, error %v", data, once, twice, err)
			}
			if rt.Name == "User" {
				checkElimity(t, once)
			}
			if _, there := once["password"]; there {
				t.Errorf("%s: a password was kept", data)
			}
		}
	})
}

// checkElimity: elimity-com/scim accepts what is canonical here.
func checkElimity(t *testing.T, user scim.Object) {
	t.Helper()
	if _, err := elimity.CoreUserSchema().Validate(user); err != nil {
		t.Errorf("elimity refuses %v: %v", user, err)
	}
	if ext, ok := user[ent].(scim.Object); ok {
		if _, err := elimity.ExtensionEnterpriseUser().ValidateExtension(ext); err != nil {
			t.Errorf("elimity refuses %v: %v", ext, err)
		}
	}
}

// FuzzAttrPath: a name that is read is printed as it was, and resolves to a name that resolves to
// itself.
func FuzzAttrPath(f *testing.F) {
	for _, s := range []string{"userName", "name.givenName", ent, ent + ":manager.$ref", scim.SchemaUser + ":USERNAME", "a:b:c.d", "$ref", ":x", "x."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseAttrPath(s)
		if err != nil {
			return
		}
		if n.String() != s {
			t.Errorf("%q prints as %q", s, n)
		}
		ref, err := User().Resolve(n)
		if err != nil || ref.String() == "" {
			return
		}
		again, err := ParseAttrPath(ref.String())
		if err != nil {
			t.Fatalf("%q resolves to %q: %v", s, ref, err)
		}
		if same, err := User().Resolve(again); err != nil || same != ref {
			t.Errorf("%q resolves to %q, and that to %q, error %v", s, ref, same, err)
		}
	})
}

// TestRequiredExtension is RFC 7643 §6: a type may require an extension. No type of this service
// does.
func TestRequiredExtension(t *testing.T) {
	rt := *User()
	rt.Extensions = []Extension{{Schema: rt.Extensions[0].Schema, Required: true}}
	body := scim.Object{"schemas": []any{scim.SchemaUser}, "userName": "ada"}
	var e *scim.Error
	if _, err := Canonicalize(&rt, body, Create); !errors.As(err, &e) || e.Type != scim.InvalidValue || !strings.Contains(e.Detail, scim.SchemaEnterpriseUser) {
		t.Errorf("without it: %v", err)
	}
	body[scim.SchemaEnterpriseUser] = scim.Object{"department": "D"}
	if _, err := Canonicalize(&rt, body, Create); err != nil {
		t.Errorf("with it: %v", err)
	}
}
