// SPDX-License-Identifier: Apache-2.0

// Package retry has the bound and the pauses for a write that is repeated on fresh data because
// another writer was faster.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// Attempts is the number of times that a write is tried before it fails.
const Attempts = 12

// Pause waits before the given attempt, counted from 0: not at all before the first, then a random
// time below a limit that doubles from 8 to 256 ms. It returns nil after the pause, or the error of
// ctx if ctx ends first.
func Pause(ctx context.Context, attempt int) error {
	return PauseRandomly(ctx, attempt, rand.N[time.Duration])
}

// PauseRandomly is Pause with another source of random times: random returns a time below limit. A
// test passes one with a seed.
func PauseRandomly(ctx context.Context, attempt int, random func(limit time.Duration) time.Duration) error {
	if attempt == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(random(4 * time.Millisecond << min(attempt, 6)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
