// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// A webhook creates an object and then takes the claim on its name. If it crashes in between, the
// object remains without a claim. The two times separate such an object from one that is being
// created, without comparing the clocks of two machines.
const (
	// AnswerTime is how long after the start of a creation a webhook may answer as soon as it has
	// the claim. Later it first writes to the object at its version, because a controller may have
	// deleted it or may be about to.
	AnswerTime = 2 * time.Second
	// Abandoned is how long a controller leaves an object without a claim alone, from when it first
	// saw it.
	Abandoned = 3 * AnswerTime
)

// MadeByWebhook reports whether a webhook wrote o, read from the API server with its managed
// fields: o without a claim may then be in creation, or its client never got an answer.
func MadeByWebhook(o client.Object) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager == v1alpha1.FieldManagerWebhook && m.Subresource == ""
	})
}

// SpecByPrograms reports whether only the webhook or the manager wrote the spec of o, read from the
// API server with its managed fields.
func SpecByPrograms(o client.Object) bool {
	wrote := false
	for _, m := range o.GetManagedFields() {
		if m.Subresource != "" || m.FieldsV1 == nil || !bytes.Contains(m.FieldsV1.GetRawBytes(), []byte(`"f:spec"`)) {
			continue
		}
		if m.Manager != v1alpha1.FieldManagerWebhook && m.Manager != v1alpha1.FieldManagerController {
			return false
		}
		wrote = true
	}
	return wrote
}

// Unclaimed records since when objects without a claim were seen whose clients perhaps never got an
// answer. The zero value is ready; it is safe for concurrent use.
type Unclaimed struct {
	mu   sync.Mutex
	seen map[types.UID]time.Time
}

// Wait returns how long to leave an object to the webhook that creates it.
func (u *Unclaimed) Wait(uid types.UID, now time.Time) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	since, ok := u.seen[uid]
	if !ok {
		for other, seen := range u.seen { // no event removes the settled ones
			if now.Sub(seen) > 10*Abandoned {
				delete(u.seen, other)
			}
		}
		if u.seen == nil {
			u.seen = map[types.UID]time.Time{}
		}
		since, u.seen[uid] = now, now
	}
	return Abandoned - now.Sub(since)
}

// NameOf returns the name that the provider gave a user or group: the one in the spec, and the one
// in the status after it was claimed.
func NameOf(o client.Object) (typ v1alpha1.ClaimType, name, claimed string) {
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		return v1alpha1.ClaimUser, o.Spec.UserName, o.Status.UserName
	case *v1alpha1.ScimGroup:
		return v1alpha1.ClaimGroup, o.Spec.DisplayName, o.Status.DisplayName
	}
	return "", "", ""
}

// grace is how long the claim of a new object is left to the webhook: longer than a creation
// timestamp's resolution of one second.
const grace = 3 * time.Second

// LeaveToWebhook returns how long to leave the claim of a new user or group to the webhook that
// creates it; the controller would only repeat its work. The event of the claim brings the object
// back sooner.
func LeaveToWebhook(ctx context.Context, cached client.Reader, o client.Object, now time.Time) time.Duration {
	typ, name, claimed := NameOf(o)
	age := now.Sub(o.GetCreationTimestamp().Time)
	if claimed != "" || age >= grace || age < 0 {
		return 0
	}
	key := types.NamespacedName{Namespace: o.GetNamespace(), Name: ObjectName(typ, name)}
	if err := cached.Get(ctx, key, &v1alpha1.NameClaim{}); !apierrors.IsNotFound(err) {
		return 0
	}
	return grace - age
}

// takenMeanwhile is the pause before the next pass over an object that got its name.
const takenMeanwhile = 50 * time.Millisecond

// NeverAnswered handles a user or group whose name another object has. If a webhook created it,
// could not take the claim, and crashed before it deleted the object, its client never got an
// answer, and the object is deleted. The webhook may still be at work, and get the name when the
// other holder leaves: so NeverAnswered waits (Abandoned), and reads the claim after it read the
// version at which it deletes the object. done ends the pass over the object, and the next one
// begins after pause; a zero pause requests none.
func (u *Unclaimed) NeverAnswered(ctx context.Context, r Registry, o client.Object, now time.Time) (done bool, again time.Duration, err error) {
	typ, _, claimed := NameOf(o)
	if claimed != "" {
		return false, 0, nil
	}
	fresh := empty(typ)
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(o), fresh); err != nil {
		return apierrors.IsNotFound(err), 0, client.IgnoreNotFound(err)
	}
	_, name, claimed := NameOf(fresh)
	if !MadeByWebhook(fresh) || claimed != "" || fresh.GetUID() != o.GetUID() {
		return false, 0, nil
	}
	if wait := u.Wait(fresh.GetUID(), now); wait > 0 {
		return true, wait, nil
	}
	other, err := r.Keep(ctx, typ, name, fresh)
	if other == nil || err != nil {
		return true, takenMeanwhile, err
	}
	log.FromContext(ctx).Info("Deleting an object whose client never got an answer: another object took its name during the creation")
	uid, version := fresh.GetUID(), fresh.GetResourceVersion()
	err = r.Client.Delete(ctx, fresh, client.Preconditions{UID: &uid, ResourceVersion: &version})
	return true, 0, client.IgnoreNotFound(err)
}
