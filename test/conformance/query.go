// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// queryCases test reading: RFC 7644 §3.4 and §3.9, and RFC 9865.
func queryCases() map[string]func(*fixture) {
	return map[string]func(*fixture){
		"RFC7644_3_4_1_Read":        read,
		"RFC7644_3_4_2_List":        list,
		"RFC7644_3_4_2_1_Root":      root,
		"RFC7644_3_4_2_2_Operators": operators,
		"RFC7644_3_4_2_2_Locations": locations,
		"RFC7644_3_4_2_2_Refused":   filtersRefused,
		"RFC7644_3_4_2_2_Members":   memberFilters,
		"RFC7644_3_4_2_3_Sorting":   sorting,
		"RFC7644_3_4_2_4_Paging":    paging,
		"RFC7644_3_4_3_Search":      search,
		"RFC7644_3_9_Attributes":    projections,
		"RFC7644_3_10_Notation":     notation,
		"RFC9865_2_Cursors":         cursors,
		"RFC9865_2_1_Errors":        cursorErrors,
	}
}

func read(f *fixture) {
	id := f.user("ada")
	a := f.do("GET", "/Users/"+id, nil).is(200, "id", id)
	if a.header.Get("Content-Location") != f.BaseURL+"/Users/"+id || a.header.Get("ETag") == "" {
		f.Errorf("headers: %v", a.header)
	}
	for _, missing := range []string{"unknown", "..%2f..%2fsecrets", "%00", "A%20B", strings.Repeat("x", 5000), "%2e%2e", "default%2fstatus", "*", "%ff", "bulkId:1"} {
		f.do("GET", "/Users/"+missing, nil).problem(404, "")
		f.do("GET", "/Groups/"+missing, nil).problem(404, "")
		f.do("DELETE", "/Users/"+missing, nil).problem(404, "")
		f.do("PATCH", "/Groups/"+missing, patchOf(obj{"op": "remove", "path": "members"})).problem(404, "")
	}
}

func list(f *fixture) {
	empty := f.do("GET", "/Users", nil).is(200, "schemas[0]", messages+"ListResponse", "totalResults", 0, "startIndex", 1, "itemsPerPage", 0)
	if !strings.Contains(string(empty.raw), `"Resources":[]`) {
		f.Errorf("Resources is an empty list, never null: %s", empty.raw)
	}
	f.do("GET", `/Users?filter=userName eq "unknown"`, nil).is(200, "totalResults", 0)
	f.user("ada")
	f.do("GET", "/Users?whatever=1", nil).is(200, "totalResults", 1, "itemsPerPage", 1, "Resources[0].userName", "ada")
}

func root(f *fixture) {
	ada := f.user("ada")
	f.group("ada", ada)
	f.do("GET", "/", nil).is(200, "totalResults", 2, "Resources[0].meta.resourceType", "User", "Resources[1].meta.resourceType", "Group")
	f.do("GET", "/?startIndex=2&count=1", nil).is(200, "totalResults", 2, "itemsPerPage", 1, "Resources[0].meta.resourceType", "Group")
	for filter, want := range map[string]int{`meta.resourceType eq "Group"`: 1, `userName pr`: 1, `displayName eq "ada"`: 1, `id pr`: 2, `meta.resourceType eq "User" and userName eq "x"`: 0} {
		f.do("GET", "/?filter="+filter, nil).is(200, "totalResults", want)
		f.do("POST", "/.search", obj{"schemas": []string{messages + "SearchRequest"}, "filter": filter}).is(200, "totalResults", want)
	}
	f.do("GET", "/?filter=nosuch pr", nil).problem(400, "invalidFilter")
}

