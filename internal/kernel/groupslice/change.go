// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// call is the part of a Change for one slice. It is divided further if the slice was split in the
// meantime.
type call struct {
	ctx  context.Context //nolint:containedctx // a lane makes the write on behalf of the call
	done chan struct{}

	mu   sync.Mutex
	open int // parts without an answer
	err  error
}

// add counts parts that need an answer.
func (c *call) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open += n
}

// part is what a call changes in one slice.
type part struct {
	call    *call
	changes []Change
}

// finish answers a part. The first error is the answer to the call.
func (p *part) finish(err error) {
	c := p.call
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	if c.open--; c.open == 0 {
		close(c.done)
	}
}

// lane combines the changes of one slice: one write is in flight, and all changes that arrive
// meanwhile go into the next one.
type lane struct {
	group  string
	prefix uint16
	queue  []*part
}

// Change adds and removes named users; of two changes of one user the last counts. It returns nil
// once all changes are stored. After an error some of them may be; repeating the call is safe.
func (s *Store) Change(ctx context.Context, group string, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	bySlice, err := s.bySlice(ctx, group, changes)
	if err != nil {
		return err
	}
	return s.each(ctx, len(bySlice), func(ctx context.Context, i int) error { return s.change(ctx, group, bySlice[i]) })
}

// bySlice divides changes by slice, as far as this process knows the slices. So a large change uses
// a few lanes at a time, and other changes need not wait for all of it.
func (s *Store) bySlice(ctx context.Context, group string, changes []Change) ([][]Change, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Wait)
	defer cancel()
	var out [][]Change
	at := map[uint16]int{} // in out, by prefix
	unknown := 0
	for _, c := range changes {
		prefix, err := s.locate(ctx, group, Place(c.User), &unknown)
		if err != nil {
			return nil, err
		}
		i, ok := at[prefix]
		if !ok {
			i = len(out)
			at[prefix], out = i, append(out, nil)
		}
		out[i] = append(out[i], c)
	}
	return out, nil
}

// change makes the changes of one slice as a call of its own.
func (s *Store) change(ctx context.Context, group string, changes []Change) error {
	waiting, cancel := context.WithTimeout(ctx, s.options.Wait)
	defer cancel()
	c := &call{ctx: waiting, done: make(chan struct{}), open: 1}
	whole := &part{call: c, changes: changes}
	if err := s.route(waiting, group, []*part{whole}); err != nil {
		whole.finish(err)
	}
	select {
	case <-c.done:
	case <-waiting.Done():
		if err := ctx.Err(); err != nil {
			return err
		}
		return ErrBusy
	}
	if errors.Is(c.err, context.DeadlineExceeded) && ctx.Err() == nil {
		return ErrBusy
	}
	return c.err
}

