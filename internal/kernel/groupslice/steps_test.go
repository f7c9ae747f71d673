// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The tests of this file stop one writer before and after each of its requests, run another one
// meanwhile, and then let the first one continue or kill it. If the second one is stopped too, the
// first one finishes before the second continues.

// act is one operation of a writer.
type act struct {
	name    string
	replace bool
	add     []string
	remove  []string
}

func (a act) run(ctx context.Context, s *Store) error {
	if a.replace {
		return s.Replace(ctx, groupID, a.add)
	}
	var all []Change
	for _, user := range a.add {
		all = append(all, Change{user, true})
	}
	for _, user := range a.remove {
		all = append(all, Change{user, false})
	}
	return s.Change(ctx, groupID, all)
}

// record records the effect on each pair.
func (a act) record(r *recorder, client int, call int64, err error) {
	for _, user := range people {
		switch {
		case slices.Contains(a.add, user):
			r.add(client, user, observation{in: true}, call, err)
		case slices.Contains(a.remove, user), a.replace:
			r.add(client, user, observation{in: false}, call, err)
		}
	}
}

// splits are acts that need a slice to be split.
var splits = []act{
	{name: "add that splits afterwards", add: []string{"8000-f"}},
	{name: "adds that split before", add: []string{"4000-d", "a000-g", "c000-i", "ffff-k"}},
	{name: "replacement by many", replace: true, add: []string{"0000-a", "7000-e", "8000-f", "a000-g", "b000-h", "e000-j"}},
}

// plain are acts that need none.
var plain = []act{
	{name: "remove", remove: []string{"e000-j", "0001-b"}},
	{name: "add and remove", add: []string{"ffff-k"}, remove: []string{"0000-a"}},
	{name: "replacement by few", replace: true, add: []string{"1fff-c", "c000-i"}},
}

// stops counts an actor's steps and stops it at one of them. A replacement writes several slices at
// a time, so steps come from several goroutines.
type stops struct {
	at     int
	kill   bool
	resume chan struct{}

	mu      sync.Mutex
	seen    int
	stopped bool
}

func (s *stops) step() error {
	s.mu.Lock()
	s.seen++
	dead, here := s.kill && s.stopped, s.seen == s.at
	s.stopped = s.stopped || here
	s.mu.Unlock()
	if here {
		<-s.resume
		dead = s.kill
	}
	if dead {
		return errBroken
	}
	return nil
}

// reached reports whether the actor came to the step at which it stops.
func (s *stops) reached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at == 0 || s.stopped
}

type stopsKey struct{}

// newStage creates a group of two users in one slice, in several slices, or with an unused slice of
// a killed writer.
func newStage(t *testing.T, kind string) *run {
	r := newRun(1, false)
	r.initial = []string{"0001-b", "e000-j"}
	if kind == "several slices" {
		r.initial = []string{"0000-a", "0001-b", "8000-f", "b000-h", "e000-j"}
	}
	withGroup(t, r.api, r.stores[0], r.initial...)
	if kind == "leftover" {
		killed := NewStore(r.api, "", Options{Hook: func(_ context.Context, s Step) error {
			if s.Name == Name(groupID, 0) && s.Verb == "patch" {
				return errBroken // kills it before the last write
			}
			return nil
		}})
		killed.limits = tiny
		if err := killed.Replace(t.Context(), groupID, people); err == nil {
			t.Fatal("the replacement was not killed")
		}
		if all := r.api.slices(); len(all) == 1 {
			t.Fatal("the killed writer left no slice")
		}
		act{replace: true, add: people}.record(r.recorder, 50, r.recorder.now(), errBroken)
		r.recorder.failed = nil
	}
	step := func(ctx context.Context, _, _ string) error {
		if s, ok := ctx.Value(stopsKey{}).(*stops); ok {
			return s.step()
		}
		return nil
	}
	r.api.before, r.api.after = step, step
	return r
}

// interleave runs a and b, a stopped at its step i and b at its step j, 0 for nowhere. It returns
// whether both stops were reached.
func interleave(t *testing.T, kind string, a, b act, i, j int, kill bool) (bool, error) {
	var reached bool
	var err error
	synctest.Test(t, func(t *testing.T) {
		r := newStage(t, kind)
		r.sched.faults = kill || kind == "leftover" // a failed replacement may have raised the round
		stop := []*stops{
			{at: i, kill: kill, resume: make(chan struct{})},
			{at: j, resume: make(chan struct{})},
		}
		begin := func(n int, what act) {
			ctx := context.WithValue(t.Context(), stopsKey{}, stop[n])
			go func() {
				call := r.recorder.now()
				err := what.run(ctx, r.stores[n])
				what.record(r.recorder, n, call, err)
			}()
			settle()
		}
		begin(0, a)
		begin(1, b)
		close(stop[0].resume)
		settle()
		late := act{add: []string{"b000-h"}, remove: []string{"e000-j"}}
		call := r.recorder.now()
		lateErr := late.run(t.Context(), r.stores[2])
		late.record(r.recorder, 2, call, lateErr)
		settle()
		close(stop[1].resume)
		settle()
		reached = stop[0].reached() && stop[1].reached()
		if err = r.check(t.Context()); err == nil && lateErr != nil {
			err = fmt.Errorf("the group cannot be changed afterwards: %w", lateErr)
		}
		if err == nil && !kill {
			err = r.recorder.failed
		}
	})
	return reached, err
}

