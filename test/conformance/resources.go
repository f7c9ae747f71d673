// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"strings"
)

// resourceCases test RFC 7643 §4 to §8: users, groups and discovery.
func resourceCases() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"RFC7643_4_1_Attributes":     attributes,
		"RFC7643_4_1_1_UserName":     userName,
		"RFC7643_4_1_1_Active":       active,
		"RFC7643_4_1_2_Groups":       groupsOfUser,
		"RFC7643_4_1_2_Certificates": certificates,
		"RFC7643_4_2_Group":          groupAttributes,
		"RFC7643_4_2_Members":        members,
		"RFC7643_4_3_Enterprise":     enterpriseAttributes,
		"RFC7643_5_Provider":         providerConfig,
		"RFC7643_6_ResourceTypes":    resourceTypes,
		"RFC7643_7_Schemas":          schemaDocuments,
		"RFC7643_7_Mutability":       mutability,
		"RFC7643_7_Returned":         returned,
		"RFC7643_7_Uniqueness":       uniqueness,
	}
}

// everything returns a User with every attribute of RFC 7643 §4.1 and §4.3.
func everything(name string) obj {
	contact := func(value, kind string) []obj { return []obj{{"value": value, "type": kind, "primary": true}} }
	return userOf(obj{
		"userName": name, "externalId": "ext-" + name, "displayName": "Babs Jensen", "nickName": "Babs", "profileUrl": "https://login.example.test/bjensen",
		"title": "Tour Guide", "userType": "Employee", "preferredLanguage": "en-US", "locale": "en-US", "timezone": "America/Los_Angeles", "active": true,
		"name": obj{"formatted": "Ms. Barbara J Jensen, III", "familyName": "Jensen", "givenName": "Barbara", "middleName": "Jane",
			"honorificPrefix": "Ms.", "honorificSuffix": "III"},
		"emails": contact("bjensen@example.test", "work"), "phoneNumbers": contact("tel:+1-201-555-0123", "work"), "ims": contact("someaimhandle", "aim"),
		"photos": contact("https://photos.example.test/F", "photo"), "entitlements": contact("e1", "x"), "roles": contact("r1", "y"),
		"x509Certificates": contact("MIIDQzCCAqygAwIBAgICEAAwDQYJKoZIhvcNAQEFBQAwTjELMAkGA1UEBhMCVVM=", "z"),
		"addresses": []obj{{"formatted": "100 Universal City Plaza\nHollywood, CA 91608 USA", "streetAddress": "100 Universal City Plaza", "locality": "Hollywood",
			"region": "CA", "postalCode": "91608", "country": "US", "type": "work", "primary": true}},
		enterprise: obj{"employeeNumber": "701984", "costCenter": "4130", "organization": "Universal Studios", "division": "Theme Park",
			"department": "Tour Operations", "manager": obj{"value": "26118915-6090-4610-87e4-49d8ca9f808d"}},
	})
}

// same checks that a response contains all of want.
func (a answer) same(path string, want any) {
	a.Helper()
	switch want := want.(type) {
	case obj:
		for name, v := range want {
			if strings.Contains(name, ":") {
				name = `"` + name + `"`
			}
			a.same(strings.TrimPrefix(path+"."+name, "."), v)
		}
	case []obj:
		for i, v := range want {
			a.same(path+"["+string(rune('0'+i))+"]", v)
		}
	case []string:
	default:
		if have := a.at(path); have != want {
			a.Errorf("%s: %s must be %v and is %v", a.what, path, want, have)
		}
	}
}

func attributes(f *fixture) {
	want := everything("bjensen")
	created := f.do("POST", "/Users", want).is(201)
	created.same("", want)
	path := "/Users/" + created.at("id").(string)
	f.do("GET", path, nil).is(200).same("", want)
	again := f.do("PUT", path, want).is(200)
	if again.header.Get("ETag") != created.header.Get("ETag") {
		f.Error("a PUT of the current state must change nothing")
	}
	for _, filter := range []string{"name.honorificSuffix", "ims.value", "photos.value", "addresses.country", "entitlements.value", "x509Certificates.value", enterprise + ":costCenter", enterprise + ":manager.value"} {
		f.do("GET", "/Users?filter="+filter+" pr", nil).is(200, "totalResults", 1)
	}
}

