// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"sync"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// ownWrites are the resource versions of users that we wrote and that the cache does not have yet.
// A pass over an older version would compare with an outdated status, and write it once more. It is
// safe for concurrent use.
type ownWrites struct {
	mu       sync.Mutex
	versions map[string]string // person → resourceVersion
}

// record records the version of u that a write of ours returned.
func (w *ownWrites) record(u *v1alpha1.ScimUser) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.versions == nil {
		w.versions = map[string]string{}
	}
	w.versions[u.Name] = u.ResourceVersion
}

// pending reports whether we wrote a newer version than u, whose event is still to come. It is
// false for versions that cannot be compared.
func (w *ownWrites) pending(u *v1alpha1.ScimUser) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ok := w.versions[u.Name]
	if !ok {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(u.ResourceVersion, last); err == nil && order < 0 {
		return true
	}
	delete(w.versions, u.Name)
	return false
}

func (w *ownWrites) forget(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.versions, name)
}
