// Package guard keeps a mistake in the identity provider from locking out a company: removals within the budget apply,
// the rest is held until a person releases or drops it, or the provider takes it back. The portal counts what was removed
// in its audit and keeps a mark at each record whose removal is held, so a restart resets neither.
package guard

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/provision"
)

// The budget where an IdentityConfiguration sets none.
const (
	DefaultMaxPercent = 20
	DefaultMinUsers   = 5
	DefaultWindow     = time.Hour
)

// Guard lets removals through one after another, so that two at once can't both take the last of the budget.
type Guard struct{ mu sync.Mutex }

// Removal is one change that takes access or the manager role away.
type Removal struct {
	Users    int            // who lose it
	Decision Decision       // what a person decided about it
	Mark     portal.Removal // what the portal's record says was held before; empty: nothing
}

// passes says whether the removal may be carried out with left more removals in the budget. The mark is the memory: what was
// held once is not held because of the budget any more, so neither a new window nor a larger budget lets it pass.
func (r Removal) passes(left int) bool {
	switch {
	case r.Decision == Release, r.Users == 0:
		return true
	case r.Decision == Drop, r.Mark != "":
		return false
	}
	return r.Users <= left
}

// Stays says whether the removal is held before the budget is asked.
func (r Removal) Stays() bool { return !r.passes(math.MaxInt) }

// Held says that a removal waits for a person.
type Held struct {
	Users  int
	Window time.Duration
}

// Message tells a person what is held at an object of that generation, and how to decide.
func (h *Held) Message(generation int64) string {
	return fmt.Sprintf("Held by the deprovisioning guard until a person decides: %d removal(s) did not fit its budget for %s. If this is meant, annotate the object with %s=%d; if it is a mistake, with %s=%d",
		h.Users, h.Window, v1alpha1.AnnotationRelease, generation, v1alpha1.AnnotationDrop, generation)
}

// Remove calls do if the removal fits the budget of spec and was not held before, or if a person released it. Otherwise it
// says what is held.
func (g *Guard) Remove(ctx context.Context, audit portal.Audit, spec v1alpha1.DeprovisioningGuard, r Removal, do func() error) (*Held, error) {
	switch {
	case r.passes(0):
		return nil, do()
	case r.Stays():
		return &Held{Users: r.Users, Window: windowOf(spec)}, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	left, window, err := Left(ctx, audit, spec)
	if err != nil {
		return nil, err
	}
	if !r.passes(left) {
		return &Held{Users: r.Users, Window: window}, nil
	}
	return nil, do()
}

// Left says how many more removals fit the budget of spec now, and over which window they are counted.
func Left(ctx context.Context, audit portal.Audit, spec v1alpha1.DeprovisioningGuard) (left int, window time.Duration, err error) {
	window = windowOf(spec)
	past, err := audit.Removals(ctx, window)
	if err != nil {
		return 0, window, fmt.Errorf("count removals: %w", err)
	}
	budget := provision.Budget{MaxPercent: orDefault(spec.MaxPercent, DefaultMaxPercent), MinUsers: orDefault(spec.MinUsers, DefaultMinUsers)}
	return budget.Left(past.Managed, past.Removed), window, nil
}

func windowOf(spec v1alpha1.DeprovisioningGuard) time.Duration {
	if spec.Window == nil {
		return DefaultWindow
	}
	return spec.Window.Duration
}

func orDefault(v *int32, def int) int {
	if v == nil {
		return def
	}
	return int(*v)
}
