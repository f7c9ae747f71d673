package histories

import (
	"maps"
	"slices"
	"time"
)

// members is what GET /Groups/{id} says of the members, apart from the group itself.
type members struct{ group string }

// members checks each person in each group by itself.
func (c *checker) members() {
	groups, people := map[string]bool{}, map[string]bool{}
	for _, e := range c.events {
		switch r := e.Request.(type) {
		case CreateGroup:
			groups[r.Group.Tag] = true
			note(people, r.Members)
		case Change:
			groups[r.Group] = true
			note(people, r.Add)
			note(people, r.Remove)
		}
	}
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		known := knownSince(c.events, group)
		for _, tag := range slices.Sorted(maps.Keys(people)) {
			c.part("member "+tag+" of "+group, model(memberState{}, stepMember(group, tag)), c.member(group, tag, known))
		}
	}
}

func note(set map[string]bool, tags []string) {
	for _, tag := range tags {
		set[tag] = true
	}
}

// knownSince says since when each process is sure to know of the group: from its first answer about it.
func knownSince(events []Event, group string) map[string]time.Duration {
	since := map[string]time.Duration{}
	for _, e := range events {
		about := e.Answer.Group != nil && e.Answer.Group.Tag == group
		if r, ok := e.Request.(Change); ok {
			about = r.Group == group
		}
		if !about || e.Answer.Outcome != Done || e.Server == "" {
			continue
		}
		if have, ok := since[e.Server]; !ok || e.Return < have {
			since[e.Server] = e.Return
		}
	}
	return since
}

// member lists what says anything of one person in one group.
func (c *checker) member(group, tag string, known map[string]time.Duration) []Event {
	var out []Event
	for _, e := range c.events {
		concerns := false
		switch r := e.Request.(type) {
		case CreateGroup:
			concerns = r.Group.Tag == group && slices.Contains(r.Members, tag)
		case Change:
			_, speaks := r.decides(tag, false)
			concerns = r.Group == group && speaks
		case DeleteGroup:
			concerns = r.Tag == group
		case GetGroup:
			e.Request = members{group}
			concerns = r.Tag == group && e.Answer.Outcome == Done
		case FindGroup, Search: // from a cache, like GetGroup; one of the two is enough
		default:
			e.Request = Get{tag}
			concerns = e.Answer.Person != nil && e.Answer.Person.Tag == tag && tells(e, group, known)
		}
		if concerns {
			out = append(out, e)
		}
	}
	return out
}

// tells says whether an answer that shows a person says anything of them and the group. A process that does not know of the group yet can't
// show it: which groups there are it learns from its cache.
func tells(e Event, group string, known map[string]time.Duration) bool {
	since, knows := known[e.Server]
	return e.Answer.Person.in(group) || knows && since < e.Call
}

// memberState is one person in one group.
type memberState struct {
	in   bool
	gone bool // the group was deleted: a replica may show it for as long as its cache does
}

// stepMember says whether a person who is a member or not allows the answer a, and what becomes of it. The model is of one
// person and one group.
func stepMember(group, tag string) func(s memberState, request any, a Answer) (bool, memberState) {
	return func(s memberState, request any, a Answer) (bool, memberState) {
		effective := a.Outcome == Done || a.Outcome == Unanswered
		switch r := request.(type) {
		case CreateGroup:
			s.in = s.in || effective
			return true, s
		case Change:
			if now, _ := r.decides(tag, s.in); effective {
				s.in = now
			}
			return true, s
		case DeleteGroup: // one that was not answered may have taken out the people and left the group
			return true, memberState{in: s.in && !effective, gone: s.gone || a.Outcome == Done}
		case members:
			return s.gone || s.in == slices.Contains(a.Members, tag), s
		case Get:
			return s.gone || s.in == a.Person.in(group), s
		}
		return false, s
	}
}

// decides says what the change makes of one person, and whether it speaks of them at all.
func (c Change) decides(tag string, member bool) (now, speaks bool) {
	switch {
	case slices.Contains(c.Add, tag):
		return true, true
	case c.Replace || slices.Contains(c.Remove, tag):
		return false, true
	}
	return member, false
}