// route divides parts by slice and appends them to the slices' lanes, in their order. On error no
// part is in a lane.
func (s *Store) route(ctx context.Context, group string, parts []*part) error {
	type target struct {
		prefix uint16
		part   *part
	}
	var targets []target
	unknown := 0
	for _, p := range parts {
		byPrefix := map[uint16]*part{}
		for _, c := range p.changes {
			prefix, err := s.locate(ctx, group, Place(c.User), &unknown)
			if err != nil {
				return err
			}
			if byPrefix[prefix] == nil {
				byPrefix[prefix] = &part{call: p.call}
				targets = append(targets, target{prefix, byPrefix[prefix]})
			}
			byPrefix[prefix].changes = append(byPrefix[prefix].changes, c)
		}
	}
	for _, t := range targets {
		t.part.call.add(1)
	}
	for _, p := range parts {
		p.call.add(-1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range targets {
		name := Name(group, t.prefix)
		l := s.lanes[name]
		if l == nil {
			l = &lane{group: group, prefix: t.prefix}
			s.lanes[name] = l
			go s.run(name, l)
		}
		l.queue = append(l.queue, t.part)
	}
	return nil
}

// unknownMax is how many users are located one by one before all slices are listed.
const unknownMax = 4

// locate is the prefix of the slice in force for a place, as far as this process knows.
func (s *Store) locate(ctx context.Context, group string, place uint16, unknown *int) (uint16, error) {
	if k, ok := s.layout.of(group, place); ok {
		return k.prefix, nil
	}
	if *unknown++; *unknown > unknownMax {
		if _, err := s.list(ctx, group); err != nil {
			return 0, err
		}
		if k, ok := s.layout.of(group, place); ok {
			return k.prefix, nil
		}
	}
	o, err := s.find(ctx, group, place)
	if err != nil {
		return 0, err
	}
	prefix, _ := Prefix(o.Name)
	return prefix, nil
}

// run works on a lane until it is empty. It waits for a slot first, so that changes that arrive
// meanwhile are combined.
func (s *Store) run(name string, l *lane) {
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	for {
		s.mu.Lock()
		batch := l.queue
		l.queue = nil
		if len(batch) == 0 {
			delete(s.lanes, name)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		s.batch(l, batch)
	}
}

// batch stores the parts with one write and then splits the slice if it is too large. It is limited
// by Wait, and continues when the first caller's context ends, because other callers wait too.
func (s *Store) batch(l *lane, parts []*part) {
	live := parts[:0:0]
	for _, p := range parts {
		if err := p.call.ctx.Err(); err != nil {
			p.finish(err) // the caller no longer waits: do not store it later
			continue
		}
		live = append(live, p)
	}
	if len(live) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(live[0].call.ctx), s.options.Wait)
	defer cancel()
	limits := s.limits.after(len(merged(live)))
	if k := s.store(ctx, l, live); k.size > limits.target || k.pending > limits.pending {
		s.split(ctx, l.group, l.prefix, limits)
	}
}

// store stores the parts and answers each. It returns what is known of the slice then.
func (s *Store) store(ctx context.Context, l *lane, parts []*part) (after known) {
	fail := func(err error) known {
		for _, p := range parts {
			p.finish(err)
		}
		return known{}
	}
	for attempt := 0; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return fail(err)
		}
		k, err := s.known(ctx, l.group, l.prefix)
		if err != nil {
			return fail(err)
		}
		if parts = s.divert(ctx, l.group, k, parts); len(parts) == 0 {
			return known{}
		}
		changes := merged(parts)
		after, err := s.try(ctx, l.group, k, changes, attempt)
		switch s.judge(ctx, l.group, k, changes, err) {
		case stored:
			fail(nil)
			return after
		case again:
			if attempt > 0 && s.pause(ctx, attempt) != nil {
				return fail(ctx.Err())
			}
		case refused:
			if len(parts) == 1 {
				return fail(err)
			}
			for _, p := range parts { // so that a refused part does not fail the others
				after = s.store(ctx, l, []*part{p})
			}
			return after
		case failed:
			return fail(err)
		}
	}
}

// known is what this process knows of a slice, read live if it knows nothing.
func (s *Store) known(ctx context.Context, group string, prefix uint16) (known, error) {
	if k, ok := s.layout.at(group, prefix); ok {
		return k, nil
	}
	o, err := s.find(ctx, group, prefix)
	if err != nil {
		return known{}, err
	}
	return s.learn(group, o), nil
}

// divert moves the parts that the slice k does not cover to other lanes and returns the rest.
func (s *Store) divert(ctx context.Context, group string, k known, parts []*part) []*part {
	var stay, move []*part
	for _, p := range parts {
		var here, there []Change
		for _, c := range p.changes {
			if covers(k.prefix, k.bits, Place(c.User)) {
				here = append(here, c)
			} else {
				there = append(there, c)
			}
		}
		switch {
		case len(there) == 0:
			stay = append(stay, p)
			continue
		case len(here) == 0:
			move = append(move, p)
			continue
		}
		p.call.add(1)
		stay = append(stay, &part{p.call, here})
		move = append(move, &part{p.call, there})
	}
	if err := s.route(ctx, group, move); err != nil {
		for _, p := range move {
			p.finish(err)
		}
	}
	return stay
}

