// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"strings"
)

// writeCases test RFC 7644 §3.3 and §3.5 to §3.7: creating, changing and deleting.
func writeCases() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"RFC7644_3_3_Create":        create,
		"RFC7644_3_5_1_Put":         put,
		"RFC7644_3_5_2_Atomic":      atomic,
		"RFC7644_3_5_2_Body":        patchBody,
		"RFC7644_3_5_2_Paths":       patchPaths,
		"RFC7644_3_5_2_1_Add":       patchAdd,
		"RFC7644_3_5_2_2_Remove":    patchRemove,
		"RFC7644_3_5_2_3_Replace":   patchReplace,
		"RFC7644_3_5_2_Group":       patchGroup,
		"RFC7644_3_6_Delete":        deleting,
		"RFC7644_3_7_Bulk":          bulk,
		"RFC7644_3_7_3_BulkErrors":  bulkErrors,
		"RFC7644_3_7_2_BulkCircles": bulkCircles,
	}
}

func create(f *fixture) {
	a := f.do("POST", "/Users", userOf(obj{"userName": "ada", "id": "mine", "groups": []obj{{"value": "x"}}, "nosuch": 1})).
		is(201, "userName", "ada", "meta.resourceType", "User", "groups", nil, "nosuch", nil)
	if want := f.BaseURL + "/Users/" + a.at("id").(string); a.header.Get("Location") != want || a.at("meta.location") != want || a.header.Get("ETag") == "" {
		f.Errorf("headers: %v", a.header)
	}
	f.do("POST", "/Users", userOf(obj{"userName": "ada"})).problem(409, "uniqueness")
	f.do("GET", "/Users", nil).is(200, "totalResults", 1)
}

func put(f *fixture) {
	id := f.user("ada", "title", "Engineer", "nickName", "A", "active", false)
	path := "/Users/" + id
	f.do("PUT", path, userOf(obj{"id": "ignored", "userName": "ada", "title": "Director", "nickName": ""})).is(200, "title", "Director", "nickName", nil, "id", id)
	if f.do("GET", path, nil).at("active") == false {
		f.Error("active is omitted, so it is cleared, and absent means true")
	}
	f.do("PUT", path, userOf(obj{"title": "x"})).problem(400, "invalidValue")
	f.do("PUT", "/Users/6f3c1c1e-0000-4000-8000-000000000000", userOf(obj{"userName": "x"})).problem(404, "")
	f.do("PUT", "/Groups/6f3c1c1e-0000-4000-8000-000000000000", groupOf(obj{"displayName": "x"})).problem(404, "")
	f.do("GET", "/Users", nil).is(200, "totalResults", 1)
	group := f.group("Payments", id)
	f.do("PUT", "/Groups/"+group, groupOf(obj{"displayName": "Fraud", "members": refs(id)})).is(200, "displayName", "Fraud", "members[0].value", id)
	f.do("PUT", "/Groups/"+group, groupOf(obj{"displayName": "Fraud"})).is(200, "members", nil)
}

