// SPDX-License-Identifier: Apache-2.0

package usercounts

import (
	"maps"
	"sync"
	"time"
)

// Finished contains the users whose deletion this manager finished, until the sweep has checked
// them: a concurrent request may have added such a user to a group. A restart of the manager loses
// them: then such an id stays in its slice, where it has no effect. The zero value is empty. It is
// safe for concurrent use.
type Finished struct {
	mu    sync.Mutex
	users map[string]time.Time
}

// Note records that the user's deletion is finished now.
func (f *Finished) Note(id string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users == nil {
		f.users = map[string]time.Time{}
	}
	f.users[id] = now
}

// Forget removes a user.
func (f *Finished) Forget(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.users, id)
}

// All returns a copy: each user with the time when the deletion was finished.
func (f *Finished) All() map[string]time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.users)
}
