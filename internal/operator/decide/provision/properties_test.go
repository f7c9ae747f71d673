// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// carryOut applies a plan as a portal does.
func carryOut(p Plan, want Account) *portalapi.Account {
	if !p.Writes() {
		return p.Account
	}
	return account(want, func(a *portalapi.Account) {
		if p.Account != nil {
			a.ID = p.Account.ID
		}
	})
}

var (
	someText  = rapid.SampledFrom([]string{"", "x", "y"})
	somePools = rapid.Custom(func(t *rapid.T) []string {
		return slices.Sorted(slices.Values(rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"p-default", "p-fast", "p-managers"}), 0, 3, rapid.ID[string]).Draw(t, "pools")))
	})
	someRoles = rapid.SampledFrom([][]string{{"ROLE_USER"}, {"ROLE_MANAGER", "ROLE_USER"}})
	someBy    = rapid.SampledFrom([]portalapi.ManagedBy{portalapi.ManagedByLocal, portalapi.ManagedBySCIM})
)

// revisionOf returns the account's revision, or 0 if there is no account.
func revisionOf(a *portalapi.Account) int64 {
	if a == nil {
		return 0
	}
	return a.Revision
}

// drawWant generates a desired account.
func drawWant(t *rapid.T) Account {
	want := wantAda()
	want.Active, want.DisplayName = rapid.Bool().Draw(t, "active"), someText.Draw(t, "wanted name")
	want.Pools, want.Roles = somePools.Draw(t, "wanted pools"), someRoles.Draw(t, "wanted roles")
	return want
}

// drawFacts generates any state of the portal: nothing, an account that this operator manages, one
// with the name, or both.
func drawFacts(t *rapid.T, want Account) Facts {
	one := func(id string, edit func(*portalapi.Account)) *portalapi.Account {
		if !rapid.Bool().Draw(t, id+" exists") {
			return nil
		}
		return account(want, func(a *portalapi.Account) {
			a.Revision = rapid.Int64Range(1, 9).Draw(t, id+" revision")
			a.ID, a.DisplayName, a.Email = id, someText.Draw(t, "displayName"), someText.Draw(t, "email")
			a.Pools, a.Roles = somePools.Draw(t, "pools"), someRoles.Draw(t, "roles")
			if a.Status = rapid.SampledFrom([]portalapi.Status{portalapi.StatusActive, portalapi.StatusDeactivated}).Draw(t, "status"); a.Status == portalapi.StatusDeactivated {
				a.DeactivatedBy = someBy.Draw(t, "deactivated by")
			}
			edit(a)
		})
	}
	var f Facts
	f.Own = one("own", func(a *portalapi.Account) {
		a.UserName = rapid.SampledFrom([]string{want.UserName, "before@example.test"}).Draw(t, "own name")
		a.Owner.Revision = rapid.Int64Range(1, 3).Draw(t, "revision")
	})
	if f.Own != nil && names.Fold(f.Own.UserName) == names.Fold(want.UserName) {
		f.Named = f.Own
		return f
	}
	f.Named = one("named", func(a *portalapi.Account) {
		a.ManagedBy, a.HandedOver = someBy.Draw(t, "managedBy"), rapid.Bool().Draw(t, "handed over")
		a.Owner = rapid.SampledFrom([]portalapi.Owner{{}, {UID: "other", Name: "other"}, {UID: "restored", Name: want.Owner.Name}}).Draw(t, "owner")
		if a.ManagedBy == portalapi.ManagedByLocal {
			a.Owner = portalapi.Owner{}
		}
	})
	f.NamedOwner = rapid.SampledFrom([]Presence{Gone, Leaving, Present}).Draw(t, "owner is")
	return f
}

func drawPolicy(t *rapid.T) Policy {
	return Policy{ProvisionExistingUsers: rapid.Bool().Draw(t, "toggle")}
}

func TestOnePlanConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawWant(t)
		have, policy := drawFacts(t, want), drawPolicy(t)
		plan := Compute(want, have, policy)
		if diff := cmp.Diff(plan, Compute(want, have, policy)); diff != "" {
			t.Fatalf("the same facts gave two plans:\n%s", diff)
		}
		if !plan.Writes() {
			return
		}
		if on := plan.Write.IfRevision; on == nil || *on != revisionOf(plan.Account) {
			t.Fatalf("the %s must have the precondition revision %d", plan.Action, revisionOf(plan.Account))
		}
		after := carryOut(plan, want)
		if again := Compute(want, Facts{Own: after, Named: after}, policy); again.Action != None {
			t.Fatalf("after %s the next plan is %s: %v", plan.Action, again.Action, again.Differences)
		}
	})
}

