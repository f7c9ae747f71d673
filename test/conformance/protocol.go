// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/url"
	"strings"
)

// protocolCases test the rest of RFC 7644: media types, versions, errors, discovery, and the
// requirements of RFC 9110 for any HTTP service.
func protocolCases() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"RFC7644_2_Authentication":  authentication,
		"RFC7644_3_1_MediaTypes":    mediaTypes,
		"RFC7644_3_8_Suffix":        suffix,
		"RFC7644_3_11_Me":           me,
		"RFC7644_3_12_Errors":       errorBodies,
		"RFC7644_3_13_Versions":     versions,
		"RFC7644_3_14_ETags":        etags,
		"RFC7644_4_Discovery":       discovery,
		"RFC9110_9_Methods":         httpMethods,
		"RFC9110_8_4_Gzip":          gzipIn,
		"RFC7644_7_5_2_TokenInURL":  tokenInURL,
		"RFC7644_3_4_2_Consistency": consistency,
	}
}

func authentication(f *fixture) {
	for name, header := range map[string]string{"None": "", "Unknown": "Bearer wrong", "Basic": "Basic Z29vZDpnb29k", "Empty": "Bearer ", "NoScheme": f.Token, "Long": "Bearer " + strings.Repeat("x", 20000)} {
		for _, path := range []string{"/Users", "/Users/x", "/Me", "/ServiceProviderConfig", "/nothing"} {
			a := f.do("GET", path, nil, "Authorization", header).problem(401, "")
			want := `Bearer realm="scim"`
			if name == "Unknown" || name == "Long" { // RFC 6750 §3: the error code names an invalid token
				want += `, error="invalid_token"`
			}
			if have := a.header.Get("WWW-Authenticate"); have != want {
				f.Errorf("%s: WWW-Authenticate is %q", name, have)
			}
		}
	}
	f.do("POST", "/Users", userOf(obj{"userName": "eve"}), "Authorization", "").problem(401, "")
	f.do("GET", "/Users", nil, "Authorization", "bEARER "+f.Token).is(200, "totalResults", 0) // RFC 9110 §11.1: schemes are case-insensitive
}

func mediaTypes(f *fixture) {
	for i, test := range []struct {
		header, value string
		status        int
	}{
		{"Content-Type", "application/json", 201}, {"Content-Type", "application/scim+json; charset=UTF-8", 201}, {"Content-Type", "", 201}, {"Content-Type", "text/xml", 415},
		{"Content-Type", "application/x-www-form-urlencoded", 415}, {"Content-Type", "application/json; charset=latin1", 415}, {"Content-Type", ";;", 415}, {"Content-Encoding", "br", 415},
		{"Accept", "text/html", 406}, {"Accept", "application/scim+json;q=0", 406}, {"Accept", "text/html, */*;q=0.1", 201}, {"Accept", "application/scim+json", 201}, {"Accept", "application/*", 201},
		{"Accept", "text/html, image/gif, *; q=.2, */*; q=.2", 201}, {"Accept", "", 201},
	} {
		a := f.do("POST", "/Users", userOf(obj{"userName": "user" + string(rune('a'+i))}), test.header, test.value)
		if a.is(test.status); test.status >= 400 {
			a.problem(test.status, "")
		}
	}
	for accept, want := range map[string]string{"application/json": "application/json", "": "application/scim+json", "application/json, application/scim+json": "application/scim+json"} {
		if have := f.do("GET", "/Users", nil, "Accept", accept).header.Get("Content-Type"); have != want {
			f.Errorf("Accept %q is answered with %q", accept, have)
		}
	}
	f.do("GET", "/Users", nil).is(200, "totalResults", 8)
}

func suffix(f *fixture) {
	id := f.user("ada")
	group := f.group("Payments")
	f.do("GET", "/Users/"+id+".scim", nil).is(200, "id", id, "meta.location", f.BaseURL+"/Users/"+id)
	f.do("GET", "/Groups/"+group+".scim", nil).is(200, "id", group)
	f.do("GET", "/Users.scim?count=1", nil).is(200, "totalResults", 1)
	f.do("GET", "/Schemas.scim", nil).is(200)
	f.do("GET", "/Users/unknown.scim", nil).problem(404, "")
	f.do("GET", "/Users/"+id+".xml", nil).problem(404, "")
}

