// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// schemaCases test RFC 7643 §2 and §3: the attributes.
func schemaCases() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"RFC7643_2_1_Names":        names,
		"RFC7643_2_2_Defaults":     defaults,
		"RFC7643_2_3_Types":        types,
		"RFC7643_2_3_5_Instants":   instants,
		"RFC7643_2_3_8_Complex":    complexAttributes,
		"RFC7643_2_4_Primary":      primary,
		"RFC7643_2_4_Elements":     elements,
		"RFC7643_2_5_Unassigned":   unassigned,
		"RFC7643_3_Schemas":        schemas,
		"RFC7643_3_1_Common":       common,
		"RFC7643_3_1_ExternalID":   externalID,
		"RFC7643_3_3_Extensions":   extensions,
		"RFC7643_9_Secrets":        secrets,
		"RFC7644_7_8_Lookalikes":   lookalikes,
		"RFC7643_2_3_1_Characters": characters,
	}
}

func names(f *fixture) {
	id := f.do("POST", "/Users", `{"SCHEMAS":["URN:ietf:params:scim:schemas:core:2.0:user"],"USERNAME":"ada","Name":{"GIVENNAME":"Ada"},"eMails":[{"VALUE":"a@x","Type":"work"}]}`).
		is(201, "userName", "ada", "name.givenName", "Ada", "emails[0].value", "a@x", "emails[0].type", "work", "schemas[0]", userSchema).at("id").(string)
	for _, filter := range []string{`USERNAME EQ "ada"`, `Name.GIVENname Sw "A"`, `EMAILS[TYPE eq "work" AND Value CO "x"]`, `URN:IETF:params:scim:schemas:core:2.0:user:UserName pr`} {
		f.do("GET", "/Users?filter="+filter, nil).is(200, "totalResults", 1)
	}
	f.do("GET", "/Users/"+id+"?attributes=NAME.givenname,EMAILS", nil).is(200, "name.givenName", "Ada", "emails[0].value", "a@x", "userName", nil)
	f.patch("/Users/"+id, obj{"op": "replace", "path": "NAME.FamilyNAME", "value": "L"}, obj{"op": "add", "value": obj{"TITLE": "Countess"}}).is(200, "name.familyName", "L", "title", "Countess")
	group := f.group("Payments", id)
	f.do("GET", "/Groups/"+group+"?attributes=members.$ref", nil).is(200, "members[0].$ref", f.BaseURL+"/Users/"+id, "members[0].value", nil)
	for _, bad := range []string{"1title", "-title", "ti tle", "ti@tle", ""} {
		f.do("GET", "/Users?filter="+bad+" pr", nil).problem(400, "invalidFilter")
	}
}

func defaults(f *fixture) {
	a := f.do("GET", "/Schemas/"+userSchema, nil)
	title := "attributes[name=title]."
	a.is(200, title+"type", "string", title+"multiValued", false, title+"required", false, title+"caseExact", false,
		title+"mutability", "readWrite", title+"returned", "default", title+"uniqueness", "none")
}

