// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// replaceTries limits the repetitions of one JSON patch before the slices are read again.
const replaceTries = 8

// Replace makes these users the only members of the group. It first raises the group's round, and
// then writes that round into every valid slice. It does not change a slice with a newer round, as
// if this replacement had come just before the newer one. If the members are already as wanted, it
// writes nothing.
func (s *Store) Replace(ctx context.Context, group string, members []string) error {
	return s.replace(ctx, group, members, false)
}

// Confirm is Replace for a group from a backup, which waits until all its members are pushed again:
// it gives each slice a new revision also if no member changes.
func (s *Store) Confirm(ctx context.Context, group string, members []string) error {
	return s.replace(ctx, group, members, true)
}

func (s *Store) replace(ctx context.Context, group string, members []string, always bool) error {
	target := set(members)
	all, err := s.snapshot(ctx, group)
	if err != nil {
		return err
	}
	if !always && maps.Equal(set(MembersIn(all)), target) {
		return nil
	}
	round, err := s.raiseRound(ctx, group, all)
	if err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		err := s.replaceAll(ctx, group, all, target, round)
		if !errors.Is(err, errOvertaken) {
			return err
		}
		if err := s.pause(ctx, attempt); err != nil {
			return err
		}
		if all, err = s.list(ctx, group); err != nil {
			return err
		}
	}
}

// raiseRound raises the group's round to one that is higher than that of any slice, and returns it.
func (s *Store) raiseRound(ctx context.Context, group string, all []v1alpha1.ScimGroupSlice) (int64, error) {
	for attempt := 0; ; attempt++ {
		g, err := s.group(ctx, group)
		if err != nil {
			return 0, err
		}
		round := g.Spec.Round
		for i := range all {
			round = max(round, all[i].Spec.Round)
		}
		round++
		body := fmt.Sprintf(`{"metadata":{"resourceVersion":%q,"uid":%q},"spec":{"round":%d}}`, g.ResourceVersion, g.UID, round)
		err = s.patch(ctx, "merge", g, client.RawPatch(types.MergePatchType, []byte(body)))
		switch {
		case err == nil:
			return round, nil
		case status(err) != http.StatusConflict && !absent(err):
			return 0, err
		}
		if err := s.pause(ctx, attempt); err != nil {
			return 0, err
		}
	}
}

// replacement is the new state of one valid slice.
type replacement struct {
	w         *v1alpha1.ScimGroupSlice
	leaves    []leaf
	overtaken atomic.Bool // another writer split or fenced the slice: read the slices again
}

// replaceAll writes a round into the valid slices that have an older round: first into the slices
// that need no split and those that are to become valid, and then into the slices that are to be
// split.
func (s *Store) replaceAll(ctx context.Context, group string, all []v1alpha1.ScimGroupSlice, target map[string]bool, round int64) error {
	todo, err := s.limits.replacements(all, target, round)
	if err != nil {
		return err
	}
	exist := byPrefix(all)
	type write struct {
		r *replacement
		i int // of a leaf
	}
	var fences, writes, narrows []write
	for _, r := range todo { // from the highest prefix down
		if anyExists(r.leaves[1:], exist) {
			fences = append(fences, write{r, 0})
		}
		for i := len(r.leaves) - 1; i > 0; i-- {
			writes = append(writes, write{r, i})
		}
		if len(r.leaves) == 1 {
			writes = append(writes, write{r, 0})
		} else {
			narrows = append(narrows, write{r, 0})
		}
	}
	run := func(all []write, do func(context.Context, *replacement, leaf) error) error {
		return s.each(ctx, len(all), func(ctx context.Context, i int) error {
			r := all[i].r
			if r.overtaken.Load() {
				return nil
			}
			err := do(ctx, r, r.leaves[all[i].i])
			if errors.Is(err, errOvertaken) {
				r.overtaken.Store(true)
				return nil
			}
			return err
		})
	}
	put := func(ctx context.Context, r *replacement, l leaf) error { return s.put(ctx, group, r.w, l, round) }
	fence := func(ctx context.Context, r *replacement, _ leaf) error { return s.fence(ctx, group, r.w) }
	leafOrPut := func(ctx context.Context, r *replacement, l leaf) error {
		if l.prefix == r.leaves[0].prefix {
			return put(ctx, r, l)
		}
		revision := s.revision(r.w.Spec.Revision, s.options.Clock())
		_, err := s.writeLeaf(ctx, group, l, exist[l.prefix], round, revision)
		return overtaken(err)
	}
	if err := run(fences, fence); err != nil {
		return err
	}
	if err := run(writes, leafOrPut); err != nil {
		return err
	}
	if err := run(narrows, put); err != nil {
		return err
	}
	for _, r := range todo {
		if r.overtaken.Load() {
			return errOvertaken
		}
	}
	return nil
}

