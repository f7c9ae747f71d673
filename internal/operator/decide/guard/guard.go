// SPDX-License-Identifier: Apache-2.0

// Package guard decides whether a removal is carried out. It is pure: the same facts give the same
// verdict, and it has no clock, client or cluster.
//
// A removal is a set of users who would lose something by one change of one object. It is carried
// out completely or not at all. A removal that does not fit the budget is held, and only the mark
// in the portal's record remembers that: a marked removal is never carried out because of a budget,
// so neither a new window nor a larger budget nor a lost decision releases it.
package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Set is a removal: which users would lose what by a change of an object.
type Set struct {
	Kind   portalapi.Removal
	Object string   // kind and name of the object on which a person decides
	Users  []string // names of the ScimUsers who would lose; in any order, each once
}

// hashed is how many bytes of the hash an id shows.
const hashed = 6

// ID identifies the set, first wanted at that revision (Unix ms, as in revisions of users and
// groups). A set of other users has another id, and so has the same set when it is wanted again
// after it was taken back.
func (s Set) ID(revision int64) string {
	users := slices.Sorted(slices.Values(s.Users))
	base := strconv.FormatInt(revision, 36)
	sum := sha256.Sum256([]byte(strings.Join(append([]string{string(s.Kind), s.Object, base}, users...), "\n")))
	return base + "-" + hex.EncodeToString(sum[:hashed])
}

// Is says whether id identifies this set.
func (s Set) Is(id string) bool {
	revision, ok := revisionOf(id)
	return ok && s.ID(revision) == id
}

// Since is when the set with the id was first wanted; zero for an invalid id.
func Since(id string) time.Time {
	revision, ok := revisionOf(id)
	if !ok {
		return time.Time{}
	}
	return time.UnixMilli(revision)
}

func revisionOf(id string) (int64, bool) {
	base, _, found := strings.Cut(id, "-")
	revision, err := strconv.ParseInt(base, 36, 64)
	return revision, found && err == nil
}

// Decision is what a person decided.
type Decision int

const (
	Undecided Decision = iota // no person has decided about this removal
	Release                   // the removal is intended: carry it out
	Drop                      // the removal is a mistake: do not carry it out
)

// Verdict is the guard's decision about a set.
type Verdict int

const (
	Nothing Verdict = iota // the set is empty: clear the mark
	Apply                  // carry it out
	Hold                   // it waits for a person's decision
	Keep                   // a person dropped it
)

// Facts are the facts that a verdict depends on, besides the set.
type Facts struct {
	Mark *portalapi.Mark // of the record; nil: nothing is held or dropped
	Now  int64           // Unix ms, for the id of a set that was not wanted before
	// Decided returns a person's decision about the set with the id.
	Decided func(id string) Decision
	// Fits says whether the budgets have room for the set. It is called last, and only if the
	// verdict depends on it.
	Fits func() (bool, error)
}

// Decide returns the verdict about the set, and its id if it is or was held.
func Decide(s Set, f Facts) (v Verdict, id string, err error) {
	if len(s.Users) == 0 {
		return Nothing, "", nil
	}
	if f.Mark == nil {
		switch fits, err := f.Fits(); {
		case err != nil:
			return Nothing, "", err
		case fits:
			return Apply, "", nil
		}
		return Hold, s.ID(f.Now), nil
	}
	if f.Mark.What != s.Kind || !s.Is(f.Mark.Decision) {
		revision, _ := revisionOf(f.Mark.Decision)
		return Hold, s.ID(max(f.Now, revision+1)), nil
	}
	id = f.Mark.Decision
	switch f.Decided(id) {
	case Release:
		return Apply, id, nil
	case Drop:
		return Keep, id, nil
	}
	if f.Mark.State == portalapi.MarkDropped {
		return Keep, id, nil
	}
	return Hold, id, nil
}
