// SPDX-License-Identifier: Apache-2.0

// Package removals prevents that a mistake in the identity provider locks out a company: it carries
// out removals within the budget, and holds the others until a person releases or drops them, or
// the provider reverts them. The portal counts removals in its audit log, and its record of an
// object has a mark while a removal is held. Therefore a restart of the manager resets neither. The
// pure package internal/operator/decide/guard decides; this package reads the portal's counts and
// people's decisions.
package removals

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
)

// The defaults for the budget in an IdentityConfiguration.
const (
	DefaultMaxPercent = 20        // percent of the accounts, or of a pool's members, in one window
	DefaultMinUsers   = 5         // users who may always be removed in one window
	DefaultWindow     = time.Hour // the time over which removals are counted
)

// Guard carries out removals one after another, so that two concurrent removals can't both use the
// rest of the budget.
type Guard struct{ mu sync.Mutex }

// Removal is a set of users who would lose something by one change of one object, with what the
// budgets count.
type Removal struct {
	sets.Set
	Mark     *portalapi.Mark // mark of the portal's record; nil if nothing is held or was dropped
	Accounts int             // number of users who lose access or ROLE_MANAGER; the company's budget counts them
	Pool     string          // portal id of the pool that users leave; its budget counts Members. Empty if they leave no pool
	Members  int
}

// Facts contains the inputs of a decision about a removal.
type Facts struct {
	Object client.Object // the object that a person annotates to decide
	Spec   v1alpha1.DeprovisioningGuard
	Now    time.Time
}

// Outcome is the outcome of a removal.
type Outcome struct {
	sets.Verdict
	Decision  string // the id of the set, if the removal is or was held
	Removal   Removal
	Window    time.Duration
	Namespace string // of the object that a person annotates to decide
}

// Held returns the outcome for the object's status, and nil if nothing is held.
func (a Outcome) Held() *v1alpha1.HeldRemoval {
	if a.Verdict != sets.Hold {
		return nil
	}
	return &v1alpha1.HeldRemoval{Decision: a.Decision, Removal: string(a.Removal.Kind), Users: int64(len(a.Removal.Users))}
}

// Mark returns the outcome for the portal's record, and nil if nothing is held or was dropped. at
// is the name of the object that a person annotates to decide.
func (a Outcome) Mark(at string) *portalapi.Mark {
	m := &portalapi.Mark{What: a.Removal.Kind, State: portalapi.MarkHeld, Decision: a.Decision, At: at}
	switch a.Verdict {
	case sets.Hold:
		return m
	case sets.Keep:
		m.State = portalapi.MarkDropped
		return m
	}
	return nil
}

// Message describes the held removal, and how to decide about it.
func (a Outcome) Message() string {
	loss := map[portalapi.Removal]string{
		portalapi.RemovalDeactivation: "lose access", portalapi.RemovalDeletion: "lose what it gives", portalapi.RemovalManager: "lose ROLE_MANAGER", portalapi.RemovalMembers: "leave the pool",
	}[a.Removal.Kind]
	release, drop := sets.Commands(a.Namespace, a.Removal.Object, a.Decision)
	return fmt.Sprintf("Held by the deprovisioning guard until a person decides about %s: %d user(s) would %s. On %s this did not fit the budget for %s, or another removal of the same object was held or dropped before. It stays held, also if it fits the budget now. If this is meant: %s; if it is a mistake: %s",
		a.Decision, len(a.Removal.Users), loss, sets.Since(a.Decision).UTC().Format("2006-01-02 at 15:04 UTC"), a.Window, release, drop)
}

// Dropped describes the removal that a person dropped, and how to carry it out after all. stays is
// what does not change meanwhile.
func (a Outcome) Dropped(stays string) string {
	release, _ := sets.Commands(a.Namespace, a.Removal.Object, a.Decision)
	return fmt.Sprintf("A person dropped this removal (%s): %s. To carry it out after all: %s", a.Decision, stays, release)
}

