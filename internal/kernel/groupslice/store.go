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
	// ErrGroupGone is returned if the group does not exist or is being deleted.
	ErrGroupGone = errors.New("the group does not exist")
	// ErrIncomplete is returned if the group exists, but a slice of it does not: a restore is not
	// complete, or an administrator deleted the slice.
	ErrIncomplete = errors.New("a part of the group's members is missing: restore its ScimGroupSlices")
	// ErrBusy is returned if a change was not stored within Options.Wait: other changes of the same
	// slice came first, or the API server is slow. It may still take effect; repeating it is safe.
	ErrBusy = errors.New("too many changes of this group at once: try again")
)

const (
	defaultWait = 5 * time.Second
	// parallel is the maximum number of concurrent writes of one operation.
	parallel = 12
	// queuesMax is the maximum number of slices that are changed at a time.
	queuesMax = 64
	// sliceMany is the smallest number of changes that rewrite a slice as a whole. Such a write
	// splits the slice only above v1alpha1.SliceMax.
	sliceMany = 16
	// slicePending is the largest number of entries of spec.changes after which a slice stays as it
	// is. With more, the store moves them into spec.members right after the write: an entry of a
	// map costs the API server more than a line of the text, at every write of the slice.
	slicePending = 32
)

// Change adds one user to a group or removes one.
type Change struct {
	User string // SCIM id
	Add  bool   // false removes the user
}

// Options of a Store. The zero value works.
type Options struct {
	FieldOwner string           // field manager of the writes
	Clock      func() time.Time // default time.Now
	// Revision returns the revision after old; the default is max(old + 1, Unix ms).
	Revision func(old int64) int64
	// Annotations returns the annotations of a write, such as the request id in ctx. A write that
	// combines the changes of several callers gets the annotations of the first caller. Delete does
	// not call it.
	Annotations func(ctx context.Context, revision int64) map[string]string
	// Hook is for tests. It is called before and after each write, except for Delete. If it returns
	// an error, the operation ends there, as after a crash.
	Hook func(ctx context.Context, s Step) error
	// Wait is the maximum time for which Change waits for one slice; the default is 5 s. After it,
	// Change returns ErrBusy.
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

	mu     sync.Mutex
	queues map[string]*queue // by the name of the slice
	slots  chan struct{}     // one for each queue that may write
}

// NewStore returns a Store of the groups in a namespace. The client must read live, not from a
// cache, and should have no rate limit of its own.
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
		queues: map[string]*queue{}, slots: make(chan struct{}, queuesMax),
	}
}

// Create writes the slices of a new group. The caller creates the ScimGroup afterwards, so that a
// group that can be found has all of its members. For n random ids, Create writes at most
// max(1, 2n/v1alpha1.SliceTarget) slices.
func (s *Store) Create(ctx context.Context, group string, members []string) error {
	leaves, err := s.limits.partition(0, 0, slices.Collect(maps.Keys(set(members))))
	if err != nil {
		return err
	}
	revision := s.options.Revision(0)
	return s.each(ctx, len(leaves), func(ctx context.Context, i int) error {
		return s.create(ctx, s.object(ctx, group, leaves[i], v1alpha1.ScimGroupSliceSpec{Revision: revision}))
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

// object returns a new slice with the bits and the users of a leaf. Its spec has the other fields
// of base.
func (s *Store) object(ctx context.Context, group string, l leaf, base v1alpha1.ScimGroupSliceSpec) *v1alpha1.ScimGroupSlice {
	base.Bits = l.bits
	base.SetMembers(l.users)
	return &v1alpha1.ScimGroupSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: Name(group, l.prefix),
			Labels:      map[string]string{v1alpha1.LabelGroup: group},
			Annotations: s.annotations(ctx, base.Revision),
		},
		Spec: base,
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

// update replaces a slice at its resourceVersion, and stores the API server's response in o.
func (s *Store) update(ctx context.Context, o *v1alpha1.ScimGroupSlice) error {
	return s.write(ctx, "update", o.Name, func() error {
		return s.client.Update(ctx, o, client.FieldOwner(s.options.FieldOwner))
	})
}

// patch sends a patch and stores the API server's response in o. If the patch has no
// resourceVersion, the API server repeats it on a conflict.
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

// revision returns a revision that is higher than old, which this process read at the time seen.
// The time since then is added: if this replica's clock is behind, its revisions still grow with
// time, as those of the other replicas do.
func (s *Store) revision(old int64, seen time.Time) int64 {
	return s.options.Revision(old + max(0, s.options.Clock().Sub(seen).Milliseconds()))
}

// pause waits after the given attempt, counted from 0, so that two writers stop conflicting with
// each other.
func (s *Store) pause(ctx context.Context, attempt int) error {
	return retry.PauseRandomly(ctx, attempt+1, s.jitter)
}
