// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"testing"
	"time"
)

func TestSettleTimer(t *testing.T) {
	start := time.UnixMilli(1_764_168_000_000)
	type call struct {
		after    time.Duration // since the first call
		set      string
		complete bool // true if no replacement is in progress
		want     time.Duration
	}
	for name, tc := range map[string]struct {
		reason string
		calls  []call
	}{
		"Settled":     {"A set that has not changed for settleTime is complete.", []call{{0, "a", true, settleTime}, {settleTime / 2, "a", true, settleTime / 2}, {settleTime, "a", true, 0}}},
		"Grows":       {"After a change of the set, the wait lasts settleTime again.", []call{{0, "a", true, settleTime}, {settleTime, "b", true, settleTime}, {2 * settleTime, "b", true, 0}}},
		"InProgress":  {"While a replacement is in progress, a set is not complete after settleTime.", []call{{0, "a", false, settleTime}, {2 * settleTime, "a", false, settleTime}, {3 * settleTime, "a", true, 0}}},
		"Interrupted": {"If a replacement stays in progress, the wait ends after maxWait.", []call{{0, "a", false, settleTime}, {maxWait - settleTime/2, "a", false, settleTime / 2}, {maxWait, "a", false, 0}}},
		"Churns":      {"If the set changes again and again, the wait ends after maxWait.", []call{{0, "a", true, settleTime}, {maxWait, "b", true, 0}}},
		"ClockBack":   {"If the clock is set back, the wait begins again and is not longer than settleTime.", []call{{0, "a", true, settleTime}, {-time.Hour, "a", true, settleTime}, {-time.Hour + settleTime, "a", true, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			var timer settleTimer
			for i, c := range tc.calls {
				if got := timer.remaining("ops", c.set, start.Add(c.after), c.complete); got != c.want {
					t.Fatalf("%s\ncall %d: got %s, want %s", tc.reason, i, got, c.want)
				}
			}
			timer.reset("ops")
			if got := timer.remaining("ops", "z", start, true); got != settleTime {
				t.Errorf("after a reset the next set waits %s, want %s", got, settleTime)
			}
		})
	}
}
