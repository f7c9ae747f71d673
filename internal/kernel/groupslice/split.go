// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// errOvertaken means that another writer changed the same slices: read them again and repeat.
var errOvertaken = errors.New("another writer changed the slices meanwhile")

// splitTries is the number of times that a split is tried after a write. If none succeeds, the next
// write to the slice tries again. A write that would not fit retries its split until it succeeds.
const splitTries = 3

// split divides a slice that is too large, or moves its changes into members. Only later changes of
// this slice in this process wait for it. Its error is ignored: the next write tries again.
func (s *Store) split(ctx context.Context, group string, prefix uint16, limits limits) {
	for attempt := range splitTries {
		k, ok := s.layout.at(group, prefix)
		if !ok {
			return
		}
		_, err := s.rewrite(ctx, group, k, goal{limits: limits}, attempt)
		if !errors.Is(err, errOvertaken) || s.pause(ctx, attempt) != nil {
			return
		}
	}
}

// goal is the desired result of a rewrite.
type goal struct {
	limits  limits          // limits of the resulting slices
	changes map[string]bool // users to add (true) and to remove (false)
}

// rewrite makes changes in the slice k together with the splits that they need, and returns what is
// known of the slice then. All of it takes effect with its last write, which narrows the slice at
// its resourceVersion: until then the new slices are leftovers that readers ignore.
func (s *Store) rewrite(ctx context.Context, group string, k cachedSlice, g goal, attempt int) (cachedSlice, error) {
	w, exist, err := s.survey(ctx, group, k, attempt)
	if err != nil {
		return cachedSlice{}, err
	}
	now := s.learn(group, w)
	for user := range g.changes {
		if !covers(now.prefix, w.Spec.Bits, Place(user)) {
			return cachedSlice{}, errOvertaken
		}
	}
	leaves, err := g.limits.partition(now.prefix, w.Spec.Bits, applied(&w.Spec, g.changes))
	if err != nil {
		return cachedSlice{}, err
	}
	if len(leaves) == 1 && len(g.changes) == 0 && now.pending <= g.limits.pending {
		return now, nil
	}
	if anyExists(leaves[1:], exist) {
		w.Spec.Epoch++
		if err := overtaken(s.update(ctx, w)); err != nil {
			return cachedSlice{}, err
		}
	}
	revision := w.Spec.Revision
	if len(g.changes) > 0 {
		revision = s.revision(w.Spec.Revision, now.seen)
	}
	written := make([]*v1alpha1.ScimGroupSlice, len(leaves))
	err = s.each(ctx, len(leaves)-1, func(ctx context.Context, i int) error {
		at := len(leaves) - 1 - i // the highest prefix first
		o, err := s.writeLeaf(ctx, group, leaves[at], exist[leaves[at].prefix], w.Spec.Round, revision)
		written[at] = o
		return overtaken(err)
	})
	if err != nil {
		return cachedSlice{}, err
	}
	return s.narrow(ctx, group, w, leaves, written, g, revision)
}

// survey reads what a rewrite needs: the slice itself, and the existing slices by prefix. The first
// attempt assumes that no other exists; if one does, creating it fails. It uses the slice that this
// process has just written, if there is one.
func (s *Store) survey(ctx context.Context, group string, k cachedSlice, attempt int) (*v1alpha1.ScimGroupSlice, map[uint16]*v1alpha1.ScimGroupSlice, error) {
	exist := map[uint16]*v1alpha1.ScimGroupSlice{}
	if attempt == 0 {
		w := s.recent.take(Name(group, k.prefix))
		if w == nil || w.UID != k.uid {
			var err error
			if w, err = s.get(ctx, group, k.prefix); err != nil {
				return nil, nil, err
			}
		}
		exist[k.prefix] = w
	} else {
		all, err := s.list(ctx, group)
		if err != nil {
			return nil, nil, err
		}
		exist = byPrefix(all)
	}
	w := exist[k.prefix]
	if w == nil || w.UID != k.uid {
		s.layout.forget(group)
		return nil, nil, errOvertaken
	}
	return w, exist, nil
}

