// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lightrun.com/scim-operator/test/bench/internal/report"
	"lightrun.com/scim-operator/test/framework/devenv"
)

// sample contains the result of measuring one side once.
type sample struct {
	count    int
	elapsed  time.Duration
	times    []time.Duration // of each request, sorted
	webhook  time.Duration   // processor time of the side's own server: the webhook or its peer
	control  time.Duration   // processor time of the API server and etcd
	tooSlow  bool            // no request ended in time
	deadline time.Duration
}

func (s sample) rate() float64 { return float64(s.count) / s.elapsed.Seconds() }

func (s sample) per(d time.Duration) time.Duration {
	if s.count == 0 {
		return 0
	}
	return d / time.Duration(s.count)
}

func (s sample) quantile(q float64) time.Duration {
	if len(s.times) == 0 {
		return 0
	}
	return s.times[int(q*float64(len(s.times)-1))]
}

// series contains the samples of one side for one operation, over all rounds.
type series struct {
	next    atomic.Int64 // number of the next request
	samples []sample
	slow    bool // a request takes longer than a slot: one at a time, one round
}

// patience is the maximum time that a side may take for one request.
const patience = 3 * time.Minute

// measure sends requests to one side for one slot, with as many workers as the operation allows.
func (s *suite) measure(ctx context.Context, op operation, do request, of *series, pid int) error {
	limit := patience
	if !op.once {
		limit = max(4*s.slot, 20*time.Second)
	}
	slotCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if len(of.samples) == 0 && !op.once { // warm up, and see how long one takes
		begun := time.Now()
		if err := do(slotCtx, int(of.next.Add(1)-1)); err != nil {
			if slotCtx.Err() != nil && ctx.Err() == nil {
				of.slow = true
				of.samples = append(of.samples, sample{tooSlow: true, elapsed: limit, deadline: limit})
				return nil
			}
			return err
		}
		of.slow = time.Since(begun) > s.slot/8
	}
	workers := s.workers
	if op.alone || of.slow {
		workers = 1
	}
	out, err := s.slotOf(slotCtx, op, do, of, workers, pid)
	if err != nil && ctx.Err() == nil && (slotCtx.Err() != nil || op.once) {
		fmt.Printf("  %s was given up after %s: %v\n", op.name, out.elapsed.Round(time.Second), err)
		of.slow = true
		out = sample{tooSlow: true, elapsed: out.elapsed, deadline: out.elapsed}
		err = nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op.name, err)
	}
	of.samples = append(of.samples, out)
	return nil
}

func (s *suite) slotOf(ctx context.Context, op operation, do request, of *series, workers, pid int) (sample, error) {
	var mu sync.Mutex
	var out sample
	var failure error
	done := func(times []time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		out.times = append(out.times, times...)
		if failure == nil {
			failure = err
		}
	}
	webhook, control := s.processorTime(pid)
	begun := time.Now()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var times []time.Duration
			for {
				at := time.Now()
				err := do(ctx, int(of.next.Add(1)-1))
				if err == nil {
					times = append(times, time.Since(at))
				}
				if err != nil || op.once || time.Since(begun) >= s.slot {
					done(times, err)
					return
				}
			}
		})
	}
	wg.Wait()
	out.elapsed = time.Since(begun)
	webhookAfter, controlAfter := s.processorTime(pid)
	out.webhook, out.control = webhookAfter-webhook, controlAfter-control
	slices.Sort(out.times)
	out.count = len(out.times)
	return out, failure
}

// processorTime returns the processor time of a server so far, and that of the API server and etcd
// together. It is 0 without /proc.
func (s *suite) processorTime(server int) (own, control time.Duration) {
	for _, name := range []string{devenv.Kubernetes, devenv.Etcd} {
		if pid, err := s.env.PID(name); err == nil {
			control += report.Processor(pid)
		}
	}
	return report.Processor(server), control
}