func operators(f *fixture) {
	f.do("POST", "/Users", everything("bjensen")).is(201)
	f.user("ada", "title", "Engineer", "active", false, "emails", []obj{{"type": "home", "value": "ada@home.test"}, {"type": "work", "value": "ada@work.test"}})
	f.user("bob", "displayName", `say "hi" \ {"x"}`)
	for filter, want := range map[string]string{
		`userName eq "bjensen"`: "bjensen", `userName ne "bjensen"`: "ada bob", `userName co "ENS"`: "bjensen", `userName sw "B"`: "bjensen bob", `userName ew "n"`: "bjensen",
		`title pr`: "ada bjensen", `userName gt "bj"`: "bjensen bob", `userName ge "bob"`: "bob", `userName lt "b"`: "ada", `userName le "bjensen"`: "ada bjensen",
		`title ne "Engineer"`: "bjensen bob", `title eq null`: "bob", `title ne null`: "ada bjensen", `active eq true`: "bjensen bob", `active ne true`: "ada", `active eq "False"`: "ada",
		`title pr and userName sw "a"`: "ada", `userName eq "bob" or title pr and active eq true`: "bjensen bob", `(userName eq "bob" or title pr) and active eq true`: "bjensen bob",
		`not (title pr)`: "bob", `NOT(title pr) or active eq false`: "ada bob", `not (userName eq "ada") and not (userName eq "bob")`: "bjensen",
		`emails[type eq "work" and value co "@example"]`: "bjensen", `emails[type eq "work" and value co "home"]`: "", `emails[not (type eq "work")]`: "ada",
		`emails.type eq "work" and emails.value co "home"`: "ada", `emails co "home"`: "ada", `emails eq "ADA@work.test"`: "ada", `emails[type eq "work"].value eq "ada@work.test"`: "ada",
		`emails[type eq "home"].value eq "ada@work.test"`: "", `addresses.country eq "us"`: "bjensen", `name.familyName sw "jen"`: "bjensen", `name pr`: "bjensen",
		`displayName eq "say \"hi\" \\ {\"x\"}"`: "bob", `displayName co "\u0022hi"`: "bob", `ims[value pr] and photos pr`: "bjensen", `schemas eq "` + enterprise + `"`: "bjensen",
		enterprise + `:department eq "tour operations"`: "bjensen", enterprise + `:manager.value pr`: "bjensen", userSchema + `:name.givenName eq "barbara"`: "bjensen",
		`meta.resourceType eq "User"`: "ada bjensen bob", `meta.resourceType eq "user"`: "", `roles[primary eq "True"].value eq "r1"`: "bjensen", `externalId eq "ext-bjensen"`: "bjensen",
	} {
		a := f.do("GET", "/Users?sortBy=userName&filter="+url.QueryEscape(filter), nil).is(200)
		if have := strings.Join(userNames(a), " "); have != want {
			f.Errorf("%s: have %q, want %q", filter, have, want)
		}
	}
}

func userNames(a answer) []string {
	var out []string
	resources, _ := a.at("Resources").([]any)
	for _, r := range resources {
		name, _ := r.(obj)["userName"].(string)
		out = append(out, name)
	}
	return out
}

// locations: the client compares URLs as it sees them, with the base URL of the service.
func locations(f *fixture) {
	ada := f.user("ada")
	group := f.group("Payments", ada)
	f.user("bob")
	for path, filter := range map[string]string{
		"/Groups": `members.$ref eq "` + f.BaseURL + "/Users/" + ada + `"`,
		"/Users":  `groups.$ref eq "` + f.BaseURL + "/Groups/" + group + `"`,
		"/":       `meta.location eq "` + f.BaseURL + "/Users/" + ada + `"`,
	} {
		f.do("GET", path+"?filter="+url.QueryEscape(filter), nil).is(200, "totalResults", 1)
		f.do("GET", path+"?sortBy=id&filter="+url.QueryEscape(filter), nil).is(200, "totalResults", 1)
	}
}

