// SPDX-License-Identifier: Apache-2.0

package removals

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
)

// audit is a portal's audit in which removed of managed accounts lost their access within any
// window, and one pool.
type audit struct {
	portalapi.Audit
	removed, managed int
	pool             portalapi.PoolRemovals
}

func (a audit) Removals(context.Context, time.Duration) (portalapi.Removals, error) {
	return portalapi.Removals{Removed: a.removed, Managed: a.managed, Pools: map[string]portalapi.PoolRemovals{"p": a.pool}}, nil
}

func TestRemove(t *testing.T) {
	pool := &v1alpha1.AgentPool{}
	pool.Name, pool.Namespace = "leads", "lightrun"
	now := time.UnixMilli(1_764_168_000_000)
	removal := func(members, accounts int) Removal {
		r := Removal{Set: Set(portalapi.RemovalMembers, pool), Accounts: accounts, Pool: "p", Members: members}
		for i := range max(members, accounts) {
			r.Users = append(r.Users, string(rune('a'+i)))
		}
		return r
	}
	marked := func(r Removal, s portalapi.MarkState, at time.Time) Removal {
		r.Mark = &portalapi.Mark{What: r.Kind, State: s, Decision: r.ID(at.UnixMilli())}
		return r
	}
	before := now.Add(-time.Hour)
	for name, tc := range map[string]struct {
		reason  string
		removal Removal
		budget  int32
		audit   audit
		decided string // the annotation of a decision about the removal that was held before
		want    sets.Verdict
	}{
		"Fits":            {"A removal within the budget needs no decision.", removal(0, 1), 7, audit{removed: 6}, "", sets.Apply},
		"TooMany":         {"A removal of one user more than the budget is held.", removal(0, 1), 7, audit{removed: 7}, "", sets.Hold},
		"SetTooLarge":     {"A removal that does not fit is held as a whole: no part of it passes.", removal(0, 3), 7, audit{removed: 5}, "", sets.Hold},
		"MembersFit":      {"A pool has its own budget: what the company lost does not count.", removal(2, 0), 2, audit{removed: 99, pool: portalapi.PoolRemovals{Members: 30}}, "", sets.Apply},
		"MembersUsed":     {"Members that the pool lost earlier in the window count against its budget.", removal(2, 0), 2, audit{pool: portalapi.PoolRemovals{Members: 30, Removed: 1}}, "", sets.Hold},
		"BothBudgets":     {"A user who loses ROLE_MANAGER with the pool also counts against the company's budget.", removal(2, 2), 3, audit{removed: 2, pool: portalapi.PoolRemovals{Members: 30}}, "", sets.Hold},
		"NewWindow":       {"A held removal stays held when a new window has its whole budget.", marked(removal(1, 0), portalapi.MarkHeld, before), 7, audit{}, "", sets.Hold},
		"LargerBudget":    {"A held removal stays held when the budget is raised.", marked(removal(1, 0), portalapi.MarkHeld, before), math.MaxInt32, audit{}, "", sets.Hold},
		"Released":        {"A decision to release the removal by its id carries it out.", marked(removal(9, 0), portalapi.MarkHeld, before), 0, audit{}, v1alpha1.AnnotationRelease, sets.Apply},
		"Dropped":         {"A decision to drop the removal by its id keeps what it would take.", marked(removal(9, 0), portalapi.MarkHeld, before), 0, audit{}, v1alpha1.AnnotationDrop, sets.Keep},
		"HeldLater":       {"A decision does not release a removal that was held later: it has another id.", marked(removal(9, 0), portalapi.MarkHeld, now), 0, audit{}, v1alpha1.AnnotationRelease, sets.Hold},
		"DroppedRemember": {"A drop that the portal recorded counts, also without the annotation.", marked(removal(1, 0), portalapi.MarkDropped, before), 7, audit{}, "", sets.Keep},
	} {
		t.Run(name, func(t *testing.T) {
			var g Guard
			done := false
			spec := v1alpha1.DeprovisioningGuard{MinUsers: &tc.budget, MaxPercent: new(int32)}
			facts := Facts{Object: pool.DeepCopy(), Spec: spec, Now: now}
			facts.Object.SetAnnotations(map[string]string{tc.decided: tc.removal.ID(before.UnixMilli())})
			outcome, err := g.Remove(t.Context(), tc.audit, facts, tc.removal, func(context.Context) error { done = true; return nil })
			if err != nil || outcome.Verdict != tc.want || done != (tc.want == sets.Apply) {
				t.Fatalf("%s\ngot %v, %v; carried out: %v", tc.reason, outcome.Verdict, err, done)
			}
			if held := outcome.Held(); (held != nil) != (tc.want == sets.Hold) {
				t.Errorf("%s\nthe status says %+v", tc.reason, held)
			}
			release := "kubectl scim release agentpool/leads --id " + outcome.Decision
			if tc.want == sets.Keep {
				if m := outcome.Dropped("nothing changes"); !strings.Contains(m, "nothing changes. To carry it out after all: "+release) {
					t.Errorf("the message does not say the way back: %s", m)
				}
			}
			if tc.want != sets.Hold {
				return
			}
			if m := outcome.Message(); !strings.Contains(m, release) {
				t.Errorf("the message does not say how to decide: %s", m)
			} else if !strings.Contains(m, "or another removal of the same object was held or dropped before. It stays held") {
				t.Errorf("a removal that fits the budget can be held because of an earlier one: %s", m)
			}
		})
	}
}