func userName(f *fixture) {
	for name, value := range map[string]any{"Absent": nil, "Empty": "", "Number": 7, "List": []string{"x"}} {
		if a := f.do("POST", "/Users", userOf(obj{"userName": value})); a.status != 400 || a.at("scimType") != "invalidValue" {
			f.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	id := f.user("Ada@Example.test")
	f.do("GET", "/Users/"+id, nil).is(200, "userName", "Ada@Example.test")
	f.do("GET", `/Users?filter=userName eq "ada@example.TEST"`, nil).is(200, "totalResults", 1)
	f.do("POST", "/Users", userOf(obj{"userName": "ADA@example.test"})).problem(409, "uniqueness")
	f.patch("/Users/"+id, obj{"op": "replace", "path": "userName", "value": "ada@example.test"}).is(200, "userName", "ada@example.test") // the same name in another case
	f.patch("/Users/"+id, obj{"op": "remove", "path": "userName"}).problem(400, "mutability")
	f.patch("/Users/"+id, obj{"op": "replace", "path": "userName", "value": ""}).problem(400, "invalidValue")
}

func active(f *fixture) {
	id := f.user("ada")
	f.do("GET", "/Users?filter=active eq true", nil).is(200, "totalResults", 1, "Resources[0].active", true) // a user pushed without active is active
	f.do("PUT", "/Users/"+id, userOf(obj{"userName": "ada", "active": false})).is(200, "active", false)
	f.do("PUT", "/Users/"+id, userOf(obj{"userName": "ada"})).is(200, "active", true)
	f.patch("/Users/"+id, obj{"op": "remove", "path": "active"}).is(200, "active", nil)
	f.patch("/Users/"+id, obj{"op": "replace", "path": "active", "value": false}).is(200, "active", false)
	f.do("GET", "/Users/"+id, nil).is(200, "active", false) // still there, still found
	f.do("GET", "/Users?filter=active eq false", nil).is(200, "totalResults", 1)
	f.do("POST", "/Users", userOf(obj{"userName": "ada"})).problem(409, "uniqueness")
	f.patch("/Users/"+id, obj{"op": "replace", "value": obj{"active": true}}).is(200, "active", true)
}

func groupsOfUser(f *fixture) {
	id := f.do("POST", "/Users", userOf(obj{"userName": "ada", "groups": []obj{{"value": "made up"}}, "emails": []obj{{"value": "Ada@Example.TEST"}}})).
		is(201, "groups", nil, "emails[0].value", "Ada@Example.TEST").at("id").(string)
	group := f.group("Payments", id)
	want := []any{"groups[0].value", group, "groups[0].$ref", f.BaseURL + "/Groups/" + group, "groups[0].display", "Payments", "groups[0].type", "direct", "groups.#", 1}
	f.do("GET", "/Users/"+id, nil).is(200, want...)
	f.do("GET", `/Users?filter=groups.value eq "`+group+`"`, nil).is(200, "totalResults", 1)
	f.patch("/Users/"+id, obj{"op": "add", "path": "groups", "value": []obj{{"value": "x"}}}).problem(400, "mutability")
	f.patch("/Users/"+id, obj{"op": "remove", "path": "groups"}).problem(400, "mutability")
	f.do("PUT", "/Users/"+id, userOf(obj{"userName": "ada", "groups": []obj{}})).is(200, want...)
	f.patch("/Groups/"+group, obj{"op": "remove", "path": `members[value eq "` + id + `"]`}).is(204)
	f.do("GET", "/Users/"+id, nil).is(200, "groups", nil)
}

func certificates(f *fixture) {
	id := f.user("ada", "x509Certificates", []obj{{"value": "MIIDQzCCAqw=", "primary": true}})
	f.do("GET", "/Users/"+id, nil).is(200, "x509Certificates[0].value", "MIIDQzCCAqw=")
	f.do("GET", `/Users?filter=x509Certificates.value eq "MIIDQzCCAqw="`, nil).is(200, "totalResults", 1)
	f.do("GET", `/Users?filter=x509Certificates.value eq "miidQzCCAqw="`, nil).is(200, "totalResults", 0)
	f.do("GET", `/Users?filter=x509Certificates.value gt "M"`, nil).problem(400, "invalidFilter")
	f.patch("/Users/"+id, obj{"op": "add", "path": "x509Certificates", "value": []obj{{"value": "no base64!"}}}).problem(400, "invalidValue")
}

func groupAttributes(f *fixture) {
	f.do("POST", "/Groups", groupOf(obj{})).problem(400, "invalidValue")
	f.do("GET", "/Schemas/"+groupSchema, nil).is(200, "attributes[name=displayName].required", true)
	a := f.do("POST", "/Groups", groupOf(obj{"displayName": "Payments", "externalId": "g1"})).is(201, "displayName", "Payments", "externalId", "g1", "members", nil)
	path := "/Groups/" + a.at("id").(string)
	if a.header.Get("Location") != f.BaseURL+path {
		f.Errorf("Location is %q", a.header.Get("Location"))
	}
	f.do("POST", "/Groups", groupOf(obj{"displayName": "PAYMENTS"})).problem(409, "uniqueness")
	other := f.group("Fraud")
	f.patch("/Groups/"+other, obj{"op": "replace", "path": "displayName", "value": "payments"}).problem(409, "uniqueness")
	f.patch(path, obj{"op": "remove", "path": "displayName"}).problem(400, "mutability")
	f.patch(path, obj{"op": "replace", "path": "displayName", "value": "Billing"}).is(204)
	f.do("GET", `/Groups?filter=displayName eq "billing"`, nil).is(200, "totalResults", 1, "Resources[0].externalId", "g1")
}

func members(f *fixture) {
	ada, bob := f.user("ada"), f.user("bob")
	group := f.group("Payments", ada)
	path := "/Groups/" + group
	f.do("GET", path, nil).is(200, "members[0].value", ada, "members[0].$ref", f.BaseURL+"/Users/"+ada, "members[0].type", "User", "members[0].display", "ada")
	for name, op := range map[string]obj{
		"Sub-attribute": {"op": "replace", "path": `members[value eq "` + ada + `"].value`, "value": bob},
		"Display":       {"op": "replace", "path": "members.display", "value": "x"},
		"Whole element": {"op": "replace", "path": `members[value eq "` + ada + `"]`, "value": obj{"value": bob}},
	} {
		if a := f.patch(path, op); a.status != 400 || a.at("scimType") != "mutability" {
			f.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	for name, member := range map[string]obj{
		"Group": {"value": group, "type": "Group"}, "GroupByRef": {"value": group, "$ref": f.BaseURL + "/Groups/" + group}, "Unknown": {"value": "unknown"}, "NoValue": {"display": "x"}, "TypeAlone": {"type": "User"}, "RefElsewhere": {"$ref": "https://x.test/people/1"},
		"OtherType": {"value": ada, "type": "Device"},
	} {
		for _, a := range []answer{
			f.patch(path, obj{"op": "add", "path": "members", "value": []obj{member}}),
			f.do("POST", "/Groups", groupOf(obj{"displayName": "New", "members": []obj{member}})),
			f.do("PUT", path, groupOf(obj{"displayName": "Payments", "members": []obj{member}})),
		} {
			if a.status != 400 || a.at("scimType") != "invalidValue" {
				f.Errorf("%s: %s %d %s", name, a.what, a.status, a.raw)
			}
		}
	}
	f.do("GET", path, nil).is(200, "members.#", 1)
	f.do("GET", "/Groups", nil).is(200, "totalResults", 1)
	f.patch(path, obj{"op": "add", "path": "members", "value": []obj{{"$ref": f.BaseURL + "/Users/" + bob}}}).is(204) // §2.4: the URL identifies the user
	f.do("GET", path, nil).is(200, "members.#", 2)
	f.do("PUT", path, groupOf(obj{"displayName": "Payments", "members": []obj{{"$ref": "../Users/" + bob, "type": "User"}}})).is(200, "members.#", 1, "members[0].value", bob)
}

func enterpriseAttributes(f *fixture) {
	boss := f.user("boss")
	ext := `"` + enterprise + `".`
	id := f.user("ada", enterprise, obj{"manager": obj{"value": boss, "displayName": "made up"}})
	f.do("GET", "/Users/"+id, nil).is(200, ext+"manager.value", boss)
	if have := f.do("GET", "/Users/"+id, nil).at(ext + "manager.displayName"); have == "made up" {
		f.Error("a manager's displayName is read-only")
	}
	for _, value := range []any{boss, obj{"value": boss}, []obj{{"value": boss}}} {
		f.patch("/Users/"+id, obj{"op": "replace", "path": enterprise + ":manager", "value": value}).is(200, ext+"manager.value", boss)
	}
	f.patch("/Users/"+id, obj{"op": "replace", "path": enterprise + ":manager", "value": obj{"$ref": "../Users/" + id}}).is(200, ext+"manager.value", id)
	f.patch("/Users/"+id, obj{"op": "replace", "path": enterprise + ":manager", "value": obj{"$ref": f.BaseURL + "/Users/" + boss}}).is(200, ext+"manager.value", boss)
	f.do("GET", `/Users?filter=`+enterprise+`:manager eq "`+boss+`"`, nil).is(200, "totalResults", 1)
	f.patch("/Users/"+id, obj{"op": "remove", "path": enterprise + ":manager"}).is(200, ext+"manager", nil)
}

func providerConfig(f *fixture) {
	a := f.do("GET", "/ServiceProviderConfig", nil).is(200, "patch.supported", true, "bulk.supported", true, "bulk.maxOperations", 1000, "bulk.maxPayloadSize", 1<<20,
		"filter.supported", true, "filter.maxResults", 1000, "changePassword.supported", false, "sort.supported", true, "etag.supported", true, "id", nil, "documentationUri", nil,
		"meta.resourceType", "ServiceProviderConfig", "meta.location", f.BaseURL+"/ServiceProviderConfig")
	for _, needed := range []string{"type", "name", "description"} {
		if v, _ := a.at("authenticationSchemes[0]." + needed).(string); v == "" {
			f.Errorf("authenticationSchemes lacks %s: %s", needed, a.raw)
		}
	}
	if strings.Contains(string(a.raw), `""`) {
		f.Errorf("an empty URI must be omitted: %s", a.raw)
	}
}

func resourceTypes(f *fixture) {
	f.do("GET", "/ResourceTypes", nil).is(200, "schemas[0]", messages+"ListResponse", "totalResults", 2, "Resources[name=User].endpoint", "/Users", "Resources[name=User].schema", userSchema,
		"Resources[name=User].schemaExtensions[0].schema", enterprise, "Resources[name=User].schemaExtensions[0].required", false, "Resources[name=Group].schemaExtensions", nil)
	f.do("GET", "/ResourceTypes/Group", nil).is(200, "endpoint", "/Groups", "schema", groupSchema, "meta.location", f.BaseURL+"/ResourceTypes/Group")
	f.do("GET", "/ResourceTypes/Device", nil).problem(404, "")
}

func schemaDocuments(f *fixture) {
	f.do("GET", "/Schemas", nil).is(200, "schemas[0]", messages+"ListResponse", "totalResults", 3)
	for _, urn := range []string{userSchema, groupSchema, enterprise} {
		a := f.do("GET", "/Schemas/"+urn, nil).is(200, "id", urn, "meta.location", f.BaseURL+"/Schemas/"+urn, "meta.resourceType", "Schema")
		for _, attribute := range a.at("attributes").([]any) {
			for _, needed := range []string{"name", "type", "multiValued", "description", "required", "mutability", "returned", "uniqueness", "caseExact"} {
				if attribute.(obj)[needed] == nil {
					f.Errorf("%s of %v is missing", needed, attribute.(obj)["name"])
				}
			}
		}
	}
	f.do("GET", "/Schemas/urn:nothing", nil).problem(404, "")
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		f.do(method, "/Schemas", obj{}).problem(405, "")
	}
	f.do("GET", "/Schemas/"+userSchema, nil).is(200, "attributes[name=userName].uniqueness", "server", "attributes[name=userName].required", true,
		"attributes[name=groups].mutability", "readOnly", "attributes[name=emails].multiValued", true)
	f.do("GET", "/Schemas/"+groupSchema, nil).is(200, "attributes[name=members].subAttributes[name=display].mutability", "readOnly", "attributes[name=members].subAttributes[name=value].mutability", "immutable")
}

func mutability(f *fixture) {
	id := f.user("ada")
	for _, path := range []string{"id", "meta.created", "groups", "meta"} {
		f.patch("/Users/"+id, obj{"op": "add", "path": path, "value": "changed"}).problem(400, "mutability")
	}
	f.patch("/Users/"+id, obj{"op": "replace", "value": obj{"id": "other", "title": "x"}}).problem(400, "mutability")
	f.do("GET", "/Users/"+id, nil).is(200, "title", nil)
	f.patch("/Users/"+id, obj{"op": "replace", "value": obj{"id": id, "title": "x"}}).is(200, "title", "x") // an equal value is no change
	f.do("PUT", "/Users/"+id, userOf(obj{"id": "other", "userName": "ada", "groups": []obj{{"value": "x"}}})).is(200, "id", id, "groups", nil)
}

func returned(f *fixture) {
	id := f.user("ada", "title", "Countess", "password", "x")
	path, one := "/Users/"+id, "?attributes=title"
	search := obj{"schemas": []string{messages + "SearchRequest"}, "attributes": []string{"title"}}
	checks := []any{"id", id, "schemas[0]", userSchema, "title", "Countess", "userName", nil, "meta", nil, "password", nil}
	f.do("GET", path+one, nil).is(200, checks...)
	f.do("PUT", path+one, userOf(obj{"userName": "ada", "title": "Countess"})).is(200, checks...)
	f.do("PATCH", path+one, patchOf(obj{"op": "add", "path": "nickName", "value": "A"})).is(200, checks...)
	for i := 0; i < len(checks); i += 2 {
		checks[i] = "Resources[0]." + checks[i].(string)
	}
	f.do("GET", "/Users"+one, nil).is(200, checks...)
	f.do("POST", "/Users/.search", search).is(200, checks...)
	f.do("POST", "/Users"+one, userOf(obj{"userName": "bob", "title": "T"})).is(201, "title", "T", "userName", nil)
	f.do("GET", path+"?excludedAttributes=id,schemas,title,name.givenName", nil).is(200, "id", id, "schemas[0]", userSchema, "title", nil, "userName", "ada")
}

func uniqueness(f *fixture) {
	f.user("ada")
	bob := f.user("bob")
	f.do("POST", "/Users", userOf(obj{"userName": "Ada"})).problem(409, "uniqueness")
	f.do("PUT", "/Users/"+bob, userOf(obj{"userName": "Ada"})).problem(409, "uniqueness")
	f.patch("/Users/"+bob, obj{"op": "replace", "path": "userName", "value": "Ada"}).problem(409, "uniqueness")
	f.do("GET", "/Users/"+bob, nil).is(200, "userName", "bob")
}
