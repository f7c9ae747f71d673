// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/kernel/tokenfile"
	"lightrun.com/scim-operator/test/framework/controlplane"
)

// target is the whole service, running, with SCIM on and one user.
type target struct {
	*testing.T
	address, ada string
}

// attack starts the service as main does, except for the flags.
func attack(t *testing.T, change func(*options)) *target {
	t.Helper()
	cp := controlplane.Get(t)
	namespace := cp.Namespace(t)
	configure(t, cp, namespace)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "tokens"), tokenfile.Format([]tokenfile.Entry{{Digest: tokenfile.Digest("secret"), Name: "first", Provider: provider.ID{Type: provider.Okta}}}))
	o := &options{listen: address(t), namespace: namespace, tokenDirs: list{dir}, timeouts: defaultTimeouts(), maxConnections: 1000}
	change(o)
	s, err := newService(o, cp.Config, nil, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the service ended with %v", err)
		}
	})
	f := &target{T: t, address: o.listen}
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for f.status("GET", "/Users", nil) != http.StatusOK {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the service does not serve")
		}
	}
	_, body := f.send("POST", "/Users", []byte(userHead+`"userName":"ada"}`))
	var made struct{ ID string }
	if err := json.Unmarshal(body, &made); err != nil || made.ID == "" {
		t.Fatalf("%s: %v", body, err)
	}
	f.ada = made.ID
	return f
}

