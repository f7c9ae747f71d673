// SPDX-License-Identifier: Apache-2.0

// Package guard decides whether a removal is carried out. It is pure: the same facts give the same
// verdict, and it has no clock, client or cluster.
//
// A removal is a set of users who would lose something by one change of one object. It is carried
// out completely or not at all. A removal that does not fit the budget is held, and the portal's
// record of the object gets a mark. A marked removal is never carried out because of a budget.
// Therefore neither a new window nor a larger budget nor a lost decision releases it.
package guard

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
)

// Set is a removal: users who would lose something by a change of an object.
type Set struct {
	Kind   portalapi.Removal
	Object string   // kind and name of the object that a person annotates to decide
	Users  []string // names of the ScimUsers who would lose something; in any order, without duplicates
	// Deleted is true if the provider deleted the user, whatever the account loses by that. A
	// decision about an earlier deactivation of the user is not about the deletion.
	Deleted bool
}

// Commands returns the commands by which a person releases or drops the removal with the id. object
// is as in Set.
func Commands(namespace, object, id string) (release, drop string) {
	kind, name, _ := strings.Cut(object, " ")
	decide := func(verb string) string {
		return shell.Scim(namespace, verb, strings.ToLower(kind)+"/"+name, "--id", id)
	}
	return decide("release"), decide("drop")
}

// hashed is the number of bytes of the hash in an id.
const hashed = 6

// ID returns the id of the set. revision is the revision at which the removal was first wanted:
// Unix ms, as in revisions of users and groups. A set of other users has another id. If the
// provider takes the removal back and wants it again later, it has another id too.
func (s Set) ID(revision int64) string {
	users := slices.Sorted(slices.Values(s.Users))
	base := strconv.FormatInt(revision, 36)
	parts := append([]string{string(s.Kind), s.Object, base}, users...)
	if s.Deleted {
		parts = append(parts, "", "deleted") // no user has an empty name
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return base + "-" + hex.EncodeToString(sum[:hashed])
}

// Is reports whether id identifies this set.
func (s Set) Is(id string) bool {
	revision, ok := revisionOf(id)
	return ok && s.ID(revision) == id
}

// Since returns the time at which the set with the id was first wanted. It is zero for an invalid
// id.
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

// Decision is a person's decision about a removal.
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

// Facts contains the facts that a verdict depends on, except the set.
type Facts struct {
	Mark *portalapi.Mark // mark of the portal's record; nil if nothing is held or was dropped
	Now  int64           // Unix ms; the revision in the id of a set that was not wanted before
	// Decided returns a person's decision about the set with the id.
	Decided func(id string) Decision
	// Fits reports whether the set fits the budgets. It is called last, and only if the verdict
	// depends on it.
	Fits func() (bool, error)
}

// Decide returns the verdict about the set, and the id of the set if it is or was held.
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
