package histories

import "slices"

// stepMember says whether a person who is a member or not allows the answer a, and what becomes of it. The model is of one
// person and one group.
func stepMember(group, tag string) func(member bool, request any, a Answer) (bool, bool) {
	return func(member bool, request any, a Answer) (bool, bool) {
		switch r := request.(type) {
		case Change:
			now, _ := r.decides(tag, member)
			return true, now
		case Members:
			return member == slices.Contains(a.Members, tag), member
		case Get:
			return member == a.Person.in(group), member
		}
		return false, member
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