func atomic(f *fixture) {
	ada, bob := f.user("ada", "title", "Engineer"), f.user("bob")
	path := "/Users/" + ada
	before := f.do("GET", path, nil)
	for name, bad := range map[string]obj{
		"Path": {"op": "replace", "path": "nosuch", "value": "x"}, "ReadOnly": {"op": "replace", "path": "id", "value": "x"}, "NoTarget": {"op": "remove"},
		"Value": {"op": "replace", "path": "active", "value": "maybe"}, "Required": {"op": "remove", "path": "userName"}, "Taken": {"op": "replace", "path": "userName", "value": "BOB"},
		"Length": {"op": "add", "path": "title", "value": strings.Repeat("x", 2000)}, "Filter": {"op": "remove", "path": "emails[nosuch pr]"},
	} {
		if a := f.patch(path, obj{"op": "replace", "path": "title", "value": "changed"}, bad); a.status < 400 || a.status >= 500 {
			f.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	if after := f.do("GET", path, nil); !bytes.Equal(after.raw, before.raw) {
		f.Errorf("something was changed:\n%s\n%s", before.raw, after.raw)
	}
	group := f.group("Payments", ada)
	f.group("Fraud")
	for name, ops := range map[string][]obj{
		"UnknownMember": {{"op": "replace", "path": "displayName", "value": "New"}, {"op": "add", "path": "members", "value": refs(bob)}, {"op": "add", "path": "members", "value": refs("unknown")}},
		"TakenName":     {{"op": "add", "path": "members", "value": refs(bob)}, {"op": "replace", "path": "displayName", "value": "FRAUD"}},
		"Path":          {{"op": "remove", "path": "members"}, {"op": "replace", "path": "nosuch", "value": "x"}},
		"Nested":        {{"op": "remove", "path": "members"}, {"op": "add", "path": "members", "value": []obj{{"value": ada, "type": "Group"}}}},
	} {
		if a := f.patch("/Groups/"+group, ops...); a.status < 400 || a.status >= 500 {
			f.Errorf("%s: %d %s", name, a.status, a.raw)
		}
		f.do("GET", "/Groups/"+group, nil).is(200, "displayName", "Payments", "members.#", 1, "members[0].value", ada)
	}
}

func patchBody(f *fixture) {
	path := "/Users/" + f.user("ada", "title", "x")
	for name, body := range map[string]any{
		"NoOperations": obj{"schemas": []string{patchOp}}, "Empty": patchOf(), "OtherSchema": obj{"schemas": []string{userSchema}, "Operations": []obj{{"op": "remove", "path": "title"}}},
		"NotAList": obj{"schemas": []string{patchOp}, "Operations": obj{}}, "NotObjects": obj{"schemas": []string{patchOp}, "Operations": []string{"x"}},
		"UnknownOp": patchOf(obj{"op": "move", "path": "title"}), "NoOp": patchOf(obj{"path": "title", "value": "x"}), "PathNumber": patchOf(obj{"op": "remove", "path": 7}),
		"Twice": `{"schemas":["` + patchOp + `"],"Operations":[{"op":"remove","path":"title","PATH":"userName"}]}`, "OpNumber": patchOf(obj{"op": 1, "path": "title"}),
	} {
		if a := f.do("PATCH", path, body); a.status != 400 || a.at("scimType") != "invalidSyntax" {
			f.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	f.do("PATCH", path+"?attributes=title", patchOf(obj{"op": "add", "path": "title", "value": "y"})).is(200, "title", "y", "userName", nil)
	f.patch(path, obj{"op": "add", "path": "title", "value": "1"}, obj{"op": "remove", "path": "title"}, obj{"op": "add", "path": "title", "value": "2"}).is(200, "title", "2") // in order
	f.do("PATCH", "/Users/unknown", patchOf(obj{"op": "add", "path": "title", "value": "y"})).problem(404, "")
}

func patchPaths(f *fixture) {
	path := "/Users/" + f.user("ada", "emails", []obj{{"type": "work", "value": "a"}})
	for _, bad := range []string{"nosuch", "name.nosuch", "name.givenName.x", "title[type eq \"x\"]", "emails[type eq \"work\"]x", "emails[type eq \"work\"].nosuch", ".title", "title.", "urn:x:title", ":title", "a b", "emails.type[x]", strings.Repeat("a", 5000)} {
		f.patch(path, obj{"op": "add", "path": bad, "value": "x"}).problem(400, "invalidPath")
	}
	for _, bad := range []string{"emails[", "emails[]", "emails[type]", "emails[type eq work]", "emails[nosuch eq \"x\"]", "emails[type eq \"work\""} {
		f.patch(path, obj{"op": "add", "path": bad, "value": "x"}).problem(400, "invalidFilter")
	}
	f.patch(path, obj{"op": "replace", "path": "EMAILS[Type EQ \"WORK\"].VALUE", "value": "b"}).is(200, "emails[0].value", "b", "emails.#", 1)
}

func patchAdd(f *fixture) {
	id := f.user("ada", "name", obj{"givenName": "Ada"}, "emails", []obj{{"type": "work", "value": "a"}})
	path := "/Users/" + id
	f.patch(path, obj{"op": "add", "value": obj{"name": obj{"familyName": "L"}, "emails": []obj{{"type": "home", "value": "b"}}, "title": "T"}}).
		is(200, "name.givenName", "Ada", "name.familyName", "L", "emails.#", 2, "title", "T")
	before := f.do("GET", path, nil)
	for _, same := range []obj{{"op": "add", "path": "emails", "value": []obj{{"type": "home", "value": "b"}}}, {"op": "add", "path": "title", "value": "T"}, {"op": "add", "value": obj{"name": obj{"givenName": "Ada"}}}, {"op": "add", "path": "nickName", "value": nil}} {
		after := f.patch(path, same).is(200, "meta.lastModified", before.at("meta.lastModified"))
		if after.header.Get("ETag") != before.header.Get("ETag") {
			f.Errorf("%v changes nothing, but the version changed", same)
		}
	}
	f.patch(path, obj{"op": "add", "path": "name.middleName", "value": "K"}).is(200, "name.middleName", "K", "name.givenName", "Ada")
	f.patch(path, obj{"op": "add", "path": "title"}).problem(400, "invalidValue")
	f.patch(path, obj{"op": "add", "value": "x"}).problem(400, "invalidValue")
	f.patch(path, obj{"op": "add", "path": `phoneNumbers[type eq "mobile"].value`, "value": "1"}, obj{"op": "add", "path": `phoneNumbers[type eq "mobile"].display`, "value": "One"}).
		is(200, "phoneNumbers.#", 1, "phoneNumbers[type=mobile].value", "1", "phoneNumbers[type=mobile].display", "One") // both change the same new element
	group := f.group("Payments", id)
	modified := f.do("GET", "/Groups/"+group, nil).at("meta.lastModified")
	f.patch("/Groups/"+group, obj{"op": "add", "path": "members", "value": refs(id)}).is(204)
	f.do("GET", "/Groups/"+group, nil).is(200, "members.#", 1, "meta.lastModified", modified)
}

func patchRemove(f *fixture) {
	id := f.user("ada", "title", "T", "name", obj{"givenName": "Ada", "familyName": "L"}, "emails", []obj{{"type": "work", "value": "a"}, {"type": "home", "value": "b"}, {"type": "home", "value": "c"}})
	path := "/Users/" + id
	f.patch(path, obj{"op": "remove"}).problem(400, "noTarget")
	f.patch(path, obj{"op": "remove", "path": "userName"}).problem(400, "mutability")
	f.patch(path, obj{"op": "remove", "path": "meta"}).problem(400, "mutability")
	f.patch(path, obj{"op": "remove", "path": "schemas"}).problem(400, "mutability")
	f.patch(path, obj{"op": "remove", "path": "title"}, obj{"op": "remove", "path": "name.familyName"}).is(200, "title", nil, "name.familyName", nil, "name.givenName", "Ada")
	f.patch(path, obj{"op": "remove", "path": `emails[type eq "home" and value eq "b"]`}).is(200, "emails.#", 2)
	f.patch(path, obj{"op": "remove", "path": `emails[type eq "work"].display`}).is(200, "emails.#", 2)
	f.patch(path, obj{"op": "remove", "path": `emails[type pr]`}).is(200, "emails", nil)
	f.patch(path, obj{"op": "remove", "path": "name.givenName"}).is(200, "name", nil) // the last of it
	f.patch(path, obj{"op": "remove", "path": "nickName"}).is(200)                    // removing a missing value succeeds
	f.do("GET", "/Users?filter=emails pr or name pr", nil).is(200, "totalResults", 0)
}

func patchReplace(f *fixture) {
	id := f.user("ada", "title", "T", "name", obj{"givenName": "Ada", "familyName": "L"}, "emails", []obj{{"type": "work", "value": "a"}, {"type": "home", "value": "b"}})
	path := "/Users/" + id
	f.patch(path, obj{"op": "replace", "value": obj{"title": "U", "name": obj{"givenName": "Augusta"}}}).is(200, "title", "U", "name.givenName", "Augusta", "name.familyName", "L")
	f.patch(path, obj{"op": "replace", "path": "nickName", "value": "A"}).is(200, "nickName", "A") // absent: as add
	f.patch(path, obj{"op": "replace", "path": `emails[type eq "work"]`, "value": obj{"value": "z"}}).is(200, "emails.#", 2, "emails[type=work].value", "z")
	f.patch(path, obj{"op": "replace", "path": `emails[type eq "home"].value`, "value": "y"}).is(200, "emails[type=home].value", "y", "emails[type=work].value", "z")
	f.patch(path, obj{"op": "replace", "path": `emails[type eq "other"].value`, "value": "o"}).is(200, "emails[type=other].value", "o") // decided in docs/adr/0005
	f.patch(path, obj{"op": "replace", "path": `emails[value eq "gone@example.test"].type`, "value": "home"}).problem(400, "noTarget")
	f.patch(path, obj{"op": "replace", "path": `emails[type eq "x" or type eq "y"].value`, "value": "o"}).problem(400, "noTarget")
	f.patch(path, obj{"op": "replace", "path": "emails", "value": []obj{{"value": "only"}}}).is(200, "emails.#", 1, "emails[0].value", "only")
	f.patch(path, obj{"op": "replace", "path": "emails", "value": []obj{}}).is(200, "emails", nil)
	f.patch(path, obj{"op": "replace", "path": "title", "value": nil}).is(200, "title", nil)
	f.patch(path, obj{"op": "replace", "path": "userName", "value": nil}).problem(400, "invalidValue")
}

func patchGroup(f *fixture) {
	ada, bob, eve := f.user("ada"), f.user("bob"), f.user("eve")
	id := f.group("Payments", ada)
	path := "/Groups/" + id
	f.patch(path, obj{"op": "add", "path": "members", "value": refs(bob, eve, bob)}).is(204)
	f.do("PATCH", path+"?attributes=members", patchOf(obj{"op": "remove", "path": `members[value eq "` + ada + `"]`})).is(200, "members.#", 2, "displayName", nil)
	f.do("PATCH", path+"?excludedAttributes=members", patchOf(obj{"op": "replace", "value": obj{"id": id, "displayName": "Fraud"}})).is(200, "displayName", "Fraud", "members", nil)
	f.patch(path, obj{"op": "remove", "path": "members", "value": refs(bob)}).is(204) // only those
	f.do("GET", path, nil).is(200, "members.#", 1, "members[0].value", eve)
	f.patch(path, obj{"op": "remove", "path": "members", "value": []obj{}}).is(204) // none
	f.do("GET", path, nil).is(200, "members.#", 1)
	f.patch(path, obj{"op": "replace", "path": "members", "value": refs(ada, bob)}).is(204)
	f.do("GET", path, nil).is(200, "members.#", 2)
	f.patch(path, obj{"op": "remove", "path": `members[display sw "a"]`}).is(204)
	f.do("GET", path, nil).is(200, "members.#", 1, "members[0].value", bob)
	f.patch(path, obj{"op": "replace", "value": obj{"members": refs(ada)}}).is(204)
	f.do("GET", path, nil).is(200, "members.#", 1, "members[0].value", ada)
	f.patch(path, obj{"op": "add", "path": "members", "value": refs(eve)}).is(204)
	f.patch(path, obj{"op": "remove", "path": `members[$ref eq "` + f.BaseURL + "/Users/" + eve + `"]`}).is(204) // as GET shows it
	f.do("GET", path, nil).is(200, "members.#", 1, "members[0].value", ada)
	f.patch(path, obj{"op": "remove", "path": "members"}).is(204)
	f.do("GET", path, nil).is(200, "members", nil)
}

func deleting(f *fixture) {
	id := f.user("ada", "externalId", "x1")
	group := f.group("Payments", id)
	if a := f.do("DELETE", "/Users/"+id, nil).is(204); len(a.raw) != 0 {
		f.Error("a 204 must have no body")
	}
	for _, a := range []answer{
		f.do("DELETE", "/Users/"+id, nil), f.do("GET", "/Users/"+id, nil), f.do("PUT", "/Users/"+id, userOf(obj{"userName": "ada"})),
		f.patch("/Users/"+id, obj{"op": "add", "path": "title", "value": "y"}),
	} {
		a.problem(404, "")
	}
	f.do("GET", "/Users", nil).is(200, "totalResults", 0)
	f.do("GET", `/Users?filter=externalId eq "x1"`, nil).is(200, "totalResults", 0)
	f.do("GET", "/Groups/"+group, nil).is(200, "members", nil)
	if again := f.user("ada"); again == id {
		f.Error("the id was reused")
	}
	f.do("DELETE", "/Groups/"+group, nil).is(204)
	f.do("GET", "/Groups/"+group, nil).problem(404, "")
	f.group("Payments")
}

func bulkOf(more obj, ops ...obj) obj {
	o := obj{"schemas": []string{messages + "BulkRequest"}, "Operations": ops}
	for k, v := range more {
		o[k] = v
	}
	return o
}

func bulk(f *fixture) {
	old := f.user("old")
	version := f.do("GET", "/Users/"+old, nil).header.Get("ETag")
	a := f.do("POST", "/Bulk", bulkOf(nil,
		obj{"method": "POST", "path": "/Groups", "bulkId": "g", "data": groupOf(obj{"displayName": "Payments", "members": refs("bulkId:ada")})},
		obj{"method": "post", "path": "/Users", "bulkId": "ada", "data": userOf(obj{"userName": "ada"})},
		obj{"method": "PATCH", "path": "/Users/bulkId:ada", "data": patchOf(obj{"op": "add", "path": "title", "value": "Countess"})},
		obj{"method": "PUT", "path": "/Users/unknown", "data": userOf(obj{"userName": "x"})},
		obj{"method": "DELETE", "path": "/Users/" + old, "version": `W/"old"`},
		obj{"method": "DELETE", "path": "/Users/" + old, "version": version},
		obj{"method": "PATCH", "path": "/Users/bulkId:ada", "data": []obj{{"op": "add", "path": "nickName", "value": "A"}}}, // the example of §3.7.3
	)).is(200, "schemas[0]", messages+"BulkResponse", "Operations.#", 7, "Operations[6].status", "200", "Operations[0].status", "201", "Operations[0].bulkId", "g", "Operations[1].status", "201",
		"Operations[2].status", "200", "Operations[2].method", "PATCH", "Operations[3].status", "404", "Operations[3].response.status", "404", "Operations[3].location", f.BaseURL+"/Users/unknown",
		"Operations[4].status", "412", "Operations[5].status", "204")
	location, _ := a.at("Operations[1].location").(string)
	ada := strings.TrimPrefix(location, f.BaseURL+"/Users/")
	f.do("GET", "/Users/"+ada, nil).is(200, "title", "Countess", "nickName", "A", "groups[0].display", "Payments")
	f.do("GET", "/Users/"+old, nil).problem(404, "")
}

func bulkErrors(f *fixture) {
	bad := obj{"method": "POST", "path": "/Users", "bulkId": "1", "data": userOf(obj{})}
	good := obj{"method": "POST", "path": "/Users", "bulkId": "2", "data": userOf(obj{"userName": "ada"})}
	f.do("POST", "/Bulk", bulkOf(obj{"failOnErrors": 1}, bad, good)).is(200, "Operations.#", 1, "Operations[0].status", "400")
	f.do("POST", "/Bulk", bulkOf(obj{"failOnErrors": 2}, bad, good)).is(200, "Operations.#", 2, "Operations[1].status", "201")
	nested := obj{"method": "POST", "path": "/Bulk", "bulkId": "4", "data": bulkOf(nil, good)}
	f.do("POST", "/Bulk", bulkOf(nil, nested,
		obj{"method": "PATCH", "path": "/Users/bulkId:none", "data": patchOf(obj{"op": "add", "path": "title", "value": "x"})}, bad,
		obj{"method": "PATCH", "path": "/Users/bulkId:1", "data": patchOf(obj{"op": "add", "path": "title", "value": "x"})},
		obj{"method": "DELETE", "path": "/Users"}, obj{"method": "DELETE", "path": "/Schemas/x"}, obj{"method": "DELETE", "path": "/Users/%zz"}, obj{"method": "DELETE", "path": "/Users/a?x=%zz"},
	)).is(200, "Operations[0].response.scimType", "invalidPath", "Operations[1].status", "400", "Operations[2].status", "400", "Operations[3].status", "409", "Operations[4].status", "405",
		"Operations[5].response.scimType", "invalidPath", "Operations[6].status", "404", "Operations[7].status", "400")
	var many []obj
	for range 1001 {
		many = append(many, obj{"method": "DELETE", "path": "/Users/x"})
	}
	f.do("POST", "/Bulk", bulkOf(nil, many...)).problem(413, "")
	for _, body := range []obj{
		bulkOf(nil), bulkOf(nil, obj{"method": "GET", "path": "/Users"}), bulkOf(nil, obj{"method": "POST", "path": "/Users", "data": obj{}}),
		bulkOf(nil, obj{"method": "DELETE"}), bulkOf(nil, obj{"method": "PUT", "path": "/Users/x"}), bulkOf(nil, obj{"method": "PUT", "path": "/Users/x", "data": []obj{{"op": "add"}}}), bulkOf(obj{"failOnErrors": "x"}, good), bulkOf(obj{"failOnErrors": 0}, good), bulkOf(obj{"schemas": []string{patchOp}}, good),
	} {
		f.do("POST", "/Bulk", body).problem(400, "invalidSyntax")
	}
	f.do("POST", "/Bulk", bulkOf(nil, good, good)).problem(400, "invalidValue")
	f.do("GET", "/Bulk", nil).problem(405, "")
}

func bulkCircles(f *fixture) {
	post := func(name, manager string) obj {
		return obj{"method": "POST", "path": "/Users", "bulkId": name, "data": userOf(obj{"userName": name, enterprise: obj{"manager": obj{"value": "bulkId:" + manager}}})}
	}
	manager := `"` + enterprise + `".manager.value`
	id := func(a answer, i string) string {
		location, _ := a.at("Operations[" + i + "].location").(string)
		return strings.TrimPrefix(location, f.BaseURL+"/Users/")
	}
	a := f.do("POST", "/Bulk", bulkOf(nil, post("ada", "bob"), post("bob", "carol"), post("carol", "ada"))).
		is(200, "Operations[0].status", "201", "Operations[1].status", "201", "Operations[2].status", "201", "Operations.#", 3)
	f.do("GET", "/Users/"+id(a, "0"), nil).is(200, manager, id(a, "1"))
	f.do("GET", "/Users/"+id(a, "2"), nil).is(200, manager, id(a, "0"))
	// Of two users that are each other's managers, one has a taken name: the other is created
	// without a manager, and the response reports that.
	half := f.do("POST", "/Bulk", bulkOf(nil, post("dora", "ADA"), post("ADA", "dora"))).is(200, "Operations.#", 2, "Operations[1].status", "409", "Operations[0].status", "409")
	if detail, _ := half.at("Operations[0].response.detail").(string); !strings.Contains(detail, "was created") {
		f.Errorf("the response must say that the user was created: %s", half.raw)
	}
	f.do("GET", "/Users/"+id(half, "0"), nil).is(200, "userName", "dora", manager, nil)
	f.do("POST", "/Bulk", bulkOf(obj{"failOnErrors": 1}, post("eve", "BOB"), post("BOB", "eve"))).is(200, "Operations[0].status", "409", "Operations.#", 2)
	circle := groupOf(obj{"displayName": "g", "members": refs("bulkId:self")})
	f.do("POST", "/Bulk", bulkOf(nil, obj{"method": "POST", "path": "/Groups", "bulkId": "self", "data": circle})).is(200, "Operations[0].status", "409")
}
