// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"sync"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// ownWrites contains the resource versions of users that this process wrote and that the cache does
// not have yet. A pass over an older version would compare with an outdated status, and write the
// status again. It is safe for concurrent use.
type ownWrites struct {
	mu       sync.Mutex
	versions map[string]string // user → resourceVersion
}

// record records the resourceVersion of u that a write returned.
func (w *ownWrites) record(u *v1alpha1.ScimUser) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.versions == nil {
		w.versions = map[string]string{}
	}
	w.versions[u.Name] = u.ResourceVersion
}

// pending reports whether this process wrote a newer version than u, whose event the cache has not
// got yet. It is false if the two versions cannot be compared.
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
