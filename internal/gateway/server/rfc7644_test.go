// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"compress/gzip"
	"net/url"
	"strings"
	"testing"
)

func TestRFC7644_2_Authentication(t *testing.T) {
	for name, test := range map[string]struct {
		reason string
		header string
		status int
	}{
		"None":          {"Anonymous requests are refused.", "", 401},
		"Unknown":       {"An unknown token is refused.", "Bearer bad", 401},
		"Basic":         {"Only bearer tokens are accepted.", "Basic Z29vZDpnb29k", 401},
		"Empty":         {"An empty token is refused.", "Bearer ", 401},
		"CaseOfBearer":  {"The scheme Bearer is case-insensitive (RFC 9110 section 11.1).", "bearer good", 200},
		"OtherProvider": {"A token of another identity provider than the bound one is refused.", "Bearer entra", 403},
		"Undecided":     {"A token that cannot be checked now is answered with a temporary error.", "Bearer undecided", 503},
	} {
		t.Run(name, func(t *testing.T) {
			a := newService(t).do("GET", "/scim/v2/Users", nil, "Authorization", test.header)
			if test.status == 200 {
				a.is(200)
				return
			}
			a.problem(test.status, "")
			if have := a.header.Get("WWW-Authenticate"); test.status == 401 && !strings.HasPrefix(have, `Bearer realm="scim"`) {
				t.Errorf("WWW-Authenticate is %q", have)
			}
			if detail := a.at("detail").(string); test.status == 403 && (!strings.Contains(detail, "EntraID") || !strings.Contains(detail, "Okta")) {
				t.Errorf("the refusal must name both providers: %s", detail)
			}
		})
	}
	t.Run("NotInTheQuery", func(t *testing.T) {
		newService(t).do("GET", "/scim/v2/Users?access_token=good", nil, "Authorization", "").problem(401, "")
	})
}

