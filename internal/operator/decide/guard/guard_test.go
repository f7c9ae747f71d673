// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func members(users ...string) Set {
	return Set{Kind: portalapi.RemovalMembers, Object: "AgentPool leads", Users: users}
}

func TestID(t *testing.T) {
	base := members("ada", "bob")
	if got := members("bob", "ada").ID(7); got != base.ID(7) {
		t.Errorf("the id depends on the order of users: %s, %s", got, base.ID(7))
	}
	deletion := base
	deletion.Kind = portalapi.RemovalDeletion
	elsewhere := base
	elsewhere.Object = "AgentPool others"
	for reason, other := range map[string]string{
		"depends on additional users":         members("ada", "bob", "eve").ID(7),
		"depends on users who no longer lose": members("ada").ID(7),
		"depends on when it was first wanted": base.ID(8),
		"depends on what they would lose":     deletion.ID(7),
		"depends on the object":               elsewhere.ID(7),
	} {
		if other == base.ID(7) {
			t.Error(reason)
		}
	}
	at := time.UnixMilli(1_764_168_000_123)
	if id := base.ID(at.UnixMilli()); !Since(id).Equal(at) || !base.Is(id) || len(id) > 24 {
		t.Errorf("id %q since %s", id, Since(id))
	}
	for _, not := range []string{"", "-", "7", "no id", base.ID(7) + "0"} {
		if base.Is(not) {
			t.Errorf("%q must not identify the set", not)
		}
	}
}

func TestBudgetLeft(t *testing.T) {
	for name, tc := range map[string]struct {
		reason       string
		b            Budget
		all, removed int
		want         int
	}{
		"Percent":    {"The budget is a percentage of the users who were active at first.", Budget{20, 5}, 100, 3, 17},
		"Few":        {"With few users, the budget is a fixed number.", Budget{20, 5}, 4, 0, 5},
		"Used":       {"What was removed earlier in the window reduces the budget.", Budget{20, 5}, 20, 5, 0},
		"Overdrawn":  {"After a released removal above the budget, no budget is left.", Budget{20, 5}, 20, 9, 0},
		"NoneAtAll":  {"A budget of zero holds every removal.", Budget{0, 0}, 1000, 0, 0},
		"Everything": {"A budget of 100 percent holds nothing.", Budget{100, 0}, 10, 0, 10},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.b.Left(tc.all, tc.removed); got != tc.want {
				t.Errorf("%s\ngot %d, want %d", tc.reason, got, tc.want)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	const now = 1000
	set := members("ada", "bob")
	mark := func(s portalapi.MarkState, id string) *portalapi.Mark {
		return &portalapi.Mark{What: portalapi.RemovalMembers, State: s, Decision: id, At: "leads"}
	}
	held, earlier, later := set.ID(500), members("ada").ID(500), members("ada").ID(2000)
	for name, tc := range map[string]struct {
		reason  string
		set     Set
		mark    *portalapi.Mark
		decided map[string]Decision
		fits    bool
		want    Verdict
		id      string
	}{
		"Empty":           {"A change by which no user loses anything needs no decision.", members(), nil, nil, false, Nothing, ""},
		"TakenBack":       {"If the provider takes a held removal back, nothing is held any more.", members(), mark(portalapi.MarkHeld, held), nil, true, Nothing, ""},
		"Fits":            {"A removal within the budget needs no decision.", set, nil, nil, true, Apply, ""},
		"DoesNotFit":      {"A removal that does not fit is held completely.", set, nil, nil, false, Hold, set.ID(now)},
		"NewWindow":       {"A held removal stays held in the next window, although it fits the new budget.", set, mark(portalapi.MarkHeld, held), nil, true, Hold, held},
		"Released":        {"A removal is carried out if its exact set was released.", set, mark(portalapi.MarkHeld, held), map[string]Decision{held: Release}, false, Apply, held},
		"Dropped":         {"A removal is not carried out if its exact set was dropped.", set, mark(portalapi.MarkHeld, held), map[string]Decision{held: Drop}, true, Keep, held},
		"DropRemembered":  {"A drop that the portal recorded counts, also if its annotation was lost.", set, mark(portalapi.MarkDropped, held), nil, true, Keep, held},
		"ReleaseAfterAll": {"A dropped removal may be released later.", set, mark(portalapi.MarkDropped, held), map[string]Decision{held: Release}, false, Apply, held},
		"Grew":            {"A set that grew has another id: the release of the former set does not count for it.", set, mark(portalapi.MarkHeld, earlier), map[string]Decision{earlier: Release}, true, Hold, set.ID(now)},
		"GrewDropped":     {"A drop does not cover users who were added to the set later: the new set is held.", set, mark(portalapi.MarkDropped, earlier), nil, true, Hold, set.ID(now)},
		"OtherKind":       {"While another removal of the object is marked, a removal within the budget is held too.", set, &portalapi.Mark{What: portalapi.RemovalManager, State: portalapi.MarkHeld, Decision: "x"}, nil, true, Hold, set.ID(now)},
		"ClockBehind":     {"A new mark gets a new id, even if the clock went back.", set, mark(portalapi.MarkHeld, later), nil, true, Hold, set.ID(2001)},
		"NotHeldYet":      {"A decision about a set that was never held does not count.", set, nil, map[string]Decision{set.ID(now): Release}, false, Hold, set.ID(now)},
	} {
		t.Run(name, func(t *testing.T) {
			got, id, err := Decide(tc.set, Facts{
				Mark: tc.mark, Now: now,
				Decided: func(id string) Decision { return tc.decided[id] },
				Fits:    func() (bool, error) { return tc.fits, nil },
			})
			if got != tc.want || id != tc.id || err != nil {
				t.Errorf("%s\ngot %v %q %v, want %v %q", tc.reason, got, id, err, tc.want, tc.id)
			}
		})
	}
}

func TestUnknownBudget(t *testing.T) {
	unreachable := errors.New("unreachable")
	v, _, err := Decide(members("ada"), Facts{Fits: func() (bool, error) { return false, unreachable }})
	if !errors.Is(err, unreachable) {
		t.Errorf("got %v, %v", v, err)
	}
}