func types(f *fixture) {
	der := base64.StdEncoding.EncodeToString([]byte("certificate!!"))
	for name, test := range map[string]struct {
		attribute string
		value     any
		good      bool
	}{
		"StringNumber":       {"title", 7, false},
		"StringBoolean":      {"title", true, false},
		"StringObject":       {"title", obj{"value": "x"}, false},
		"StringList":         {"title", []string{"x"}, false},
		"Boolean":            {"active", true, true},
		"BooleanNumber":      {"active", 1, false},
		"BooleanWord":        {"active", "yes", false},
		"Complex":            {"name", obj{"givenName": "x"}, true},
		"ComplexText":        {"name", "x", false},
		"ComplexList":        {"name", []obj{{"givenName": "x"}, {"givenName": "y"}}, false},
		"List":               {"emails", []obj{{"value": "x"}}, true},
		"ListOfTexts":        {"emails", []string{"x"}, false},
		"ListText":           {"emails", "x", false},
		"Reference":          {"profileUrl", "https://example.test/ada", true},
		"ReferenceRelative":  {"profileUrl", "../people/ada", true},
		"ReferenceSpace":     {"profileUrl", "https://example.test/a da", false},
		"ReferenceNumber":    {"profileUrl", 3, false},
		"Binary":             {"x509Certificates", []obj{{"value": der}}, true},
		"BinaryNoPadding":    {"x509Certificates", []obj{{"value": strings.TrimRight(der, "=")}}, true},
		"BinaryWrongPadding": {"x509Certificates", []obj{{"value": der + "="}}, false},
		"BinaryText":         {"x509Certificates", []obj{{"value": "-----BEGIN CERTIFICATE-----"}}, false},
		"Language":           {"preferredLanguage", "da, en-gb;q=0.8", true},
		"LanguageText":       {"preferredLanguage", "<en>", false},
		"Locale":             {"locale", "en_US", true},
		"Timezone":           {"timezone", "America/Los_Angeles", true},
		"TimezoneText":       {"timezone", "\"now\"", false},
	} {
		a := f.do("POST", "/Users", userOf(obj{"userName": name, test.attribute: test.value}))
		if test.good {
			a.is(201)
			continue
		}
		if detail, _ := a.problem(400, "invalidValue").at("detail").(string); !strings.Contains(detail, test.attribute) {
			f.Errorf("%s: the detail must name the attribute: %s", name, detail)
		}
		f.do("GET", `/Users?filter=userName eq "`+name+`"`, nil).is(200, "totalResults", 0)
	}
}

func instants(f *fixture) {
	created := f.do("GET", "/Users/"+f.user("ada"), nil).at("meta.created").(string)
	if !strings.HasSuffix(created, "Z") || !strings.Contains(created, "T") {
		f.Errorf("a dateTime has a time and a zone: %s", created)
	}
	for filter, want := range map[string]int{
		`meta.created eq "` + created + `"`:                                  1,
		`meta.created eq "` + strings.TrimSuffix(created, "Z") + `%2B00:00"`: 1, // another way to write the same instant
		`meta.created gt "2026-01-01T00:00:00-12:00"`:                        1,
		`meta.created lt "2026-01-01T00:00:00Z"`:                             0,
	} {
		f.do("GET", "/Users?filter="+filter, nil).is(200, "totalResults", want)
	}
	for _, bad := range []string{`"yesterday"`, `"2026-01-01"`, "5", "true"} {
		f.do("GET", "/Users?filter=meta.created gt "+bad, nil).problem(400, "invalidFilter")
	}
}

func complexAttributes(f *fixture) {
	for _, schema := range f.do("GET", "/Schemas", nil).is(200).at("Resources").([]any) {
		for _, attribute := range schema.(obj)["attributes"].([]any) {
			subs, _ := attribute.(obj)["subAttributes"].([]any)
			for _, sub := range subs {
				if sub.(obj)["type"] == "complex" {
					f.Errorf("%v.%v nests", attribute.(obj)["name"], sub.(obj)["name"])
				}
			}
		}
	}
	f.do("GET", `/Users?filter=emails[value[type eq "x"]]`, nil).problem(400, "invalidFilter")
}

func primary(f *fixture) {
	id := f.user("ada", "emails", []obj{{"value": "a", "primary": true}, {"value": "b"}})
	f.patch("/Users/"+id, obj{"op": "add", "path": "emails", "value": []obj{{"value": "c", "primary": true}}}).
		is(200, "emails[value=a].primary", false, "emails[value=c].primary", true, "emails.#", 3)
	f.patch("/Users/"+id, obj{"op": "replace", "path": `emails[value eq "b"].primary`, "value": true}).
		is(200, "emails[value=b].primary", true, "emails[value=c].primary", false)
	f.patch("/Users/"+id, obj{"op": "replace", "path": `emails[value eq "a" or value eq "c"].primary`, "value": true}).problem(400, "invalidValue")
	f.do("GET", "/Users/"+id, nil).is(200, "emails[value=b].primary", true)
	for _, method := range []string{"POST", "PUT"} { // PingOne sends two; the first one counts
		path := map[string]string{"POST": "/Users", "PUT": "/Users/" + id}[method]
		a := f.do(method, path, userOf(obj{"userName": method, "phoneNumbers": []obj{{"value": "1", "primary": true}, {"value": "2", "primary": true}}}))
		if a.is(a.status, "phoneNumbers[value=1].primary", true, "phoneNumbers[value=2].primary", false); a.status >= 300 {
			f.Errorf("%s: %s", method, a.raw)
		}
	}
}

