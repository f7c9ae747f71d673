// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"testing"
	"time"
)

func TestCauses(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tc := range map[string]struct {
		reason string
		then   func(*causes)
		now    time.Time
		want   string
	}{
		"Newest":  {"Of a request about the group and a request about the user, the newer one is the cause.", func(*causes) {}, at.Add(2 * time.Second), "about-user"},
		"Done":    {"A request that was carried out is not the cause of a later change.", func(c *causes) { c.done("fast", "ada", "g1") }, at.Add(2 * time.Second), ""},
		"Old":     {"A request is not the cause of a change an hour later.", func(*causes) {}, at.Add(time.Hour), ""},
		"SetBack": {"A request is not the cause of a change before it, as after a clock that was set back.", func(*causes) {}, at.Add(-time.Second), ""},
		"Unnamed": {"A write without a request id does not remove the id of the request before it.", func(c *causes) { c.note("fast", "", at.Add(2*time.Second), "ada") }, at.Add(2 * time.Second), "about-user"},
	} {
		t.Run(name, func(t *testing.T) {
			var c causes
			c.note("fast", "about-group", at, "g1")
			c.note("fast", "about-user", at.Add(time.Second), "ada")
			tc.then(&c)
			if got := c.newest("fast", tc.now, "ada", "g1", "g2"); got != tc.want {
				t.Errorf("%s\ngot %q, want %q", tc.reason, got, tc.want)
			}
			if got := c.newest("other", tc.now, "ada", "g1"); got != "" {
				t.Errorf("another pool has %q", got)
			}
		})
	}
}

func TestCausesAreForgotten(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var c causes
	c.note("fast", "one", at, "ada", "bob")
	c.note("fast", "two", at.Add(2*causeAge), "eve")
	if len(c.all) != 1 {
		t.Errorf("%d are remembered", len(c.all))
	}
}