const (
	userHead  = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],`
	groupHead = `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"g",`
	patchHead = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[`
	bulkHead  = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[`
)

func (f *target) status(method, path string, body []byte, headers ...string) int {
	code, _ := f.send(method, path, body, headers...)
	return code
}

// send returns the status, 0 for no response, and the body.
func (f *target) send(method, path string, body []byte, headers ...string) (int, []byte) {
	f.Helper()
	return f.stream(method, path, bytes.NewReader(body), headers...)
}

func (f *target) stream(method, path string, body io.Reader, headers ...string) (int, []byte) {
	f.Helper()
	r, err := http.NewRequestWithContext(f.Context(), method, "http://"+f.address+"/scim/v2"+path, body)
	if err != nil {
		f.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer secret")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil
	}
	return response.StatusCode, data
}

// unharmed checks that ada is the only user and unchanged.
func (f *target) unharmed() {
	f.Helper()
	for path, want := range map[string]string{"/Users": `"totalResults":1,`, "/Groups": `"totalResults":0,`, "/Users/" + f.ada: `"userName":"ada"`} {
		if code, body := f.send("GET", path, nil); code != http.StatusOK || !strings.Contains(string(body), want) {
			f.Errorf("%s: %d %.300s", path, code, body)
		}
	}
}

// each joins n texts with commas.
func each(n int, text func(int) string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = text(i)
	}
	return strings.Join(parts, ",")
}

// hostile is a request with malicious intent.
type hostile struct {
	method, path, body string
	headers            []string
	want               []int
}

// bodies attack the code that reads bodies.
func bodies() map[string]hostile {
	post := func(body string, want ...int) hostile {
		return hostile{method: "POST", path: "/Users", body: body, want: want}
	}
	const core = `"urn:ietf:params:scim:schemas:core:2.0:User":{`
	const typo = `"urn:ietf:params:scim:schemas:extension:enterprise:2.0User`
	return map[string]hostile{
		"NestedLists":       post(userHead+`"x":`+strings.Repeat("[", 500_000), 400),
		"NestedObjects":     post(strings.Repeat(`{"a":`, 150_000)+"1"+strings.Repeat("}", 150_000), 400),
		"ManyNumbers":       post(userHead+`"x":[`+each(400_000, func(int) string { return "1" })+`]}`, 400),
		"ManyObjects":       post(userHead+`"x":[`+each(300_000, func(int) string { return "{}" })+`]}`, 400),
		"ManyEmails":        post(userHead+`"userName":"x","emails":[`+each(30_000, func(i int) string { return fmt.Sprintf(`{"value":"%d"}`, i) })+`]}`, 400),
		"LongText":          post(userHead+`"userName":"x","title":"`+strings.Repeat("x", 900_000)+`"}`, 400),
		"LongName":          post(userHead+`"userName":"`+strings.Repeat("ﷺ", 300_000)+`"}`, 400),
		"LongElements":      post(userHead+`"userName":"x","roles":[`+each(190, func(i int) string { return fmt.Sprintf(`{"value":"%d%s"}`, i, strings.Repeat("ﷺ", 1000)) })+`]}`, 400),
		"TooLarge":          post(userHead+`"userName":"x","unknown":"`+strings.Repeat("x", 1<<20)+`"}`, 413),
		"TooLargePerson":    post(userHead+`"userName":"x","roles":[`+each(50, func(i int) string { return fmt.Sprintf(`{"value":"%d%s"}`, i, strings.Repeat("x", 1000)) })+`]}`, 413),
		"NameTwice":         post(userHead+each(40_000, func(i int) string { return fmt.Sprintf(`"k%d":1`, i) })+`,"K7":2}`, 400),
		"UserNameTwice":     post(userHead+`"userName":"x","USERNAME":"y"}`, 400),
		"ManyNamesInside":   post(userHead+core+each(60_000, func(i int) string { return fmt.Sprintf(`"k%d":1`, i) })+`}}`, 400),
		"ManyQualified":     post(userHead+each(14_000, func(i int) string { return typo + fmt.Sprintf(`:k%d":1`, i) })+`}`, 400),
		"ManyDotted":        post(userHead+each(60_000, func(i int) string { return fmt.Sprintf(`"name.k%d":1`, i) })+`}`, 400),
		"ManySchemas":       post(`{"schemas":[`+each(14_000, func(int) string { return typo + `"` })+`],"userName":"x"}`, 400),
		"NotUTF8":           post(userHead+"\"userName\":\"x\",\"title\":\"\xc3\x28\"}", 400),
		"LoneSurrogate":     post(userHead+`"userName":"x\udfff"}`, 400),
		"NUL":               post(userHead+`"userName":"x\u0000"}`, 400),
		"NULInATitle":       post(userHead+`"userName":"x","title":"\u0000"}`, 400),
		"HugeNumber":        post(userHead+`"userName":"x","active":1e999999999}`, 400),
		"LongNumber":        post(userHead+`"userName":"x","active":`+strings.Repeat("9", 900_000)+`}`, 400),
		"Lookalike":         post(userHead+`"userName":"ＡＤＡ"}`, 409),
		"ManyMembers":       {method: "POST", path: "/Groups", body: groupHead + `"members":[` + each(20_000, func(i int) string { return fmt.Sprintf(`{"value":"u%d"}`, i) }) + `]}`, want: []int{400}},
		"VeryManyMembers":   {method: "POST", path: "/Groups", body: groupHead + `"members":[` + each(250_000, func(i int) string { return fmt.Sprintf(`{"value":"unknown%d"}`, i) }) + `]}`, want: []int{400}},
		"TooManyValues":     {method: "POST", path: "/Groups", body: groupHead + `"members":[` + each(400_000, func(int) string { return `{"value":"u"}` }) + `]}`, want: []int{400}},
		"TooLargeGroup":     {method: "POST", path: "/Groups", body: groupHead + `"unknown":"` + strings.Repeat("x", 16<<20) + `"}`, want: []int{413}},
		"BombForGroups":     {method: "POST", path: "/Groups", body: bomb(200 << 20), headers: []string{"Content-Encoding", "gzip"}, want: []int{413}},
		"NestedGroup":       {method: "POST", path: "/Groups", body: groupHead + `"members":[{"value":"g","type":"Group"}]}`, want: []int{400}},
		"WrongContentType":  {method: "POST", path: "/Users", body: "<x/>", headers: []string{"Content-Type", "text/xml"}, want: []int{415}},
		"GzipBomb":          {method: "POST", path: "/Users", body: bomb(200 << 20), headers: []string{"Content-Encoding", "gzip"}, want: []int{413}},
		"GzipOfNothing":     {method: "POST", path: "/Users", body: strings.Repeat(bomb(0), 20_000), headers: []string{"Content-Encoding", "gzip"}, want: []int{400}},
		"SearchForVeryMany": {method: "POST", path: "/Users/.search", body: `{"attributes":[` + each(90_000, func(int) string { return `"a"` }) + `]}`, want: []int{200}},
	}
}

// bomb returns n compressed zeros.
func bomb(n int) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for ; n > 0; n -= len(zeros) {
		_, _ = z.Write(zeros[:min(n, len(zeros))]) // into memory
	}
	_ = z.Close()
	return b.String()
}

