// SPDX-License-Identifier: Apache-2.0

package poolindex

import (
	"fmt"
	"hash/fnv"
	"sync"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/scim/filter"
	"lightrun.com/scim-operator/internal/scim/schema"
)

// memberFilter is a compiled filter with its answer for each user. To ask a filter, all attributes
// of the user are decoded, so an answer is reused while the user is the same. It is safe for
// concurrent use.
type memberFilter struct {
	matcher *filter.Matcher
	seen    *versions

	mu      sync.Mutex
	answers map[string]answer // by user
}

type answer struct {
	version uint64 // of the user that it is about
	match   bool
}

func compile(s string, seen *versions) (*memberFilter, error) {
	m, err := filter.Compile(s, schema.User())
	if err != nil {
		return nil, err
	}
	return &memberFilter{matcher: m, seen: seen, answers: map[string]answer{}}, nil
}

// Match implements access.Matcher.
func (f *memberFilter) Match(u access.User) bool {
	f.mu.Lock()
	known, ok := f.answers[u.Name]
	f.mu.Unlock()
	if ok && known.version == u.Version {
		return known.match
	}
	now := answer{version: u.Version, match: f.matcher.Match(u.Attributes())}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[u.Name] = now
	return now.match
}

// last returns the answer for the user as the cache has it. ok: there is one. A pass that began
// before the user changed may have left an answer about the former state; it does not count.
func (f *memberFilter) last(user string) (match, ok bool) {
	version, ok := f.seen.of(user)
	if !ok {
		return false, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	known, ok := f.answers[user]
	ok = ok && known.version == version
	return ok && known.match, ok
}

func (f *memberFilter) forget(user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.answers, user)
}

// versions are those of the users in the cache. It is safe for concurrent use.
type versions struct {
	mu    sync.RWMutex
	users map[string]uint64
}

func (v *versions) of(user string) (uint64, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	version, ok := v.users[user]
	return version, ok
}

// VersionOf identifies the state of the user that the answer of a filter is about, as a hash. A
// restored user can have a generation that it had before with other attributes, but then not the
// same revision.
func VersionOf(u *v1alpha1.ScimUser) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, u.UID, " ", u.Generation, " ", u.Spec.Revision) // a hash never fails
	return h.Sum64()
}

// Observe records that the cache has the user in this state.
func (x *Index) Observe(u *v1alpha1.ScimUser) {
	version := VersionOf(u)
	x.seen.mu.Lock()
	defer x.seen.mu.Unlock()
	x.seen.users[u.Name] = version
}

// Vanished records that the user is gone from the cache: no filter has an answer about it.
func (x *Index) Vanished(user string) {
	x.seen.mu.Lock()
	delete(x.seen.users, user)
	x.seen.mu.Unlock()
	x.mu.Lock()
	filters := x.filters // build replaces the map, and never changes it
	x.mu.Unlock()
	for _, c := range filters {
		if c.filter != nil {
			c.filter.forget(user)
		}
	}
}

// Filtered reports whether the filter of the AgentPool matches the user. known is true if the
// filter has been evaluated for the current state of the user.
func (p *Snapshot) Filtered(pool, user string) (match, known bool) {
	if f := p.filters[pool]; f != nil {
		return f.last(user)
	}
	return false, false
}
