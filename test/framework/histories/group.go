// SPDX-License-Identifier: Apache-2.0

package histories

// groups converts the histories of groups to histories of users: the same rules apply to a group
// and its name as to a user and its name, and members are checked separately (member.go). Unlike a
// user, a group is written in several steps, the members after the name. So a response that shows a
// group after a write shows its state at that time, when another client may have renamed it
// already: that is a separate read.
func groups(events []Event) []Event {
	var out []Event
	for _, e := range events {
		seen := e.Answer.Group
		var read any
		switch r := e.Request.(type) {
		case CreateGroup:
			e.Request, read = Create{r.Group.object()}, Get{r.Group.Tag}
			e.Answer.Group = &r.Group
		case GetGroup:
			e.Request = Get(r)
		case FindGroup:
			e.Request = Find(r)
		case Change:
			e.Request, read = Update{Tag: r.Group, Name: r.Name}, Get{r.Group}
			e.Answer.Group = nil
		case DeleteGroup:
			e.Request = Delete(r)
		default:
			continue
		}
		out = append(out, e.showing(e.Answer.Group))
		if read != nil && seen != nil {
			e.Request = read
			out = append(out, e.showing(seen))
		}
	}
	return out
}

// showing returns the event with a response that shows the group.
func (e Event) showing(g *Group) Event {
	e.Answer.Group, e.Answer.Person = nil, nil
	if g != nil {
		shown := g.object()
		e.Answer.Person = &shown
	}
	return e
}

// object returns the group as a user.
func (g Group) object() Person { return Person{Tag: g.Tag, Name: g.Name} }
