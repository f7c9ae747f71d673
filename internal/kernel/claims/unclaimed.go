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
// object remains without a claim. These two times separate such an object from one that is being
// created, without comparing the clocks of two machines.
const (
	// ResponseDeadline is the time, from the start of a creation, in which a webhook that has taken
	// the claim may send its response. After that time it first writes to the object at its
	// resourceVersion, because a controller may have deleted the object or may be about to delete
	// it.
	ResponseDeadline = 2 * time.Second
	// AbandonedAfter is the time for which a controller does not change an object without a claim,
	// from the moment when it first saw the object.
	AbandonedAfter = 3 * ResponseDeadline
)

// MadeByWebhook reports whether a webhook wrote o, which was read live with its managed fields. If
// such an object has no claim, it is being created, or the SCIM client never got a response.
func MadeByWebhook(o client.Object) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager == v1alpha1.FieldManagerWebhook && m.Subresource == ""
	})
}

// SpecByPrograms reports whether only the webhook and the manager wrote the spec of o, which was
// read live with its managed fields.
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

// Unclaimed records when objects without a claim were first seen. The SCIM clients that created
// them may never have got a response. The zero value is ready for use, and safe for concurrent use.
type Unclaimed struct {
	mu   sync.Mutex
	seen map[types.UID]time.Time
}

// Wait returns the time for which the caller must still leave the object to the webhook that
// creates it. It is not positive when that time is over.
func (u *Unclaimed) Wait(uid types.UID, now time.Time) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	since, ok := u.seen[uid]
	if !ok {
		for other, seen := range u.seen { // remove old entries here: no event reports that an object got its claim
			if now.Sub(seen) > 10*AbandonedAfter {
				delete(u.seen, other)
			}
		}
		if u.seen == nil {
			u.seen = map[types.UID]time.Time{}
		}
		since, u.seen[uid] = now, now
	}
	return AbandonedAfter - now.Sub(since)
}

// NameOf returns the name of a user or group at the provider: name is in the spec, and claimed is
// in the status, which has the last name that was claimed.
func NameOf(o client.Object) (typ v1alpha1.ClaimType, name, claimed string) {
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		return v1alpha1.ClaimUser, o.Spec.UserName, o.Status.UserName
	case *v1alpha1.ScimGroup:
		return v1alpha1.ClaimGroup, o.Spec.DisplayName, o.Status.DisplayName
	}
	return "", "", ""
}

// grace is the time for which a controller leaves the claim of a new object to the webhook. It is
// longer than the resolution of a creation timestamp, one second.
const grace = 3 * time.Second

// LeaveToWebhook returns the time for which the controller leaves the claim of a new user or group
// to the webhook that creates it, because the controller would only repeat the webhook's work. The
// event of the claim makes the controller reconcile the object sooner.
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

// takenMeanwhile is the pause before the next reconcile of an object that got its name.
const takenMeanwhile = 50 * time.Millisecond

// DeleteAbandoned handles a user or group o whose name another object has. Perhaps a webhook
// created o, could not take the claim, and crashed before it deleted o. Then the SCIM client never
// got a response, and DeleteAbandoned deletes o. But the webhook may still be running, and may get
// the name when the other object releases it. Therefore DeleteAbandoned first waits for
// AbandonedAfter, and reads the claim after o. If done is true, the caller ends the reconcile of o,
// and begins another one after pause if pause is not zero.
func (u *Unclaimed) DeleteAbandoned(ctx context.Context, r Registry, o client.Object, now time.Time) (done bool, again time.Duration, err error) {
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
	log.FromContext(ctx).Info("Deleting an object whose SCIM client never got a response: another object took its name during the creation")
	uid, version := fresh.GetUID(), fresh.GetResourceVersion()
	err = r.Client.Delete(ctx, fresh, client.Preconditions{UID: &uid, ResourceVersion: &version})
	return true, 0, client.IgnoreNotFound(err)
}
