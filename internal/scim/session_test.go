// SPDX-License-Identifier: Apache-2.0

package scim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/patch"
	"lightrun.com/scim-operator/internal/scim/path"
	"lightrun.com/scim-operator/internal/scim/quirk"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// step is one request of a recorded session; testdata/idp/README.md explains its fields.
type step struct {
	Name, Method, Path, Auth string
	Body                     json.RawMessage
	Status                   []int
	Expect                   map[string]any
	Absent                   []string
	Save                     map[string]string
}

// TestSessions replays what the providers send against the engine and a map, without HTTP: if this
// holds, the rest is plumbing.
func TestSessions(t *testing.T) {
	for _, provider := range []string{"okta", "entra", "onelogin", "jumpcloud", "ping", "google", "authentik"} {
		t.Run(provider, func(t *testing.T) {
			data, err := os.ReadFile("../../testdata/idp/" + provider + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var session struct{ Steps []step }
			if err := json.Unmarshal(data, &session); err != nil {
				t.Fatal(err)
			}
			d := &directory{t: t, resources: map[string]scim.Object{}}
			vars := map[string]string{"tag": "t1", "base": "https://h/scim/v2"}
			for _, s := range session.Steps {
				if s.Auth == "" && s.Path != "/ServiceProviderConfig" { // who may ask, and what is served, is not the engine's to know
					d.replay(s, vars)
				}
			}
		})
	}
}

// directory is a SCIM server reduced to a map.
type directory struct {
	t         *testing.T
	resources map[string]scim.Object // by endpoint + "/" + id
	next      int
}

func (d *directory) replay(s step, vars map[string]string) {
	d.t.Helper()
	fill := func(text string) string {
		return regexp.MustCompile(`\$\{(\w+)\}`).ReplaceAllStringFunc(text, func(v string) string { return vars[v[2:len(v)-1]] })
	}
	answer, status, err := d.serve(s.Method, fill(s.Path), []byte(fill(string(s.Body))))
	var e *scim.Error
	if errors.As(err, &e) {
		status = e.Status
		text, _ := json.Marshal(e)
		answer, _ = scim.DecodeJSON(text, scim.Limits{})
	} else if err != nil {
		d.t.Fatalf("%s: %v", s.Name, err)
	}
	if !slices.Contains(s.Status, status) {
		d.t.Errorf("%s: status %d, want one of %v: %v", s.Name, status, s.Status, err)
	}
	if answer == nil {
		return
	}
	for where, want := range s.Expect {
		checkValue(d.t, s.Name, where, at(answer, where), want, fill)
	}
	for _, where := range s.Absent {
		if v := at(answer, where); v != nil {
			d.t.Errorf("%s: %s is %v, want it absent", s.Name, where, v)
		}
	}
	for name, where := range s.Save {
		vars[name], _ = at(answer, where).(string)
	}
}

func checkValue(t *testing.T, step, where string, got, want any, fill func(string) string) {
	t.Helper()
	text, isText := want.(string)
	var ok bool
	switch {
	case isText && text == "$any":
		ok = got != nil
	case isText && text == "$str":
		_, ok = got.(string)
	case isText && text == "$num":
		_, ok = got.(int64)
	case isText:
		ok = got == fill(text)
	default:
		if n, isNumber := want.(float64); isNumber {
			want = int64(n)
		}
		ok = got == want
	}
	if !ok {
		t.Errorf("%s: %s is %v, want %v", step, where, got, want)
	}
}

func (d *directory) serve(method, target string, body []byte) (scim.Object, int, error) {
	place, query, _ := strings.Cut(target, "?")
	parts := strings.Split(strings.TrimPrefix(place, "/"), "/")
	if parts[0] == "Schemas" {
		return list([]any{schema.User().Schema.Object("https://h")}), 200, nil
	}
	rt := map[string]*schema.ResourceType{"Users": schema.User(), "Groups": schema.Group()}[parts[0]]
	params := parameters(query)
	if len(parts) == 1 && method == "GET" {
		out, err := d.search(rt, params)
		return out, 200, err
	}
	if len(parts) == 1 {
		out, err := d.create(rt, body)
		return out, 201, err
	}
	have, ok := d.resources[place]
	if !ok {
		return nil, 0, scim.NotFound("There is no %s.", place)
	}
	switch method {
	case "DELETE":
		delete(d.resources, place)
		return nil, 204, nil
	case "GET":
		out, err := project(rt, have, params)
		return out, 200, err
	}
	out, err := d.write(rt, method, have, body)
	if err == nil {
		d.resources[place] = out
	}
	return out, 200, err
}

// parameters splits a query without decoding it, as the sessions hold it.
func parameters(query string) url.Values {
	out := url.Values{}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		out.Add(name, value)
	}
	return out
}

