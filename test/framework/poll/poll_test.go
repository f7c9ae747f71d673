// SPDX-License-Identifier: Apache-2.0

package poll_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lightrun.com/scim-operator/test/framework/poll"
)

func TestUntil(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		check  func(context.Context, int) error
		took   time.Duration
		says   string
	}{
		"AtOnce":  {"A condition that is true at once needs no wait.", func(context.Context, int) error { return nil }, 0, ""},
		"Later":   {"A condition that is false is checked again every second.", func(_ context.Context, n int) error { return map[bool]error{true: errors.New("not yet")}[n < 3] }, 3 * time.Second, ""},
		"Never":   {"A condition that never becomes true is reported with its last error.", func(context.Context, int) error { return errors.New("two of three") }, 10 * time.Second, "two of three"},
		"Unknown": {"An error that the deadline causes does not hide an earlier error.", untilTheDeadline, 10 * time.Second, "one of three"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				start, n := time.Now(), -1
				err := poll.Until(ctx, time.Second, func(ctx context.Context) error { n++; return tc.check(ctx, n) })
				if took := time.Since(start); took != tc.took {
					t.Errorf("%s It took %s, want %s", tc.reason, took, tc.took)
				}
				if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%s Got %v, want %q", tc.reason, err, tc.says)
				}
			})
		})
	}
}

// untilTheDeadline answers once, and then blocks until ctx ends.
func untilTheDeadline(ctx context.Context, n int) error {
	if n == 0 {
		return errors.New("one of three")
	}
	<-ctx.Done()
	return ctx.Err()
}