func filtersRefused(f *fixture) {
	terms := strings.TrimSuffix(strings.Repeat(`title pr or `, 1000), " or ")
	for _, filter := range []string{
		"userName", `userName eq`, `userName like "x"`, `nosuch eq "x"`, `name.nosuch eq "x"`, `urn:x:userName eq "x"`, `active gt true`, `userName eq bob`, `userName eq 'bob'`, `userName eq "bob`,
		`(title pr`, `title pr)`, `title pr and`, `and title pr`, `title pr title pr`, `not title pr`, `emails[type eq "work"`, `emails[type eq "work"]]`, `emails[]`, `[type pr]`, `emails[type[x pr]]`,
		`title pr xor title pr`, `userName eq "\x"`, `userName eq "\ud800"`, `x509Certificates.value lt "x"`, `name eq "x"`, `active eq "maybe"`, ` `, terms, strings.Repeat("(", 500) + "title pr" + strings.Repeat(")", 500),
		strings.Repeat("not (", 100) + "title pr" + strings.Repeat(")", 100), `userName eq "` + strings.Repeat("x", 5000) + `"`, `title pr and password`,
	} {
		f.do("GET", "/Users?filter="+url.QueryEscape(filter), nil).problem(400, "invalidFilter")
		f.do("POST", "/Users/.search", obj{"schemas": []string{messages + "SearchRequest"}, "filter": filter}).problem(400, "invalidFilter")
	}
	f.do("GET", "/Users?filter=%ff", nil).problem(400, "invalidFilter")
	f.do("GET", "/Users?filter=%zz", nil).problem(400, "invalidSyntax")
}

func memberFilters(f *fixture) {
	ada, bob := f.user("ada"), f.user("bob")
	group := f.group("Payments", ada)
	f.group("Empty")
	for filter, want := range map[string]int{
		`members eq "` + ada + `"`: 1, `members.value eq "` + bob + `"`: 0, `members pr`: 1, `not (members pr)`: 1, `members[value eq "` + ada + `"]`: 1,
		`id eq "` + group + `" and members eq "` + ada + `"`: 1, `id eq "` + group + `" and members eq "` + bob + `"`: 0, `displayName eq "PAYMENTS"`: 1, `displayName sw "e"`: 1,
	} {
		f.do("GET", "/Groups?excludedAttributes=members&filter="+filter, nil).is(200, "totalResults", want, "Resources[0].members", nil)
	}
}

func sorting(f *fixture) {
	f.user("carol", "displayName", "b", "externalId", "B", "emails", []obj{{"value": "z"}, {"value": "a", "primary": true}})
	f.user("ada", "displayName", "C", "externalId", "a", "emails", []obj{{"value": "b"}, {"value": "a"}})
	f.user("bob", "active", true)
	for query, want := range map[string]string{
		"sortBy=userName": "ada bob carol", "sortBy=USERNAME&sortOrder=DESCENDING": "carol bob ada", "sortBy=displayName": "carol ada bob", "sortBy=displayName&sortOrder=descending": "bob ada carol",
		"sortBy=externalId": "carol ada bob", "sortBy=emails": "carol ada bob", "sortBy=emails.value": "carol ada bob",
		"sortBy=" + userSchema + ":userName": "ada bob carol", "sortBy=userName&startIndex=2&count=1": "bob",
	} {
		if have := strings.Join(userNames(f.do("GET", "/Users?"+query, nil).is(200, "totalResults", 3)), " "); have != want {
			f.Errorf("%s: have %s, want %s", query, have, want)
		}
	}
	// Kubernetes stores creation times in seconds, so users created in the same second have no
	// order.
	if created := f.created("sortBy=meta.created"); !slices.IsSorted(created) {
		f.Errorf("sorted by creation: %v", created)
	}
	if created := f.created("sortBy=meta.created&sortOrder=descending"); !slices.IsSortedFunc(created, func(a, b string) int { return strings.Compare(b, a) }) {
		f.Errorf("sorted by creation, the newest first: %v", created)
	}
	for _, ignored := range []string{"nosuch", "name", "password", "a.b.c", "%20"} { // can't be sorted by
		f.do("GET", "/Users?sortBy="+ignored, nil).is(200, "totalResults", 3)
	}
	f.do("GET", "/Users?sortBy=userName&sortOrder=random", nil).problem(400, "invalidValue")
}

