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
		at := start.Add(time.Duration(i) * time.Minute)
		_, got := s.found(step.found, at)
		settled, later := s.found(step.found, at.Add(settling))
		if len(settled) != len(step.found) {
			t.Errorf("%s %d of %d accounts are settled", step.reason, len(settled), len(step.found))
		}
		if got = got || later; got != step.want {
			t.Errorf("%s found is %t, want %t", step.reason, got, step.want)
		}
	}
	if want := start.Add(6 * time.Minute); !s.firstSeen["uid-3"].Equal(want) {
		t.Errorf("account 3 was first seen at %s, want %s, when it returned", s.firstSeen["uid-3"], want)
	}
}

func TestStraysSettle(t *testing.T) {
	var s strays
	at := time.Unix(1_000, 0)
	stray := []*portalapi.Account{{ID: "1", Owner: portalapi.Owner{UID: "uid-1"}}}
	for _, step := range []struct {
		reason string
		after  time.Duration
		found  []*portalapi.Account
		want   int
	}{
		{"An account that the operator is about to release looks like a stray, and is none.", 0, stray, 0},
		{"It is released.", time.Second, nil, 0},
		{"An account that is a stray again waits again.", settling, stray, 0},
		{"It is a stray if it is one for longer.", settling, stray, 1},
	} {
		at = at.Add(step.after)
		if got, _ := s.found(step.found, at); len(got) != step.want {
			t.Errorf("%s found %d, want %d", step.reason, len(got), step.want)
		}
	}
}

func TestOwnerGone(t *testing.T) {
	account := func(status portalapi.Status, roles ...string) *portalapi.Account {
		return &portalapi.Account{Status: status, Roles: roles}
	}
	for name, tc := range map[string]struct {
		reason   string
		accounts []*portalapi.Account
		pools    []*portalapi.Pool
		says     string // the start of the message; empty if there is no condition
	}{
		"None": {reason: "Without strays there is no condition."},
		"Managers": {reason: "The managers who can sign in are counted.",
			accounts: []*portalapi.Account{account(portalapi.StatusActive, portalapi.RoleManager), account(portalapi.StatusDeactivated, portalapi.RoleManager), account(portalapi.StatusActive)},
			says:     "In the portal, 3 account(s) have no ScimUser any more (1 with ROLE_MANAGER), and keep"},
		"Pools": {reason: "A pool counts also while the guard holds its release.",
			accounts: []*portalapi.Account{account(portalapi.StatusActive)}, pools: []*portalapi.Pool{{}, {Mark: &portalapi.Mark{State: portalapi.MarkHeld}}},
			says: "In the portal, 1 account(s) have no ScimUser any more and 2 pool(s) have no AgentPool any more, and keep"},
		"Dropped": {reason: "A pool stays, as the person decided who dropped its release.", pools: []*portalapi.Pool{{Mark: &portalapi.Mark{State: portalapi.MarkDropped}}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := countOwnerGone(tc.accounts, tc.pools)
			switch {
			case tc.says == "" && g != nil:
				t.Errorf("%s Counted %+v", tc.reason, g)
			case tc.says != "" && (g == nil || !strings.HasPrefix(ownerGoneMessage("x", *g), tc.says) || !strings.Contains(ownerGoneMessage("x", *g), "kubectl scim audit --release -n x")):
				t.Errorf("%s Counted %+v", tc.reason, g)
			}
		})
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