func project(rt *schema.ResourceType, o scim.Object, params url.Values) (scim.Object, error) {
	p, err := path.ParseProjection(params.Get("attributes"), params.Get("excludedAttributes"), rt)
	if err != nil {
		return nil, err
	}
	return p.Apply(o), nil
}

func list(resources []any) scim.Object {
	return scim.Object{"schemas": []any{scim.SchemaListResponse}, "totalResults": int64(len(resources)), "startIndex": int64(1), "Resources": resources}
}

func (d *directory) search(rt *schema.ResourceType, params url.Values) (scim.Object, error) {
	found := []any{}
	for _, key := range slices.Sorted(maps.Keys(d.resources)) {
		o := d.resources[key]
		if !strings.HasPrefix(key, rt.Endpoint+"/") {
			continue
		}
		if text := params.Get("filter"); text != "" {
			m, err := filter.Compile(text, rt)
			if err != nil {
				return nil, err
			}
			if !m.Match(o) {
				continue
			}
		}
		out, err := project(rt, o, params)
		if err != nil {
			return nil, err
		}
		found = append(found, out)
	}
	return list(found), nil
}

func (d *directory) create(rt *schema.ResourceType, body []byte) (scim.Object, error) {
	o, err := canonical(rt, body, schema.Create)
	if err != nil {
		return nil, err
	}
	for key, other := range d.resources {
		for _, a := range rt.Schema.Attributes {
			a1, _ := o[a.Name].(string)
			a2, _ := other[a.Name].(string)
			if a.Uniqueness == schema.UniqueServer && strings.HasPrefix(key, rt.Endpoint+"/") && names.Fold(a1) == names.Fold(a2) {
				return nil, scim.Conflict("%s is taken.", a.Name)
			}
		}
	}
	d.next++
	id := fmt.Sprintf("%s-%d", rt.Name, d.next)
	o["id"], o["meta"] = id, scim.Object{"resourceType": rt.Name}
	d.resources[rt.Endpoint+"/"+id] = o
	return o, nil
}

func canonical(rt *schema.ResourceType, body []byte, mode schema.Mode) (scim.Object, error) {
	in, err := scim.DecodeJSON(body, scim.Limits{})
	if err != nil {
		return nil, err
	}
	in, _ = quirk.Resource(rt, in)
	return schema.Canonicalize(rt, in, mode)
}

func (d *directory) write(rt *schema.ResourceType, method string, have scim.Object, body []byte) (scim.Object, error) {
	if method == "PUT" {
		in, err := canonical(rt, body, schema.Replace)
		if err != nil {
			return nil, err
		}
		return patch.Put(rt, have, in)
	}
	in, err := scim.DecodeJSON(body, scim.Limits{})
	if err != nil {
		return nil, err
	}
	in, _ = quirk.Patch(rt, in)
	ops, err := patch.Parse(in)
	if err != nil {
		return nil, err
	}
	return patch.Apply(rt, have, ops)
}

// at follows a path of the sessions: a.b, a[0], a[k=v], a.#, "quoted".x.
func at(v any, where string) any {
	for _, part := range regexp.MustCompile(`"[^"]*"|\[[^\]]*\]|[^.\["]+`).FindAllString(where, -1) {
		switch {
		case part == "#":
			elements, _ := v.([]any)
			return int64(len(elements))
		case part[0] == '[':
			v = element(v, part[1:len(part)-1])
		default:
			o, _ := v.(scim.Object)
			v = o[strings.Trim(part, `"`)]
		}
	}
	return v
}

func element(v any, which string) any {
	elements, _ := v.([]any)
	if key, value, ok := strings.Cut(which, "="); ok {
		for _, e := range elements {
			if o, _ := e.(scim.Object); o[key] == value {
				return e
			}
		}
		return nil
	}
	if i, err := strconv.Atoi(which); err == nil && i < len(elements) {
		return elements[i]
	}
	return nil
}
