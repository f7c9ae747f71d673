// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lightrun.com/scim-operator/api/v1alpha1"
)

// pushed contains the results of creating users at a steady rate.
type pushed struct {
	users     int // number of users at the start
	count     int
	answers   []time.Duration // times until the webhook's response, sorted
	effective []time.Duration // from the request until the watch shows the user Ready, sorted
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

// steady creates users at the rate until the time is over.
func (s *suite) steady(ctx context.Context) (pushed, error) {
	fmt.Printf("Pushing %d users a second for %s\n", s.rate, s.duration)
	until, cancel := context.WithTimeout(ctx, s.duration)
	defer cancel()
	profiled := make(chan error, 1)
	profile := max(time.Second, min(15*time.Second, s.duration)) // no longer than the pushes
	go func() {
		profiled <- s.profile(ctx, "pushes.cpu", fmt.Sprintf("profile?seconds=%d", int(profile.Seconds())))
	}()
	p, err := s.push(ctx, until.Done())
	if err != nil {
		return p, err
	}
	fmt.Printf("  %d pushes: answered p50 %s, p99 %s; in force p50 %s, p99 %s, slowest %s\n", p.count, milliseconds(quantile(p.answers, .5)), milliseconds(quantile(p.answers, .99)),
		milliseconds(quantile(p.effective, .5)), milliseconds(quantile(p.effective, .99)), milliseconds(quantile(p.effective, 1)))
	return p, <-profiled
}

// push creates users at the rate until stop, and waits until all of them are Ready.
func (s *suite) push(ctx context.Context, stop <-chan struct{}) (p pushed, err error) {
	p.users = s.users
	prefix := s.prefix()
	seen, err := s.observe(ctx, func(u *v1alpha1.ScimUser) bool { return strings.HasPrefix(u.Spec.UserName, prefix) && settled(u) })
	if err != nil {
		return p, err
	}
	defer seen.stop()
	var mu sync.Mutex
	began := map[string]time.Time{}
	tick := time.NewTicker(time.Second / time.Duration(s.rate))
	defer tick.Stop()
	work, workCtx := errgroup.WithContext(ctx)
	for going := true; going; {
		select {
		case <-stop:
			going = false
		case <-workCtx.Done():
			going = false
		case <-tick.C:
			name := fmt.Sprintf("%s%05d@example.test", prefix, p.count)
			p.count++
			work.Go(func() error {
				at := time.Now()
				_, err := s.post(workCtx, name)
				mu.Lock()
				defer mu.Unlock()
				began[name], p.answers = at, append(p.answers, time.Since(at))
				return err
			})
		}
	}
	if err := work.Wait(); err != nil {
		return p, err
	}
	s.users += p.count
	if err := seen.wait(ctx, p.count); err != nil {
		return p, err
	}
	for name, at := range began {
		p.effective = append(p.effective, seen.at(name).Sub(at))
	}
	slices.Sort(p.answers)
	slices.Sort(p.effective)
	return p, nil
}
