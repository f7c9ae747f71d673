// SPDX-License-Identifier: Apache-2.0

package histories

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Outcome is the result of a request.
type Outcome int

// The outcomes. A request that was refused for another reason (400, 401, 403, 429, or never sent)
// changed nothing and is not recorded.
const (
	Unanswered Outcome = iota // no response, or a 5xx: it may have taken effect, or may do so later
	Done                      // 2xx
	Taken                     // 409 uniqueness: another object has the name
	Gone                      // 404
	Stale                     // 412: not the version of If-Match
)

func (o Outcome) String() string {
	return [...]string{"unanswered", "done", "name taken", "not found", "another version"}[o]
}

// Person is a user as a client sees it. It can be compared with ==.
type Person struct {
	Tag         string // externalId: each POST sets a new one, which never changes
	Name        string // userName
	Title, Nick string
	Active      bool
	Groups      string // tags of the groups, sorted, with commas; only reads show it
}

// attributes returns the person without the fields that other requests set.
func (p Person) attributes() Person {
	p.Groups = ""
	return p
}

func (p Person) in(group string) bool { return slices.Contains(strings.Split(p.Groups, ","), group) }

// Create is POST /Users.
type Create struct{ Person Person }

// Get is GET /Users/{id}, and also the state in a response that shows a user.
type Get struct{ Tag string }

// Find is GET /Users?filter=userName eq Name.
type Find struct{ Name string }

// Search is GET /Users?filter=externalId eq Tag, which a replica answers from its cache.
type Search struct{ Tag string }

// Update is PATCH or PUT of a user. A nil field is unchanged.
type Update struct {
	Tag               string
	Name, Title, Nick *string
	Active            *bool
	If                *Person // what the client saw with the version that it sends in If-Match
}

func (u Update) apply(p Person) Person {
	set := func(have, want *string) {
		if want != nil {
			*have = *want
		}
	}
	set(&p.Name, u.Name)
	set(&p.Title, u.Title)
	set(&p.Nick, u.Nick)
	if u.Active != nil {
		p.Active = *u.Active
	}
	return p
}

// Delete is DELETE /Users/{id}.
type Delete struct{ Tag string }

// Group is a group as a client sees it, without its members. It can be compared with ==.
type Group struct {
	Tag  string // externalId: each POST sets a new one, which never changes
	Name string // displayName
}

// CreateGroup is POST /Groups.
type CreateGroup struct {
	Group   Group
	Members []string // tags
}

// GetGroup is GET /Groups/{id}: the current state of the group and its members.
type GetGroup struct{ Tag string }

// FindGroup is GET /Groups?filter=displayName eq Name.
type FindGroup struct{ Name string }

// Change is PATCH or PUT of a group.
type Change struct {
	Group   string   // tag
	Name    *string  // nil if unchanged
	Add     []string // tags
	Remove  []string // tags
	Replace bool     // Add is the complete membership
}

// DeleteGroup is DELETE /Groups/{id}.
type DeleteGroup struct{ Tag string }

// Answer is the response.
type Answer struct {
	Outcome Outcome
	Person  *Person  // the user in the response; nil if there is none
	Group   *Group   // the group in the response; nil if there is none
	Members []string // tags, of GetGroup
}

// Event is one request. Times are relative to the beginning of the history.
type Event struct {
	Client       int
	Call, Return time.Duration
	Server       string // the process that answered; a restarted process is a new one
	Request      any
	Answer       Answer
}

// History is a record of requests, safe for concurrent use.
type History struct {
	begun  time.Time
	mu     sync.Mutex
	events []Event
}

// Begin starts a history.
func Begin() *History { return &History{begun: time.Now()} }

// Now returns the time of the history's clock.
func (h *History) Now() time.Duration { return time.Since(h.begun) }

// Add records a request that was just answered or given up.
func (h *History) Add(e Event) {
	e.Return = h.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// Events returns the recorded events, in the order of calls.
func (h *History) Events() []Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := slices.Clone(h.events)
	slices.SortStableFunc(out, func(a, b Event) int { return cmp.Compare(a.Call, b.Call) })
	return out
}

// String returns the event as one line.
func (e Event) String() string {
	return fmt.Sprintf("%9.3fs %9.3fs client %d at %s: %s", e.Call.Seconds(), e.Return.Seconds(), e.Client, e.Server, describe(e.Request, e.Answer))
}

func describe(request, answer any) string {
	a, _ := answer.(Answer)
	text := fmt.Sprintf("%T%s → %s", request, strings.TrimPrefix(fmt.Sprintf("%+v", shown(request)), "&"), a.Outcome)
	if a.Person != nil {
		text += fmt.Sprintf(" %+v", *a.Person)
	}
	if a.Group != nil {
		text += fmt.Sprintf(" %+v", *a.Group)
	}
	if a.Members != nil {
		text += fmt.Sprintf(" %v", a.Members)
	}
	return strings.TrimPrefix(text, "histories.")
}

// shown returns the request with its pointers dereferenced.
func shown(request any) any {
	if c, ok := request.(Change); ok && c.Name != nil {
		return fmt.Sprintf("{Group:%s Name:%s Add:%v Remove:%v Replace:%v}", c.Group, *c.Name, c.Add, c.Remove, c.Replace)
	}
	u, ok := request.(Update)
	if !ok {
		return request
	}
	parts := []string{u.Tag}
	for _, f := range []struct {
		name  string
		value *string
	}{{"name", u.Name}, {"title", u.Title}, {"nick", u.Nick}} {
		if f.value != nil {
			parts = append(parts, f.name+"="+*f.value)
		}
	}
	if u.Active != nil {
		parts = append(parts, fmt.Sprint("active=", *u.Active))
	}
	if u.If != nil {
		parts = append(parts, fmt.Sprintf("if=%+v", *u.If))
	}
	return parts
}
