// SPDX-License-Identifier: Apache-2.0

// Package guard decides whether a removal is carried out. It is pure: the same facts give the same
// verdict, and nothing here knows a clock, a client or a cluster.
//
// A removal is a set of users who would lose something by one change of one object. It is carried
// out whole or not at all. What does not fit the budget is held, and the mark in the portal's
// record is the only memory of that: what has a mark is never carried out because of a budget, so
// neither a new window nor a larger budget nor a lost decision releases it.
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

// Set is a removal: who would lose what by a change of an object.
type Set struct {
	Kind   portalapi.Removal
	Object string   // the object where a person decides: its kind and name
	Users  []string // names of the ScimUsers who would lose; in any order, each once
}

// hashed is how many bytes of the hash an id shows.
const hashed = 6

// ID names the set, first wanted at that revision (Unix ms, as revisions of users and groups): a
// set of other users, and the same set wanted again after it was taken back, have another id.
func (s Set) ID(revision int64) string {
	users := slices.Sorted(slices.Values(s.Users))
	base := strconv.FormatInt(revision, 36)
	sum := sha256.Sum256([]byte(strings.Join(append([]string{string(s.Kind), s.Object, base}, users...), "\n")))
	return base + "-" + hex.EncodeToString(sum[:hashed])
}

// Is says whether the id names this set.
func (s Set) Is(id string) bool {
	revision, ok := revisionOf(id)
	return ok && s.ID(revision) == id
}

// Since is when the set of that id was first wanted; zero for what is no id.
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
	Undecided Decision = iota
	Release            // it is meant: carry it out
	Drop               // it is a mistake: what is there stays
)

// Verdict is what becomes of a set.
type Verdict int

const (
	Nothing Verdict = iota // it is empty: a mark goes
	Apply                  // carry it out
	Hold                   // it waits for a person
	Keep                   // a person dropped it
)

// Facts are what a verdict follows from besides the set.
type Facts struct {
	Mark *portalapi.Mark // at the record; nil: nothing is held or dropped there
	Now  int64           // Unix ms, for the id of a set that was not wanted before
	// Decided says what a person decided about the set of that id.
	Decided func(id string) Decision
	// Fits says whether the budgets have room for the set. It is asked last and only where it
	// counts.
	Fits func() (bool, error)
}

// Decide says what becomes of the set, and its id where it is or was held.
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
