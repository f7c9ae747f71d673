// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"hash/maphash"
	"slices"
	"sync"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
)

// roster knows everybody in the cache by name and by the claim that they want. It is what indexes
// of the cache are for, at a tenth of their bytes for each person, and its lists hold names alone,
// where lists of the cache copy everybody. It is safe for concurrent use.
type roster struct {
	mu     sync.RWMutex
	seed   maphash.Seed
	people map[string]uint64   // who wants which claim, by the hash of its name
	first  map[uint64]string   // hash of a claim's name → who wants it
	others map[uint64][]string // and who else does
}

func newRoster() *roster {
	return &roster{seed: maphash.MakeSeed(), people: map[string]uint64{}, first: map[uint64]string{}, others: map[uint64][]string{}}
}

// put notes how u is now.
func (r *roster) put(u *v1alpha1.ScimUser) {
	now := maphash.String(r.seed, claims.ObjectName(v1alpha1.ClaimUser, u.Spec.UserName))
	r.mu.Lock()
	defer r.mu.Unlock()
	before, known := r.people[u.Name]
	r.people[u.Name] = now
	if known && before == now {
		return
	}
	if known {
		r.unclaim(before, u.Name)
	}
	if _, taken := r.first[now]; taken {
		r.others[now] = append(r.others[now], u.Name)
	} else {
		r.first[now] = u.Name
	}
}

// drop forgets a person.
func (r *roster) drop(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, known := r.people[name]; known {
		delete(r.people, name)
		r.unclaim(before, name)
	}
}

// unclaim notes that the person does not want the claim any more. The caller holds the lock.
func (r *roster) unclaim(claim uint64, name string) {
	others := r.others[claim]
	switch {
	case r.first[claim] != name:
		others = slices.DeleteFunc(others, func(o string) bool { return o == name })
	case len(others) == 0:
		delete(r.first, claim)
	default:
		r.first[claim], others = others[0], others[1:]
	}
	if len(others) == 0 {
		delete(r.others, claim)
	} else {
		r.others[claim] = others
	}
}

// all are the names of everybody, in no order.
func (r *roster) all() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]string, 0, len(r.people))
	for name := range r.people {
		out = append(out, name)
	}
	return out
}

// wanting are the names of those who want the claim of that name, and in one of 2⁶⁴ cases of
// somebody who does not.
func (r *roster) wanting(claim string) []string {
	hash := maphash.String(r.seed, claim)
	r.mu.RLock()
	defer r.mu.RUnlock()
	first, ok := r.first[hash]
	if !ok {
		return nil
	}
	return append([]string{first}, r.others[hash]...)
}
