// SPDX-License-Identifier: Apache-2.0

package histories

// vanish is the disappearance of a user without a DELETE. An unanswered POST may have created a
// user that the service then removes. After a client got success for a change of that user, the
// service must not remove the user without a DELETE.
type vanish struct{ Tag string }

type phase int

const (
	absent     phase = iota
	unanswered       // created by an unanswered POST
	present
	gone
)

// userState is the state of one user.
type userState struct {
	phase  phase
	person Person
}

func (s userState) there() bool { return s.phase == unanswered || s.phase == present }

func (s userState) shown(p *Person) bool { return p != nil && p.attributes() == s.person }

// fits reports whether a response to a change shows the current state, or shows nothing, like 204.
func (s userState) fits(p *Person) bool { return p == nil || s.shown(p) }

// stepUser reports whether a user in state s allows the answer a to the request, and returns the
// next state.
func stepUser(s userState, request any, a Answer) (bool, userState) {
	switch r := request.(type) {
	case Create:
		return s.create(r, a)
	case vanish:
		if s.phase == unanswered {
			s.phase = gone
		}
		return true, s
	case Get, Search:
		if a.Person == nil {
			return !s.there(), s
		}
		return s.there() && s.shown(a.Person), s
	case Update:
		return s.update(r, a)
	case Delete:
		return s.remove(a)
	}
	return false, s
}

func (s userState) create(r Create, a Answer) (bool, userState) {
	made := userState{phase: present, person: r.Person}
	switch {
	case a.Outcome == Unanswered && s.phase == absent:
		made.phase = unanswered
		return true, made
	case a.Outcome == Unanswered:
		return true, s
	}
	return s.phase == absent && made.shown(a.Person), made
}

func (s userState) update(r Update, a Answer) (bool, userState) {
	matches := r.If == nil || r.If.attributes() == s.person
	switch a.Outcome {
	case Done:
		ok := s.there() && matches
		s.phase, s.person = present, r.apply(s.person)
		return ok && s.fits(a.Person), s
	case Unanswered:
		if s.there() && matches {
			s.person = r.apply(s.person)
		}
		return true, s
	case Gone:
		return !s.there(), s
	}
	// Taken or Stale: the user has to exist. The history of the name checks if it was taken. Stale
	// cannot be checked, because a change of the user's groups changes the version too.
	return s.there(), s
}

func (s userState) remove(a Answer) (bool, userState) {
	was := s.there()
	if was {
		s.phase = gone
	}
	switch a.Outcome {
	case Unanswered:
		return true, s
	case Done:
		return was, s
	}
	return !was, s
}