// operations attack PATCH and bulk.
func operations(ada string) map[string]hostile {
	patch := func(ops string, want ...int) hostile {
		return hostile{method: "PATCH", path: "/Users/" + ada, body: patchHead + ops + `]}`, want: want}
	}
	bulk := func(ops string, want ...int) hostile {
		return hostile{method: "POST", path: "/Bulk", body: bulkHead + ops + `]}`, want: want}
	}
	long := func(n int) string {
		return `{"op":"replace","path":"roles","value":[` + each(n, func(i int) string { return fmt.Sprintf(`{"value":"%d%s"}`, i, strings.Repeat("é", 900)) }) + `]},`
	}
	manager := func(i, of int) string {
		return fmt.Sprintf(`{"method":"POST","path":"/Users","bulkId":"%d","data":{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"bulkId:%d"}}}}`, i, of)
	}
	return map[string]hostile{
		"ManyOperations": patch(each(10_001, func(int) string { return `{"op":"remove","path":"title"}` }), 400),
		"ManySearches": patch(long(50)+each(4000, func(int) string {
			return `{"op":"remove","path":"roles[value co \"x\" or value ew \"y\" or value sw \"z\"]"}`
		}), 413),
		"ManyAdditions": patch(long(50)+each(9000, func(i int) string { return fmt.Sprintf(`{"op":"add","path":"roles","value":{"value":"%d"}}`, i%100) }), 413, 400),
		"ManyElements": patch(each(9000, func(i int) string {
			return fmt.Sprintf(`{"op":"add","path":"emails[type eq \"%d\"].value","value":"x"}`, i)
		}), 400),
		"ManyKeys":        patch(`{"op":"add","value":{`+each(20_000, func(i int) string { return fmt.Sprintf(`"emails[type eq \"%d\"].value":"x"`, i) })+`}}`, 400),
		"LongPath":        patch(`{"op":"add","path":"`+strings.Repeat("a", 900_000)+`","value":"x"}`, 400),
		"DeepPath":        patch(`{"op":"remove","path":"emails[`+strings.Repeat("(", 4000)+`"}`, 400),
		"OneBad":          patch(`{"op":"replace","path":"userName","value":"eve"},{"op":"replace","path":"nosuch","value":1}`, 400),
		"BulkInBulk":      bulk(`{"method":"POST","path":"/Bulk","bulkId":"1","data":{}}`, 200),
		"BulkOfTooMany":   bulk(each(1001, func(int) string { return `{"method":"DELETE","path":"/Users/x"}` }), 413),
		"BulkCircle":      bulk(each(1000, func(i int) string { return manager(i, (i+1)%1000) }), 200),
		"BulkBackwards":   bulk(each(999, func(i int) string { return manager(i, i+1) })+","+manager(999, 5000), 200),
		"BulkReferences":  bulk(`{"method":"PATCH","path":"/Users/x","data":{"x":[`+each(50_000, func(i int) string { return fmt.Sprintf(`"bulkId:a%d"`, i) })+`]}},`+each(999, func(i int) string { return manager(i, i+1) }), 200),
		"BulkSelf":        bulk(manager(1, 1), 200),
		"BulkElsewhere":   bulk(`{"method":"DELETE","path":"/Users/../Groups/x"},{"method":"PUT","path":"//evil.test/Users/x","data":{}}`, 200),
		"BulkWithVersion": bulk(`{"method":"DELETE","path":"/Users/`+ada+`","version":"W/\"no\""}`, 200),
	}
}

