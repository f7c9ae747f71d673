// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"k8s.io/client-go/rest"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/scim/schema"
	"lightrun.com/scim-operator/test/conformance/directorytest"
)

// crowd is a directory whose cache is filled without an API server, with users who have little more
// than an id.
type crowd struct {
	directory *Directory
	handler   http.Handler
	ids       map[string]bool
	random    *rand.Rand
	clock     int64
	version   uint64
}

func newCrowd(t *testing.T, people int, seed uint64) *crowd {
	t.Helper()
	d, err := New(Options{Config: &rest.Config{Host: "127.0.0.1:1"}, Namespace: "test", Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{
		directory: d, ids: map[string]bool{}, random: rand.New(rand.NewPCG(seed, 11)), clock: 1_800_000_000,
		handler: directorytest.NewServer(directorytest.Directory{Users: d.Users(), Groups: d.Groups()}),
	}
	records := make([]*record[*cachedUser], people)
	for i := range records {
		records[i] = c.arrival()
	}
	d.users.relisted(records, c.version)
	return c
}

// arrival returns a new user. Several arrive within a second, and the clocks of some API servers
// are slightly behind, so that not every user is appended to the list.
func (c *crowd) arrival() *record[*cachedUser] {
	c.version++
	c.clock += int64(c.random.IntN(2))
	var random [16]byte
	for i := range random {
		random[i] = byte(c.random.Uint32())
	}
	id := uuid.UUID(random).String()
	key := listKey(c.clock-int64(c.random.IntN(5)), id)
	c.ids[id] = true
	body := fmt.Sprintf(`{"id":%q,"userName":"user%d","active":true}`, id, c.random.IntN(1000))
	return &record[*cachedUser]{key: key, uid: id, version: c.version, value: &cachedUser{
		resource: &server.Resource{Type: schema.User(), ID: id, Key: key, JSON: []byte(body)},
	}}
}

func (c *crowd) create() string {
	r := c.arrival()
	c.directory.users.watched(r)
	return r.id()
}

func (c *crowd) remove(id string) {
	c.version++
	c.directory.users.watchedGone(id, c.version, true)
}

// walk walks once, with 50 deletions and 50 new users meanwhile.
func (c *crowd) walk(t *testing.T, style directorytest.Style, count int, query url.Values) {
	t.Helper()
	changes := &directorytest.Crowd{
		Create: c.create, Delete: c.remove, IDs: c.ids, Deletions: 50, Arrivals: 50, Pages: len(c.ids) / count, Random: c.random,
	}
	changes.Walk(t, directorytest.Walk{Style: style, Count: count, Get: directorytest.Getter(t, c.handler, "/Users", query)})
}

// TestWalksLoseNoUser walks 20,252 users.
func TestWalksLoseNoUser(t *testing.T) {
	for _, style := range directorytest.Styles() {
		t.Run(style.String(), func(t *testing.T) {
			t.Parallel()
			c := newCrowd(t, 20_252, uint64(style))
			for _, count := range []int{100, 1000, 517} {
				c.walk(t, style, count, nil)
			}
		})
	}
}

// TestWalksLoseNoUserOfFew tries 1,000 orders of events, with and without a filter and an order.
func TestWalksLoseNoUserOfFew(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		c := newCrowd(t, 100, seed)
		query := map[uint64]url.Values{ // few, because they take ten times as long
			0: {"filter": {"active eq true"}}, 1: {"sortBy": {"userName"}},
			2: {"sortBy": {"userName"}, "sortOrder": {"descending"}, "filter": {"id pr"}},
		}[seed%12]
		for _, style := range directorytest.Styles() {
			c.walk(t, style, 7+c.random.IntN(20), query)
		}
		if t.Failed() {
			t.Fatalf("seed %d: %v", seed, query)
		}
	}
}
