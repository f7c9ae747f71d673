// SPDX-License-Identifier: Apache-2.0

package histories

import "lightrun.com/scim-operator/internal/kernel/names"

// nameState is the state of one name.
type nameState struct {
	bearer   string // the tag of the user that has it; "" if there is none
	answered bool   // a client knows that the owner exists
	former   string // the previous owner, which was renamed: its account may have the name for a while, and blocks others
}

// free reports whether the user may take the name.
func (s nameState) free(tag string) bool { return s.bearer == "" || s.bearer == tag }

// blocked reports whether another user may have got "name taken".
func (s nameState) blocked(tag string) bool {
	return !s.free(tag) || s.former != "" && s.former != tag
}

// stepName reports whether a name in state s allows the answer a, and returns the next state. The
// model contains one name: it gets no requests on users that never had the name.
func stepName(name string) func(s nameState, request any, a Answer) (bool, nameState) {
	return func(s nameState, request any, a Answer) (bool, nameState) {
		switch r := request.(type) {
		case Create:
			return s.take(r.Person.Tag, a)
		case vanish:
			if s.bearer == r.Tag && !s.answered {
				s = nameState{}
			}
			return true, s
		case Find:
			if a.Person == nil {
				return s.bearer == "", s
			}
			return s.bearer == a.Person.Tag, s
		case Get: // only for a user that was shown with it
			return s.bearer == r.Tag, s
		case Update:
			return s.update(name, r, a)
		case Delete:
			return true, s.leave(r.Tag, a)
		}
		return false, s
	}
}

func (s nameState) take(tag string, a Answer) (bool, nameState) {
	switch {
	case a.Outcome == Taken:
		return s.blocked(tag), s
	case s.free(tag):
		return true, nameState{bearer: tag, answered: a.Outcome == Done || s.bearer == tag && s.answered}
	}
	return a.Outcome == Unanswered, s
}

func (s nameState) update(name string, r Update, a Answer) (bool, nameState) {
	effective := a.Outcome == Done || a.Outcome == Unanswered
	switch {
	case r.Name != nil && names.Fold(*r.Name) == name && (effective || a.Outcome == Taken):
		return s.take(r.Tag, a)
	case !effective:
		return true, s
	case r.Name == nil && a.Outcome == Done && a.Person != nil && names.Fold(a.Person.Name) == name:
		s.answered = true
		return s.bearer == r.Tag, s
	case r.Name != nil && s.bearer == r.Tag:
		return true, nameState{former: r.Tag}
	}
	return true, s
}

func (s nameState) leave(tag string, a Answer) nameState {
	if a.Outcome != Done && a.Outcome != Unanswered {
		return s
	}
	if s.bearer == tag {
		return nameState{}
	}
	if s.former == tag {
		s.former = ""
	}
	return s
}
