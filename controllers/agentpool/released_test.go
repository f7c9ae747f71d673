// SPDX-License-Identifier: Apache-2.0

package agentpool

import "testing"

func TestReleasedUsers(t *testing.T) {
	var r releasedUsers
	r.note("ops", []string{"c", "a", "b"})
	for reason, tc := range map[string]struct {
		users []string
		want  bool
	}{
		"A part of the released users may leave.":             {[]string{"b", "a"}, true},
		"Without users there is no removal that is released.": {nil, false},
		"A user who was not released may not leave.":          {[]string{"a", "d"}, false},
	} {
		if got := r.includes("ops", tc.users); got != tc.want {
			t.Errorf("%s: got %v, want %v", reason, got, tc.want)
		}
	}
	if r.includes("others", []string{"a"}) {
		t.Error("a release for one pool permits a removal from another pool")
	}
	r.forget("ops")
	if r.includes("ops", []string{"a"}) {
		t.Error("a release permits a removal after it was forgotten")
	}
}
