// Package guard keeps a mistake in the identity provider from locking out a company: removals within the budget apply,
// the rest is held until a person releases them. What was removed is counted from the portal's audit, so a restart does
// not reset it.
package guard

import (
	"context"
	"fmt"
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

// Held says that a removal does not fit the budget.
type Held struct {
	Wanted int
	Window time.Duration
}

// Message tells a person what is held at an object of that generation, and how to decide.
func (h *Held) Message(generation int64) string {
	return fmt.Sprintf("Held by the deprovisioning guard: %d removal(s) more than its budget for %s allows. If this is meant, annotate the object with %s=%d; if it is a mistake, with %s=%d",
		h.Wanted, h.Window, v1alpha1.AnnotationRelease, generation, v1alpha1.AnnotationDrop, generation)
}

// Remove calls do if n removals fit the budget of spec, or if a person released them, and says otherwise what is held.
func (g *Guard) Remove(ctx context.Context, audit portal.Audit, spec v1alpha1.DeprovisioningGuard, n int, released bool, do func() error) (*Held, error) {
	if released {
		return nil, do()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	left, window, err := Left(ctx, audit, spec)
	if err != nil {
		return nil, err
	}
	if left < n {
		return &Held{Wanted: n, Window: window}, nil
	}
	return nil, do()
}

// Left says how many more removals fit the budget of spec now, and over which window they are counted.
func Left(ctx context.Context, audit portal.Audit, spec v1alpha1.DeprovisioningGuard) (left int, window time.Duration, err error) {
	window = DefaultWindow
	if spec.Window != nil {
		window = spec.Window.Duration
	}
	past, err := audit.Removals(ctx, window)
	if err != nil {
		return 0, window, fmt.Errorf("count removals: %w", err)
	}
	budget := provision.Budget{MaxPercent: orDefault(spec.MaxPercent, DefaultMaxPercent), MinUsers: orDefault(spec.MinUsers, DefaultMinUsers)}
	return budget.Left(past.Managed, past.Removed), window, nil
}

func orDefault(v *int32, def int) int {
	if v == nil {
		return def
	}
	return int(*v)
}
