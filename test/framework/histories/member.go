// SPDX-License-Identifier: Apache-2.0

package histories

import (
	"maps"
	"slices"

	"github.com/anishathalye/porcupine"
)

// members is the part of GET /Groups/{id} about the members: their current state.
type members struct{ group string }

// groupsOf is the part of a response about a user's groups, which a replica reads from its cache.
type groupsOf struct{ tag string }

// members checks each user in each group separately.
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
		for _, tag := range slices.Sorted(maps.Keys(people)) {
			c.part("member "+tag+" of "+group, c.memberModel(group, tag), c.member(group, tag))
		}
	}
}

func note(set map[string]bool, tags []string) {
	for _, tag := range tags {
		set[tag] = true
	}
}

// member returns the events that constrain one user in one group.
func (c *checker) member(group, tag string) []Event {
	var out []Event
	for _, e := range c.events {
		concerns := false
		switch r := e.Request.(type) {
		case CreateGroup:
			concerns = r.Group.Tag == group && e.Answer.Outcome != Taken
		case Change:
			_, speaks := r.decides(tag, false)
			concerns = r.Group == group && speaks
		case DeleteGroup:
			concerns = r.Tag == group
		case GetGroup:
			e.Request = members{group}
			concerns = r.Tag == group && e.Answer.Outcome == Done
		case FindGroup:
		default:
			e.Request = groupsOf{tag}
			concerns = e.Answer.Person != nil && e.Answer.Person.Tag == tag
		}
		if concerns {
			out = append(out, e)
		}
	}
	return out
}

// memberModel models one user in one group. A group whose POST is not in the history existed
// before.
func (c *checker) memberModel(group, tag string) porcupine.Model {
	made := !slices.ContainsFunc(c.events, func(e Event) bool {
		r, ok := e.Request.(CreateGroup)
		return ok && r.Group.Tag == group
	})
	return model(memberState{made: made}, stepMember(group, tag))
}

// memberState is the state of one user in one group.
type memberState struct {
	made bool
	in   bool
	gone bool // the group was deleted: a replica's cache may show it with members for some time
}

// there reports whether the group can be read and changed.
func (s memberState) there() bool { return s.made && !s.gone }

// stepMember reports whether the membership of a user allows the answer a, and returns the next
// state. The model contains one user and one group. A group is created and deleted together with
// all of its members, with or without a response.
func stepMember(group, tag string) func(s memberState, request any, a Answer) (bool, memberState) {
	return func(s memberState, request any, a Answer) (bool, memberState) {
		effective := a.Outcome == Done || a.Outcome == Unanswered
		switch r := request.(type) {
		case CreateGroup:
			if !s.made && effective {
				s.made, s.in = true, slices.Contains(r.Members, tag)
			}
			return true, s
		case Change:
			if now, _ := r.decides(tag, s.in); effective && s.there() {
				s.in = now
			}
			return s.there() || a.Outcome != Done, s
		case DeleteGroup:
			s.gone = s.gone || effective
			return true, s
		case members:
			return s.there() && s.in == slices.Contains(a.Members, tag), s
		case groupsOf:
			return s.gone || s.in == a.Person.in(group), s
		}
		return false, s
	}
}

// decides returns the effect of the change on one user, and whether it has one.
func (c Change) decides(tag string, member bool) (now, speaks bool) {
	switch {
	case slices.Contains(c.Add, tag):
		return true, true
	case c.Replace || slices.Contains(c.Remove, tag):
		return false, true
	}
	return member, false
}