// replacements returns the valid slices with an older round, from the highest prefix down, each
// with the leaves that it is divided into.
func (m limits) replacements(all []v1alpha1.ScimGroupSlice, target map[string]bool, round int64) ([]*replacement, error) {
	users := byPlace(slices.Collect(maps.Keys(target)))
	var out []*replacement
	for _, w := range ValidSlices(all) {
		prefix, _ := Prefix(w.Name)
		n := 0 // the slices are in order of prefix, and users in order of place: each slice takes the next n users
		for n < len(users) && covers(prefix, w.Spec.Bits, Place(users[n])) {
			n++
		}
		mine := users[:n]
		users = users[n:]
		if w.Spec.Round >= round {
			continue
		}
		leaves, err := m.partition(prefix, w.Spec.Bits, mine)
		if err != nil {
			return nil, err
		}
		out = append(out, &replacement{w: w, leaves: leaves})
	}
	slices.Reverse(out)
	return out, nil
}

// operation is one operation of a JSON Patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// put writes the members of a replacement into a valid slice, with the bits of the leaf. It tests
// the epoch and not the resourceVersion, so that it overwrites single changes and need not wait for
// them. The same epoch also proves that the other leaves have not changed since they were written.
func (s *Store) put(ctx context.Context, group string, w *v1alpha1.ScimGroupSlice, l leaf, round int64) error {
	var after v1alpha1.ScimGroupSliceSpec
	after.SetMembers(l.users)
	for range replaceTries {
		if w.Spec.Round >= round {
			return nil // a newer replacement overwrote this one
		}
		revision := s.revision(w.Spec.Revision, s.options.Clock())
		operations := []operation{
			{"test", "/metadata/uid", w.UID},
			{"test", "/spec/epoch", w.Spec.Epoch},
			{"test", "/spec/round", w.Spec.Round},
			{"add", "/spec/members", after.Members},
			{"add", "/spec/changes", map[string]bool{}},
			{"replace", "/spec/round", round},
			{"replace", "/spec/revision", revision},
		}
		if l.bits != w.Spec.Bits {
			operations = append(operations,
				operation{"replace", "/spec/bits", l.bits}, operation{"replace", "/spec/epoch", w.Spec.Epoch + 1})
		}
		operations = append(operations, annotating(w, s.annotations(ctx, revision))...)
		outdated, err := s.jsonPatch(ctx, group, w, operations)
		if !outdated {
			return err
		}
		if err := s.pause(ctx, 0); err != nil {
			return err
		}
	}
	return errOvertaken
}

// fence raises the epoch of a valid slice before it is split and unused slices are overwritten.
// Then the writer of the unused slices can no longer make them valid, because it has an older
// epoch.
func (s *Store) fence(ctx context.Context, group string, w *v1alpha1.ScimGroupSlice) error {
	outdated, err := s.jsonPatch(ctx, group, w, []operation{
		{"test", "/metadata/uid", w.UID},
		{"test", "/spec/epoch", w.Spec.Epoch},
		{"replace", "/spec/epoch", w.Spec.Epoch + 1},
	})
	if outdated {
		return errOvertaken
	}
	return err
}

// jsonPatch patches a valid slice and stores the result in w. If the API server refused the patch,
// jsonPatch reads the slice. If the slice is in another epoch, it returns errOvertaken. If it is in
// the same epoch, w may have been stale: then jsonPatch stores the slice in w and returns outdated,
// and the caller can repeat the patch.
func (s *Store) jsonPatch(
	ctx context.Context, group string, w *v1alpha1.ScimGroupSlice, operations []operation,
) (outdated bool, err error) {
	body, err := json.Marshal(operations)
	if err != nil {
		return false, err
	}
	o := &v1alpha1.ScimGroupSlice{}
	o.Namespace, o.Name = w.Namespace, w.Name
	err = s.patch(ctx, "patch", o, client.RawPatch(types.JSONPatchType, body))
	code := status(err)
	switch {
	case err == nil:
		s.learn(group, o)
		*w = *o
		return false, nil
	case absent(err):
		return false, s.missing(ctx, group)
	case code != http.StatusConflict && code != http.StatusUnprocessableEntity:
		return false, err
	}
	prefix, _ := Prefix(w.Name)
	now, readErr := s.get(ctx, group, prefix)
	switch {
	case absent(readErr):
		return false, s.missing(ctx, group)
	case readErr != nil:
		return false, readErr
	case now.UID != w.UID:
		s.layout.forget(group)
		return false, errOvertaken
	}
	s.learn(group, now)
	if now.Spec.Epoch != w.Spec.Epoch {
		return false, errOvertaken
	}
	if code == http.StatusUnprocessableEntity && now.ResourceVersion == w.ResourceVersion {
		return false, err // the API server rejects the content
	}
	*w = *now
	return true, nil
}

// annotating returns the JSON Patch operations that add annotations.
func annotating(w *v1alpha1.ScimGroupSlice, annotations map[string]string) []operation {
	if len(annotations) == 0 {
		return nil
	}
	if len(w.Annotations) == 0 {
		return []operation{{"add", "/metadata/annotations", annotations}}
	}
	var out []operation
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		out = append(out, operation{"add", "/metadata/annotations/" + escape.Replace(key), annotations[key]})
	}
	return out
}