func TestGate(t *testing.T) {
	t.Run("Unknown", func(t *testing.T) {
		a := newService(t, func(s *service) { s.config.Known = false }).do("GET", "/scim/v2/Users", nil).problem(503, "")
		if a.header.Get("Retry-After") != "5" {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
	})
	off := newService(t, func(s *service) { s.config.SCIM = false })
	for _, path := range []string{"/Users", "/Users/x", "/Groups", "/Me"} {
		off.do("GET", "/scim/v2"+path, nil).problem(403, "")
	}
	off.do("POST", "/scim/v2/Users", obj{"userName": "x"}).problem(403, "")
	off.do("POST", "/scim/v2/Bulk", obj{}).problem(403, "")
	off.do("GET", "/scim/v2/ServiceProviderConfig", nil).is(200)
	off.do("GET", "/scim/v2/Schemas", nil).is(200)
	groupsOff := newService(t, func(s *service) { s.config.Groups = false })
	groupsOff.do("GET", "/scim/v2/Groups", nil).is(200)
	groupsOff.do("POST", "/scim/v2/Groups", obj{"displayName": "x"}).problem(403, "")
	groupsOff.do("PATCH", "/scim/v2/Groups/x", obj{}).problem(403, "")
	groupsOff.user("ada@example.test")
}

func TestRoutes(t *testing.T) {
	s := newService(t)
	for _, path := range []string{"/", "/scimx", "/scim/v2x", "/scim/v2/v2/Users", "/scim/v2/Nothing", "/scim/v2/Users/a/b", "/scim/v2/Users/%zz"} {
		r := "/scim/v2/Nothing"
		if !strings.Contains(path, "%zz") {
			r = path
		}
		s.do("GET", r, nil).problem(404, "")
	}
	s.do("GET", "/scim/v1/Users", nil).problem(400, "invalidVers")
	for _, test := range []struct{ method, path, allow string }{
		{"DELETE", "/scim/v2/Users", "GET, HEAD, OPTIONS, POST"},
		{"POST", "/scim/v2/Users/x", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"},
		{"POST", "/scim/v2/Schemas", "GET, HEAD, OPTIONS"},
		{"GET", "/scim/v2/Bulk", "OPTIONS, POST"},
		{"GET", "/scim/v2/Users/.search", "OPTIONS, POST"},
	} {
		a := s.do(test.method, test.path, nil).problem(405, "")
		if a.header.Get("Allow") != test.allow {
			t.Errorf("%s %s: Allow is %q", test.method, test.path, a.header.Get("Allow"))
		}
	}
	if a := s.do("OPTIONS", "/scim/v2/Users", nil).is(204); a.header.Get("Allow") == "" {
		t.Error("OPTIONS must say what is allowed")
	}
	s.do("GET", "/scim/v2/Me", nil).problem(501, "")
	id := s.user("ada@example.test")
	head := s.do("HEAD", "/scim/v2/Users/"+id, nil).is(200)
	if len(head.raw) != 0 || head.header.Get("ETag") == "" {
		t.Error("HEAD must be a GET without a body")
	}
	s.do("GET", "/scim/v2/Users/", nil).is(200, "totalResults", 1)
}

func TestRFC7644_3_1_MediaTypes(t *testing.T) {
	s := newService(t)
	body := `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"u"}`
	for _, test := range []struct {
		reason, header, value string
		status                int
	}{
		{"A body may be JSON.", "Content-Type", "application/json", 201},
		{"A body may be SCIM's JSON in UTF-8.", "Content-Type", "application/scim+json; charset=UTF-8", 201},
		{"A body without a type is read as JSON.", "Content-Type", "", 201},
		{"A body in another format is refused.", "Content-Type", "text/xml", 415},
		{"A form is refused.", "Content-Type", "application/x-www-form-urlencoded", 415},
		{"JSON in another character set is refused.", "Content-Type", "application/json; charset=latin1", 415},
		{"An unknown encoding is refused.", "Content-Encoding", "br", 415},
		{"A client that accepts no JSON is refused.", "Accept", "text/html", 406},
		{"A client that excludes JSON is refused.", "Accept", "application/scim+json;q=0", 406},
		{"A client that accepts every type gets JSON.", "Accept", "text/html, */*;q=0.1", 201},
		{"A client that accepts SCIM's JSON gets it.", "Accept", "application/scim+json", 201},
	} {
		a := s.do("POST", "/scim/v2/Users", strings.Replace(body, `"u"`, `"`+url.QueryEscape(test.value)+test.header+`"`, 1), test.header, test.value)
		if a.status != test.status {
			t.Errorf("%s %s: %s: got %d, want %d: %s", test.reason, test.header, test.value, a.status, test.status, a.raw)
		}
	}
	if a := s.do("GET", "/scim/v2/Users", nil, "Accept", "application/json"); a.header.Get("Content-Type") != "application/json" {
		t.Errorf("who asks for application/json gets %s", a.header.Get("Content-Type"))
	}
	if a := s.do("GET", "/scim/v2/Users", nil); a.header.Get("Content-Type") != "application/scim+json" {
		t.Errorf("the Content-Type of a response is %s", a.header.Get("Content-Type"))
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte(strings.Replace(body, `"u"`, `"zipped"`, 1)))
	_ = z.Close()
	s.do("POST", "/scim/v2/Users", &zipped, "Content-Encoding", "gzip").is(201, "userName", "zipped")
}

func TestBadBodies(t *testing.T) {
	s := newService(t)
	for name, test := range map[string]struct {
		body   string
		status int
		kind   string
	}{
		"Empty":        {"", 400, "invalidSyntax"},
		"NotJSON":      {"{", 400, "invalidSyntax"},
		"NotAnObject":  {"[]", 400, "invalidSyntax"},
		"TwoObjects":   {"{}{}", 400, "invalidSyntax"},
		"Deep":         {strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), 400, "invalidSyntax"},
		"NotUTF8":      {"{\"userName\":\"\xff\"}", 400, "invalidSyntax"},
		"Twice":        {`{"userName":"a","USERNAME":"b"}`, 400, "invalidSyntax"},
		"NoSchemas":    {`{"userName":"a"}`, 400, "invalidSyntax"},
		"NoUserName":   {`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"]}`, 400, "invalidValue"},
		"WrongType":    {`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":7}`, 400, "invalidValue"},
		"Invisible":    {`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"a\u200bda"}`, 400, "invalidValue"},
		"TooLong":      {`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"` + strings.Repeat("x", 300) + `"}`, 400, "invalidValue"},
		"WrongSchemas": {`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"userName":"a"}`, 400, "invalidSyntax"},
		"Huge":         {`{"userName":"` + strings.Repeat("x", 2<<20) + `"}`, 413, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s.T = t
			s.do("POST", "/scim/v2/Users", test.body).problem(test.status, test.kind)
		})
	}
	s.T = t
	s.do("GET", "/scim/v2/Users", nil).is(200, "totalResults", 0)
}