// heads attack the code that reads URLs and headers.
func heads(ada string) map[string]hostile {
	get := func(path string, want ...int) hostile { return hostile{method: "GET", path: path, want: want} }
	with := func(name, value string, want ...int) hostile {
		return hostile{method: "GET", path: "/Users/" + ada, headers: []string{name, value}, want: want}
	}
	const most = 60_000
	return map[string]hostile{
		"LongURL":         get("/Users?x="+strings.Repeat("x", 80_000), 431, 0), // or cut while it is still being sent
		"LongFilter":      get("/Users?filter=userName%20eq%20%22"+strings.Repeat("x", 50_000)+"%22", 400),
		"ThousandTerms":   get("/Users?filter=title%20pr"+strings.Repeat("%20or%20title%20pr", 1000), 400),
		"DeepFilter":      get("/Users?filter="+strings.Repeat("(", 4000), 400),
		"DeepNot":         get("/Users?filter="+strings.Repeat("not%20(", 4000), 400),
		"ManyParameters":  get("/Users?"+strings.Repeat("a&", most/2), 200, 400),
		"ManyAttributes":  get("/Users?attributes="+strings.Repeat("a,", most/2), 200),
		"ManySegments":    get(strings.Repeat("/a", most/2), 404),
		"ManySlashes":     get("/Users"+strings.Repeat("/", most), 200, 404),
		"LongID":          get("/Users/"+strings.Repeat("a", most), 404),
		"Traversal":       get("/Users/..%2f..%2f..%2fapi%2fv1%2fsecrets", 404),
		"NULInID":         get("/Users/%00", 404),
		"HugeCount":       get("/Users?count=99999999999999999999&startIndex=-99999999999999999999", 200),
		"LongNumber":      get("/Users?count="+strings.Repeat("9", most), 200),
		"ForgedCursor":    get("/Users?cursor="+strings.Repeat("A", most), 400),
		"LongAccept":      with("Accept", strings.Repeat("a/b,", most/4), 406),
		"LongIfNoneMatch": with("If-None-Match", strings.Repeat(`"x",`, most/4), 200),
		"LongToken":       with("Authorization", "Bearer "+strings.Repeat("x", most), 401),
		"LongHeader":      with("X-Filler", strings.Repeat("x", 80_000), 431, 0),
		"RequestID":       with("X-Request-Id", "x\ty", 200),
		"Host":            with("X-Forwarded-Host", `evil"}`, 200),
		"UnknownMethod":   {method: "BREW", path: "/Users", want: []int{405}},
		"LongMethod":      {method: strings.Repeat("A", most), path: "/Users", want: []int{405}},
	}
}

// TestHostile: every request is answered soon, with a clear error, and changes nothing.
func TestHostile(t *testing.T) {
	f := attack(t, func(*options) {})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for kind, attacks := range map[string]map[string]hostile{"Body": bodies(), "Operations": operations(f.ada), "Head": heads(f.ada)} {
		for name, h := range attacks {
			t.Run(kind+"/"+name, func(t *testing.T) {
				g := &target{T: t, address: f.address, ada: f.ada}
				start := time.Now()
				code, body := g.send(h.method, h.path, []byte(h.body), h.headers...)
				took := time.Since(start)
				if !slices.Contains(h.want, code) {
					t.Errorf("the response is %d %.300s, want %v", code, body, h.want)
				}
				const bound = 20 * time.Second // on a busy machine; on an idle one, the slowest takes a small part of it
				if took > bound {
					t.Errorf("took %s", took)
				}
				t.Logf("%d in %s", code, took.Round(time.Millisecond))
				if code >= 400 && code != http.StatusRequestHeaderFieldsTooLarge && !explains(body) {
					t.Errorf("the error says nothing: %d %.300s", code, body)
				}
				if len(body) > 1<<20 {
					t.Errorf("the response has %d bytes", len(body))
				}
			})
		}
	}
	f.unharmed()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if held := int64(after.HeapAlloc) - int64(before.HeapAlloc); held > 64<<20 {
		t.Errorf("%d MiB are still allocated", held>>20)
	}
}

// explains reports whether a body is a SCIM error with a detail, or a bulk response.
func explains(body []byte) bool {
	var e struct {
		Schemas        []string
		Status, Detail string
	}
	err := json.Unmarshal(body, &e)
	return err == nil && len(e.Schemas) == 1 && e.Status != "" && len(e.Detail) > 10
}

// endless is a body that never ends.
type endless struct{ text string }

func (e endless) Read(p []byte) (int, error) { return copy(p, e.text), nil }

func TestEndlessBody(t *testing.T) {
	f := attack(t, func(*options) {})
	for name, text := range map[string]string{"Text": userHead + `"title":"xxxxxxxxxxxxxxxxxxxxxxxxxxxx`, "Space": strings.Repeat(" ", 4096)} {
		if code, body := f.stream("POST", "/Users", endless{text}); code != http.StatusRequestEntityTooLarge && code != 0 { // or cut while it is still being sent
			t.Errorf("%s: %d %.300s", name, code, body)
		}
	}
	f.unharmed()
}