// settle lets every actor continue until it is done or stopped.
func settle() {
	advance(3 * time.Second)
	synctest.Wait()
}

// kinds of stages.
var kinds = []string{"one slice", "several slices", "leftover"}

func TestStopOne(t *testing.T) {
	for _, kind := range kinds {
		for _, a := range slices.Concat(splits, plain) {
			for _, b := range slices.Concat(splits, plain) {
				t.Run(kind+"/"+a.name+"/"+b.name, func(t *testing.T) {
					t.Parallel()
					for _, kill := range []bool{false, true} {
						i := 1
						for ; ; i++ {
							reached, err := interleave(t, kind, a, b, i, 0, kill)
							if err != nil {
								t.Fatalf("stopped at step %d, killed %v: %v", i, kill, err)
							}
							if !reached {
								break
							}
						}
						if i == 1 {
							t.Error("no step was reached")
						}
					}
				})
			}
		}
	}
}

func TestStopTwo(t *testing.T) {
	for _, kind := range []string{"one slice", "leftover"} {
		for _, a := range splits {
			for _, b := range splits {
				t.Run(kind+"/"+a.name+"/"+b.name, func(t *testing.T) {
					t.Parallel()
					for i := 1; ; i++ {
						any := false
						for j := 1; ; j++ {
							reached, err := interleave(t, kind, a, b, i, j, false)
							if err != nil {
								t.Fatalf("stopped at steps %d and %d: %v", i, j, err)
							}
							if !reached {
								break
							}
							any = true
						}
						if !any {
							break
						}
					}
				})
			}
		}
	}
}

// TestLateReplacement delivers a replacement that timed out after a newer one.
func TestLateReplacement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(1, false)
		withGroup(t, r.api, r.stores[0], people...)
		ctx := context.WithValue(t.Context(), writerKey{}, "old")
		gate := make(chan struct{})
		var delayed atomic.Int64 // several slices are written at a time
		r.api.before = func(ctx context.Context, verb, name string) error {
			if ctx.Value(writerKey{}) == "old" && verb == "patch" && name != groupID {
				select {
				case <-gate:
				default:
					delayed.Add(1)
					<-gate
				}
			}
			return nil
		}
		answered := make(chan error, 1)
		go func() { answered <- r.stores[0].Replace(ctx, groupID, people[:2]) }()
		settle()
		if err := r.stores[1].Replace(t.Context(), groupID, people[2:]); err != nil {
			t.Fatal(err)
		}
		close(gate)
		if err := <-answered; err != nil {
			t.Errorf("the replacement that was overtaken: %v, want success", err)
		}
		if have, err := r.stores[2].Members(t.Context(), groupID); err != nil || !slices.Equal(have, people[2:]) || delayed.Load() == 0 {
			t.Errorf("%v, %v; %d patches were delayed", have, err, delayed.Load())
		}
	})
}

// TestPlaces: the leaves of a partition cover each place once, and contain each user once.
func TestPlaces(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		users := map[string]bool{}
		for range random.IntN(400) {
			users[fmt.Sprintf("%04x-%d", random.IntN(1<<16), random.IntN(9))] = true
		}
		leaves, err := limits{target: 1 + random.IntN(9), most: 1024}.partition(0, 0, slices.Collect(maps.Keys(users)))
		if err != nil {
			t.Fatal(err)
		}
		at, n := 0, 0
		for _, l := range leaves {
			if int(l.prefix) != at {
				t.Fatalf("seed %d: %04x is covered by no leaf", seed, at)
			}
			for _, user := range l.users {
				if !covers(l.prefix, l.bits, Place(user)) {
					t.Fatalf("seed %d: %s is in %04x/%d", seed, user, l.prefix, l.bits)
				}
			}
			at += width(l.bits)
			n += len(l.users)
		}
		if at != 1<<16 || n != len(users) {
			t.Fatalf("seed %d: leaves end at %x and have %d of %d users", seed, at, n, len(users))
		}
	}
}

// TestRewriteAgain rewrites a slice twice. The second time it is not read, unless another writer
// has changed it: that change must remain.
func TestRewriteAgain(t *testing.T) {
	f := newFakeAPI()
	c := &counting{Client: f}
	s, other := NewStore(c, "", Options{}), NewStore(f, "", Options{})
	all := ids(2*sliceMany + 1)
	first, second, single := all[:sliceMany], all[sliceMany:2*sliceMany], all[2*sliceMany]
	withGroup(t, f, s)
	change := func(s *Store, users []string, in bool) {
		t.Helper()
		var changes []Change
		for _, user := range users {
			changes = append(changes, Change{user, in})
		}
		if err := s.Change(t.Context(), groupID, changes); err != nil {
			t.Fatal(err)
		}
	}
	change(s, first, true)
	c.take()
	change(s, second, true)
	if n := c.take(); n["get"] != 0 || n["write"] != 1 {
		t.Errorf("the second rewrite took %v, want one write", n)
	}
	change(other, []string{single}, true)
	change(s, first, false)
	have, err := s.Members(t.Context(), groupID)
	if err != nil {
		t.Fatal(err)
	}
	if want := append(slices.Clone(second), single); !slices.Equal(have, want) {
		t.Errorf("members %v, want %v", have, want)
	}
}