func TestRFC7644_3_3_Create(t *testing.T) {
	s := newService(t)
	a := s.do("POST", "/scim/v2/Users", obj{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": "ada@example.test", "id": "mine", "password": "secret",
		"meta": obj{"location": "elsewhere"}, "groups": []obj{{"value": "x"}},
	}).is(201, "userName", "ada@example.test", "meta.resourceType", "User", "password", nil, "groups", nil)
	id := a.at("id").(string)
	if want := base + "/Users/" + id; id == "mine" || a.header.Get("Location") != want || a.at("meta.location") != want {
		t.Errorf("Location is %q: %s", a.header.Get("Location"), a.raw)
	}
	if etag := a.header.Get("ETag"); etag == "" || a.at("meta.version") != etag {
		t.Errorf("ETag is %q: %s", etag, a.raw)
	}
	s.do("POST", "/scim/v2/Users", userOf(obj{"userName": "ADA@example.test"})).problem(409, "uniqueness")
	s.do("POST", "/scim/v2/Users?attributes=userName", userOf(obj{"userName": "bob"})).is(201, "userName", "bob", "meta", nil)
}

func TestRFC7644_3_4_1_Read(t *testing.T) {
	s := newService(t)
	id := s.user("ada@example.test")
	a := s.do("GET", "/scim/v2/Users/"+id, nil).is(200, "id", id)
	if a.header.Get("Content-Location") != base+"/Users/"+id {
		t.Errorf("Content-Location is %q", a.header.Get("Content-Location"))
	}
	s.do("GET", "/scim/v2/Users/unknown", nil).problem(404, "")
	s.do("GET", "/scim/v2/Users/..%2f..%2fsecrets", nil).problem(404, "")
}

func TestRFC7644_3_4_2_List(t *testing.T) {
	s := newService(t)
	empty := s.do("GET", "/scim/v2/Users", nil).is(200, "schemas[0]", "urn:ietf:params:scim:api:messages:2.0:ListResponse", "totalResults", 0, "startIndex", 1, "itemsPerPage", 0)
	if !strings.Contains(string(empty.raw), `"Resources":[]`) {
		t.Errorf("Resources must be an empty list: %s", empty.raw)
	}
	for _, name := range []string{"a", "b", "c"} {
		s.user(name)
	}
	for query, want := range map[string][]any{
		"":                                       {"totalResults", 3, "Resources.#", 3},
		"startIndex=1&count=2":                   {"totalResults", 3, "Resources.#", 2, "itemsPerPage", 2},
		"startIndex=3&count=2":                   {"totalResults", 3, "Resources.#", 1, "startIndex", 3},
		"startIndex=0":                           {"startIndex", 1, "Resources.#", 3},
		"startIndex=-7":                          {"startIndex", 1, "Resources.#", 3},
		"startIndex=99":                          {"totalResults", 3, "Resources.#", 0},
		"count=0":                                {"totalResults", 3, "Resources.#", 0},
		"count=-1":                               {"totalResults", 3, "Resources.#", 0},
		"count=999999":                           {"Resources.#", 3},
		`filter=userName eq "B"`:                 {"totalResults", 1, "Resources[0].userName", "b"},
		`filter=userName eq "zz"`:                {"totalResults", 0},
		`filter=userName gt "a"`:                 {"totalResults", 2},
		"sortBy=userName&sortOrder=descending":   {"Resources[0].userName", "c", "Resources[2].userName", "a"},
		"sortBy=userName":                        {"Resources[0].userName", "a"},
		"sortBy=nosuch":                          {"totalResults", 3},
		"attributes=userName":                    {"Resources[0].userName", "a", "Resources[0].meta", nil},
		"excludedAttributes=meta":                {"Resources[0].userName", "a", "Resources[0].meta", nil},
		"unknown=parameter":                      {"totalResults", 3},
		`filter=userName eq "a"&attributes=meta`: {"Resources[0].userName", nil},
	} {
		s.do("GET", "/scim/v2/Users?"+encodeQuery(query), nil).is(200, want...)
	}
	for query, kind := range map[string]string{
		"count=many":                                "invalidValue",
		"startIndex=1.5":                            "invalidValue",
		"filter=userName":                           "invalidFilter",
		`filter=nosuch eq "x"`:                      "invalidFilter",
		"filter=active gt true":                     "invalidFilter",
		"attributes=userName&excludedAttributes=id": "invalidValue",
	} {
		s.do("GET", "/scim/v2/Users?"+encodeQuery(query), nil).problem(400, kind)
	}
	s.do("GET", "/scim/v2/Users?filter=%zz", nil).problem(400, "invalidSyntax")
	if id := s.do("GET", "/scim/v2/Users?attributes=userName", nil).at("Resources[0].id"); id == nil {
		t.Error("id is always returned")
	}
}

