// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func TestStraysReportEachChange(t *testing.T) {
	accounts := func(ids ...string) []*portalapi.Account {
		var out []*portalapi.Account
		for _, id := range ids {
			out = append(out, &portalapi.Account{ID: id, Owner: portalapi.Owner{UID: "uid-" + id}})
		}
		return out
	}
	var s strays
	start := time.Unix(1_000, 0)
	for i, step := range []struct {
		reason string
		found  []*portalapi.Account
		want   bool
	}{
		{"Without strays there is no event.", nil, false},
		{"New strays are reported.", accounts("1", "2"), true},
		{"The same strays are reported once.", accounts("1", "2"), false},
		{"Another account is reported, also if the number of accounts is the same.", accounts("2", "3"), true},
		{"Fewer strays are reported.", accounts("3"), true},
		{"The end of all strays is no event.", nil, false},
		{"A stray that returns is reported again.", accounts("3"), true},
	} {
		if got := s.found(step.found, start.Add(time.Duration(i)*time.Minute)); got != step.want {
			t.Errorf("%s found is %t, want %t", step.reason, got, step.want)
		}
	}
	if want := start.Add(6 * time.Minute); !s.firstSeen["uid-3"].Equal(want) {
		t.Errorf("account 3 was first seen at %s, want %s, when it returned", s.firstSeen["uid-3"], want)
	}
}

func TestNamed(t *testing.T) {
	many := strings.Split("abcdefghijkl", "")
	if got, want := named(many), "a, b, c, d, e, f, g, h, i, j, and 2 more"; got != want {
		t.Errorf("named is %q, want %q", got, want)
	}
	if got, want := named(many[:2]), "a, b"; got != want {
		t.Errorf("named is %q, want %q", got, want)
	}
}

func TestWindowMessage(t *testing.T) {
	for _, tc := range []struct{ reason, users, want string }{
		{"The warning names the users of the restore window.", "ada,bob", "The restore window is open: the Kubernetes users ada,bob may restore "},
		{"The warning says that no user may restore if the annotation is empty.", "", "The restore window is open, but names no Kubernetes user who may restore. "},
		{"The warning says that no user may restore if the annotation lists no names.", " ,", "The restore window is open, but names no Kubernetes user who may restore. "},
	} {
		if got := windowMessage("lightrun", tc.users); !strings.HasPrefix(got, tc.want) || !strings.Contains(got, "kubectl scim restore close -n lightrun") {
			t.Errorf("%s The message is %q, want the prefix %q", tc.reason, got, tc.want)
		}
	}
}