func elements(f *fixture) {
	id := f.user("ada", "emails", []obj{{"type": "work", "value": "a@x"}, {"type": "WORK", "value": "A@x", "display": "Ada"}, {"type": "home", "value": "a@x"}})
	f.do("GET", "/Users/"+id, nil).is(200, "emails.#", 2, "emails[1].type", "home")
	f.patch("/Users/"+id, obj{"op": "add", "path": "emails", "value": []obj{{"type": "home", "value": "a@x"}}}).is(200, "emails.#", 2)
	f.patch("/Users/"+id, obj{"op": "add", "path": "ims", "value": []obj{{"type": "carrier pigeon", "value": "x"}}}).is(200, "ims[0].type", "carrier pigeon")
}

func unassigned(f *fixture) {
	id := f.user("ada", "title", "Countess", "emails", []obj{{"value": "a"}}, "name", obj{"givenName": "Ada"})
	first := f.do("PUT", "/Users/"+id, userOf(obj{"userName": "ada"})).is(200, "title", nil, "emails", nil, "name", nil)
	for _, empty := range []obj{{"title": nil, "emails": nil, "name": nil}, {"title": "", "emails": []obj{}, "name": obj{}}, {"emails": []obj{{}}, "name": obj{"givenName": nil}}} {
		empty["userName"] = "ada"
		again := f.do("PUT", "/Users/"+id, userOf(empty)).is(200, "title", nil, "emails", nil, "name", nil)
		if again.header.Get("ETag") != first.header.Get("ETag") {
			f.Errorf("%v is the same state, but the version changed", empty)
		}
	}
	for _, filter := range []string{"title pr", "emails pr", "name pr", "name.givenName pr", "not (userName pr)"} {
		f.do("GET", "/Users?filter="+filter, nil).is(200, "totalResults", 0)
	}
	f.do("GET", "/Users?filter=title eq null", nil).is(200, "totalResults", 1)
}

func schemas(f *fixture) {
	for name, test := range map[string]struct {
		schemas any
		status  int
	}{
		"Right": {[]string{userSchema}, 201}, "Absent": {nil, 400}, "Empty": {[]string{}, 400}, "Text": {userSchema, 400}, "Numbers": {[]int{1}, 400},
		"Twice": {[]string{userSchema, userSchema}, 400}, "TwiceInOtherCase": {[]string{userSchema, strings.ToUpper(userSchema)}, 400},
		"OtherType": {[]string{groupSchema}, 400}, "Both": {[]string{userSchema, groupSchema}, 400}, "OnlyExtension": {[]string{enterprise}, 400},
		"Message": {[]string{userSchema, patchOp}, 400}, "DeclaredAndUnused": {[]string{enterprise, userSchema}, 201},
	} {
		a := f.do("POST", "/Users", obj{"schemas": test.schemas, "userName": name})
		if test.status == 400 {
			a.problem(400, "invalidSyntax")
			continue
		}
		a.is(201, "schemas[0]", userSchema, "schemas.#", 1)
	}
}

