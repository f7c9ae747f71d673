// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"sync"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// recentMax bounds how many slices are kept, at 40 KiB each at most.
const recentMax = 256

// recent keeps slices that this process has just rewritten, because a large group is pushed in
// several requests that each rewrite all of its slices. A kept slice may be outdated: its next
// write is at its resourceVersion, so it fails then, as if another writer had come between read
// and write.
type recent struct {
	mu     sync.Mutex
	slices map[string]*v1alpha1.ScimGroupSlice // by name
}

// keep keeps a slice, which the caller no longer changes. If there are too many, others are
// dropped.
func (r *recent) keep(o *v1alpha1.ScimGroupSlice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.slices == nil {
		r.slices = map[string]*v1alpha1.ScimGroupSlice{}
	}
	r.slices[o.Name] = o
	for name := range r.slices {
		if len(r.slices) <= recentMax {
			return
		}
		delete(r.slices, name)
	}
}

// take returns a slice and no longer keeps it; nil if it is not kept.
func (r *recent) take(name string) *v1alpha1.ScimGroupSlice {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.slices[name]
	delete(r.slices, name)
	return o
}
