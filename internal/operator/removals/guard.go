// SPDX-License-Identifier: Apache-2.0

// Package removals keeps a mistake in the identity provider from locking out a company: removals
// within the budget apply, the rest is held until a person releases or drops it, or the provider
// reverts it. The portal counts what was removed in its audit and keeps a mark at each record
// whose removal is held, so a restart resets neither. The pure
// package internal/operator/decide/guard decides; this one asks the portal and reads people's
// decisions.
package removals

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

// The budget where an IdentityConfiguration sets none.
const (
	DefaultMaxPercent = 20        // percent of the accounts, or of a pool's members, in one window
	DefaultMinUsers   = 5         // users who may always be removed in one window
	DefaultWindow     = time.Hour // the time over which removals are counted
)

// Guard lets removals through one after another, so that two at once can't both take the last of
// the budget.
type Guard struct{ mu sync.Mutex }

// Removal is a set of users who would lose something by one change of one object, and what it
// counts for.
type Removal struct {
	sets.Set
	Mark     *portalapi.Mark // at the portal's record: what is held or was dropped there
	Accounts int             // how many lose access or ROLE_MANAGER by it: counted for the company
	Pool     string          // the portal's id of the pool whose members they are; its budget counts Members. Empty: none
	Members  int
}

// On are the inputs of a decision about a removal.
type On struct {
	Object    client.Object // where a person decides
	Decisions session.Decisions
	Spec      v1alpha1.DeprovisioningGuard
	Now       time.Time
}

// Answer is what became of a removal.
type Answer struct {
	sets.Verdict
	Decision string // the id of the set, where it is or was held
	Removal  Removal
	Window   time.Duration
}

// Held is the answer for the object's status; nil where nothing is held.
func (a Answer) Held() *v1alpha1.HeldRemoval {
	if a.Verdict != sets.Hold {
		return nil
	}
	return &v1alpha1.HeldRemoval{Decision: a.Decision, Removal: string(a.Removal.Kind), Users: int64(len(a.Removal.Users))}
}

// Mark is the answer for the portal's record; nil where nothing is held or was dropped.
func (a Answer) Mark(at string) *portalapi.Mark {
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

// Message says what is held, and how to decide.
func (a Answer) Message() string {
	loss := map[portalapi.Removal]string{
		portalapi.RemovalDeactivation: "lose access", portalapi.RemovalDeletion: "lose what it gives", portalapi.RemovalManager: "lose ROLE_MANAGER", portalapi.RemovalMembers: "leave the pool",
	}[a.Removal.Kind]
	kind, name, _ := strings.Cut(a.Removal.Object, " ")
	object := strings.ToLower(kind) + "/" + name
	return fmt.Sprintf("Held by the deprovisioning guard until a person decides about %s: %d user(s) would %s, which did not fit its budget for %s. If this is meant: kubectl scim release %s --id %s; if it is a mistake: kubectl scim drop %s --id %s",
		a.Decision, len(a.Removal.Users), loss, a.Window, object, a.Decision, object, a.Decision)
}

// Set is the removal of those users by a change of the object.
func Set(kind portalapi.Removal, o client.Object, users ...string) sets.Set {
	of := "ScimUser "
	if _, pool := o.(*v1alpha1.AgentPool); pool {
		of = "AgentPool "
	}
	return sets.Set{Kind: kind, Object: of + o.GetName(), Users: users}
}

// Remove calls do if the removal fits the budgets and was not held before, or if a person released
// exactly it. Otherwise it says whether it is held or was dropped; the caller marks that in the
// portal. A decision that comes from the one for all that is held is written to the object
// first, through w, so that it outlives this pass.
func (g *Guard) Remove(ctx context.Context, w client.Writer, audit portalapi.Audit, on On, r Removal, do func() error) (Answer, error) {
	if r.Mark == nil { // the budget is asked: what passes by it has to be counted before the next one asks
		g.mu.Lock()
		defer g.mu.Unlock()
	}
	answer, err := Foresee(on, r, func() (bool, error) { return fits(ctx, audit, on.Spec, r) })
	if err != nil {
		return answer, err
	}
	if answer.Decision != "" {
		if err := persist(ctx, w, on.Object, answer.Decision, on.Decisions); err != nil {
			return answer, fmt.Errorf("write the decision to the object: %w", err)
		}
	}
	if answer.Verdict == sets.Apply {
		return answer, do()
	}
	return answer, nil
}

// Foresee predicts the answer about the removal. fits says whether the budgets have room for it.
func Foresee(on On, r Removal, fits func() (bool, error)) (Answer, error) {
	v, id, err := sets.Decide(r.Set, sets.Facts{
		Mark: r.Mark, Now: on.Now.UnixMilli(), Fits: fits,
		Decided: func(id string) Decision { return Decide(on.Object, id, on.Decisions) },
	})
	return Answer{Verdict: v, Decision: id, Removal: r, Window: windowOf(on.Spec)}, err
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

// Left is what the budgets have left.
type Left struct {
	Accounts int           // for the company
	Window   time.Duration // over which removals are counted

	budget sets.Budget
	pools  map[string]portalapi.PoolRemovals
}

// Members is how many more members the portal's pool of that id may lose.
func (l Left) Members(pool string) int {
	past := l.pools[pool]
	return l.budget.Left(past.Members+past.Removed, past.Removed)
}

// Fits says whether the removal fits both budgets.
func (l Left) Fits(r Removal) bool {
	return (r.Accounts == 0 || r.Accounts <= l.Accounts) && (r.Members == 0 || r.Members <= l.Members(r.Pool))
}

// Budgets asks the portal how many more removals fit the budgets of spec now.
func Budgets(ctx context.Context, audit portalapi.Audit, spec v1alpha1.DeprovisioningGuard) (Left, error) {
	left := Left{Window: windowOf(spec), budget: sets.Budget{MaxPercent: orDefault(spec.MaxPercent, DefaultMaxPercent), MinUsers: MinUsers(spec)}}
	past, err := audit.Removals(ctx, left.Window)
	if err != nil {
		return left, fmt.Errorf("count removals: %w", err)
	}
	left.Accounts, left.pools = left.budget.Left(past.Managed, past.Removed), past.Pools
	return left, nil
}

// MinUsers is how many removals the budget always allows.
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
