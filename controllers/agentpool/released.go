// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"slices"
	"sync"
)

// releasedUsers records the users that may leave a pool because an administrator released their
// removal, until all of them have left. It is in memory only: after a restart of the manager, the
// guard holds the removal of the users that have not left yet. It is safe for concurrent use. The
// zero value is ready for use.
type releasedUsers struct {
	mu    sync.Mutex
	users map[string][]string
}

// note replaces the recorded users of the pool.
func (r *releasedUsers) note(pool string, users []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.users == nil {
		r.users = map[string][]string{}
	}
	r.users[pool] = slices.Sorted(slices.Values(users))
}

// includes reports whether users is not empty and all of them were released.
func (r *releasedUsers) includes(pool string, users []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.users[pool]
	return len(users) > 0 && !slices.ContainsFunc(users, func(u string) bool {
		_, released := slices.BinarySearch(all, u)
		return !released
	})
}

func (r *releasedUsers) forget(pool string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.users, pool)
}
