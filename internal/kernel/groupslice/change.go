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

// call is the part of a Change for one slice. If the slice is split meanwhile, the call has several
// parts.
type call struct {
	ctx  context.Context //nolint:containedctx // a queue makes the write on behalf of the call
	done chan struct{}

	mu   sync.Mutex
	open int // number of parts without a result
	err  error
}

// add adds n to the number of parts without a result.
func (c *call) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open += n
}

// part contains the changes of a call in one slice.
type part struct {
	call    *call
	changes []Change
}

// finish sets the result of a part. The first error of a part is the result of the call.
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

// queue combines the changes of one slice: one write is in flight, and all parts that wait
// meanwhile become the next write.
type queue struct {
	group   string
	prefix  uint16
	waiting []*part
}

// Change adds and removes the users that changes names. If it names a user twice, the last change
// counts. It returns nil when all changes are stored. After an error some of them may be stored,
// and repeating the call is safe.
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

// bySlice divides changes by the slices that this process has cached or finds. So a large change
// uses only a few queues at a time, and other changes need not wait for all of it.
func (s *Store) bySlice(ctx context.Context, group string, changes []Change) ([][]Change, error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Wait)
	defer cancel()
	var out [][]Change
	at := map[uint16]int{} // index in out, by prefix
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

// change makes the changes of one slice, and waits for the result.
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

// route divides parts by slice and appends them to the queues of the slices, in their order. If it
// returns an error, it has appended none.
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
		q := s.queues[name]
		if q == nil {
			q = &queue{group: group, prefix: t.prefix}
			s.queues[name] = q
			go s.run(name, q)
		}
		q.waiting = append(q.waiting, t.part)
	}
	return nil
}

// unknownMax is the number of users without a cached slice that are located one by one. If there
// are more of them, all slices are listed.
const unknownMax = 4

// locate returns the prefix of the valid slice for a place. A cached prefix may be stale; then the
// write to that slice is refused or diverted. unknown counts the places without a cached slice.
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

// run works on a queue until it is empty. It waits for a slot first, so that the changes that are
// queued meanwhile are combined.
func (s *Store) run(name string, q *queue) {
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	for {
		s.mu.Lock()
		batch := q.waiting
		q.waiting = nil
		if len(batch) == 0 {
			delete(s.queues, name)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		s.batch(q, batch)
	}
}

// batch stores the parts with one write and then splits the slice if it is too large. It is limited
// by Wait, and continues when the first caller's context ends, because other callers wait too.
func (s *Store) batch(q *queue, parts []*part) {
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
	if k := s.store(ctx, q, live); k.size > limits.target || k.pending > limits.pending {
		s.split(ctx, q.group, q.prefix, limits)
	}
}

// store stores the parts and answers each. It returns what is known of the slice then.
func (s *Store) store(ctx context.Context, q *queue, parts []*part) (after cachedSlice) {
	fail := func(err error) cachedSlice {
		for _, p := range parts {
			p.finish(err)
		}
		return cachedSlice{}
	}
	for attempt := 0; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return fail(err)
		}
		k, err := s.known(ctx, q.group, q.prefix)
		if err != nil {
			return fail(err)
		}
		if parts = s.divert(ctx, q.group, k, parts); len(parts) == 0 {
			return cachedSlice{}
		}
		changes := merged(parts)
		after, err := s.try(ctx, q.group, k, changes, attempt)
		switch s.judge(ctx, q.group, k, changes, err) {
		case stored:
			fail(nil)
			return after
		case again:
			if attempt > 0 && s.pause(ctx, attempt-1) != nil {
				return fail(ctx.Err())
			}
		case refused:
			if len(parts) == 1 {
				return fail(err)
			}
			for _, p := range parts { // so that a refused part does not fail the others
				after = s.store(ctx, q, []*part{p})
			}
			return after
		case failed:
			return fail(err)
		}
	}
}

// known returns the cached slice. If it is not cached, known reads it live.
func (s *Store) known(ctx context.Context, group string, prefix uint16) (cachedSlice, error) {
	if k, ok := s.layout.at(group, prefix); ok {
		return k, nil
	}
	o, err := s.find(ctx, group, prefix)
	if err != nil {
		return cachedSlice{}, err
	}
	return s.learn(group, o), nil
}

// divert moves the changes that the slice k does not cover to other queues, and returns the other
// changes.
func (s *Store) divert(ctx context.Context, group string, k cachedSlice, parts []*part) []*part {
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

// merged combines the changes of parts. If there are two changes of one user, the later one counts.
// The caller of the earlier one also gets success, as if it had come just before.
func merged(parts []*part) map[string]bool {
	changes := map[string]bool{}
	for _, p := range parts {
		for _, c := range p.changes {
			changes[c.User] = c.Add
		}
	}
	return changes
}

// added returns the maximum number of users that changes can add.
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
func (s *Store) try(ctx context.Context, group string, k cachedSlice, changes map[string]bool, attempt int) (cachedSlice, error) {
	// To rewrite the slice is cheaper than a patch with many changes, which would be followed by a
	// rewrite. It can conflict with other writers, unlike the patch, so it is tried once.
	if s.limits.exceeded(k, changes) || len(changes) >= s.limits.many && attempt == 0 {
		return s.rewrite(ctx, group, k, goal{s.limits.after(len(changes)), changes}, attempt)
	}
	body, err := s.mergePatch(ctx, k, changes)
	if err != nil {
		return cachedSlice{}, err
	}
	o := &v1alpha1.ScimGroupSlice{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: Name(group, k.prefix)}}
	if err := s.patch(ctx, "merge", o, client.RawPatch(types.MergePatchType, body)); err != nil {
		return cachedSlice{}, err
	}
	return s.learn(group, o), nil
}

// mergePatch returns the JSON merge patch of the changes. It has no resourceVersion, so that
// changes of different users do not conflict. It has the epoch that this writer knows, so that the
// API server refuses it if the slice no longer covers these users. It has the uid, so that it never
// applies to a restored slice.
func (s *Store) mergePatch(ctx context.Context, k cachedSlice, changes map[string]bool) ([]byte, error) {
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
	failed          // the write may or may not be stored, or the group does not exist
)

// judge returns the verdict for the error of a write. It returns failed for a write that may have
// been stored, because a repetition could overwrite a later change by another client.
func (s *Store) judge(ctx context.Context, group string, k cachedSlice, changes map[string]bool, err error) verdict {
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

// status returns the HTTP status of the API server's response, and 0 if there was no response.
func status(err error) int {
	var s apierrors.APIStatus
	if errors.As(err, &s) {
		return int(s.Status().Code)
	}
	return 0
}
