package histories

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"lightrun.com/scim-operator/internal/names"
)

// Violation is a part of a history that no service could explain that loses nothing and does
// nothing twice.
type Violation struct {
	Part   string // such as: user t17, name ada@example.test, member t3 of 0e0f7a5c-…
	Events []Event
	// Undecided says that the search was given up, for which the part is too entangled.
	Undecided bool
	// Write draws the part as an HTML page.
	Write func(file string) error
}

// String is the part with its events, a line each.
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
	Operations, Parts int // what was looked at
	Violations        []Violation
}

// Check cuts the history into parts and looks for an explanation of each, for at most patience
// apiece.
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

// part looks for an explanation of some events.
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

// cached says whether a replica answers the request from its cache.
func cached(request any) bool {
	switch request.(type) {
	case Search, groupsOf:
		return true
	}
	return false
}

// parts are events by the part that they belong to.
type parts map[string][]Event

// put adds an event to a part. What a POST that was not answered leaves behind may be taken back
// later.
func (p parts) put(name string, e Event) {
	p[name] = append(p[name], e)
	if r, ok := e.Request.(Create); ok && e.Answer.Outcome == Unanswered {
		e.Request = vanish{r.Person.Tag}
		p[name] = append(p[name], e)
	}
}

// objects checks each object of a kind, and each name of that kind, by itself.
func (c *checker) objects(kind, name string, events []Event) {
	c.each(kind, events)
	c.names(name, events)
}

// each checks each object by itself.
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

// subject is the tag of the object that a request names; "" for none.
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

// names checks each name by itself.
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

// moves says whether a request on an object can say anything of a name: the others, of which many
// may be unanswered, only make the search long.
func moves(e Event) bool {
	u, update := e.Request.(Update)
	return e.Answer.Outcome == Done || update && u.Name != nil || !update && e.Answer.Outcome == Unanswered
}

// bearers is which names, folded, each object could ever have had, and whose POST was answered.
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
