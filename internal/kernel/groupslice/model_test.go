// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// The model check runs writers on one group in the in-memory API server. A scheduler with a seed
// lets one request at a time take effect, in a random order; it breaks connections before and after
// a request, kills writers at any step, and delays the requests of killed writers. After every
// write the slices must cover each place once, and the observations of each pair (group, user) must
// be linearizable.

var seeds = flag.Int("seeds", 1, "factor for the number of seeds of the model check")

var errBroken = errors.New("connection broken")

// tiny limits make splits frequent.
var tiny = limits{target: 2, bulk: 3, most: 4, many: 2, pending: 1}

// people are users at different places; some differ in their last bits only.
var people = []string{"0000-a", "0001-b", "1fff-c", "4000-d", "7000-e", "8000-f", "a000-g", "b000-h", "c000-i", "e000-j", "ffff-k"}

type writerKey struct{}

// request is a request that waits for the scheduler.
type request struct {
	key  string
	turn chan error
}

// scheduler decides the order of requests.
type scheduler struct {
	random *rand.Rand
	faults bool

	mu      sync.Mutex
	waiting []*request
	serial  map[string]int
}

// wait blocks a request until the scheduler lets it continue.
func (s *scheduler) wait(ctx context.Context, verb, name string) error {
	who := fmt.Sprint(ctx.Value(writerKey{})) + " " + verb + " " + name
	s.mu.Lock()
	s.serial[who]++
	r := &request{fmt.Sprintf("%s %d", who, s.serial[who]), make(chan error, 1)}
	s.waiting = append(s.waiting, r)
	s.mu.Unlock()
	return <-r.turn
}

// next lets one request continue. False if none waits.
func (s *scheduler) next() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return false
	}
	slices.SortFunc(s.waiting, func(a, b *request) int { return cmp.Compare(a.key, b.key) })
	i := s.random.IntN(len(s.waiting))
	r := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	var err error
	if s.faults && s.random.IntN(30) == 0 {
		err = errBroken
		if s.random.IntN(2) == 0 {
			err = errLate
		}
	}
	r.turn <- err
	return true
}

// observation is one operation on one pair, for porcupine.
type observation struct {
	read, in bool
}

// recorder collects operations by user.
type recorder struct {
	mu      sync.Mutex
	clock   int64
	history map[string][]porcupine.Operation
	failed  error // the first error of an operation
}

func (r *recorder) now() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	return r.clock
}

const never = int64(1) << 40

func (r *recorder) add(client int, user string, o observation, call int64, err error) {
	end := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failed = cmp.Or(r.failed, err)
		if o.read {
			return
		}
		end = never // it may take effect at any time
	}
	r.history[user] = append(r.history[user], porcupine.Operation{
		ClientId: client, Input: o, Output: o.in, Call: call, Return: end,
	})
}

// pair returns the model of one pair: a register.
func pair(initial bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return initial },
		Step: func(state, input, _ any) (bool, any) {
			o := input.(observation)
			if o.read {
				return state.(bool) == o.in, state
			}
			return true, o.in
		},
	}
}

// run is one seed's schedule.
type run struct {
	api      *fakeAPI
	sched    *scheduler
	recorder *recorder
	random   *rand.Rand
	stores   []*Store
	initial  []string
}

func newRun(seed uint64, faults bool) *run {
	random := rand.New(rand.NewPCG(seed, 1))
	r := &run{
		api: newFakeAPI(), random: random,
		sched:    &scheduler{random: random, faults: faults, serial: map[string]int{}},
		recorder: &recorder{history: map[string][]porcupine.Operation{}},
	}
	r.api.most = tiny.most
	for i := range 3 {
		skew := time.Duration(i) * 7 * time.Millisecond
		s := NewStore(r.api, "", Options{
			Clock: func() time.Time { return time.Now().Add(-skew) },
			Wait:  time.Minute,
		})
		jitter := rand.New(rand.NewPCG(seed, uint64(i)+2))
		var mu sync.Mutex
		s.limits, s.jitter = tiny, func(longest time.Duration) time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return time.Duration(jitter.Int64N(int64(longest)))
		}
		r.stores = append(r.stores, s)
	}
	return r
}

// some returns a few users.
func (r *run) some(random *rand.Rand, most int) []string {
	out := slices.Clone(people)
	random.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:random.IntN(most)+1]
}

