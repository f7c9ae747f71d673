// SPDX-License-Identifier: Apache-2.0

package groupslice

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestCombine delays a patch: the changes that arrive meanwhile are combined into one more.
func TestCombine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(1, false)
		r.api.most = 1024
		s := NewStore(r.api, "", Options{})
		withGroup(t, r.api, s)
		if _, err := s.Members(t.Context(), groupID); err != nil {
			t.Fatal(err)
		}
		gate := make(chan struct{})
		r.api.before = func(_ context.Context, verb, _ string) error {
			if verb == "patch" {
				<-gate
			}
			return nil
		}
		before := r.api.writes
		errs := make(chan error, 64)
		for _, user := range ids(64) {
			go func() { errs <- s.Change(t.Context(), groupID, []Change{{user, true}}) }()
			synctest.Wait()
		}
		close(gate)
		for range 64 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if n := r.api.writes - before; n != 2 {
			t.Errorf("64 changes took %d writes, want 2", n)
		}
		if have, err := s.Members(t.Context(), groupID); err != nil || len(have) != 64 {
			t.Errorf("%d members, %v", len(have), err)
		}
	})
}

// TestBusy: a change does not wait forever, and is not stored after its caller stopped waiting.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(1, false)
		s := NewStore(r.api, "", Options{})
		withGroup(t, r.api, s)
		gate := make(chan struct{})
		r.api.before = func(_ context.Context, verb, _ string) error {
			if verb == "patch" {
				<-gate
			}
			return nil
		}
		start := time.Now()
		errs := make(chan error, 2)
		for _, user := range people[:2] {
			go func() { errs <- s.Change(t.Context(), groupID, []Change{{user, true}}) }()
			synctest.Wait()
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, ErrBusy) {
				t.Errorf("%v, want ErrBusy", err)
			}
		}
		if waited := time.Since(start); waited != defaultWait {
			t.Errorf("waited %v", waited)
		}
		close(gate)
		settle()
		if have, err := s.Members(t.Context(), groupID); err != nil || slices.Contains(have, people[1]) {
			t.Errorf("%v, %v", have, err)
		}
	})
}

// TestLargeChange takes longer than Wait in total, but no slice of it waits long; a change of one
// user that comes meanwhile does not wait behind it.
func TestLargeChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(1, false)
		s := NewStore(r.api, "", Options{})
		s.limits = tiny
		members := ids(121)
		withGroup(t, r.api, s, members[:120]...)
		if _, err := s.Members(t.Context(), groupID); err != nil {
			t.Fatal(err)
		}
		r.api.before = func(_ context.Context, verb, _ string) error {
			if verb == "patch" || verb == "update" {
				time.Sleep(2 * time.Second)
			}
			return nil
		}
		start := time.Now()
		done := make(chan error, 1)
		go func() {
			var all []Change
			for _, user := range members[:120] {
				all = append(all, Change{user, false})
			}
			done <- s.Change(t.Context(), groupID, all)
		}()
		advance(2 * time.Second)
		single := time.Now()
		if err := s.Change(t.Context(), groupID, []Change{{members[120], true}}); err != nil {
			t.Errorf("one user: %v", err)
		}
		if waited := time.Since(single); waited >= defaultWait {
			t.Errorf("a change of one user waited %v for a large one", waited)
		}
		if err := <-done; err != nil {
			t.Errorf("%v, want success: no slice of it waited long", err)
		}
		if took := time.Since(start); took < 2*defaultWait {
			t.Errorf("it took %v, which shows nothing", took)
		}
		settle() // the slice of that user may be split
		if have, err := s.Members(t.Context(), groupID); err != nil || !slices.Equal(have, members[120:]) {
			t.Errorf("%v, %v", have, err)
		}
	})
}

// TestRefused: a part of a batch that the API server refuses fails only its own caller.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRun(1, false)
		r.api.most = 128
		s := NewStore(r.api, "", Options{})
		withGroup(t, r.api, s)
		r.api.refuse = "4000-bad"
		gate := make(chan struct{})
		r.api.before = func(_ context.Context, verb, _ string) error {
			if verb == "patch" {
				<-gate
			}
			return nil
		}
		users := []string{people[0], people[1], "4000-bad", people[2]}
		errs := make([]error, len(users))
		for i, user := range users {
			go func() { errs[i] = s.Change(t.Context(), groupID, []Change{{user, true}}) }()
			synctest.Wait()
		}
		close(gate)
		settle()
		for i, err := range errs {
			if (err != nil) != (users[i] == "4000-bad") {
				t.Errorf("%s: %v", users[i], err)
			}
		}
	})
}
