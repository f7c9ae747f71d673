package histories

// groups tells the histories of groups as those of users: what holds of a user and its name holds
// of a group and its name, whose members are looked at apart (member.go). Unlike a user, a group is
// written in several steps, the members after the name; so an answer that shows a group after a
// write shows it as it is then, when another may have renamed it already: that is a read of its
// own.
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

// showing is the event with an answer that shows the group.
func (e Event) showing(g *Group) Event {
	e.Answer.Group, e.Answer.Person = nil, nil
	if g != nil {
		shown := g.object()
		e.Answer.Person = &shown
	}
	return e
}

// object is the group in the place of a user.
func (g Group) object() Person { return Person{Tag: g.Tag, Name: g.Name} }
