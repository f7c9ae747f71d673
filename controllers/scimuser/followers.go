// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"context"
	"hash/maphash"
	"sync"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"lightrun.com/scim-operator/internal/kernel/tracing"
)

// Followers is the number of users that are reconciled concurrently because of a change elsewhere.
// It is small and separate from Workers: otherwise ten thousand statuses that follow a pool's new
// role would delay the changes from the provider.
const Followers = 2

// followers queues users that are affected by a change elsewhere. It keeps the users that are
// queued before its controller has started. It is safe for concurrent use.
type followers struct {
	mu    sync.Mutex
	q     queue
	early []reconcile.Request
}

func (f *followers) add(requests ...reconcile.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.q == nil {
		f.early = append(f.early, requests...)
		return
	}
	f.addTo(f.q, requests)
}

// start returns a source.Func.
func (f *followers) start(_ context.Context, q queue) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.q = q
	f.addTo(q, f.early)
	f.early = nil
	return nil
}

func (f *followers) addTo(q queue, requests []reconcile.Request) {
	for _, r := range requests {
		q.Add(r)
	}
}

// setup registers the controller that reconciles these users, with the same reconciler.
func (f *followers) setup(mgr ctrl.Manager, r *Reconciler, traces *tracing.Tracing) error {
	return ctrl.NewControllerManagedBy(mgr).Named("scimuser-followers").
		WatchesRawSource(source.Func(f.start)).
		WithOptions(controller.Options{MaxConcurrentReconciles: Followers, RateLimiter: backoff()}).
		Complete(traces.Reconciler("ScimUser", r))
}

// userLocks allows one pass at a time over a user, because two controllers reconcile users. The
// zero value is ready for use.
type userLocks struct {
	once sync.Once
	seed maphash.Seed
	of   [256]sync.Mutex
}

// lock locks the user, and returns the function that unlocks it.
func (t *userLocks) lock(name string) (done func()) {
	t.once.Do(func() { t.seed = maphash.MakeSeed() })
	m := &t.of[maphash.String(t.seed, name)%uint64(len(t.of))]
	m.Lock()
	return m.Unlock
}