func common(f *fixture) {
	a := f.do("POST", "/Users", userOf(obj{"userName": "ada", "id": "mine", "meta": obj{"location": "elsewhere", "created": "1999-01-01T00:00:00Z", "resourceType": "Cat"}})).is(201)
	id := a.at("id").(string)
	location := f.BaseURL + "/Users/" + id
	if id == "mine" || id == "" || strings.Contains(strings.ToLower(id), "bulkid") {
		f.Errorf("the id must be the service's: %q", id)
	}
	a.is(201, "meta.resourceType", "User", "meta.location", location, "meta.version", a.header.Get("ETag"))
	if created, _ := a.at("meta.created").(string); created < "2020" || a.at("meta.lastModified") != created {
		f.Errorf("meta must be the service's: %s", a.raw)
	}
	for path, value := range map[string]any{"id": "other", "meta.created": "1999-01-01T00:00:00Z", "meta": obj{"created": "1999-01-01T00:00:00Z"}} {
		f.patch("/Users/"+id, obj{"op": "replace", "path": path, "value": value}).problem(400, "mutability")
	}
	f.patch("/Users/"+id, obj{"op": "remove", "path": "id"}).problem(400, "mutability")
	f.patch("/Users/"+id, obj{"op": "replace", "path": "id", "value": id}).is(200, "id", id)
	f.do("PUT", "/Users/"+id, userOf(obj{"userName": "ada", "id": "other", "meta": obj{"version": "x"}})).is(200, "id", id)
	f.do("GET", "/Users/"+strings.ToUpper(id), nil).problem(404, "") // caseExact
	f.do("GET", `/Users?filter=id eq "`+strings.ToUpper(id)+`"`, nil).is(200, "totalResults", 0)
	f.do("DELETE", "/Users/"+id, nil).is(204)
	if again := f.user("ada"); again == id {
		f.Error("an id must never be reused")
	}
	group := f.group("Payments")
	f.do("GET", "/Groups/"+group, nil).is(200, "meta.resourceType", "Group", "meta.location", f.BaseURL+"/Groups/"+group)
}

func externalID(f *fixture) {
	id := f.user("ada", "externalId", "Ext-1")
	f.do("GET", "/Users/"+f.user("bob"), nil).is(200, "externalId", nil)
	f.user("carol", "externalId", "Ext-1") // scoped by the client, not unique
	f.do("GET", `/Users?filter=externalId eq "Ext-1"`, nil).is(200, "totalResults", 2)
	f.do("GET", `/Users?filter=externalId eq "ext-1"`, nil).is(200, "totalResults", 0)
	f.patch("/Users/"+id, obj{"op": "replace", "path": "externalId", "value": "Ext-2"}).is(200, "externalId", "Ext-2")
	f.do("GET", `/Users?filter=externalId eq "Ext-2"`, nil).is(200, "totalResults", 1, "Resources[0].id", id)
}

func extensions(f *fixture) {
	ext := `"` + enterprise + `"`
	id := f.user("ada", enterprise, obj{"department": "Payments"})
	f.do("GET", "/Users/"+id, nil).is(200, "schemas.#", 2, "schemas[0]", userSchema, "schemas[1]", enterprise, ext+".department", "Payments", "department", nil)
	f.patch("/Users/"+id, obj{"op": "remove", "path": enterprise + ":department"}).is(200, "schemas.#", 1, ext, nil)
	f.patch("/Users/"+id, obj{"op": "add", "path": enterprise + ":costCenter", "value": "7"}).is(200, "schemas[1]", enterprise, ext+".costCenter", "7")
	f.patch("/Users/"+id, obj{"op": "remove", "path": enterprise}).is(200, "schemas.#", 1, ext, nil)
	f.patch("/Users/"+id, obj{"op": "add", "value": obj{enterprise: obj{"division": "D"}}}).is(200, "schemas[1]", enterprise, ext+".division", "D")
	f.do("PUT", "/Users/"+id, userOf(obj{"userName": "ada"})).is(200, "schemas.#", 1, ext, nil)
	f.do("POST", "/Users", userOf(obj{"userName": "eve", enterprise: "text"})).problem(400, "invalidValue")
}

