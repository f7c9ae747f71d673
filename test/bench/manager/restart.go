// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"lightrun.com/scim-operator/test/bench/internal/report"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// restarted contains the results of one start of the manager, with all users in the desired state.
type restarted struct {
	users     int
	ready     time.Duration // time until /readyz responds
	passed    time.Duration // until there was a pass over every user and all queues are empty
	passes    float64       // reconciles of users, by both of their controllers
	processor time.Duration // of the manager, until then
	writes    counts        // by resource
	calls     counts        // to the portal, by method
	resident  int64         // bytes
	heap      float64       // bytes that are reachable
}

// restarts starts the manager twice on n users. The first start is not measured: it proves that the
// seeded users need no change, and updates the counts in pools and in the configuration.
func (s *suite) restarts(ctx context.Context, n int) (restarted, error) {
	if err := s.grow(ctx, n); err != nil {
		return restarted{}, err
	}
	first, err := s.restart(ctx)
	if err != nil {
		return first, err
	}
	if w := first.writes; w["scimusers"]+w["scimusers/status"]+w["nameclaims"] != 0 || first.calls["PutAccount"] != 0 {
		return first, fmt.Errorf("the seeded users were not in the desired state: the first pass over them wrote %s and called %s", w, first.calls)
	}
	if err := s.env.Halt(devenv.Manager); err != nil {
		return first, err
	}
	return s.restart(ctx)
}

// restart starts the stopped manager and measures it.
func (s *suite) restart(ctx context.Context) (r restarted, err error) {
	r.users = s.users
	before, err := s.writes(ctx)
	if err != nil {
		return r, err
	}
	begun := time.Now()
	if err := s.env.Restart(ctx, devenv.Manager); err != nil {
		return r, err
	}
	r.ready = time.Since(begun)
	pid, err := s.env.PID(devenv.Manager)
	if err != nil {
		return r, err
	}
	profiled := make(chan error, 1)
	go func() { profiled <- s.profile(ctx, fmt.Sprintf("restart-%d.cpu", s.users), "profile?seconds=15") }()
	idle, err := s.idle(ctx, pid)
	if err != nil {
		return r, err
	}
	r.passed, r.processor = idle.at.Sub(begun), idle.processor
	r.passes = idle.metrics.sum("controller_runtime_reconcile_total", `controller="scimuser`)
	r.calls = idle.metrics.by("scim_portal_call_duration_seconds_count", "method")
	after, err := s.writes(ctx)
	if err != nil {
		return r, err
	}
	r.writes = after.minus(before)
	if err := <-profiled; err != nil {
		return r, err
	}
	r.resident = report.Resident(pid)
	r.heap, err = s.reachable(ctx)
	if err == nil {
		err = s.profile(ctx, fmt.Sprintf("restart-%d.heap", s.users), "heap?gc=1")
	}
	fmt.Printf("  passes over %d users done after %s, %.0f passes, %s of processor time; %d MiB resident, %.0f MiB reachable; writes: %s; portal: %s\n",
		r.users, seconds(r.passed), r.passes, seconds(r.processor), r.resident>>20, r.heap/(1<<20), r.writes, r.calls)
	return r, err
}

// reachable returns the bytes in the manager's heap after a garbage collection.
func (s *suite) reachable(ctx context.Context) (float64, error) {
	for range 2 { // the second collection frees what the first finalized
		if _, err := fetch(ctx, s.http, "http://"+s.debug+"/debug/pprof/heap?gc=1"); err != nil {
			return 0, err
		}
	}
	m, err := s.manager(ctx)
	return m.sum("go_memstats_heap_alloc_bytes"), err
}

// quiet is when the manager had nothing left to do.
type quiet struct {
	at        time.Time
	processor time.Duration
	metrics   metrics // a while later
}

// stillness is the time without work after which the manager counts as idle.
const stillness = 3 * time.Second

// idle waits until the manager has read the portal, has reconciled each user at least once, and has
// nothing to do. Before it has read the portal, it does not reconcile users in the desired state.
func (s *suite) idle(ctx context.Context, pid int) (q quiet, err error) {
	tick, progress := time.NewTicker(100*time.Millisecond), time.NewTicker(15*time.Second)
	defer tick.Stop()
	defer progress.Stop()
	for begun := time.Now(); ; {
		if q.metrics, err = s.manager(ctx); err != nil && time.Since(begun) > time.Minute { // they come a little after /readyz
			return q, err
		}
		passes := q.metrics.sum("controller_runtime_reconcile_total", `controller="scimuser`) // both controllers of users
		listed := q.metrics.sum("scim_portal_reachable") == 1
		busy := q.metrics.sum("workqueue_depth") + q.metrics.sum("controller_runtime_active_workers")
		switch {
		case !listed || int(passes) < s.users || busy > 0:
			q.at = time.Time{}
		case q.at.IsZero():
			q.at, q.processor = time.Now(), report.Processor(pid)
		case time.Since(q.at) > stillness:
			return q, nil
		}
		select {
		case <-tick.C:
		case <-progress.C:
			fmt.Printf("  %.0f passes over %d users\n", passes, s.users)
		case <-ctx.Done():
			return q, fmt.Errorf("%.0f passes over %d users: %w", passes, s.users, ctx.Err())
		}
	}
}
