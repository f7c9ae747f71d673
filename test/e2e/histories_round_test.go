// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"lightrun.com/scim-operator/test/framework/histories"
)

// replica is a webhook, and how often it was restarted.
type replica struct {
	name, url string
	life      atomic.Int64
}

func (r *replica) process() string { return fmt.Sprintf("%s/%d", r.name, r.life.Load()) }

// round is one history, with its own names, users and groups.
type round struct {
	*drill
	number  int
	history *histories.History
	names   []string // of people
	teams   []string // names of temporary groups
	groups  []string // tags of permanent groups
	staff   []string // tags of users in groups, who are changed but never deleted

	mu        sync.Mutex
	ids       map[string]string // SCIM ids by tag, of people and groups
	tags      map[string]string // the reverse
	late      []string          // tags of recently seen users
	lateTeams []string          // and of recently seen temporary groups
	met       []string          // tags of all groups
	large     map[string]int    // sizes of large groups, by tag
}

func newRound(d *drill, n int) *round {
	d.t.Helper()
	r := &round{drill: d, number: n, history: histories.Begin(), ids: map[string]string{}, tags: map[string]string{}}
	for i := range 4 {
		r.names = append(r.names, r.userName(fmt.Sprintf("n%d", i)))
	}
	for i := range 3 {
		r.teams = append(r.teams, r.userName(fmt.Sprintf("team%d", i)))
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
		tag := fmt.Sprintf("group%d-r%d", i, n)
		r.groups = append(r.groups, tag)
		p.createGroup(d.t.Context(), histories.Group{Tag: tag, Name: r.userName(fmt.Sprintf("group%d", i))}, nil)
		if r.id(tag) == "" {
			d.t.Fatalf("round %d can't begin: %s could not be pushed", n, tag)
		}
	}
	r.fillLarge(p)
	return r
}

func (r *round) userName(who string) string { return fmt.Sprintf("%s.r%d", r.name(who), r.number) }

func (r *round) id(tag string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ids[tag]
}

// known returns the tag of the user in a response; "" for others.
func (r *round) known(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tags[id]
}

// metPerson records the user in a response.
func (r *round) metPerson(tag, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ids[tag], r.tags[id] = id, tag
	if !slices.Contains(r.staff, tag) {
		r.late = lately(r.late, tag)
	}
}

// metGroup records the group in a response.
func (r *round) metGroup(tag, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids[tag] == "" {
		r.met = append(r.met, tag)
	}
	r.ids[tag], r.tags[id] = id, tag
	if !slices.Contains(r.groups, tag) {
		r.lateTeams = lately(r.lateTeams, tag)
	}
}

// lately adds a tag to those that were seen recently.
func lately(late []string, tag string) []string {
	if slices.Contains(late, tag) {
		return late
	}
	late = append(late, tag)
	return late[max(0, len(late)-6):]
}