// created returns the creation times of a list, in its order.
func (f *fixture) created(query string) (times []string) {
	for _, r := range f.do("GET", "/Users?"+query, nil).is(200).at("Resources").([]any) {
		times = append(times, r.(obj)["meta"].(obj)["created"].(string))
	}
	return times
}

func paging(f *fixture) {
	var all []string
	for i := range 5 {
		all = append(all, f.user(fmt.Sprintf("user%d", i)))
	}
	for query, want := range map[string][]any{
		"startIndex=0": {"startIndex", 1, "itemsPerPage", 5}, "startIndex=-7&count=2": {"startIndex", 1, "itemsPerPage", 2}, "count=0": {"totalResults", 5, "itemsPerPage", 0},
		"count=-1": {"totalResults", 5, "itemsPerPage", 0}, "startIndex=99": {"totalResults", 5, "itemsPerPage", 0}, "count=999999": {"itemsPerPage", 5},
		"count=99999999999999999999999": {"itemsPerPage", 5}, "startIndex=99999999999999999999999": {"totalResults", 5, "itemsPerPage", 0}, "startIndex=-99999999999999999999999": {"startIndex", 1},
		"startIndex=9223372036854775807&count=9223372036854775807": {"totalResults", 5, "itemsPerPage", 0}, "startIndex=4&count=9": {"startIndex", 4, "itemsPerPage", 2},
	} {
		f.do("GET", "/Users?"+query, nil).is(200, want...)
	}
	var seen []string
	for start := 1; start <= 5; start += 2 {
		for _, r := range f.do("GET", fmt.Sprintf("/Users?count=2&startIndex=%d", start), nil).is(200, "totalResults", 5).at("Resources").([]any) {
			seen = append(seen, r.(obj)["id"].(string))
		}
	}
	slices.Sort(all)
	if slices.Sort(seen); !slices.Equal(seen, all) {
		f.Errorf("the pages hold %v, want each of %v once", seen, all)
	}
	for _, bad := range []string{"count=many", "startIndex=1.5", "count=1e3", "count=0x10", "count=+-1"} {
		f.do("GET", "/Users?"+bad, nil).problem(400, "invalidValue")
	}
}

func search(f *fixture) {
	for _, name := range []string{"a", "b", "c"} {
		f.user(name)
	}
	request := obj{
		"schemas": []string{messages + "SearchRequest"}, "filter": `userName ge "b"`, "sortBy": "userName", "sortOrder": "descending",
		"count": 1, "startIndex": 2, "attributes": []string{"userName"},
	}
	for _, path := range []string{"/.search", "/Users/.search"} {
		f.do("POST", path, request).is(200, "schemas[0]", messages+"ListResponse", "totalResults", 2, "itemsPerPage", 1, "startIndex", 2, "Resources[0].userName", "b", "Resources[0].meta", nil)
	}
	f.do("POST", "/Groups/.search", obj{"schemas": []string{messages + "SearchRequest"}}).is(200, "totalResults", 0)
	f.do("POST", "/Users/.search", obj{"Filter": `userName eq "a"`, "EXCLUDEDATTRIBUTES": []string{"meta"}}).is(200, "totalResults", 1, "Resources[0].meta", nil)
	f.do("POST", "/Users/.search", obj{"cursor": "", "count": 2, "sortBy": nil, "filter": nil}).is(200, "itemsPerPage", 2, "startIndex", nil)
	for _, bad := range []obj{{"schemas": []string{"x"}}, {"count": "many"}, {"count": 1.5}, {"attributes": 1}, {"attributes": []int{1}}, {"filter": 1}, {"cursor": 1}, {"schemas": "x"}} {
		f.do("POST", "/.search", bad).problem(400, "invalidSyntax")
	}
	f.do("GET", "/.search", nil).problem(405, "")
}