func TestPolicyOnlyRemovesSteps(t *testing.T) {
	most := Policy{ProvisionExistingUsers: true}
	rapid.Check(t, func(t *rapid.T) {
		want := drawWant(t)
		have := drawFacts(t, want)
		free, bound := Compute(want, have, most), Compute(want, have, drawPolicy(t))
		if !bound.Writes() {
			return
		}
		if diff := cmp.Diff(free, bound); diff != "" {
			t.Fatalf("a policy replaced a step by another one (-without, +with):\n%s", diff)
		}
	})
}

func TestAccountsOfOthersAreNotChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawWant(t)
		have, policy := drawFacts(t, want), drawPolicy(t)
		plan := Compute(want, have, policy)
		switch a := plan.Account; {
		case !plan.Writes() || a == nil || a.Owner.UID == want.Owner.UID:
		case a.ManagedBy == portalapi.ManagedByLocal && !policy.ProvisionExistingUsers && !a.HandedOver:
			t.Fatalf("a local account is taken over without consent: %+v", a)
		case a.Owner.UID == "other" && have.NamedOwner != Gone:
			t.Fatalf("the account of another existing user is taken over: %+v", a)
		}
		if plan.Removal && !plan.Writes() {
			t.Fatal("a plan that writes nothing must not be a removal")
		}
	})
}

func TestOnePoolPlanConverges(t *testing.T) {
	roles := rapid.SampledFrom([][]string{{}, {"ROLE_MANAGER"}, {"ROLE_IGNORE_QUOTA", "ROLE_MANAGER"}})
	rapid.Check(t, func(t *rapid.T) {
		me := portalapi.Owner{UID: "u", Name: "payments"}
		want := portalapi.PoolWrite{Owner: me, Name: "Payments", Description: someText.Draw(t, "wanted description"), Roles: roles.Draw(t, "wanted roles")}
		one := func(id string, owners ...portalapi.Owner) *portalapi.Pool {
			if !rapid.Bool().Draw(t, id+" exists") {
				return nil
			}
			return &portalapi.Pool{ID: id, Revision: rapid.Int64Range(1, 9).Draw(t, id+" revision"), Name: rapid.SampledFrom([]string{"Payments", "Before"}).Draw(t, "name"), Description: someText.Draw(t, "description"),
				Roles: roles.Draw(t, "roles"), Ungranted: rapid.SampledFrom([][]string{nil, {"ROLE_MANAGER"}}).Draw(t, "ungranted"),
				HandedOver: rapid.Bool().Draw(t, "handed over"), Owner: rapid.SampledFrom(owners).Draw(t, "owner")}
		}
		have := PoolFacts{
			Own: one("own", me), Named: one("named", portalapi.Owner{}, portalapi.Owner{UID: "other", Name: "other"}, portalapi.Owner{UID: "before", Name: "payments"}),
			Owner: rapid.SampledFrom([]Presence{Gone, Leaving, Present}).Draw(t, "the owner is"),
		}
		if have.Named != nil {
			have.Named.Name = want.Name
		}
		if have.Own != nil && have.Own.Name == want.Name {
			have.Named = have.Own
		}
		plan := ComputePool(want, have)
		if plan.Action == None || plan.Action == Wait {
			return
		}
		var on int64
		if plan.Pool != nil {
			on = plan.Pool.Revision
		}
		if plan.Write.IfRevision == nil || *plan.Write.IfRevision != on {
			t.Fatalf("the %s must have the precondition revision %d", plan.Action, on)
		}
		after := &portalapi.Pool{ID: "made", Name: plan.Write.Name, Description: plan.Write.Description, Roles: plan.Write.Roles, Owner: plan.Write.Owner}
		if plan.Pool != nil {
			after.ID = plan.Pool.ID
		}
		next := PoolFacts{Own: after, Named: after}
		if have.Named != nil && have.Named.ID != after.ID {
			next.Named = have.Named
		}
		if again := ComputePool(want, next); again.Action != None && again.Action != Wait {
			t.Fatalf("after %s the next plan is %s", plan.Action, again.Action)
		}
		if plan.Action == Adopt && !have.Named.HandedOver && have.Named.Owner.Name != me.Name {
			t.Fatal("a pool was adopted because of its name")
		}
		if plan.LosesManager && !slices.Contains(plan.Pool.Roles, portalapi.RoleManager) {
			t.Fatal("a pool that does not give ROLE_MANAGER cannot lose it")
		}
	})
}
