package guard

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/portal"
)

// audit is a portal's audit in which removed of managed accounts lost their access within any window.
type audit struct {
	portal.Audit
	removed, managed int
}

func (a audit) Removals(context.Context, time.Duration) (portal.Removals, error) {
	return portal.Removals{Removed: a.removed, Managed: a.managed}, nil
}

func TestRemove(t *testing.T) {
	cases := map[string]struct {
		reason  string
		removal Removal
		budget  int32
		audit   audit
		passes  bool
	}{
		"Fits":             {"Within the budget nobody is asked.", Removal{Users: 1}, 7, audit{removed: 6}, true},
		"TooMany":          {"One more than the budget waits.", Removal{Users: 1}, 7, audit{removed: 7}, false},
		"SetTooLarge":      {"What one change takes passes whole or not at all.", Removal{Users: 3}, 7, audit{removed: 5}, false},
		"NewWindow":        {"What was held stays held when the window has a whole budget again.", Removal{Users: 1, Mark: portal.RemovalDeactivation}, 7, audit{}, false},
		"LargerBudget":     {"A larger budget decides nothing about what is held.", Removal{Users: 1, Mark: portal.RemovalManager}, math.MaxInt32, audit{}, false},
		"Released":         {"A person lets it pass, whatever the budget says.", Removal{Users: 1, Decision: Release}, 0, audit{removed: 9}, true},
		"HeldReleased":     {"A person lets what was held pass.", Removal{Users: 1, Decision: Release, Mark: portal.RemovalDeletion}, 0, audit{}, true},
		"Dropped":          {"A person keeps what it would take.", Removal{Users: 1, Decision: Drop}, 7, audit{}, false},
		"NobodyLoses":      {"A change that takes nothing is no removal.", Removal{}, 0, audit{}, true},
		"NobodyLosesAgain": {"The manager role was taken from the last member meanwhile: nothing is left to hold.", Removal{Mark: portal.RemovalManager}, 0, audit{}, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var g Guard
			percent, called := int32(0), false
			spec := v1alpha1.DeprovisioningGuard{MinUsers: &tc.budget, MaxPercent: &percent}
			held, err := g.Remove(t.Context(), tc.audit, spec, tc.removal, func() error { called = true; return nil })
			if err != nil {
				t.Fatal(err)
			}
			if called != tc.passes || (held == nil) != tc.passes {
				t.Errorf("%s carried out: %v, held: %+v", tc.reason, called, held)
			}
			if held != nil && !strings.Contains(held.Message(4), v1alpha1.AnnotationRelease+"=4") {
				t.Errorf("it does not say how to decide: %s", held.Message(4))
			}
		})
	}
}