// Set returns the set of users who would lose something by a change of the object.
func Set(kind portalapi.Removal, o client.Object, users ...string) sets.Set {
	of := "ScimUser "
	if _, pool := o.(*v1alpha1.AgentPool); pool {
		of = "AgentPool "
	}
	u, user := o.(*v1alpha1.ScimUser)
	return sets.Set{Kind: kind, Object: of + o.GetName(), Users: users, Deleted: user && u.Spec.Deleted}
}

// Remove calls do if the removal fits the budgets and was not held before, or if a person released
// exactly this removal. Otherwise its result is that the removal is held or was dropped, and the
// caller marks that in the portal. The context of do has the name of the person who released the
// removal, for the portal's audit.
func (g *Guard) Remove(ctx context.Context, audit portalapi.Audit, facts Facts, r Removal, do func(context.Context) error) (Outcome, error) {
	if r.Mark == nil { // the budget decides: the portal must count this removal before the next one reads the budget
		g.mu.Lock()
		defer g.mu.Unlock()
	}
	outcome, err := Foresee(facts, r, func() (bool, error) { return fits(ctx, audit, facts.Spec, r) })
	if err != nil {
		return outcome, err
	}
	if outcome.Verdict == sets.Apply {
		return outcome, do(outcome.decisionContext(ctx, facts.Object))
	}
	return outcome, nil
}

// Foresee predicts the outcome of the removal. fits reports whether the removal fits the budgets.
func Foresee(facts Facts, r Removal, fits func() (bool, error)) (Outcome, error) {
	v, id, err := sets.Decide(r.Set, sets.Facts{
		Mark: r.Mark, Now: facts.Now.UnixMilli(), Fits: fits,
		Decided: func(id string) Decision { return Decide(facts.Object, id) },
	})
	return Outcome{Verdict: v, Decision: id, Removal: r, Window: windowOf(facts.Spec), Namespace: facts.Object.GetNamespace()}, err
}

func fits(ctx context.Context, audit portalapi.Audit, spec v1alpha1.DeprovisioningGuard, r Removal) (bool, error) {
	if r.Accounts == 0 && r.Members == 0 {
		return true, nil
	}
	left, err := Budgets(ctx, audit, spec)
	if err != nil {
		return false, err
	}
	return left.Fits(r), nil
}

// Left contains the number of removals that the budgets still allow.
type Left struct {
	Accounts int           // of accounts in the company
	Window   time.Duration // the time in which removals are counted

	budget sets.Budget
	pools  map[string]portalapi.PoolRemovals
}

// Members returns the number of members that the portal's pool with this id may still lose.
func (l Left) Members(pool string) int {
	past := l.pools[pool]
	return l.budget.Left(past.Members+past.Removed, past.Removed)
}

// Fits reports whether the removal fits both budgets.
func (l Left) Fits(r Removal) bool {
	return (r.Accounts == 0 || r.Accounts <= l.Accounts) && (r.Members == 0 || r.Members <= l.Members(r.Pool))
}

// Budgets reads the portal's counts, and returns how many more removals fit the budgets of spec
// now.
func Budgets(ctx context.Context, audit portalapi.Audit, spec v1alpha1.DeprovisioningGuard) (Left, error) {
	left := Left{Window: windowOf(spec), budget: sets.Budget{MaxPercent: orDefault(spec.MaxPercent, DefaultMaxPercent), MinUsers: MinUsers(spec)}}
	past, err := audit.Removals(ctx, left.Window)
	if err != nil {
		return left, fmt.Errorf("count removals: %w", err)
	}
	left.Accounts, left.pools = left.budget.Left(past.Managed, past.Removed), past.Pools
	return left, nil
}

// MinUsers returns the number of removals that the budget always allows.
func MinUsers(spec v1alpha1.DeprovisioningGuard) int {
	return orDefault(spec.MinUsers, DefaultMinUsers)
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
