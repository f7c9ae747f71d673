package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"lightrun.com/scim-operator/internal/histories"
)

// replica is a webhook, and how often it was started anew.
type replica struct {
	name, url string
	life      atomic.Int64
}

func (r *replica) process() string { return fmt.Sprintf("%s/%d", r.name, r.life.Load()) }

// round is one history: names, users and groups of its own.
type round struct {
	*drill
	number  int
	history *histories.History
	names   []string
	groups  []string // ids
	staff   []string // tags of people who are in groups; they are changed but never deleted

	mu   sync.Mutex
	ids  map[string]string // SCIM ids by tag
	tags map[string]string // and back
	late []string          // tags that were seen last
}

func newRound(d *drill, n int) *round {
	d.t.Helper()
	r := &round{drill: d, number: n, history: histories.Begin(), ids: map[string]string{}, tags: map[string]string{}}
	for i := range 4 {
		r.names = append(r.names, r.userName(fmt.Sprintf("n%d", i)))
	}
	p := r.newPusher(0)
	for i := range 5 {
		tag := fmt.Sprintf("staff%d-r%d", i, n)
		r.staff = append(r.staff, tag)
		p.create(d.t.Context(), histories.Person{Tag: tag, Name: r.userName(tag), Active: true})
		if r.id(tag) == "" {
			d.t.Fatalf("round %d can't begin: %s could not be pushed", n, tag)
		}
	}
	for i := range 2 {
		group := d.must("POST", "/Groups", map[string]any{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": r.userName(fmt.Sprintf("group%d", i)),
		}, http.StatusCreated)
		r.groups = append(r.groups, group.id())
	}
	return r
}

func (r *round) userName(who string) string { return fmt.Sprintf("%s.r%d", r.name(who), r.number) }

func (r *round) id(tag string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[tag]
}

// met notes whom an answer showed.
func (r *round) met(tag, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[tag], r.tags[id] = id, tag
	if !slices.Contains(r.late, tag) && !slices.Contains(r.staff, tag) {
		r.late = append(r.late, tag)
		r.late = r.late[max(0, len(r.late)-6):]
	}
}