// writer makes a few operations.
func (r *run) writer(ctx context.Context, id int, seed uint64, operations int) {
	random := rand.New(rand.NewPCG(seed, uint64(id)+100))
	ctx = context.WithValue(ctx, writerKey{}, id)
	store := r.stores[random.IntN(len(r.stores))]
	for range operations {
		call := r.recorder.now()
		switch random.IntN(8) {
		case 0, 1, 2, 3:
			var changes []Change
			for _, user := range r.some(random, 1+random.IntN(4)) {
				changes = append(changes, Change{user, random.IntN(3) > 0})
			}
			err := store.Change(ctx, groupID, changes)
			for _, c := range changes {
				r.recorder.add(id, c.User, observation{in: c.Add}, call, err)
			}
		case 4, 5:
			members := r.some(random, len(people))
			err := store.Replace(ctx, groupID, members)
			for _, user := range people {
				r.recorder.add(id, user, observation{in: slices.Contains(members, user)}, call, err)
			}
		case 6:
			user := people[random.IntN(len(people))]
			in, err := store.Contains(ctx, groupID, user)
			r.recorder.add(id, user, observation{read: true, in: in}, call, err)
		case 7:
			members, err := store.Members(ctx, groupID)
			for _, user := range people {
				r.recorder.add(id, user, observation{read: true, in: slices.Contains(members, user)}, call, err)
			}
		}
	}
}

// play runs the writers and their background work to the end.
func (r *run) play(ctx context.Context, seed uint64, writers, operations int) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	for id := range writers {
		wg.Go(func() { r.writer(ctx, id, seed, operations) })
	}
	go func() { wg.Wait(); close(done) }()
	for idle := 0; idle < 3; {
		synctest.Wait()
		if r.sched.random.IntN(4) == 0 {
			advance(time.Duration(r.sched.random.IntN(5)) * time.Millisecond) // paused writers may continue first
			synctest.Wait()
		}
		if r.sched.next() {
			continue
		}
		advance(time.Second)
		select {
		case <-done:
			idle++
		default:
		}
	}
}

// advance moves the clock of a synctest bubble.
func advance(d time.Duration) {
	<-time.After(d)
}

// check looks for errors in a run.
func (r *run) check(ctx context.Context) error {
	r.api.before = func(context.Context, string, string) error { return nil }
	r.api.after = r.api.before
	call := r.recorder.now()
	members, err := NewStore(r.api, "", Options{}).Members(ctx, groupID)
	if err != nil {
		return err
	}
	for _, user := range people {
		r.recorder.add(99, user, observation{read: true, in: slices.Contains(members, user)}, call, nil)
		in, err := NewStore(r.api, "", Options{}).Contains(ctx, groupID, user)
		if err != nil {
			return err
		}
		if in != slices.Contains(members, user) {
			return fmt.Errorf("Contains says %v of %s, Members the opposite", in, user)
		}
	}
	if r.api.broken != nil {
		return r.api.broken
	}
	if !r.sched.faults {
		if r.recorder.failed != nil {
			return r.recorder.failed
		}
		round := r.api.objects["scimgroups/"+groupID].(*v1alpha1.ScimGroup).Spec.Round
		for _, s := range ValidSlices(r.api.slices()) {
			if s.Spec.Round != round {
				return fmt.Errorf("the newest replacement has the round %d: %s", round, describe(r.api.slices()))
			}
		}
	}
	for _, user := range slices.Sorted(maps.Keys(r.recorder.history)) {
		h := r.recorder.history[user]
		if porcupine.CheckOperations(pair(slices.Contains(r.initial, user)), h) {
			continue
		}
		out := ""
		slices.SortFunc(h, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		for _, o := range h {
			out += fmt.Sprintf("\n  writer %d [%d, %d] %+v", o.ClientId, o.Call, o.Return, o.Input)
		}
		return fmt.Errorf("%s is not linearizable: initially %v%s%s", user, slices.Contains(r.initial, user), out, describe(r.api.slices()))
	}
	return nil
}

// schedule runs one seed.
func schedule(t *testing.T, seed uint64, writers, operations int, faults bool) (writes int, err error) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(seed, faults)
		r.initial = r.some(r.random, len(people))
		withGroup(t, r.api, r.stores[0], r.initial...)
		r.api.before = r.sched.wait
		if faults {
			r.api.after = r.sched.wait
		}
		r.play(t.Context(), seed, writers, operations)
		err, writes = r.check(t.Context()), r.api.writes
	})
	return writes, err
}

func TestModel(t *testing.T) {
	tests := map[string]struct {
		reason              string
		writers, operations int
		faults              bool
		seeds               int
	}{
		"Two":    {reason: "two writers, every order", writers: 2, operations: 2, seeds: 300},
		"Four":   {reason: "four writers on three replicas", writers: 4, operations: 4, seeds: 200},
		"Faults": {reason: "connections break before and after requests", writers: 4, operations: 4, faults: true, seeds: 300},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			writes := 0
			for seed := range uint64(tc.seeds * *seeds) {
				n, err := schedule(t, seed, tc.writers, tc.operations, tc.faults)
				if err != nil {
					t.Fatalf("seed %d: %v\n%s", seed, err, tc.reason)
				}
				writes += n
			}
			t.Logf("%d seeds, %d writes", tc.seeds**seeds, writes)
		})
	}
}