func me(f *fixture) {
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		f.do(method, "/Me", nil).problem(501, "")
	}
}

func errorBodies(f *fixture) {
	id := f.user("ada")
	for _, test := range []struct {
		method, path, kind string
		body               any
		status             int
		headers            []string
	}{
		{method: "GET", path: "/nothing", status: 404}, {method: "GET", path: "/Users/x/y", status: 404}, {method: "DELETE", path: "/Users", status: 405}, {method: "GET", path: "/Me", status: 501},
		{method: "POST", path: "/Users", body: "{", status: 400, kind: "invalidSyntax"}, {method: "POST", path: "/Users", body: "", status: 400, kind: "invalidSyntax"},
		{method: "POST", path: "/Users", body: `{"userName":"` + strings.Repeat("x", 1<<20) + `"}`, status: 413}, {method: "POST", path: "/Users", body: "x", status: 415, headers: []string{"Content-Type", "text/plain"}},
		{method: "GET", path: "/Users", status: 406, headers: []string{"Accept", "text/plain"}}, {method: "GET", path: "/Users", status: 401, headers: []string{"Authorization", ""}},
		{method: "GET", path: "/Schemas?filter=x", status: 403}, {method: "DELETE", path: "/Users/" + id, status: 412, headers: []string{"If-Match", `W/"no"`}},
	} {
		f.do(test.method, test.path, test.body, test.headers...).problem(test.status, test.kind)
	}
}

func versions(f *fixture) {
	id := f.user("ada")
	f.do("GET", "!/scim/Users/"+id, nil).is(200, "meta.location", f.BaseURL+"/Users/"+id) // without a version: the only supported one
	f.do("GET", "!/scim/v1/Users", nil).problem(400, "invalidVers")
	f.do("GET", "!/scim/v3/Users", nil).problem(400, "invalidVers")
	f.do("GET", "!/scim/v2.1/Users", nil).problem(400, "invalidVers")
	for _, path := range []string{"!/", "!/scimv2/Users", "!/v2/Users", "/v2/Users", "!/scim/v2x/Users"} {
		f.do("GET", path, nil).problem(404, "")
	}
}

func etags(f *fixture) {
	id := f.user("ada")
	path := "/Users/" + id
	first := f.do("GET", path, nil)
	tag := first.header.Get("ETag")
	if !strings.HasPrefix(tag, `W/"`) || first.at("meta.version") != tag {
		f.Errorf("a version must be a weak tag that is also in meta: %s", tag)
	}
	for header, status := range map[string]int{tag: 304, "*": 304, `W/"x", ` + tag: 304, strings.TrimPrefix(tag, "W/"): 304, `W/"other"`: 200, `""`: 200} {
		if a := f.do("GET", path, nil, "If-None-Match", header); a.status != status || status == 304 && len(a.raw) != 0 {
			f.Errorf("If-None-Match %s: %d %s", header, a.status, a.raw)
		}
	}
	f.do("GET", path, nil, "If-Match", `W/"other"`).problem(412, "")
	f.do("PATCH", path, patchOf(obj{"op": "add", "path": "title", "value": "x"}), "If-Match", tag).is(200)
	for _, stale := range [][]string{{"If-Match", tag}, {"If-None-Match", "*"}} {
		f.do("PATCH", path, patchOf(obj{"op": "add", "path": "title", "value": "y"}), stale...).problem(412, "")
		f.do("PUT", path, userOf(obj{"userName": "ada"}), stale...).problem(412, "")
		f.do("DELETE", path, nil, stale...).problem(412, "")
	}
	f.do("GET", path, nil).is(200, "title", "x")
	f.do("PUT", path, userOf(obj{"userName": "ada"}), "If-Match", "*").is(200)
	now := f.do("GET", path, nil).header.Get("ETag")
	f.do("DELETE", path, nil, "If-Match", `W/"x", `+now).is(204)
	group := f.group("Payments")
	f.do("GET", "/Groups/"+group, nil).is(200, "meta.version", nil) // groups have none: their members change one by one
	f.patch("/Groups/"+group, obj{"op": "remove", "path": "members"}).is(204)
	f.do("PATCH", "/Groups/"+group, patchOf(obj{"op": "remove", "path": "members"}), "If-Match", `W/"1"`).problem(412, "")
	f.do("DELETE", "/Groups/"+group, nil, "If-Match", `W/"1"`).problem(412, "")
	f.do("DELETE", "/Groups/"+group, nil, "If-Match", "*").is(204)
}

