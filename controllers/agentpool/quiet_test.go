// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"testing"
	"time"
)

func TestARequestInSeveralWritesIsOneSet(t *testing.T) {
	start := time.UnixMilli(1_764_168_000_000)
	type look struct {
		after    time.Duration // since the first
		set      string
		complete bool
		want     time.Duration
	}
	for name, tc := range map[string]struct {
		reason string
		looks  []look
	}{
		"Whole":     {"A set that has not changed for a second is whole.", []look{{0, "a", true, settled}, {settled / 2, "a", true, settled / 2}, {settled, "a", true, 0}}},
		"Grows":     {"Each write begins the second again.", []look{{0, "a", true, settled}, {settled, "b", true, settled}, {2 * settled, "b", true, 0}}},
		"UnderWay":  {"While a replacement is known to be under way, a second is not enough.", []look{{0, "a", false, settled}, {2 * settled, "a", false, settled}, {3 * settled, "a", true, 0}}},
		"BrokenOff": {"A replacement that broke off is not waited for without end.", []look{{0, "a", false, settled}, {longest - settled/2, "a", false, settled / 2}, {longest, "a", false, 0}}},
		"Churns":    {"Nor is one that never settles.", []look{{0, "a", true, settled}, {longest, "b", true, 0}}},
		"ClockBack": {"A clock that is set back begins the wait again, and does not make it longer than that.", []look{{0, "a", true, settled}, {-time.Hour, "a", true, settled}, {-time.Hour + settled, "a", true, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			var q quiet
			for i, l := range tc.looks {
				if got := q.left("ops", l.set, start.Add(l.after), l.complete); got != l.want {
					t.Fatalf("%s\nlook %d: wait %s, want %s", tc.reason, i, got, l.want)
				}
			}
			q.end("ops")
			if got := q.left("ops", "z", start, true); got != settled {
				t.Errorf("the next set waits %s, want %s", got, settled)
			}
		})
	}
}

func TestOnlyTheRestOfWhatWasReleasedPasses(t *testing.T) {
	var r released
	r.note("ops", []string{"c", "a", "b"})
	for reason, tc := range map[string]struct {
		users []string
		want  bool
	}{
		"some of them are left":       {[]string{"b", "a"}, true},
		"no user is left":             {nil, false},
		"another one is to leave too": {[]string{"a", "d"}, false},
	} {
		if got := r.includes("ops", tc.users); got != tc.want {
			t.Errorf("%s: %v", reason, got)
		}
	}
	r.forget("ops")
	if r.includes("ops", []string{"a"}) || r.includes("others", []string{"a"}) {
		t.Error("what was released once passes for ever")
	}
}
