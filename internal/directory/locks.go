package directory

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/scim"
)

// A change that speaks about a whole membership (replace, remove all, delete the group) runs alone for its group. In this process a lock
// sees to it; among replicas, an annotation on the AgentPool that is written by compare-and-swap, renewed while the change
// runs and taken away after it. A replica that dies leaves it behind: who finds it unchanged for lockTime takes it over. A change that lost
// its annotation because it was paused for so long is answered with an error, and its repetition runs anew.

const (
	annotationLock = "iam.lightrun.com/membership-lock"
	// lockTime is how long an annotation must stand unchanged to be taken over; it is renewed three times as often.
	lockTime = 15 * time.Second
	// lockPatience is how long a request waits for the lock before it is answered with 503.
	lockPatience = 20 * time.Second
)

// locks are this process's part of the membership locks.
type locks struct {
	mu    sync.Mutex
	group map[types.UID]*groupLock
	found map[types.UID]sighting
}

// groupLock is the lock of one group: many who name people, or one who speaks of all.
type groupLock struct {
	sync.RWMutex
	users int
}

// sighting is since when another replica's lock stands unchanged, by this process's clock.
type sighting struct {
	value string
	since time.Time
}

func newLocks() *locks {
	return &locks{group: map[types.UID]*groupLock{}, found: map[types.UID]sighting{}}
}

// of returns the lock of a group; done must be called when it is no longer used.
func (l *locks) of(id types.UID) (lock *groupLock, done func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lock, ok := l.group[id]
	if !ok {
		lock = &groupLock{}
		l.group[id] = lock
	}
	lock.users++
	return lock, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if lock.users--; lock.users == 0 {
			delete(l.group, id)
		}
	}
}

// hold is a lock that is held.
type hold struct {
	unlock func()
	// still fails when another replica took the lock over meanwhile, so that the change may be mixed with another.
	still func(context.Context) error
}

// shared lets the caller change named members.
func (l *locks) shared(_ context.Context, _ *Directory, p *v1alpha1.AgentPool) (hold, error) {
	lock, done := l.of(p.UID)
	lock.RLock()
	return hold{
		unlock: func() {
			lock.RUnlock()
			done()
		},
		still: func(context.Context) error { return nil },
	}, nil
}

// exclusive lets the caller change the whole membership. p is read again under the lock.
func (l *locks) exclusive(ctx context.Context, d *Directory, p *v1alpha1.AgentPool) (hold, error) {
	lock, done := l.of(p.UID)
	lock.Lock()
	local := func() {
		lock.Unlock()
		done()
	}
	mine := d.replica + "/" + uuid.NewString()
	if err := l.acquire(ctx, d, p, mine); err != nil {
		local()
		return hold{}, err
	}
	stop := d.keepRenewing(ctx, p.Name, mine)
	return hold{
		unlock: func() {
			stop()
			d.release(ctx, p.Name, mine)
			local()
		},
		still: func(ctx context.Context) error { return d.stillMine(ctx, p.Name, mine) },
	}, nil
}

// keepRenewing renews the annotation until the returned function is called.
func (d *Directory) keepRenewing(ctx context.Context, id, mine string) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		d.renew(ctx, id, mine)
	}()
	return func() {
		cancel()
		<-stopped
	}
}

func (d *Directory) stillMine(ctx context.Context, id, mine string) error {
	have := &v1alpha1.AgentPool{}
	if err := d.client.Get(ctx, d.key(id), have); err != nil {
		return fmt.Errorf("read pool %s: %w", id, err)
	}
	if !owns(have, mine) {
		return fmt.Errorf("change the membership of %s: the lock was lost", id)
	}
	return nil
}

// acquire writes the annotation, waiting for another replica's to go or to be forgotten.
func (l *locks) acquire(ctx context.Context, d *Directory, p *v1alpha1.AgentPool, mine string) error {
	id := p.Name
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for attempt := 0; ; attempt++ {
		if err := pause(ctx, min(attempt, 6)); err != nil {
			return scim.Failure(http.StatusServiceUnavailable, "Another request is replacing the members of this group. Nothing was changed; repeat the request.")
		}
		have := &v1alpha1.AgentPool{}
		found, err := d.read(ctx, id, have)
		if err != nil {
			return err
		}
		if !found {
			return errNoGroup(id)
		}
		if !l.free(have, d.replica, d.now()) {
			continue
		}
		err = d.writeLock(ctx, have, mine)
		if err == nil {
			have.DeepCopyInto(p)
		}
		if !apierrors.IsConflict(err) {
			return err
		}
	}
}

// free says whether the pool's lock may be taken: nobody has it, or a request of this process that is over (the caller holds the lock of the
// process) and could not give it back, or another replica's stands unchanged for too long.
func (l *locks) free(p *v1alpha1.AgentPool, replica string, now time.Time) bool {
	value := p.Annotations[annotationLock]
	l.mu.Lock()
	defer l.mu.Unlock()
	if value == "" || strings.HasPrefix(value, replica+"/") {
		delete(l.found, p.UID)
		return true
	}
	if have := l.found[p.UID]; have.value != value {
		l.found[p.UID] = sighting{value, now}
		return false
	}
	return now.Sub(l.found[p.UID].since) >= lockTime
}

func (d *Directory) writeLock(ctx context.Context, have *v1alpha1.AgentPool, value any) error {
	return d.patch(ctx, have, map[string]any{"metadata": map[string]any{
		"resourceVersion": have.ResourceVersion,
		"annotations":     map[string]any{annotationLock: value},
	}})
}

// renew changes the annotation regularly, so that nobody takes it for forgotten.
func (d *Directory) renew(ctx context.Context, id, mine string) {
	ticker := time.NewTicker(lockTime / 3)
	defer ticker.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := d.rewriteLock(ctx, id, mine, fmt.Sprintf("%s/%d", mine, n)); err != nil {
			d.log.Info("Renewing a membership lock", "pool", id, "error", err.Error())
		}
	}
}

// release takes the annotation away.
func (d *Directory) release(ctx context.Context, id, mine string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	if err := d.rewriteLock(ctx, id, mine, nil); err != nil {
		d.log.Info("Releasing a membership lock; it is taken over after a while", "pool", id, "error", err.Error())
	}
}

// rewriteLock changes the annotation if it is this request's still.
func (d *Directory) rewriteLock(ctx context.Context, id, mine string, value any) error {
	for attempt := range attempts {
		if err := pause(ctx, attempt); err != nil {
			return err
		}
		have := &v1alpha1.AgentPool{}
		if err := d.client.Get(ctx, d.key(id), have); err != nil {
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		}
		if !owns(have, mine) {
			return nil
		}
		err := d.writeLock(ctx, have, value)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return err
		}
	}
	return errBusy("rewrite a membership lock")
}

func owns(p *v1alpha1.AgentPool, mine string) bool {
	value := p.Annotations[annotationLock]
	return value == mine || strings.HasPrefix(value, mine+"/")
}