// dial opens a connection and sends text.
func (f *target) dial(text string) net.Conn {
	f.Helper()
	c, err := (&net.Dialer{}).DialContext(f.Context(), "tcp", f.address)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		f.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		f.Fatal(err)
	}
	return c
}

const head = " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n"

// TestSlowClients: a client that sends or reads too slowly is cut off, and nothing is written.
func TestSlowClients(t *testing.T) {
	f := attack(t, func(o *options) {
		o.timeouts = timeouts{readHeader: 200 * time.Millisecond, read: 400 * time.Millisecond, write: 600 * time.Millisecond, idle: 200 * time.Millisecond}
	})
	for name, text := range map[string]string{
		"Nothing": "", "HalfAHead": "POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nX-Slow: ", "Idle": "GET /scim/v2/Users" + head + "\r\n",
		"NoBody":      "POST /scim/v2/Users" + head + "Content-Length: 500\r\n\r\n",
		"HalfABody":   "POST /scim/v2/Users" + head + "Content-Length: 500\r\n\r\n" + userHead + `"userName":"slow"`,
		"HalfAChunk":  "POST /scim/v2/Users" + head + "Transfer-Encoding: chunked\r\n\r\nfff\r\n" + userHead,
		"BodyUnasked": "DELETE /scim/v2/Users/x" + head + "Content-Length: 500000\r\n\r\n{",
		"NoToken":     "POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			g := &target{T: t, address: f.address}
			if _, err := io.Copy(io.Discard, g.dial(text)); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection is never closed")
			}
		})
	}
	t.Run("Reader", func(t *testing.T) {
		c := (&target{T: t, address: f.address}).dial("")
		for { // asks and asks and never reads
			if _, err := io.WriteString(c, strings.Repeat("GET /scim/v2/Schemas"+head+"\r\n", 100)); err != nil {
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error("the response is never cancelled")
				}
				return
			}
		}
	})
	f.unharmed()
}

// TestSmuggling: the HTTP server refuses malformed HTTP and closes the connection.
func TestSmuggling(t *testing.T) {
	f := attack(t, func(*options) {})
	for name, text := range map[string]string{
		"TwoLengths":     "POST /scim/v2/Users" + head + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
		"LengthAndChunk": "POST /scim/v2/Users" + head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"NegativeLength": "POST /scim/v2/Users" + head + "Content-Length: -1\r\n\r\n{}",
		"BadChunk":       "POST /scim/v2/Users" + head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"NoHost":         "GET /scim/v2/Users HTTP/1.1\r\n\r\n",
		"NotHTTP":        "\x16\x03\x01\x02\x00\x01\x00",
		"NULInHeader":    "GET /scim/v2/Users" + head + "X: a\x00b\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := (&target{T: t, address: f.address}).dial(text)
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.CloseWrite()
			}
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return // closed without an answer
			}
			defer response.Body.Close()
			if response.StatusCode < 400 {
				t.Errorf("the response is %d", response.StatusCode)
			}
		})
	}
	f.unharmed()
}

// TestManyConnections: idle connections are limited in number and in time, so that others are
// served.
func TestManyConnections(t *testing.T) {
	f := attack(t, func(o *options) {
		o.maxConnections = 20
		o.timeouts = timeouts{readHeader: 300 * time.Millisecond, read: time.Second, write: time.Second, idle: 100 * time.Millisecond}
	})
	for range 60 {
		f.dial("GET /scim/v2/Users HTTP/1.1\r\n")
	}
	f.unharmed()
}

// TestRateLimited: requests above the token's rate are 429 with whole seconds in Retry-After, and
// another token is not affected.
func TestRateLimited(t *testing.T) {
	f := attack(t, func(o *options) { o.rate, o.burst = 0.5, 20 })
	limited := 0
	for range 60 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.address+"/scim/v2/Users", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer secret")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != http.StatusTooManyRequests {
			continue
		}
		limited++
		if after := response.Header.Get("Retry-After"); after != "1" && after != "2" {
			t.Fatalf("Retry-After is %q", after)
		}
	}
	if limited < 30 {
		t.Errorf("only %d of 60 requests got Retry-After", limited)
	}
	if code := f.status("GET", "/Users", nil, "Authorization", "Bearer other"); code != http.StatusUnauthorized {
		t.Errorf("an unknown token gets %d", code)
	}
}
