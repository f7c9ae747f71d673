// SPDX-License-Identifier: Apache-2.0

package directorytest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/scim"
)

// anyToken accepts every token.
type anyToken struct{}

func (anyToken) Authenticate(context.Context, string) (server.Identity, error) {
	return server.Identity{Name: "test"}, nil
}

// NewServer returns a SCIM server for a directory, which accepts every token.
func NewServer(d Directory) http.Handler {
	return server.New(server.Options{
		Users: d.Users, Groups: d.Groups, Tokens: anyToken{}, Log: logr.Discard(),
		Configuration: func() server.Configuration { return server.Configuration{Known: true, SCIM: true, Groups: true} },
	})
}

// Getter requests pages of the list at path from a server, with the parameters of query: by GET or,
// for a path that ends in .search, by POST.
func Getter(tb testing.TB, h http.Handler, path string, query url.Values) func(url.Values) ListResponse {
	return func(paging url.Values) ListResponse {
		tb.Helper()
		all := map[string]string{}
		for _, values := range []url.Values{query, paging} {
			for name := range values {
				all[name] = values.Get(name)
			}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, pageRequest(tb, path, all))
		var answer ListResponse
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != http.StatusOK {
			tb.Fatalf("%s %v: %d %s", path, all, w.Code, w.Body)
		}
		return answer
	}
}

func pageRequest(tb testing.TB, path string, parameters map[string]string) *http.Request {
	tb.Helper()
	var r *http.Request
	if strings.HasSuffix(path, ".search") {
		body := map[string]any{"schemas": []string{scim.SchemaSearchRequest}}
		for name, value := range parameters {
			body[name] = value
			if name == "startIndex" || name == "count" {
				body[name] = json.Number(value)
			}
		}
		encoded, err := json.Marshal(body)
		if err != nil {
			tb.Fatal(err)
		}
		r = httptest.NewRequestWithContext(tb.Context(), http.MethodPost, server.BasePath+path, strings.NewReader(string(encoded)))
		r.Header.Set("Content-Type", "application/scim+json")
	} else {
		query := url.Values{}
		for name, value := range parameters {
			query.Set(name, value)
		}
		r = httptest.NewRequestWithContext(tb.Context(), http.MethodGet, server.BasePath+path+"?"+query.Encode(), nil)
	}
	r.Header.Set("Authorization", "Bearer any")
	return r
}

// walksReturnAll: every resource that exists throughout a walk is returned exactly once, regardless
// of creations and deletions during the walk. The walks run one after the other on one server, so
// the server must not confuse them.
func walksReturnAll(f *fixture) {
	const people, groups = 24, 12
	random := rand.New(rand.NewPCG(9, 11))
	serial := 0
	user := func() string {
		serial++
		name := fmt.Sprintf("user%d.%d@example.test", random.IntN(1000), serial)
		return f.user(name, "title", fmt.Sprint(random.IntN(3))).ID
	}
	group := func() string {
		serial++
		return f.group(fmt.Sprintf("group%d.%d", random.IntN(1000), serial)).ID
	}
	remove := func(id string) {
		err := f.Users.Delete(f.ctx, id, nil)
		if err != nil {
			err = f.Groups.Delete(f.ctx, id)
		}
		if err != nil {
			f.Error(err)
		}
	}
	usersNow, groupsNow, allNow := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for range people {
		usersNow[user()] = true
	}
	for range groups {
		groupsNow[group()] = true
	}
	handler := NewServer(f.Directory)
	for _, list := range []struct {
		path   string
		query  url.Values
		now    map[string]bool
		create func() string
	}{
		{"/Users", nil, usersNow, user},
		{"/Users", url.Values{"filter": {`userName sw "user"`}}, usersNow, user},
		{"/Users", url.Values{"sortBy": {"userName"}}, usersNow, user},
		{"/Users/.search", url.Values{"sortBy": {"title"}, "sortOrder": {"descending"}, "filter": {"title pr"}}, usersNow, user},
		{"/Groups", nil, groupsNow, group},
		{"/Groups/.search", url.Values{"sortBy": {"displayName"}, "filter": {"id pr"}}, groupsNow, group},
		{"/", nil, allNow, user},
		{"/.search", url.Values{"sortBy": {"id"}}, allNow, group},
	} {
		for _, style := range Styles() {
			if len(list.now) == 0 { // both kinds: the current ones
				for _, now := range []map[string]bool{usersNow, groupsNow} {
					for id := range now {
						list.now[id] = true
					}
				}
			}
			crowd := &Crowd{
				Create: list.create, Delete: remove, IDs: list.now, Deletions: 3, Arrivals: 3, Pages: 3, Random: random,
			}
			crowd.Walk(f.T, Walk{Style: style, Count: 2 + random.IntN(5), Get: Getter(f.T, handler, list.path, list.query)})
			if f.Failed() {
				f.Fatalf("%s %v", list.path, list.query)
			}
		}
	}
}