func encodeQuery(q string) string {
	return strings.NewReplacer(" ", "%20", `"`, "%22").Replace(q)
}

func TestRFC7644_3_4_2_1_AllTypes(t *testing.T) {
	s := newService(t)
	ada := s.user("ada@example.test")
	s.group("ada", ada)
	s.do("GET", "/scim/v2/", nil).is(200, "totalResults", 2, "Resources[0].meta.resourceType", "User", "Resources[1].meta.resourceType", "Group")
	s.do("GET", "/scim/v2?startIndex=2&count=1", nil).is(200, "totalResults", 2, "Resources.#", 1, "Resources[0].displayName", "ada")
	s.do("GET", "/scim/v2?"+encodeQuery(`filter=meta.resourceType eq "Group"`), nil).is(200, "totalResults", 1)
	s.do("GET", "/scim/v2?"+encodeQuery(`filter=userName pr`), nil).is(200, "totalResults", 1)
	s.do("GET", "/scim/v2?"+encodeQuery(`filter=nosuch pr`), nil).problem(400, "invalidFilter")
}

func TestRFC7644_3_4_3_Search(t *testing.T) {
	s := newService(t)
	for _, name := range []string{"a", "b", "c"} {
		s.user(name)
	}
	message := "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
	for _, path := range []string{"/scim/v2/.search", "/scim/v2/Users/.search"} {
		s.do("POST", path, obj{
			"schemas": []string{message}, "filter": `userName ge "b"`, "sortBy": "userName", "sortOrder": "descending",
			"count": 1, "startIndex": 2, "attributes": []string{"userName"},
		}).is(200, "totalResults", 2, "Resources.#", 1, "Resources[0].userName", "b", "Resources[0].meta", nil)
	}
	s.do("POST", "/scim/v2/Groups/.search", obj{"schemas": []string{message}}).is(200, "totalResults", 0)
	s.do("POST", "/scim/v2/.search", obj{"schemas": []string{"x"}}).problem(400, "invalidSyntax")
	s.do("POST", "/scim/v2/.search", obj{"schemas": []string{message}, "count": "many"}).problem(400, "invalidSyntax")
	s.do("POST", "/scim/v2/.search", obj{"schemas": []string{message}, "attributes": 1}).problem(400, "invalidSyntax")
	s.do("POST", "/scim/v2/.search", obj{"schemas": []string{message}, "filter": 1}).problem(400, "invalidSyntax")
}