func discovery(f *fixture) {
	for _, path := range []string{"/ServiceProviderConfig", "/ResourceTypes", "/Schemas", "/Schemas/" + userSchema, "/ResourceTypes/User"} {
		f.do("GET", path, nil).is(200)
		f.do("GET", path+"?filter="+url.QueryEscape(`id eq "x"`), nil).problem(403, "")
		f.do("GET", path+"?attributes=x&excludedAttributes=y&count=0&startIndex=9&sortBy=z", nil).is(200) // ignored
		f.do("POST", path, obj{}).problem(405, "")
	}
}

func httpMethods(f *fixture) {
	id := f.user("ada")
	for _, test := range []struct{ method, path, allow string }{
		{"DELETE", "/Users", "GET, HEAD, OPTIONS, POST"}, {"POST", "/Users/x", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"}, {"POST", "/Schemas", "GET, HEAD, OPTIONS"},
		{"GET", "/Bulk", "OPTIONS, POST"}, {"GET", "/Users/.search", "OPTIONS, POST"}, {"FOO", "/Groups", "GET, HEAD, OPTIONS, POST"}, {"TRACE", "/Users/" + id, "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"},
	} {
		if a := f.do(test.method, test.path, nil).problem(405, ""); a.header.Get("Allow") != test.allow {
			f.Errorf("%s %s: Allow is %q", test.method, test.path, a.header.Get("Allow"))
		}
	}
	if a := f.do("OPTIONS", "/Users", nil).is(204); a.header.Get("Allow") != "GET, HEAD, OPTIONS, POST" {
		f.Errorf("Allow in the response to OPTIONS is %q", a.header.Get("Allow"))
	}
	head := f.do("HEAD", "/Users/"+id, nil).is(200)
	if len(head.raw) != 0 || head.header.Get("ETag") == "" || head.header.Get("Content-Type") != "application/scim+json" {
		f.Errorf("HEAD is a GET without a body: %v", head.header)
	}
	f.do("HEAD", "/Users", nil).is(200)
	f.do("HEAD", "/Users/unknown", nil).is(404)
	f.do("GET", "/Users/", nil).is(200, "totalResults", 1)
}

func gzipIn(f *fixture) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write([]byte(`{"schemas":["` + userSchema + `"],"userName":"zipped"}`))
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		f.Fatal(err)
	}
	f.do("POST", "/Users", zipped.String(), "Content-Encoding", "gzip").is(201, "userName", "zipped")
	f.do("POST", "/Users", "not gzip", "Content-Encoding", "gzip").problem(400, "invalidSyntax")
	f.do("POST", "/Users", zipped.String()[:20], "Content-Encoding", "gzip").problem(400, "invalidSyntax")
}

func tokenInURL(f *fixture) {
	for _, name := range []string{"access_token", "token", "Authorization"} {
		f.do("GET", "/Users?"+name+"="+f.Token, nil, "Authorization", "").problem(401, "")
	}
}

// consistency tests what providers rely on: every kind of read sees all earlier successful writes.
func consistency(f *fixture) {
	id := f.user("ada", "externalId", "x", "emails", []obj{{"type": "work", "value": "a@x"}})
	group := f.group("Payments", id)
	for _, filter := range []string{`userName eq "ada"`, `externalId eq "x"`, `emails[type eq "work"].value eq "a@x"`, `id eq "` + id + `"`, `groups.value eq "` + group + `"`} {
		f.do("GET", "/Users?filter="+filter, nil).is(200, "totalResults", 1, "Resources[0].id", id)
	}
	f.patch("/Users/"+id, obj{"op": "replace", "path": "userName", "value": "augusta"}).is(http.StatusOK)
	f.do("GET", `/Users?filter=userName eq "ada"`, nil).is(200, "totalResults", 0)
	f.do("GET", `/Users?filter=userName eq "augusta"`, nil).is(200, "totalResults", 1)
	f.user("ada")
}
