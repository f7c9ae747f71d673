// SPDX-License-Identifier: Apache-2.0

// Package poll waits for conditions: tests, benchmarks and the development environment have no
// other way to wait for another program.
package poll

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// Until calls check every interval until it returns nil. When ctx ends, the error contains the last
// one of check that was not caused by that.
func Until(ctx context.Context, every time.Duration, check func(context.Context) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	last := errors.New("it was never checked")
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), last)
		}
	}
}

// For is Until for a test: it fails the test unless check returns nil within the limit.
func For(tb testing.TB, what string, limit, every time.Duration, check func(context.Context) error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), limit)
	defer cancel()
	if err := Until(ctx, every, check); err != nil {
		tb.Fatalf("%s: not within %s: %v", what, limit, err)
	}
}