// merged combines the changes of parts: of two changes of one user the later one counts. The caller
// of the earlier one gets success too, as if it had come just before.
func merged(parts []*part) map[string]bool {
	changes := map[string]bool{}
	for _, p := range parts {
		for _, c := range p.changes {
			changes[c.User] = c.In
		}
	}
	return changes
}

// added is how many users changes may add.
func added(changes map[string]bool) int {
	n := 0
	for _, in := range changes {
		if in {
			n++
		}
	}
	return n
}

// try makes one write of the changes.
func (s *Store) try(ctx context.Context, group string, k known, changes map[string]bool, attempt int) (known, error) {
	// To rewrite the slice is cheaper than a patch with many changes, which would be followed by a
	// rewrite. It can conflict with other writers, unlike the patch, so it is tried once.
	if s.limits.exceeded(k, changes) || len(changes) >= s.limits.many && attempt == 0 {
		return s.rewrite(ctx, group, k, goal{s.limits.after(len(changes)), changes}, attempt)
	}
	body, err := s.mergePatch(ctx, k, changes)
	if err != nil {
		return known{}, err
	}
	o := &v1alpha1.ScimGroupSlice{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: Name(group, k.prefix)}}
	if err := s.patch(ctx, "merge", o, client.RawPatch(types.MergePatchType, body)); err != nil {
		return known{}, err
	}
	return s.learn(group, o), nil
}

// mergePatch is the write of changes. It has no resourceVersion, so that changes of different users
// do not conflict. It has the epoch that this writer knows, so that it is refused if the slice no
// longer covers these users, and the uid, so that it never applies to a restored slice.
func (s *Store) mergePatch(ctx context.Context, k known, changes map[string]bool) ([]byte, error) {
	type spec struct {
		Epoch    int64           `json:"epoch"`
		Revision int64           `json:"revision"`
		Changes  map[string]bool `json:"changes"`
	}
	type metadata struct {
		UID         types.UID         `json:"uid"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	revision := s.revision(k.revision, k.seen)
	p := struct {
		Metadata metadata `json:"metadata"`
		Spec     spec     `json:"spec"`
	}{metadata{k.uid, s.annotations(ctx, revision)}, spec{k.epoch, revision, changes}}
	return json.Marshal(p)
}

// verdict is the result of a write.
type verdict int

const (
	stored  verdict = iota
	again           // the writer's view of the slice was stale and is now refreshed
	refused         // the API server rejects the content
	failed          // it may or may not be stored, or the group is gone
)

// judge says what an error of a write means. A write that may have been stored is not repeated: the
// repetition could overwrite a later change by another client.
func (s *Store) judge(ctx context.Context, group string, k known, changes map[string]bool, err error) verdict {
	var many *tooManyError
	code := status(err)
	switch {
	case err == nil:
		return stored
	case errors.Is(err, errOvertaken):
		return again
	case errors.As(err, &many), code == http.StatusBadRequest, code == http.StatusForbidden,
		code == http.StatusRequestEntityTooLarge:
		return refused
	case absent(err):
		s.layout.forget(group)
		return again
	case code != http.StatusConflict && code != http.StatusUnprocessableEntity:
		return failed
	}
	o, err := s.get(ctx, group, k.prefix)
	switch {
	case absent(err), err == nil && o.UID != k.uid:
		s.layout.forget(group)
		return again
	case err != nil:
		return failed
	}
	now := s.learn(group, o)
	tooLarge := s.limits.exceeded(now, changes) // it is rewritten first, the next time
	if code == http.StatusConflict || now.epoch != k.epoch || now.revision != k.revision || tooLarge {
		return again
	}
	return refused
}

// status is the HTTP status of the API server's answer, 0 if there was none.
func status(err error) int {
	var s apierrors.APIStatus
	if errors.As(err, &s) {
		return int(s.Status().Code)
	}
	return 0
}
