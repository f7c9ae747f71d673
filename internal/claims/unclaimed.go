package claims

import (
	"bytes"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// A webhook creates an object and then claims its name; an object without its name is what a crash in between leaves. The two times keep
// the one from being taken for the other, without comparing clocks of two machines.
const (
	// AnswerTime is how long after it began to create an object a webhook may answer as soon as it has the name. Later it writes to the object again first,
	// which may have been removed or is about to be, on top of its version.
	AnswerTime = 2 * time.Second
	// Abandoned is how long a controller lets an object without its name be, from when it first saw it.
	Abandoned = 3 * AnswerTime
)

// MadeByWebhook says whether a webhook wrote o, read from the API server with its managed fields: o without its claim may then be one that is
// being created, or one that no client was ever told of.
func MadeByWebhook(o client.Object) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager == v1alpha1.FieldManagerWebhook && m.Subresource == ""
	})
}

// SpecByPrograms says whether webhook or manager alone wrote the spec of o, read from the API server
// with its managed fields.
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

// Unclaimed is since when objects were seen that have no claim and were perhaps never answered for. The zero value is ready; it is safe for
// concurrent use.
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
