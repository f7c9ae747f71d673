// SPDX-License-Identifier: Apache-2.0

package pass_test

import (
	"testing"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"lightrun.com/scim-operator/internal/operator/pass"
)

func TestRenewCount(t *testing.T) {
	first := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tc := range map[string]struct {
		reason            string
		complete, writing bool
		n                 int
		after             time.Duration // since the last write of the count, which was 1
		want              int64
		again             time.Duration
	}{
		"Loading": {"A count that is not complete is not shown.", false, true, 2, time.Hour, 1, 200 * time.Millisecond},
		"Same":    {"A count that has not changed is not written.", true, true, 1, time.Hour, 1, 0},
		"Early":   {"A count that changes alone is written at most twice a minute.", true, false, 2, 10 * time.Second, 1, 20 * time.Second},
		"Late":    {"A count that changes alone is written half a minute after the last write.", true, false, 2, 30 * time.Second, 2, 0},
		"Along":   {"A count is written together with any other change of the status.", true, true, 2, time.Second, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var c pass.Counts
			var have int64
			c.Renew("fast", &have, 1, true, true, first)
			again := c.Renew("fast", &have, tc.n, tc.complete, tc.writing, first.Add(tc.after))
			if have != tc.want || again != tc.again {
				t.Errorf("%s\ncount %d, again after %s", tc.reason, have, again)
			}
		})
	}
}

func TestRequeueWithin(t *testing.T) {
	var r ctrl.Result
	for _, step := range []struct{ wait, want time.Duration }{{0, 0}, {time.Minute, time.Minute}, {time.Hour, time.Minute}, {time.Second, time.Second}, {0, time.Second}} {
		if pass.RequeueWithin(&r, step.wait); r.RequeueAfter != step.want {
			t.Errorf("after %s it is requeued in %s, want %s", step.wait, r.RequeueAfter, step.want)
		}
	}
}

func TestOneLine(t *testing.T) {
	for want, in := range map[string][]string{"": nil, "a": {"a"}, "a,b,c,d": {"a", "b", "c", "d"}, "a,b,c,d +2": {"a", "b", "c", "d", "e", "f"}} {
		if got := pass.OneLine(in); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
