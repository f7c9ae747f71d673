// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lightrun.com/scim-operator/internal/gateway/server"
)

func TestRFC9865_Cursors(t *testing.T) {
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	s := newService(t, func(s *service) { s.options.Now = func() time.Time { return now } })
	for i := range 5 {
		s.user(fmt.Sprintf("user%d", i))
	}
	s.group("group")
	for _, path := range []string{"/scim/v2/Users?count=2", "/scim/v2/Users?count=2&sortBy=userName", "/scim/v2/?count=2"} {
		seen := map[string]bool{}
		cursor, pages := "", 0
		for {
			a := s.do("GET", path+"&cursor="+cursor, nil).is(200, "startIndex", nil)
			for _, r := range a.at("Resources").([]any) {
				id := r.(obj)["id"].(string)
				if seen[id] {
					t.Errorf("%s: %s comes twice", path, id)
				}
				seen[id] = true
			}
			pages++
			next, more := a.at("nextCursor").(string)
			if !more {
				break
			}
			if !regexp.MustCompile(`^[A-Za-z0-9._~-]+$`).MatchString(next) {
				t.Errorf("a cursor is of unreserved characters, not %q", next)
			}
			cursor = next
		}
		want := 5
		if path == "/scim/v2/?count=2" {
			want = 6
		}
		if len(seen) != want || pages != 3 {
			t.Errorf("%s: %d resources on %d pages", path, len(seen), pages)
		}
	}
	first := s.do("GET", "/scim/v2/Users?count=2&cursor=", nil).at("nextCursor").(string)
	for name, test := range map[string]struct{ query, token, kind string }{
		"Forged":       {"count=2&cursor=" + first[:len(first)-2] + "AA", "good", "invalidCursor"},
		"Junk":         {"count=2&cursor=!!", "good", "invalidCursor"},
		"OtherQuery":   {"count=2&sortBy=userName&cursor=" + first, "good", "invalidCursor"},
		"OtherToken":   {"count=2&cursor=" + first, "other", "invalidCursor"},
		"CountTooHigh": {"count=5000&cursor=", "good", "invalidCount"},
	} {
		t.Run(name, func(t *testing.T) {
			s.do("GET", "/scim/v2/Users?"+test.query, nil, "Authorization", "Bearer "+test.token).problem(400, test.kind)
		})
	}
	s.do("GET", "/scim/v2/Users?count=0&cursor=", nil).is(200, "totalResults", 5, "Resources.#", 0, "nextCursor", nil)
	if index := s.do("GET", "/scim/v2/Users?count=2", nil).is(200, "startIndex", 1); index.at("nextCursor") != nil {
		t.Error("index paging stays the default")
	}
	now = now.Add(2 * time.Hour)
	s.do("GET", "/scim/v2/Users?count=2&cursor="+first, nil).problem(400, "expiredCursor")
}