// narrow writes the first leaf to w, at the resourceVersion that the other leaves were derived
// from. If only members of w changed since then, narrow copies the change to the leaves and tries
// again, so that a slice with many changes can be split too. That is safe while the epoch is the
// same, because a writer that wants to write an existing leaf raises the epoch first.
func (s *Store) narrow(
	ctx context.Context, group string, w *v1alpha1.ScimGroupSlice,
	leaves []leaf, written []*v1alpha1.ScimGroupSlice, g goal, revision int64,
) (cachedSlice, error) {
	for {
		before := w.DeepCopy()
		if leaves[0].bits != w.Spec.Bits {
			w.Spec.Epoch++
		}
		w.Spec.Bits = leaves[0].bits
		w.Spec.SetMembers(leaves[0].users)
		w.Spec.Revision = max(revision, w.Spec.Revision)
		s.annotate(ctx, w)
		err := s.update(ctx, w)
		if err == nil {
			for _, o := range written[1:] {
				s.learn(group, o)
				s.recent.keep(o)
			}
			after := s.learn(group, w)
			s.recent.keep(w)
			return after, nil
		}
		if status(err) != http.StatusConflict {
			return cachedSlice{}, overtaken(err)
		}
		if w, err = s.get(ctx, group, leaves[0].prefix); err != nil {
			return cachedSlice{}, err
		}
		if w.UID != before.UID || w.Spec.Epoch != before.Spec.Epoch || w.Spec.Round != before.Spec.Round {
			return cachedSlice{}, errOvertaken
		}
		if leaves, err = s.carryOver(ctx, w, leaves, written, g); err != nil {
			return cachedSlice{}, err
		}
		if len(g.changes) > 0 {
			revision = s.options.Revision(w.Spec.Revision)
		}
	}
}

// carryOver copies the changes of w's members to the leaves that were written.
func (s *Store) carryOver(
	ctx context.Context, w *v1alpha1.ScimGroupSlice, leaves []leaf, written []*v1alpha1.ScimGroupSlice, g goal,
) ([]leaf, error) {
	now, err := g.limits.partition(leaves[0].prefix, w.Spec.Bits, applied(&w.Spec, g.changes))
	if err != nil {
		return nil, err
	}
	same := func(a, b leaf) bool { return a.prefix == b.prefix && a.bits == b.bits }
	if !slices.EqualFunc(now, leaves, same) {
		return nil, errOvertaken
	}
	for i := len(now) - 1; i > 0; i-- {
		if slices.Equal(now[i].users, leaves[i].users) {
			continue
		}
		written[i].Spec.SetMembers(now[i].users)
		written[i].Spec.Revision = max(written[i].Spec.Revision, w.Spec.Revision)
		if err := overtaken(s.update(ctx, written[i])); err != nil {
			return nil, err
		}
	}
	return now, nil
}

// writeLeaf creates a slice that is not valid yet, or overwrites an unused one of an earlier
// attempt.
func (s *Store) writeLeaf(
	ctx context.Context, group string, l leaf, old *v1alpha1.ScimGroupSlice, round, revision int64,
) (*v1alpha1.ScimGroupSlice, error) {
	if old == nil {
		o := s.object(ctx, group, l, v1alpha1.ScimGroupSliceSpec{Epoch: 1, Round: round, Revision: revision})
		return o, s.create(ctx, o)
	}
	o := old.DeepCopy()
	o.Spec = v1alpha1.ScimGroupSliceSpec{
		Bits: l.bits, Epoch: old.Spec.Epoch + 1, Round: round, Revision: max(revision, old.Spec.Revision),
	}
	o.Spec.SetMembers(l.users)
	s.annotate(ctx, o)
	return o, s.update(ctx, o)
}

// annotate puts the request's annotations on a slice.
func (s *Store) annotate(ctx context.Context, o *v1alpha1.ScimGroupSlice) {
	for key, value := range s.annotations(ctx, o.Spec.Revision) {
		if o.Annotations == nil {
			o.Annotations = map[string]string{}
		}
		o.Annotations[key] = value
	}
}

// overtaken turns a conflict of a write at a resourceVersion into errOvertaken.
func overtaken(err error) error {
	if status(err) == http.StatusConflict {
		return errors.Join(errOvertaken, err)
	}
	return err
}

func anyExists(leaves []leaf, exist map[uint16]*v1alpha1.ScimGroupSlice) bool {
	return slices.ContainsFunc(leaves, func(l leaf) bool { return exist[l.prefix] != nil })
}

func byPrefix(all []v1alpha1.ScimGroupSlice) map[uint16]*v1alpha1.ScimGroupSlice {
	out := make(map[uint16]*v1alpha1.ScimGroupSlice, len(all))
	for i := range all {
		if prefix, ok := Prefix(all[i].Name); ok {
			out[prefix] = &all[i]
		}
	}
	return out
}
