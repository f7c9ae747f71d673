// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"sync"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// recentMax bounds how many slices are kept, at 40 KiB each at most.
const recentMax = 256

// recent keeps the slices that this process has just rewritten, so that the next rewrite needs no
// GET: a large group is pushed in several requests that each rewrite all of its slices. A kept
// slice may be outdated. The rewrite is sent with its resourceVersion, so the API server answers
// with a conflict, as if another writer had come between read and write.
type recent struct {
	mu     sync.Mutex
	slices map[string]*v1alpha1.ScimGroupSlice // by name
}

// keep keeps a slice. The caller must not change it afterwards. If there are more than recentMax,
// any of them is dropped.
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
