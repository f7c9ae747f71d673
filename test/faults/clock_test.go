// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// setClocks sets the manager's clock or the portal's by a random time, from seconds to years.
func (w *world) setClocks() {
	if w.jump == nil || w.jump.IntN(3) > 0 {
		return
	}
	far := []time.Duration{2 * time.Second, time.Minute, time.Hour, 24 * time.Hour, 400 * 24 * time.Hour}
	by := far[w.jump.IntN(len(far))]
	if w.jump.IntN(2) == 0 {
		by = -by
	}
	[]*jumping{&w.ours, &w.theirs}[w.jump.IntN(2)].set(by)
}

// TestDaysWhenClocksJump: the day ends in the same state for any time of the manager's and the
// portal's clocks, even if they are set during a pass.
func TestDaysWhenClocksJump(t *testing.T) {
	var want []string
	var snapshots [][]store.Account
	synctest.Test(t, func(t *testing.T) { _, want, snapshots = undisturbed(t) })
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed_", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, fault{call: fmt.Sprint("seed ", seed)})
				w.jump = rand.New(rand.NewPCG(seed, seed))
				for i, s := range day() {
					s.do(w)
					w.watch = w.guardRails(w.accounts(), snapshots[i])
					w.settle()
					w.watch = nil
					if got := w.describe(); got != want[i] {
						t.Fatalf("after %q (-with correct clocks, +with clocks that jump):\n%s", s.name, cmp.Diff(strings.Split(want[i], "\n"), strings.Split(got, "\n")))
					}
				}
			})
		})
	}
}

// newGuarded creates a company of n users whose guard permits one removal per hour; the first three
// users have left.
func newGuarded(t *testing.T, n int) *world {
	w := newWorld(t, fault{})
	w.guard = budget{minUsers: 1}
	w.local("admin@example.test", portalapi.RoleManager)
	w.configure()
	for i := range n {
		w.push(fmt.Sprint("p", i), fmt.Sprintf("p%d@example.test", i))
	}
	w.settle()
	for i := range 3 {
		w.depart(i)
	}
	w.settle()
	return w
}

func (w *world) depart(i int) {
	w.change(fmt.Sprint("p", i), func(s *v1alpha1.ScimUserSpec) { no := false; s.Active = &no })
}

// held returns the users whose removal the guard holds.
func (w *world) held() []string {
	var out []string
	for _, u := range w.users() {
		if conditions.IsTrue(u.Status.Conditions, v1alpha1.ConditionDeprovisioningHeld) {
			out = append(out, strings.NewReplacer(w.ids...).Replace(u.Name))
		}
	}
	return out
}

func (w *world) wantHeld(when string, want ...string) {
	w.t.Helper()
	w.settle()
	if got := w.held(); !slices.Equal(got, want) {
		w.t.Errorf("%s the guard holds %v, want %v", when, got, want)
	}
}

// TestGuardUsesThePortalsClock: only the portal's clock counts for the window, so the manager's
// clock can't empty it. If the portal's clock goes back, the guard counts too many removals rather
// than too few. If it goes forward by the window, there is a new budget for later removals, not for
// held ones.
func TestGuardUsesThePortalsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newGuarded(t, 6)
		w.wantHeld("at first", "p1", "p2")
		for _, by := range []time.Duration{2 * time.Hour, -2 * time.Hour, 400 * 24 * time.Hour, -400 * 24 * time.Hour} {
			w.ours.set(by)
			w.wantHeld(fmt.Sprint("with our clock set by ", by), "p1", "p2")
			w.kill()
			w.wantHeld("and after a restart", "p1", "p2")
		}
		w.ours.set(0)
		w.theirs.set(-400 * 24 * time.Hour)
		w.wantHeld("with the portal's clock set back", "p1", "p2")
		w.theirs.set(2 * time.Hour)
		w.wantHeld("with the portal's clock set forward", "p1", "p2")
	})
}
