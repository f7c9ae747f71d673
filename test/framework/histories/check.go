// SPDX-License-Identifier: Apache-2.0

package histories

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"lightrun.com/scim-operator/internal/kernel/names"
)

// Violation is a part of a history that is impossible for a service that loses no write and applies
// none twice.
type Violation struct {
	Part   string // such as: user t17, name ada@example.test, member t3 of 0e0f7a5c-…
	Events []Event
	// Undecided means that the search was stopped because the part is too complex.
	Undecided bool
	// Write renders the part as an HTML page.
	Write func(file string) error
}

// String returns the part with its events, one per line.
func (v Violation) String() string {
	verdict := "can't be explained"
	if v.Undecided {
		verdict = "could not be decided in time"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s:\n", v.Part, verdict)
	for _, e := range v.Events {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	return b.String()
}

// Result is the outcome of a check.
type Result struct {
	Operations, Parts int // what was checked
	Violations        []Violation
}

// Check splits the history into parts and searches an explanation of each, for at most patience per
// part.
func Check(events []Event, patience time.Duration) Result {
	c := &checker{events: events, patience: patience, result: Result{Operations: len(events)}}
	c.objects("user", "name", events)
	c.objects("group", "group name", groups(events))
	c.members()
	return c.result
}

type checker struct {
	events   []Event
	patience time.Duration
	result   Result
}

// part searches an explanation of some events.
func (c *checker) part(name string, m porcupine.Model, events []Event) {
	c.result.Parts++
	operations := operations(events, cached)
	verdict := porcupine.CheckOperationsTimeout(m, operations, c.patience)
	if verdict == porcupine.Ok {
		return
	}
	c.result.Violations = append(c.result.Violations, Violation{
		Part: name, Events: events, Undecided: verdict == porcupine.Unknown,
		Write: func(file string) error {
			_, info := porcupine.CheckOperationsVerbose(m, operations, c.patience)
			return porcupine.VisualizePath(m, info, file)
		},
	})
}

// cached reports whether a replica answers the request from its cache.
func cached(request any) bool {
	switch request.(type) {
	case Search, groupsOf:
		return true
	}
	return false
}

// parts contains the events of each part.
type parts map[string][]Event

// put adds an event to a part. The effect of an unanswered POST may be undone later.
func (p parts) put(name string, e Event) {
	p[name] = append(p[name], e)
	if r, ok := e.Request.(Create); ok && e.Answer.Outcome == Unanswered {
		e.Request = vanish{r.Person.Tag}
		p[name] = append(p[name], e)
	}
}

// objects checks each object of a kind, and each name of that kind, separately.
func (c *checker) objects(kind, name string, events []Event) {
	c.each(kind, events)
	c.names(name, events)
}

// each checks each object separately.
func (c *checker) each(kind string, events []Event) {
	found := parts{}
	for _, e := range events {
		switch r := e.Request.(type) {
		case Create:
			if e.Answer.Outcome != Taken {
				found.put(r.Person.Tag, e)
			}
		case Find:
			if e.Answer.Person != nil {
				e.Request = Get{e.Answer.Person.Tag}
				found.put(e.Answer.Person.Tag, e)
			}
		default:
			if tag := subject(r); tag != "" {
				found.put(tag, e)
			}
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(found)) {
		c.part(kind+" "+tag, model(userState{}, stepUser), found[tag])
	}
}

// subject returns the tag of the object that a request names; "" if there is none.
func subject(request any) string {
	switch r := request.(type) {
	case Get:
		return r.Tag
	case Search:
		return r.Tag
	case Update:
		return r.Tag
	case Delete:
		return r.Tag
	}
	return ""
}

// names checks each name separately.
func (c *checker) names(kind string, events []Event) {
	could, answered := bearers(events)
	found := parts{}
	for _, e := range events {
		switch r := e.Request.(type) {
		case Create:
			found.put(names.Fold(r.Person.Name), e)
		case Find:
			found.put(names.Fold(r.Name), e)
		case Get:
			if e.Answer.Person != nil && answered[r.Tag] {
				found.put(names.Fold(e.Answer.Person.Name), e)
			}
		case Update, Delete:
			if !moves(e) {
				continue
			}
			for name := range could[subject(r)] {
				found.put(name, e)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		c.part(kind+" "+name, model(nameState{}, stepName(name)), found[name])
	}
}

// moves reports whether a request on an object constrains a name. The others, many of which may be
// unanswered, would only make the search longer.
func moves(e Event) bool {
	u, update := e.Request.(Update)
	return e.Answer.Outcome == Done || update && u.Name != nil || !update && e.Answer.Outcome == Unanswered
}

// bearers returns the names, folded, that each object could ever have had, and the objects whose
// POST was answered.
func bearers(events []Event) (could map[string]map[string]bool, answered map[string]bool) {
	could, answered = map[string]map[string]bool{}, map[string]bool{}
	add := func(tag, name string) {
		if could[tag] == nil {
			could[tag] = map[string]bool{}
		}
		could[tag][names.Fold(name)] = true
	}
	for _, e := range events {
		switch r := e.Request.(type) {
		case Create:
			add(r.Person.Tag, r.Person.Name)
			answered[r.Person.Tag] = e.Answer.Outcome == Done
		case Update:
			if r.Name != nil {
				add(r.Tag, *r.Name)
			}
		}
	}
	return could, answered
}
