// SPDX-License-Identifier: Apache-2.0

// Package conformance tests a SCIM service against the standard, section by section, over HTTP.
// Each case is named after its section in RFC 7643, RFC 7644 or RFC 9865 and does not depend on the
// implementation, so the same cases run on the directory in memory and the one in Kubernetes.
//
// docs/reference/scim-conformance.md lists the requirements of the standard, the behaviour of this
// service, and the cases and tests that check it; a test here checks that the list is complete.
package conformance

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lightrun.com/scim-operator/test/framework/session"
)

// Service is a SCIM service under test, empty, with SCIM and groups on.
type Service struct {
	BaseURL string // ends in /scim/v2
	Token   string
}

// Run runs every case, each on a new service.
func Run(t *testing.T, fresh func(testing.TB) Service) {
	all := cases()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all[name](&fixture{T: t, Service: fresh(t)})
		})
	}
}

// Names returns the names of the cases.
func Names() []string { return slices.Sorted(maps.Keys(cases())) }

func cases() map[string]func(*fixture) {
	all := map[string]func(*fixture){}
	for _, part := range []map[string]func(*fixture){schemaCases(), resourceCases(), queryCases(), writeCases(), protocolCases()} {
		maps.Copy(all, part)
	}
	return all
}

// fixture is a running case.
type fixture struct {
	*testing.T
	Service
}

// answer is a response whose body was read.
type answer struct {
	*testing.T
	what   string
	status int
	header http.Header
	raw    []byte
	body   any
}

// obj is a JSON object.
type obj = map[string]any

const (
	userSchema  = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterprise  = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	patchOp     = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	messages    = "urn:ietf:params:scim:api:messages:2.0:"
)

// do sends a request. path is below the base URL and may contain characters that a URL must escape.
// body is a string, sent unchanged, or a value to marshal. Headers are name, value; an empty value
// omits the header.
func (f *fixture) do(method, path string, body any, headers ...string) answer {
	f.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			f.Fatal(err)
		}
		in = bytes.NewReader(data)
	}
	path = strings.NewReplacer(" ", "%20", `"`, "%22", "[", "%5B", "]", "%5D").Replace(path)
	base := f.BaseURL
	if strings.HasPrefix(path, "!") { // from the root of the host
		base, path = strings.TrimSuffix(base, "/scim/v2"), path[1:]
	}
	r, err := http.NewRequestWithContext(f.Context(), method, base+path, in)
	if err != nil {
		f.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+f.Token)
	if in != nil {
		r.Header.Set("Content-Type", "application/scim+json")
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Del(headers[i]); headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return f.send(r)
}

func (f *fixture) send(r *http.Request) answer {
	f.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		f.Fatal(err)
	}
	defer response.Body.Close()
	a := answer{T: f.T, what: r.Method + " " + r.URL.RequestURI(), status: response.StatusCode, header: response.Header}
	if a.raw, err = io.ReadAll(response.Body); err != nil {
		f.Fatal(err)
	}
	if len(a.raw) > 0 {
		if err := json.Unmarshal(a.raw, &a.body); err != nil {
			f.Fatalf("%s: the answer is not JSON: %v\n%s", a.what, err, a.raw)
		}
	}
	return a
}

// at looks up a JSON path, as package session describes it; nil if there is no value.
func (a answer) at(path string) any {
	v, _ := session.Lookup(a.body, path)
	return v
}

// is checks the status and, as path, value pairs, the body.
func (a answer) is(status int, pairs ...any) answer {
	a.Helper()
	if a.status != status {
		a.Errorf("%s: the status must be %d and is %d: %s", a.what, status, a.status, a.raw)
	}
	for i := 0; i < len(pairs); i += 2 {
		path, want := pairs[i].(string), pairs[i+1]
		if n, ok := want.(int); ok {
			want = float64(n)
		}
		if have := a.at(path); have != want {
			a.Errorf("%s: %s must be %v and is %v: %s", a.what, path, want, have, a.raw)
		}
	}
	return a
}

// problem checks a SCIM error (RFC 7644 §3.12): its schema, its status as a string, its type, a
// useful detail, and its media type.
func (a answer) problem(status int, kind string) answer {
	a.Helper()
	a.is(status, "schemas[0]", messages+"Error", "status", strconv.Itoa(status))
	if have, _ := a.at("scimType").(string); have != kind {
		a.Errorf("%s: scimType must be %q and is %q: %s", a.what, kind, have, a.raw)
	}
	if detail, _ := a.at("detail").(string); len(detail) < 10 {
		a.Errorf("%s: detail must say what is wrong: %s", a.what, a.raw)
	}
	if have := a.header.Get("Content-Type"); have != "application/scim+json" {
		a.Errorf("%s: the type of an error is %q", a.what, have)
	}
	return a
}

// userOf adds the schema, and the enterprise one if its attributes are there.
func userOf(o obj) obj {
	out := maps.Clone(o)
	schemas := []string{userSchema}
	if _, ok := o[enterprise]; ok {
		schemas = append(schemas, enterprise)
	}
	out["schemas"] = schemas
	return out
}

func groupOf(o obj) obj {
	out := maps.Clone(o)
	out["schemas"] = []string{groupSchema}
	return out
}

func patchOf(ops ...obj) obj { return obj{"schemas": []string{patchOp}, "Operations": ops} }

// user creates a user and returns the id; more is attributes, as name, value.
func (f *fixture) user(name string, more ...any) string {
	f.Helper()
	o := obj{"userName": name}
	for i := 0; i < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return f.do("POST", "/Users", userOf(o)).is(201).at("id").(string)
}

func (f *fixture) group(name string, members ...string) string {
	f.Helper()
	return f.do("POST", "/Groups", groupOf(obj{"displayName": name, "members": refs(members...)})).is(201).at("id").(string)
}

func refs(ids ...string) []obj {
	out := []obj{}
	for _, id := range ids {
		out = append(out, obj{"value": id})
	}
	return out
}

// patch sends one operation and returns the answer.
func (f *fixture) patch(path string, ops ...obj) answer {
	f.Helper()
	return f.do("PATCH", path, patchOf(ops...))
}
