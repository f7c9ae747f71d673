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

// A webhook creates an object and then claims its name; an object without its name is what a crash
// in between leaves. The two times keep the one from being taken for the other, without comparing
// clocks of two machines.
const (
	// AnswerTime is how long after it began to create an object a webhook may answer as soon as it
	// has the name. Later it writes to the object again first, which may have been removed or is
	// about to be, on top of its version.
	AnswerTime = 2 * time.Second
	// Abandoned is how long a controller lets an object without its name be, from when it first saw
	// it.
	Abandoned = 3 * AnswerTime
)

// MadeByWebhook says whether a webhook wrote o, read from the API server with its managed fields: o
// without its claim may then be one that is being created, or one that no client was ever told of.
func MadeByWebhook(o client.Object) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager == v1alpha1.FieldManagerWebhook && m.Subresource == ""
	})
}

// SpecByPrograms says whether webhook or manager alone wrote the spec of o, read from the API
// server with its managed fields.
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

// Unclaimed is since when objects were seen that have no claim and were perhaps never answered for.
// The zero value is ready; it is safe for concurrent use.
type Unclaimed struct {
	mu   sync.Mutex
	seen map[types.UID]time.Time
}

// Wait says how long to leave an object to the webhook that makes it.
func (u *Unclaimed) Wait(uid types.UID, now time.Time) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	since, ok := u.seen[uid]
	if !ok {
		for other, seen := range u.seen { // of those that are settled nobody tells
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

// NameOf is the name that the provider gave a user or group: as the spec has it, and as the status
// has it once it was claimed.
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

// LeaveToWebhook says how long to leave the claim of a new user or group to the webhook that is
// creating it: both would succeed, one of them in vain. The claim's own event brings the object
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

// takenMeanwhile is the pause before an object that has got its name is looked at again.
const takenMeanwhile = 50 * time.Millisecond

// NeverAnswered deals with a user or group whose name another object has. If a webhook created it
// and then could not claim the name, crashing before it could take the object back, no client was
// ever answered, and the object is removed. The webhook may still be at work, and get the name when
// its holder leaves: that is waited for (Abandoned), and the claim is read after the version on top
// of which the object is removed. done says that the pass over the object ends here, to begin again
// after the pause; the zero pause asks for nothing.
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
	log.FromContext(ctx).Info("Removing an object that was never answered for: its name was taken while it was created")
	uid, version := fresh.GetUID(), fresh.GetResourceVersion()
	err = r.Client.Delete(ctx, fresh, client.Preconditions{UID: &uid, ResourceVersion: &version})
	return true, 0, client.IgnoreNotFound(err)
}
