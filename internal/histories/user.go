package histories

// vanish is a user going without a DELETE. A POST that was never answered may have left a user
// behind that its maker then takes back; once somebody was answered that they changed that user, it
// must stay.
type vanish struct{ Tag string }

type phase int

const (
	absent     phase = iota
	unanswered       // made by a POST that was not answered
	present
	gone
)

// userState is one user.
type userState struct {
	phase  phase
	person Person
}

func (s userState) there() bool { return s.phase == unanswered || s.phase == present }

func (s userState) shown(p *Person) bool { return p != nil && p.attributes() == s.person }

// fits says whether an answer to a change shows what is there, or is silent, as 204 is.
func (s userState) fits(p *Person) bool { return p == nil || s.shown(p) }

// stepUser says whether a user in state s can answer a to the request, and what becomes of it.
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
	return s.there(), s // a name that is taken is the name's affair; a group can have changed the version
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