func TestRFC7644_3_5_1_Put(t *testing.T) {
	s := newService(t)
	id := s.user("ada@example.test", "title", "Engineer", "nickName", "A")
	path := "/scim/v2/Users/" + id
	s.do("PUT", path, userOf(obj{"id": "ignored", "userName": "ada@example.test", "title": "Director", "nickName": ""})).is(200, "title", "Director", "nickName", nil, "id", id)
	s.do("PUT", path, userOf(obj{"title": "x"})).problem(400, "invalidValue")
	s.do("PUT", "/scim/v2/Users/unknown", userOf(obj{"userName": "x"})).problem(404, "")
	s.user("bob@example.test")
	s.do("PUT", path, userOf(obj{"userName": "BOB@example.test"})).problem(409, "uniqueness")
	s.do("PUT", path+"?attributes=userName", userOf(obj{"userName": "ada@example.test"})).is(200, "title", nil, "userName", "ada@example.test", "meta", nil)
	g := s.group("Payments", id)
	s.do("PUT", "/scim/v2/Groups/"+g, obj{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": "Fraud", "members": []obj{}}).is(200, "displayName", "Fraud", "members.#", 0)
}

func TestRFC7644_3_5_2_Patch(t *testing.T) {
	s := newService(t)
	id := s.user("ada@example.test", "title", "Engineer")
	path := "/scim/v2/Users/" + id
	a := s.do("PATCH", path, patchOf(obj{"op": "Replace", "path": "active", "value": "False"})).is(200, "active", false)
	same := s.do("PATCH", path, patchOf(obj{"op": "replace", "path": "active", "value": false})).is(200)
	if a.header.Get("ETag") != same.header.Get("ETag") || a.at("meta.lastModified") != same.at("meta.lastModified") {
		t.Error("a PATCH that changes nothing must leave the version")
	}
	s.do("PATCH", path, patchOf(obj{"op": "replace", "path": "title", "value": "x"}, obj{"op": "replace", "path": "nosuch", "value": "x"})).problem(400, "invalidPath")
	s.do("GET", path, nil).is(200, "title", "Engineer")
	s.do("PATCH", path, patchOf(obj{"op": "remove"})).problem(400, "noTarget")
	s.do("PATCH", path, patchOf(obj{"op": "remove", "path": "userName"})).problem(400, "mutability")
	s.do("PATCH", path, patchOf(obj{"op": "replace", "path": "id", "value": "other"})).problem(400, "mutability")
	s.do("PATCH", path, patchOf(obj{"op": "jump", "path": "title", "value": "x"})).problem(400, "invalidSyntax")
	s.do("PATCH", path, patchOf()).problem(400, "invalidSyntax")
	s.do("PATCH", path+"?attributes=title", patchOf(obj{"op": "add", "path": "title", "value": "y"})).is(200, "title", "y", "userName", nil)
	s.do("PATCH", "/scim/v2/Users/unknown", patchOf(obj{"op": "add", "path": "title", "value": "y"})).problem(404, "")
}

func TestRFC7644_3_5_2_PatchGroup(t *testing.T) {
	s := newService(t)
	ada, bob := s.user("ada"), s.user("bob")
	id := s.group("Payments", ada)
	path := "/scim/v2/Groups/" + id
	s.do("PATCH", path, patchOf(obj{"op": "add", "path": "members", "value": []obj{{"value": bob}}})).is(204)
	s.do("PATCH", path+"?attributes=members", patchOf(obj{"op": "remove", "path": `members[value eq "` + ada + `"]`})).
		is(200, "members.#", 1, "members[0].value", bob, "displayName", nil)
	s.do("PATCH", path+"?excludedAttributes=members", patchOf(obj{"op": "replace", "value": obj{"id": id, "displayName": "Fraud"}})).
		is(200, "displayName", "Fraud", "members", nil)
	s.do("PATCH", path, patchOf(obj{"op": "add", "path": "members", "value": []obj{{"value": "unknown"}}})).problem(400, "invalidValue")
	s.do("PATCH", path, patchOf(obj{"op": "add", "path": "members", "value": []obj{{"value": id, "type": "Group"}}})).problem(400, "invalidValue")
	s.do("GET", path, nil).is(200, "members.#", 1)
	s.do("GET", path+"?excludedAttributes=members", nil).is(200, "displayName", "Fraud", "members", nil)
	s.do("GET", "/scim/v2/Users/"+bob, nil).is(200, "groups[0].value", id, "groups[0].$ref", base+"/Groups/"+id)
	s.do("PATCH", path, patchOf(obj{"op": "remove", "path": "members"}), "If-Match", `W/"1"`).problem(412, "")
}

func TestRFC7644_3_6_Delete(t *testing.T) {
	s := newService(t)
	id := s.user("ada@example.test")
	if a := s.do("DELETE", "/scim/v2/Users/"+id, nil).is(204); len(a.raw) != 0 {
		t.Error("a 204 has no body")
	}
	s.do("DELETE", "/scim/v2/Users/"+id, nil).problem(404, "")
	s.do("GET", "/scim/v2/Users/"+id, nil).problem(404, "")
	s.do("PATCH", "/scim/v2/Users/"+id, patchOf(obj{"op": "add", "path": "title", "value": "y"})).problem(404, "")
	s.user("ada@example.test")
}

func TestRFC7644_3_14_Versions(t *testing.T) {
	s := newService(t)
	id := s.user("ada@example.test")
	path := "/scim/v2/Users/" + id
	first := s.do("GET", path, nil).header.Get("ETag")
	if !strings.HasPrefix(first, `W/"`) {
		t.Errorf("a version is a weak tag, not %s", first)
	}
	if a := s.do("GET", path, nil, "If-None-Match", first).is(304); len(a.raw) != 0 {
		t.Error("a 304 has no body")
	}
	s.do("GET", path, nil, "If-None-Match", `W/"other"`).is(200)
	s.do("PATCH", path, patchOf(obj{"op": "add", "path": "title", "value": "x"}), "If-Match", first).is(200)
	s.do("PATCH", path, patchOf(obj{"op": "add", "path": "title", "value": "y"}), "If-Match", first).problem(412, "")
	s.do("PUT", path, userOf(obj{"userName": "ada@example.test"}), "If-Match", first).problem(412, "")
	s.do("DELETE", path, nil, "If-Match", first).problem(412, "")
	s.do("PUT", path, userOf(obj{"userName": "ada@example.test"}), "If-Match", "*").is(200)
	now := s.do("GET", path, nil).header.Get("ETag")
	s.do("DELETE", path, nil, "If-Match", `W/"x", `+strings.TrimPrefix(now, "W/")).is(204)
}

func TestRFC7644_4_Discovery(t *testing.T) {
	s := newService(t)
	s.do("GET", "/scim/v2/ServiceProviderConfig", nil).is(200, "patch.supported", true, "bulk.supported", true, "bulk.maxOperations", 1000,
		"filter.supported", true, "filter.maxResults", 1000, "changePassword.supported", false, "sort.supported", true, "etag.supported", true,
		"authenticationSchemes[0].type", "oauthbearertoken", "pagination.cursor", true, "pagination.defaultPaginationMethod", "index",
		"meta.location", base+"/ServiceProviderConfig", "id", nil, "documentationUri", nil)
	s.do("GET", "/scim/v2/ResourceTypes", nil).is(200, "totalResults", 2, "Resources[name=User].endpoint", "/Users")
	s.do("GET", "/scim/v2/ResourceTypes/Group", nil).is(200, "schema", "urn:ietf:params:scim:schemas:core:2.0:Group")
	s.do("GET", "/scim/v2/ResourceTypes/Nothing", nil).problem(404, "")
	s.do("GET", "/scim/v2/Schemas", nil).is(200, "totalResults", 3)
	s.do("GET", "/scim/v2/Schemas/urn:ietf:params:scim:schemas:core:2.0:User", nil).is(200, "name", "User")
	s.do("GET", "/scim/v2/Schemas/urn:nothing", nil).problem(404, "")
	for _, path := range []string{"ServiceProviderConfig", "ResourceTypes", "Schemas"} {
		s.do("GET", "/scim/v2/"+path+"?filter=x", nil).problem(403, "")
		s.do("GET", "/scim/v2/"+path+"?attributes=x&count=1", nil).is(200)
	}
}

func TestBaseURL(t *testing.T) {
	forward := []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "public.example.test, proxy"}
	for name, test := range map[string]struct {
		configured string
		trust      bool
		want       string
	}{
		"Configured":   {"https://scim.example.test/scim/v2/", true, "https://scim.example.test/scim/v2"},
		"FromRequest":  {"", false, "http://host.example.test/scim/v2"},
		"FromTheProxy": {"", true, "https://public.example.test/scim/v2"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, func(s *service) { s.config.BaseURL, s.options.TrustForwarded = test.configured, test.trust })
			s.do("GET", "/scim/v2/ServiceProviderConfig", nil, forward...).is(200, "meta.location", test.want+"/ServiceProviderConfig")
		})
	}
	s := newService(t, func(s *service) { s.config.BaseURL, s.options.TrustForwarded = "", true })
	s.do("GET", "/scim/v2/ServiceProviderConfig", nil, "X-Forwarded-Host", `evil"}`).is(200, "meta.location", "http://host.example.test/scim/v2/ServiceProviderConfig")
}

func TestRequestID(t *testing.T) {
	s := newService(t)
	if a := s.do("GET", "/scim/v2/Users", nil, "X-Request-Id", "mine-7"); a.header.Get("X-Request-Id") != "mine-7" {
		t.Errorf("a request id must be kept, not made %q", a.header.Get("X-Request-Id"))
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	if a := s.do("GET", "/scim/v2/Users", nil, "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01"); a.header.Get("X-Request-Id") != trace {
		t.Errorf("a trace's id must be kept, not made %q", a.header.Get("X-Request-Id"))
	}
	for _, bad := range []string{"a b", strings.Repeat("x", 200), "\x7f", "ada@example.test"} {
		if a := s.do("GET", "/scim/v2/Users", nil, "X-Request-Id", bad); a.header.Get("X-Request-Id") == bad || a.header.Get("X-Request-Id") == "" {
			t.Errorf("the request id %q is not fit for a log", bad)
		}
	}
}