func projections(f *fixture) {
	id := f.do("POST", "/Users", everything("ada")).is(201).at("id").(string)
	ext := `"` + enterprise + `"`
	for query, want := range map[string][]any{
		"attributes=name.givenName":                             {"name.givenName", "Barbara", "name.familyName", nil, "userName", nil, "id", id},
		"attributes=title&attributes=nickName,userName":         {"title", "Tour Guide", "nickName", "Babs", "userName", "ada", "locale", nil},
		"attributes=name":                                       {"name.givenName", "Barbara", "name.familyName", "Jensen"},
		"attributes=emails.value,%20userName":                   {"emails[0].value", "bjensen@example.test", "emails[0].type", nil, "userName", "ada"},
		"attributes=nosuch":                                     {"id", id, "userName", nil, "schemas[0]", userSchema},
		"attributes=" + enterprise + ":department":              {ext + ".department", "Tour Operations", ext + ".costCenter", nil, "userName", nil},
		"attributes=" + enterprise:                              {ext + ".department", "Tour Operations", ext + ".costCenter", "4130", "userName", nil},
		"attributes=" + userSchema + ":title":                   {"title", "Tour Guide", "userName", nil},
		"attributes=":                                           {"userName", "ada", "title", "Tour Guide"},
		"excludedAttributes=name.givenName,emails,meta":         {"name.givenName", nil, "name.familyName", "Jensen", "emails", nil, "meta", nil, "userName", "ada"},
		"excludedAttributes=" + enterprise:                      {ext, nil, "userName", "ada"},
		"excludedAttributes=" + enterprise + ":manager":         {ext + ".manager", nil, ext + ".costCenter", "4130"},
		"excludedAttributes=id,schemas,nosuch":                  {"id", id, "schemas[0]", userSchema},
		"attributes=" + strings.Repeat("a,", 5000) + "userName": {"userName", "ada", "title", nil},
	} {
		f.do("GET", "/Users/"+id+"?"+query, nil).is(200, want...)
	}
	both := "?attributes=userName&excludedAttributes=id"
	f.do("GET", "/Users/"+id+both, nil).problem(400, "invalidValue")
	f.do("GET", "/Users"+both, nil).problem(400, "invalidValue")
	f.do("PUT", "/Users/"+id+both, userOf(obj{"userName": "eve"})).problem(400, "invalidValue")
	f.do("PATCH", "/Users/"+id+both, patchOf(obj{"op": "remove", "path": "title"})).problem(400, "invalidValue")
	f.do("POST", "/Users"+both, userOf(obj{"userName": "eve"})).problem(400, "invalidValue")
	f.do("GET", "/Users", nil).is(200, "totalResults", 1, "Resources[0].title", "Tour Guide", "Resources[0].userName", "ada") // nothing was written
	group := f.group("Payments", id)
	f.do("GET", "/Groups/"+group+"?excludedAttributes=members", nil).is(200, "members", nil, "displayName", "Payments")
	f.do("GET", "/Groups?excludedAttributes=members", nil).is(200, "Resources[0].members", nil, "Resources[0].displayName", "Payments")
	f.do("GET", "/Groups?attributes=displayName", nil).is(200, "Resources[0].members", nil, "Resources[0].displayName", "Payments")
	f.do("GET", "/Groups/"+group+"?attributes=members", nil).is(200, "members[0].value", id, "displayName", nil)
}

func notation(f *fixture) {
	id := f.user("ada", "name", obj{"givenName": "Ada"})
	f.do("GET", "/Users?filter="+userSchema+`:userName eq "ada"`, nil).is(200, "totalResults", 1)
	f.do("GET", "/Users?filter="+userSchema+`:name.givenName eq "ada"`, nil).is(200, "totalResults", 1)
	f.patch("/Users/"+id, obj{"op": "replace", "path": userSchema + ":name.givenName", "value": "Augusta"}, obj{"op": "add", "path": userSchema + `:emails[type eq "work"].value`, "value": "a@x"}).
		is(200, "name.givenName", "Augusta", "emails[type=work].value", "a@x")
	f.patch("/Users/"+id, obj{"op": "add", "path": userSchema, "value": obj{"title": "x"}}).is(200, "title", "x")
	f.patch("/Users/"+id, obj{"op": "add", "path": "urn:ietf:params:scim:schemas:core:2.0:Group:displayName", "value": "x"}).problem(400, "invalidPath")
}

