// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"hash/maphash"
	"slices"
	"sync"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
)

// userIndex indexes all users of the cache by name and by the claim that they want. An index of the
// cache would need ten times the memory per user, and its lists copy whole objects; these lists
// contain names only. It is safe for concurrent use.
type userIndex struct {
	mu     sync.RWMutex
	seed   maphash.Seed
	people map[string]uint64   // user → hash of the name of the claim that the user wants
	first  map[uint64]string   // hash of a claim's name → first user that wants it
	others map[uint64][]string // hash of a claim's name → the other users that want it
}

func newUserIndex() *userIndex {
	return &userIndex{seed: maphash.MakeSeed(), people: map[string]uint64{}, first: map[uint64]string{}, others: map[uint64][]string{}}
}

// put records the current state of u.
func (x *userIndex) put(u *v1alpha1.ScimUser) {
	now := maphash.String(x.seed, claims.ObjectName(v1alpha1.ClaimUser, u.Spec.UserName))
	x.mu.Lock()
	defer x.mu.Unlock()
	before, known := x.people[u.Name]
	x.people[u.Name] = now
	if known && before == now {
		return
	}
	if known {
		x.unclaim(before, u.Name)
	}
	if _, taken := x.first[now]; taken {
		x.others[now] = append(x.others[now], u.Name)
	} else {
		x.first[now] = u.Name
	}
}

// drop removes a user.
func (x *userIndex) drop(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if before, known := x.people[name]; known {
		delete(x.people, name)
		x.unclaim(before, name)
	}
}

// unclaim records that the user does not want the claim any more. The caller has locked mu.
func (x *userIndex) unclaim(claim uint64, name string) {
	others := x.others[claim]
	switch {
	case x.first[claim] != name:
		others = slices.DeleteFunc(others, func(o string) bool { return o == name })
	case len(others) == 0:
		delete(x.first, claim)
	default:
		x.first[claim], others = others[0], others[1:]
	}
	if len(others) == 0 {
		delete(x.others, claim)
	} else {
		x.others[claim] = others
	}
}

// all returns the names of all users, in no order.
func (x *userIndex) all() []string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	out := make([]string, 0, len(x.people))
	for name := range x.people {
		out = append(out, name)
	}
	return out
}

// claimants returns the names of the users that want the claim with this name. If two names have
// the same 64-bit hash, it also returns users that want the other claim.
func (x *userIndex) claimants(claim string) []string {
	hash := maphash.String(x.seed, claim)
	x.mu.RLock()
	defer x.mu.RUnlock()
	first, ok := x.first[hash]
	if !ok {
		return nil
	}
	return append([]string{first}, x.others[hash]...)
}
