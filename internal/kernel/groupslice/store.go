// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/retry"
)

var (
	// ErrGroupGone is returned when the group does not exist or is deleted.
	ErrGroupGone = errors.New("the group does not exist")
	// ErrIncomplete is returned when the group exists, but a slice of it does not: a restore is not
	// complete, or a person deleted the slice.
	ErrIncomplete = errors.New("a part of the group's members is missing: restore its ScimGroupSlices")
	// ErrBusy is returned when a change waited too long for earlier ones. It may still take effect;
	// repeating it is safe.
	ErrBusy = errors.New("too many changes of this group at once: try again")
)

const (
	defaultWait = 5 * time.Second
	// parallel is the maximum number of concurrent writes of one operation.
	parallel = 12
	// lanesMax is the maximum number of slices that are changed at a time.
	lanesMax = 64
	// sliceMany changes of a slice or more, in one write, rewrite it as a whole; it may have
	// v1alpha1.SliceMax members then.
	sliceMany = 16
	// slicePending is the largest number of changes of a slice that are not in spec.members. A map
	// entry costs the API server about ten times as much as a member does, at every write.
	slicePending = 32
)

// Change adds one user to a group or removes one.
type Change struct {
	User string // SCIM id
	In   bool
}

// Options of a Store. The zero value works.
type Options struct {
	FieldOwner string           // field manager of the writes
	Clock      func() time.Time // default time.Now
	// Revision returns the revision after old; the default is max(old + 1, Unix ms).
	Revision func(old int64) int64
	// Annotations returns the annotations of a write, such as the request id in ctx. A patch that
	// combines the changes of several callers gets those of the first.
	Annotations func(ctx context.Context, revision int64) map[string]string
	// Hook is for tests. It is called before and after each write. If it returns an error, the
	// operation ends there, like after a crash.
	Hook func(ctx context.Context, s Step) error
	// Wait limits how long Change waits for one slice, 5 s by default; then it returns ErrBusy.
	Wait time.Duration
}

// Step is one write, for Options.Hook.
type Step struct {
	After bool   // true if Hook is called after the write, false before it
	Verb  string // create, update, merge (a JSON merge patch) or patch (a JSON patch)
	Name  string // of the object
}

// Store reads and writes the members of the groups in one namespace. It is safe for concurrent use.
type Store struct {
	client    client.Client
	namespace string
	options   Options
	limits    limits
	jitter    func(longest time.Duration) time.Duration
	layout    layout
	recent    recent

	mu    sync.Mutex
	lanes map[string]*lane // by slice
	slots chan struct{}    // one for each lane that may write
}

// NewStore returns a Store. The client must not read from a cache, and should not limit its rate.
func NewStore(c client.Client, namespace string, o Options) *Store {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Revision == nil {
		o.Revision = func(old int64) int64 { return max(old+1, o.Clock().UnixMilli()) }
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	return &Store{
		client: c, namespace: namespace, options: o,
		limits: limits{
			target: v1alpha1.SliceTarget, most: v1alpha1.SliceMax,
			many: sliceMany, bulk: v1alpha1.SliceMax, pending: slicePending,
		},
		jitter: rand.N[time.Duration],
		lanes:  map[string]*lane{}, slots: make(chan struct{}, lanesMax),
	}
}

// Create writes the slices of a new group. The ScimGroup is created afterwards, so that a group
// that can be found has all of its members. It writes at most 2n/128 slices for n members, or one.
func (s *Store) Create(ctx context.Context, group string, members []string) error {
	leaves, err := s.limits.partition(0, 0, slices.Collect(maps.Keys(set(members))))
	if err != nil {
		return err
	}
	revision := s.options.Revision(0)
	return s.each(ctx, len(leaves), func(ctx context.Context, i int) error {
		l := leaves[len(leaves)-1-i]
		return s.create(ctx, s.object(ctx, group, l, v1alpha1.ScimGroupSliceSpec{Revision: revision}))
	})
}

// Delete deletes all slices of a group. Call it only for a group that is deleted.
func (s *Store) Delete(ctx context.Context, group string) error {
	s.layout.forget(group)
	err := s.client.DeleteAllOf(ctx, &v1alpha1.ScimGroupSlice{}, client.InNamespace(s.namespace),
		client.MatchingLabels{v1alpha1.LabelGroup: group})
	if err != nil {
		return fmt.Errorf("delete the slices of group %s: %w", group, err)
	}
	return nil
}

// object returns a new slice for a leaf. The fields of its spec that a leaf does not have come from
// like.
func (s *Store) object(ctx context.Context, group string, l leaf, like v1alpha1.ScimGroupSliceSpec) *v1alpha1.ScimGroupSlice {
	like.Bits = l.bits
	like.SetMembers(l.users)
	return &v1alpha1.ScimGroupSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: Name(group, l.prefix),
			Labels:      map[string]string{v1alpha1.LabelGroup: group},
			Annotations: s.annotations(ctx, like.Revision),
		},
		Spec: like,
	}
}

func (s *Store) annotations(ctx context.Context, revision int64) map[string]string {
	if s.options.Annotations == nil {
		return nil
	}
	return s.options.Annotations(ctx, revision)
}

// create writes a new slice and stores the API server's response in o.
func (s *Store) create(ctx context.Context, o *v1alpha1.ScimGroupSlice) error {
	return s.write(ctx, "create", o.Name, func() error {
		return s.client.Create(ctx, o, client.FieldOwner(s.options.FieldOwner))
	})
}

// update writes a slice at its resourceVersion.
func (s *Store) update(ctx context.Context, o *v1alpha1.ScimGroupSlice) error {
	return s.write(ctx, "update", o.Name, func() error {
		return s.client.Update(ctx, o, client.FieldOwner(s.options.FieldOwner))
	})
}

// patch sends a patch. If it has no resourceVersion, the API server itself retries it on a
// conflict.
func (s *Store) patch(ctx context.Context, verb string, o client.Object, p client.Patch) error {
	return s.write(ctx, verb, o.GetName(), func() error {
		return s.client.Patch(ctx, o, p, client.FieldOwner(s.options.FieldOwner))
	})
}

// write calls do, which makes one write, between two calls of the hook.
func (s *Store) write(ctx context.Context, verb, name string, do func() error) error {
	if err := s.hook(ctx, Step{Verb: verb, Name: name}); err != nil {
		return err
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	return s.hook(ctx, Step{After: true, Verb: verb, Name: name})
}

func (s *Store) hook(ctx context.Context, step Step) error {
	if s.options.Hook == nil {
		return nil
	}
	return s.options.Hook(ctx, step)
}

// each calls do for 0 to n-1, several at a time, until one fails.
func (s *Store) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	if n == 1 {
		return do(ctx, 0)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range n {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(ctx, i)
		})
	}
	return g.Wait()
}

// revision returns a revision that is higher than old, which this process saw at the time seen. It
// adds the time since then, so that a replica whose clock is behind continues from the revisions of
// the other replicas.
func (s *Store) revision(old int64, seen time.Time) int64 {
	return s.options.Revision(old + max(0, s.options.Clock().Sub(seen).Milliseconds()))
}

// pause waits after the given attempt, counted from 0, so that two writers stop conflicting with
// each other.
func (s *Store) pause(ctx context.Context, attempt int) error {
	return retry.PauseRandomly(ctx, attempt+1, s.jitter)
}