func cursors(f *fixture) {
	for i := range 5 {
		f.user(fmt.Sprintf("user%d", i))
	}
	f.group("group")
	f.do("GET", "/ServiceProviderConfig", nil).is(200, "pagination.cursor", true, "pagination.index", true, "pagination.defaultPaginationMethod", "index",
		"pagination.defaultPageSize", 100, "pagination.maxPageSize", 1000, "pagination.cursorTimeout", 3600)
	for path, want := range map[string]int{"/Users?count=2": 5, "/Users?count=2&sortBy=userName": 5, "/Users?count=2&filter=userName sw \"user\"": 5, "/?count=2": 6} {
		seen := map[any]bool{}
		cursor, pages := "", 0
		for ; ; pages++ {
			a := f.do("GET", path+"&cursor="+cursor, nil).is(200, "startIndex", nil, "totalResults", want, "previousCursor", nil)
			for _, r := range a.at("Resources").([]any) {
				seen[r.(obj)["id"]] = true
			}
			next, more := a.at("nextCursor").(string)
			if !more {
				break
			}
			if !regexp.MustCompile(`^[A-Za-z0-9._~-]+$`).MatchString(next) {
				f.Errorf("a cursor must contain only unreserved characters, not %q", next)
			}
			cursor = next
		}
		if len(seen) != want || pages != 2 {
			f.Errorf("%s: %d resources on %d pages", path, len(seen), pages+1)
		}
	}
	f.do("GET", "/Users?cursor&count=0", nil).is(200, "totalResults", 5, "itemsPerPage", 0, "nextCursor", nil)
	f.do("GET", "/Users?cursor&count=-4", nil).is(200, "itemsPerPage", 0)
	f.do("GET", "/Users?count=2", nil).is(200, "startIndex", 1, "nextCursor", nil) // index paging is the default
	next := f.do("POST", "/Users/.search", obj{"cursor": "", "count": 3}).is(200, "itemsPerPage", 3).at("nextCursor")
	f.do("POST", "/Users/.search", obj{"cursor": next, "count": 3}).is(200, "itemsPerPage", 2, "nextCursor", nil)
	f.do("POST", "/Users/.search", obj{"cursor": next}).is(200, "itemsPerPage", 2, "nextCursor", nil) // without a count, the count of the first page applies
}

func cursorErrors(f *fixture) {
	for i := range 5 {
		f.user(fmt.Sprintf("user%d", i))
	}
	next := f.do("GET", "/Users?count=2&cursor=", nil).at("nextCursor").(string)
	for name, test := range map[string]struct{ query, kind string }{
		"Forged": {"count=2&cursor=" + next[:len(next)-3] + "AAA", "invalidCursor"}, "Cut": {"count=2&cursor=" + next[:len(next)/2], "invalidCursor"}, "Junk": {"count=2&cursor=!!", "invalidCursor"},
		"Long": {"count=2&cursor=" + strings.Repeat("A", 20000), "invalidCursor"}, "OtherOrder": {"count=2&sortBy=userName&cursor=" + next, "invalidCursor"},
		"OtherFilter": {"count=2&filter=title%20pr&cursor=" + next, "invalidCursor"}, "OtherAttributes": {"count=2&attributes=title&cursor=" + next, "invalidCursor"},
		"OtherCount": {"count=3&cursor=" + next, "invalidCount"}, "CountTooHigh": {"count=1001&cursor=", "invalidCount"},
	} {
		if a := f.do("GET", "/Users?"+test.query, nil); a.status != 400 || a.at("scimType") != test.kind {
			f.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	f.do("GET", "/Groups?count=2&cursor="+next, nil).problem(400, "invalidCursor")
	f.do("GET", "/Users?count=2&cursor="+next, nil).is(200, "itemsPerPage", 2)
}
