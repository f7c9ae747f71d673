// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// atOnce is the number of concurrent requests of a provider.
const atOnce = 8

// arrived contains the results of creating many users concurrently.
type arrived struct {
	count  int
	pushes time.Duration // time until the last response
	ready  time.Duration // time until the last user was Ready
	cost
}

func (a arrived) ratio() float64 { return a.ready.Seconds() / a.pushes.Seconds() }

// arrive creates users with atOnce requests at a time, and waits until all of them are Ready.
func (s *suite) arrive(ctx context.Context) (a arrived, err error) {
	a.count = s.arrivals
	fmt.Printf("%d users arrive, %d pushes at a time\n", a.count, atOnce)
	prefix := s.prefix()
	seen, err := s.observe(ctx, func(u *v1alpha1.ScimUser) bool { return strings.HasPrefix(u.Spec.UserName, prefix) && settled(u) })
	if err != nil {
		return a, err
	}
	defer seen.stop()
	before, err := s.cost(ctx)
	if err != nil {
		return a, err
	}
	profiled := make(chan error, 1)
	go func() { profiled <- s.profile(ctx, "arrivals.cpu", "profile?seconds=15") }()
	begun := time.Now()
	if err := s.pushAll(ctx, prefix); err != nil {
		return a, err
	}
	a.pushes = time.Since(begun)
	fmt.Printf("  pushed after %s; %d are Ready\n", seconds(a.pushes), seen.count())
	if err := seen.wait(ctx, a.count); err != nil {
		return a, err
	}
	s.users += a.count
	a.ready = seen.last().Sub(begun)
	after, err := s.cost(ctx)
	if err != nil {
		return a, err
	}
	a.cost = after.since(before)
	fmt.Printf("  all Ready after %s, %.2f times as long; portal: %s; API server: %s\n", seconds(a.ready), a.ratio(), a.calls, a.writes)
	return a, <-profiled
}

func (s *suite) pushAll(ctx context.Context, prefix string) error {
	work, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range atOnce {
		work.Go(func() error {
			for i := next.Add(1) - 1; i < int64(s.arrivals); i = next.Add(1) - 1 {
				if _, err := s.post(ctx, fmt.Sprintf("%s%06d@example.test", prefix, i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return work.Wait()
}
