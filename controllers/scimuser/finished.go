// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"maps"
	"sync"
	"time"
)

// Finished remembers the users whose deletion this manager finished, until the sweep has checked
// them: a request that was under way meanwhile can have added such a user to a group. After a
// restart nothing is known of them, and such an id stays in its slice, where it counts for nothing.
// The zero value is empty; it is safe for concurrent use.
type Finished struct {
	mu    sync.Mutex
	users map[string]time.Time
}

// Note remembers that the user's deletion is being finished now.
func (f *Finished) Note(id string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users == nil {
		f.users = map[string]time.Time{}
	}
	f.users[id] = now
}

// Forget drops a user.
func (f *Finished) Forget(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.users, id)
}

// All returns the users, and when the deletion of each was finished. It is a copy.
func (f *Finished) All() map[string]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.users)
}