func secrets(f *fixture) {
	id := f.do("POST", "/Users", userOf(obj{"userName": "ada", "password": "s3cret"})).is(201, "password", nil).at("id").(string)
	for _, path := range []string{"/Users/" + id, "/Users/" + id + "?attributes=password", "/Users", "/Users?attributes=password,userName"} {
		if a := f.do("GET", path, nil).is(200); strings.Contains(string(a.raw), "s3cret") || strings.Contains(string(a.raw), "password") {
			f.Errorf("%s shows a password", path)
		}
	}
	f.patch("/Users/"+id, obj{"op": "replace", "path": "password", "value": "other"}).is(200, "password", nil)
	f.patch("/Users/"+id, obj{"op": "replace", "value": obj{"password": 7}}).problem(400, "invalidValue")
	f.do("GET", `/Users?filter=password eq "s3cret"`, nil).problem(403, "sensitive")
	f.do("GET", `/Users?filter=password pr or userName pr`, nil).problem(403, "sensitive")
	f.do("GET", `/?filter=password pr`, nil).problem(403, "sensitive")
	f.do("POST", "/Users/.search", obj{"schemas": []string{messages + "SearchRequest"}, "filter": `password eq "s3cret"`}).problem(400, "invalidFilter")
	f.do("GET", "/Users?sortBy=password", nil).is(200, "totalResults", 1) // what can't be sorted by is ignored
}

func lookalikes(f *fixture) {
	f.user("ada@example.test")
	for reason, name := range map[string]string{
		"other case": "ADA@Example.TEST", "full width": "ａｄａ@example.test", "bold letters": "𝐚𝐝𝐚@example.test",
	} {
		if a := f.do("POST", "/Users", userOf(obj{"userName": name})); a.status != 409 || a.at("scimType") != "uniqueness" {
			f.Errorf("%s: the name must be taken: %d %s", reason, a.status, a.raw)
		}
	}
	f.user("josé") // composed
	f.do("POST", "/Users", userOf(obj{"userName": "jose\u0301"})).problem(409, "uniqueness")
	f.do("GET", `/Users?filter=userName eq "JOSE%CC%81"`, nil).is(200, "totalResults", 1)
	for reason, name := range map[string]string{
		"zero width space": "a\u200bda", "right-to-left override": "a\u202eda", "soft hyphen": "a\u00adda", "byte order mark": "\ufeffada", "private use": "a\ue000da",
		"control": "a\u0007da", "NUL": "a\u0000da", "line break": "a\nda", "outer space": " ada", "only space": "   ", "too long": strings.Repeat("x", 257),
	} {
		if a := f.do("POST", "/Users", userOf(obj{"userName": name})); a.status != 400 || a.at("scimType") != "invalidValue" {
			f.Errorf("%s: the name must be refused: %d %s", reason, a.status, a.raw)
		}
		if a := f.do("POST", "/Groups", groupOf(obj{"displayName": name})); a.status != 400 {
			f.Errorf("%s: a group's name must be refused: %d %s", reason, a.status, a.raw)
		}
	}
	f.do("GET", "/Users", nil).is(200, "totalResults", 2)
}

func characters(f *fixture) {
	for i, test := range []struct {
		text string
		good bool
	}{{"北京 – Ωmega 👩‍💻", true}, {"1 Way\r\nTown\t7", true}, {"nul\x00", false}, {"bell\x07", false}, {"escape\x1b[2J", false}, {"delete\x7f", false}, {strings.Repeat("é", 1024), true}, {strings.Repeat("é", 1025), false}} {
		name := fmt.Sprint("user", i)
		a := f.do("POST", "/Users", userOf(obj{"userName": name, "title": test.text, "addresses": []obj{{"formatted": test.text}}}))
		if !test.good {
			a.problem(400, "invalidValue")
			continue
		}
		a.is(201, "title", test.text, "addresses[0].formatted", test.text)
		f.do("GET", "/Users/"+a.at("id").(string), nil).is(200, "title", test.text)
	}
	f.do("POST", "/Users", `{"schemas":["`+userSchema+`"],"userName":"x","title":"\ud800"}`).problem(400, "invalidSyntax")
	f.do("POST", "/Users", "{\"schemas\":[\""+userSchema+"\"],\"userName\":\"x\",\"title\":\"\xff\"}").problem(400, "invalidSyntax")
}