func bulkOf(more obj, ops ...obj) obj {
	o := obj{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:BulkRequest"}, "Operations": ops}
	for k, v := range more {
		o[k] = v
	}
	return o
}

const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

func TestRFC7644_3_7_Bulk(t *testing.T) {
	s := newService(t)
	old := s.user("old")
	a := s.do("POST", "/scim/v2/Bulk", bulkOf(nil,
		obj{"method": "POST", "path": "/Groups", "bulkId": "g", "data": obj{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": "Payments", "members": []obj{{"value": "bulkId:ada"}}}},
		obj{"method": "post", "path": "/Users", "bulkId": "ada", "data": userOf(obj{"userName": "ada", enterprise: obj{"manager": obj{"value": "bulkId:bob"}}})},
		obj{"method": "POST", "path": "/Users", "bulkId": "bob", "data": userOf(obj{"userName": "bob", enterprise: obj{"manager": obj{"value": "bulkId:ada"}}})},
		obj{"method": "PATCH", "path": "/Users/bulkId:ada", "data": patchOf(obj{"op": "add", "path": "title", "value": "Countess"})},
		obj{"method": "PUT", "path": "/Users/unknown", "data": userOf(obj{"userName": "x"})},
		obj{"method": "DELETE", "path": "/Users/" + old},
	)).is(200, "schemas[0]", "urn:ietf:params:scim:api:messages:2.0:BulkResponse", "Operations.#", 6,
		"Operations[0].status", "201", "Operations[1].status", "201", "Operations[2].status", "201", "Operations[3].status", "200",
		"Operations[4].status", "404", "Operations[4].response.status", "404", "Operations[4].location", base+"/Users/unknown",
		"Operations[5].status", "204", "Operations[0].bulkId", "g", "Operations[3].method", "PATCH")
	ada := strings.TrimPrefix(a.at("Operations[1].location").(string), base+"/Users/")
	bob := strings.TrimPrefix(a.at("Operations[2].location").(string), base+"/Users/")
	manager := `"` + enterprise + `".manager.value`
	s.do("GET", "/scim/v2/Users/"+ada, nil).is(200, manager, bob, "title", "Countess", "groups[0].display", "Payments")
	s.do("GET", "/scim/v2/Users/"+bob, nil).is(200, manager, ada)
	s.do("GET", "/scim/v2/Users/"+old, nil).is(404)
}

func TestRFC7644_3_7_BulkFailures(t *testing.T) {
	s := newService(t)
	bad := obj{"method": "POST", "path": "/Users", "bulkId": "1", "data": userOf(obj{})}
	good := obj{"method": "POST", "path": "/Users", "bulkId": "2", "data": userOf(obj{"userName": "ada"})}
	s.do("POST", "/scim/v2/Bulk", bulkOf(obj{"failOnErrors": 1}, bad, good)).is(200, "Operations.#", 1, "Operations[0].status", "400")
	s.do("POST", "/scim/v2/Bulk", bulkOf(obj{"failOnErrors": 2}, bad, good)).is(200, "Operations.#", 2, "Operations[1].status", "201")
	s.do("POST", "/scim/v2/Bulk", bulkOf(nil,
		obj{"method": "PATCH", "path": "/Users/bulkId:none", "data": patchOf(obj{"op": "add", "path": "title", "value": "x"})}, bad,
		obj{"method": "PATCH", "path": "/Users/bulkId:1", "data": patchOf(obj{"op": "add", "path": "title", "value": "x"})},
		obj{"method": "DELETE", "path": "/Bulk"}, obj{"method": "DELETE", "path": "/Users"},
		obj{"method": "POST", "path": "/Users/.search", "bulkId": "3", "data": obj{}},
	)).is(200, "Operations[0].status", "400", "Operations[1].status", "400", "Operations[2].status", "409",
		"Operations[3].response.scimType", "invalidPath", "Operations[4].status", "405", "Operations[5].response.scimType", "invalidPath")
	var many []obj
	for range 1001 {
		many = append(many, obj{"method": "DELETE", "path": "/Users/x"})
	}
	s.do("POST", "/scim/v2/Bulk", bulkOf(nil, many...)).problem(413, "")
	for _, body := range []obj{
		{"Operations": []obj{}}, bulkOf(nil), bulkOf(nil, obj{"method": "GET", "path": "/Users"}), bulkOf(nil, obj{"method": "POST", "path": "/Users", "data": obj{}}),
		bulkOf(nil, obj{"method": "DELETE"}), bulkOf(nil, obj{"method": "PUT", "path": "/Users/x"}), bulkOf(obj{"failOnErrors": "x"}, good),
	} {
		s.do("POST", "/scim/v2/Bulk", body).problem(400, "invalidSyntax")
	}
	s.do("POST", "/scim/v2/Bulk", bulkOf(nil, good, good)).problem(400, "invalidValue")
	s.config.Groups = false
	s.do("POST", "/scim/v2/Bulk", bulkOf(nil, obj{"method": "DELETE", "path": "/Groups/x"})).is(200, "Operations[0].status", "403")
}

func TestDirectoryFailures(t *testing.T) {
	s := newService(t)
	id := s.user("ada")
	s.memory.Fail = func(string) error { return errors.New("etcd is on fire") }
	for _, test := range []struct{ method, path string }{
		{"GET", "/Users"}, {"GET", "/Users/" + id}, {"DELETE", "/Users/" + id}, {"GET", "/Groups"},
	} {
		a := s.do(test.method, "/scim/v2"+test.path, nil).problem(503, "")
		if a.header.Get("Retry-After") != "5" {
			t.Errorf("Retry-After is %q", a.header.Get("Retry-After"))
		}
		if strings.Contains(string(a.raw), "fire") {
			t.Error("an internal error must not be shown")
		}
	}
	s.memory.Fail = func(string) error { panic("a bug") }
	a := s.do("GET", "/scim/v2/Users", nil, "X-Request-Id", "the-id").problem(500, "")
	if !strings.Contains(string(a.raw), "the-id") {
		t.Error("a 500 must name the request id")
	}
}

func TestRateLimit(t *testing.T) {
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	s := newService(t, func(s *service) {
		s.options.Rate, s.options.Burst, s.options.Now = 0.5, 2, func() time.Time { return now }
	})
	s.do("GET", "/scim/v2/Users", nil).is(200)
	s.do("GET", "/scim/v2/Users", nil).is(200)
	if a := s.do("GET", "/scim/v2/Users", nil).problem(429, ""); a.header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After must be whole seconds and is %q", a.header.Get("Retry-After"))
	}
	s.do("GET", "/scim/v2/Users", nil, "Authorization", "Bearer other").is(200)
	now = now.Add(2 * time.Second)
	s.do("GET", "/scim/v2/Users", nil).is(200)
}

func TestObservability(t *testing.T) {
	var lines []string
	registry := prometheus.NewRegistry()
	s := newService(t, func(s *service) {
		s.options.Registry = registry
		s.options.Log = funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
	})
	id := s.user("ada@example.test")
	s.do("PATCH", "/scim/v2/Users/"+id, patchOf(obj{"op": "Replace", "path": "active", "value": "False"})).is(200)
	s.do("GET", "/scim/v2/Users?filter="+url.QueryEscape(`userName eq "ada@example.test"`), nil).is(200)
	s.do("GET", "/scim/v2/Users/"+id, nil, "Authorization", "Bearer wrong-secret").is(401)
	all := strings.Join(lines, "\n")
	for _, secret := range []string{"ada@example.test", "wrong-secret", id, "Bearer"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q must not be in the log:\n%s", secret, all)
		}
	}
	lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, `"msg"="Served"`) })
	if len(lines) != 4 || !strings.Contains(lines[1], `"operation"="patch"`) || !strings.Contains(lines[1], `"status"=200`) {
		t.Errorf("each request must have its line:\n%s", all)
	}
	want := `
# HELP scim_requests_total SCIM requests, by operation, resource type, status code and identity provider.
# TYPE scim_requests_total counter
scim_requests_total{code="200",operation="list",provider="Okta",resource="User"} 1
scim_requests_total{code="200",operation="patch",provider="Okta",resource="User"} 1
scim_requests_total{code="201",operation="create",provider="Okta",resource="User"} 1
scim_requests_total{code="401",operation="none",provider="Okta",resource="None"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "scim_requests_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "scim_quirks_total"); err != nil || n == 0 {
		t.Errorf("quirks must be counted: %d, %v", n, err)
	}
}

// TestLargeAnswer streams a list that does not fit into one chunk over a real connection.
func TestLargeAnswer(t *testing.T) {
	s := newService(t)
	for i := range 200 {
		s.user(fmt.Sprintf("user%d", i), "title", strings.Repeat("x", 1000))
	}
	web := httptest.NewServer(s.handler)
	defer web.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, web.URL+server.BasePath+"/Users?count=1000", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer good")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	s.do("GET", "/scim/v2/Users?count=1000", nil).is(200, "Resources.#", 200, "itemsPerPage", 200)
	if response.StatusCode != http.StatusOK || response.ContentLength > 0 {
		t.Errorf("status %d, length %d", response.StatusCode, response.ContentLength)
	}
}

// TestBulkIsCharged: the rate limit counts each operation of a bulk request. Otherwise a client
// could exceed it a thousandfold.
func TestBulkIsCharged(t *testing.T) {
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	s := newService(t, func(s *service) {
		s.options.Rate, s.options.Burst, s.options.Now = 0.5, 2, func() time.Time { return now }
	})
	remove := obj{"method": "DELETE", "path": "/Users/x"}
	s.do("POST", "/scim/v2/Bulk", bulkOf(nil, remove, remove, remove, remove, remove)).is(200, "Operations.#", 5)
	if a := s.do("GET", "/scim/v2/Users", nil).problem(429, ""); a.header.Get("Retry-After") != "8" {
		t.Errorf("Retry-After is %q: 5 of 2 are spent, and there is one in two seconds", a.header.Get("Retry-After"))
	}
	now = now.Add(8 * time.Second)
	s.do("GET", "/scim/v2/Users", nil).is(200)
}

// TestPatience: a search that takes too long is a 400 tooMany, and a search ends when its client
// disconnects.
func TestPatience(t *testing.T) {
	var step time.Duration
	now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	s := newService(t, func(s *service) {
		s.options.Now = func() time.Time {
			now = now.Add(step)
			return now
		}
	})
	for i := range 300 {
		s.user(fmt.Sprintf("user%d", i))
	}
	step = server.ListTime + time.Second
	for _, query := range []string{`filter=userName%20co%20"x"`, "sortBy=userName"} {
		s.do("GET", "/scim/v2/Users?"+query, nil).problem(400, "tooMany")
	}
	step = 0
	s.do("GET", `/scim/v2/Users?filter=userName%20co%20"x"`, nil).is(200, "totalResults", 0)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/scim/v2/Users?sortBy=userName", nil)
	r.Header.Set("Authorization", "Bearer good")
	w := httptest.NewRecorder()
	if s.handler.ServeHTTP(w, r); w.Code != http.StatusServiceUnavailable {
		t.Errorf("the response to a list without a client is %d", w.Code)
	}
}

// TestManyLargeBodies: bodies share a limited memory; a request that gets none waits a little and
// is then asked to retry.
func TestManyLargeBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		post := func(body io.Reader) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/scim/v2/Users", body)
			r.Header.Set("Authorization", "Bearer good")
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, r)
			return w
		}
		var done sync.WaitGroup
		var senders []*io.PipeWriter
		for range 32 { // of unknown length each, so that each may become a MiB
			reader, writer := io.Pipe()
			senders = append(senders, writer)
			done.Go(func() { post(reader) })
		}
		synctest.Wait()
		start := time.Now()
		body := `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"ada"}`
		if w := post(strings.NewReader(body)); w.Code != 503 || w.Header().Get("Retry-After") != "5" || time.Since(start) > 10*time.Second {
			t.Errorf("without memory: %d after %s", w.Code, time.Since(start))
		}
		for _, w := range senders {
			_ = w.Close()
		}
		done.Wait()
		if w := post(strings.NewReader(body)); w.Code != 201 {
			t.Errorf("with memory again: %d", w.Code)
		}
	})
}

// TestLargeGroups: a body at /Groups may be sixteen times as large as another one, whether its
// length is known, unknown or hidden by gzip, and returns what it reserved.
func TestLargeGroups(t *testing.T) {
	s := newService(t)
	var members []string
	for i := range 2000 {
		id := s.user(fmt.Sprintf("user%d", i))
		members = append(members, fmt.Sprintf(`{"value":%q,"display":%q}`, id, strings.Repeat("x", 2000)))
	}
	list := strings.Join(members, ",")
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"gzip","members":[` + list + `]}`)); err != nil || z.Close() != nil {
		t.Fatal("gzip failed")
	}
	for _, c := range []struct {
		reason, path, body, encoding string
		unknown                      bool // the length is not announced
		want                         int
	}{
		{reason: "four MiB of known length", path: "/Groups", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"known","members":[` + list + `]}`, want: 201},
		{reason: "four MiB of unknown length", path: "/Groups", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"unknown","members":[` + list + `]}`, unknown: true, want: 201},
		{reason: "four MiB when decompressed", path: "/Groups", body: zipped.String(), encoding: "gzip", want: 201},
		{reason: "17 MiB of known length", path: "/Groups", body: strings.Repeat(" ", 17<<20), want: 413},
		{reason: "17 MiB of unknown length", path: "/Groups", body: strings.Repeat(" ", 17<<20), unknown: true, want: 413},
		{reason: "too many values", path: "/Groups", body: `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"x","x":[` + strings.Repeat("1,", 700_000) + `1]}`, want: 400},
		{reason: "two MiB elsewhere", path: "/Users", body: strings.Repeat(" ", 2<<20), unknown: true, want: 413},
	} {
		want := c.want
		for range 3 { // in all, more than the memory for bodies
			var body io.Reader = strings.NewReader(c.body)
			if c.unknown {
				body = io.MultiReader(body)
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/scim/v2"+c.path, body)
			r.Header.Set("Authorization", "Bearer good")
			r.Header.Set("Content-Encoding", c.encoding)
			w := httptest.NewRecorder()
			s.handler.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s: %d %.200s, want %d", c.reason, w.Code, w.Body, want)
			}
			if want == 201 {
				want = 409 // the group exists now
			}
		}
	}
}
