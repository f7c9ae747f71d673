package provision

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/portal"
)

func wantAda() Account {
	return Account{
		AccountWrite: portal.AccountWrite{
			Owner: portal.Owner{UID: "uid-ada", SCIMID: "ada", Revision: 3}, UserName: "ada@example.test",
			DisplayName: "Ada", Active: true, Pools: []string{"p-default"},
		},
		Roles: []string{"ROLE_USER"},
	}
}

// account is the record as want calls for it, changed by edit.
func account(want Account, edit func(*portal.Account)) *portal.Account {
	a := &portal.Account{
		ID: "a1", UserName: want.UserName, DisplayName: want.DisplayName, GivenName: want.GivenName, FamilyName: want.FamilyName,
		Email: want.Email, ExternalID: want.ExternalID, Status: status(want.Active), ManagedBy: portal.ManagedBySCIM,
		Owner: want.Owner, Pools: want.Pools, Roles: want.Roles,
	}
	if edit != nil {
		edit(a)
	}
	return a
}

func local(a *portal.Account) { a.ManagedBy, a.Owner = portal.ManagedByLocal, portal.Owner{} }

func TestCompute(t *testing.T) {
	type outcome struct {
		Action  Action
		Reason  string
		Mark    bool
		Removal bool
		Adopt   *portal.Adopt
	}
	cases := map[string]struct {
		reason string
		want   func(*Account)
		have   func(Account) Facts
		policy Policy
		out    outcome
	}{
		"New": {
			reason: "Nobody bears the name: create.",
			have:   func(Account) Facts { return Facts{} },
			out:    outcome{Action: Create},
		},
		"AsItShouldBe": {
			reason: "An account in its desired state costs no write.",
			have:   func(w Account) Facts { a := account(w, nil); return Facts{Own: a, Named: a} },
			out:    outcome{Action: None},
		},
		"NewerRevisionOnly": {
			reason: "What the provider pushed last is recorded, so that a later push is told from an older one.",
			have: func(w Account) Facts {
				a := account(w, func(a *portal.Account) { a.Owner.Revision = 2 })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update},
		},
		"EditedBehindOurBack": {
			reason: "Drift is healed.",
			have: func(w Account) Facts {
				a := account(w, func(a *portal.Account) { a.DisplayName = "Mallory" })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update},
		},
		"Leaves": {
			reason: "Deactivation is a removal.",
			want:   func(w *Account) { w.Active = false },
			have: func(w Account) Facts {
				a := account(w, func(a *portal.Account) { a.Status = portal.StatusActive })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update, Removal: true},
		},
		"LosesManager": {
			reason: "Losing ROLE_MANAGER counts as a removal.",
			have: func(w Account) Facts {
				a := account(w, func(a *portal.Account) {
					a.Pools, a.Roles = []string{"p-default", "p-managers"}, []string{"ROLE_MANAGER", "ROLE_USER"}
				})
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update, Removal: true},
		},
		"DeactivatedByAdministrator": {
			reason: "Nobody is revived whom an administrator deactivated while SCIM was off.",
			have: func(w Account) Facts {
				a := account(w, func(a *portal.Account) {
					a.Status, a.DeactivatedBy = portal.StatusDeactivated, portal.ManagedByLocal
				})
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonDeactivatedLocally},
		},
		"DeactivatedThenPushedAnew": {
			reason: "A newer push of the provider activates the account again.",
			want:   func(w *Account) { w.Owner.Revision++ },
			have: func(w Account) Facts {
				a := account(w, func(a *portal.Account) {
					a.Status, a.DeactivatedBy, a.Owner.Revision = portal.StatusDeactivated, portal.ManagedByLocal, 3
				})
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update},
		},
		"LocalAccountToggleOff": {
			reason: "A local account is not taken over; the user waits, and the account says who waits for it.",
			have:   func(w Account) Facts { return Facts{Named: account(w, local)} },
			out:    outcome{Action: Wait, Reason: v1alpha1.ReasonLocalAccountExists, Mark: true},
		},
		"LocalAccountAlreadyMarked": {
			reason: "Waiting costs no call once it is recorded.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portal.Account) { local(a); a.WaitingFor = w.Owner })}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonLocalAccountExists},
		},
		"LocalAccountToggleOn": {
			reason: "The toggle adopts local accounts that the provider pushed.",
			have:   func(w Account) Facts { return Facts{Named: account(w, local)} },
			policy: Policy{ProvisionExistingUsers: true},
			out:    outcome{Action: Adopt, Adopt: &portal.Adopt{AccountID: "a1"}},
		},
		"LocalAccountHandedOver": {
			reason: "A person may hand over one account while the toggle is off.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portal.Account) { local(a); a.HandedOver = true })}
			},
			out: outcome{Action: Adopt, Adopt: &portal.Adopt{AccountID: "a1"}},
		},
		"Released": {
			reason: "Somebody who comes back gets the account back.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portal.Account) { a.Owner, a.Status = portal.Owner{}, portal.StatusDeactivated })}
			},
			out: outcome{Action: Adopt, Adopt: &portal.Adopt{AccountID: "a1"}},
		},
		"Restored": {
			reason: "A restored object has a new UID and the same SCIM id: it is the same person.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portal.Account) { a.Owner.UID = "uid-before" }), NamedOwner: Present}
			},
			out: outcome{Action: Adopt, Adopt: &portal.Adopt{AccountID: "a1", OwnerUID: "uid-before"}},
		},
		"OwnerGone": {
			reason: "An owner whose object is gone can't release the account; it is taken over by compare-and-swap.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portal.Account) { a.Owner = portal.Owner{UID: "uid-x", SCIMID: "x"} }), NamedOwner: Gone}
			},
			out: outcome{Action: Adopt, Adopt: &portal.Adopt{AccountID: "a1", OwnerUID: "uid-x"}},
		},
		"OwnerLeaving": {
			reason: "Delete then create at once: the arrival does not wait for the leaver's finalizer.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portal.Account) { a.Owner = portal.Owner{UID: "uid-x", SCIMID: "x"} }), NamedOwner: Leaving}
			},
			policy: Policy{OnDelete: v1alpha1.UserDeactivate},
			out:    outcome{Action: Adopt, Adopt: &portal.Adopt{AccountID: "a1", OwnerUID: "uid-x"}},
		},
		"OwnerLeavingForGood": {
			reason: "Under onDelete: Delete the old record goes first; the new person starts afresh.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portal.Account) { a.Owner = portal.Owner{UID: "uid-x", SCIMID: "x"} }), NamedOwner: Leaving}
			},
			policy: Policy{OnDelete: v1alpha1.UserDelete},
			out:    outcome{Action: Wait, Reason: v1alpha1.ReasonNameReleasePending},
		},
		"OwnerAlive": {
			reason: "A living person's account is never taken, even if they were renamed away a moment ago.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portal.Account) { a.Owner = portal.Owner{UID: "uid-x", SCIMID: "x"} }), NamedOwner: Present}
			},
			policy: Policy{OnDelete: v1alpha1.UserDeactivate, ProvisionExistingUsers: true},
			out:    outcome{Action: Wait, Reason: v1alpha1.ReasonNameReleasePending},
		},
		"RenameOntoLocalAccount": {
			reason: "A rename never swallows a local account.",
			have: func(w Account) Facts {
				own := account(w, func(a *portal.Account) { a.UserName = "before@example.test" })
				return Facts{Own: own, Named: account(w, func(a *portal.Account) { local(a); a.ID = "a2" })}
			},
			policy: Policy{ProvisionExistingUsers: true},
			out:    outcome{Action: Wait, Reason: v1alpha1.ReasonLocalAccountExists},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			want := wantAda()
			if tc.want != nil {
				tc.want(&want)
			}
			p := Compute(want, tc.have(want), tc.policy)
			got := outcome{Action: p.Action, Reason: p.Reason, Mark: p.Mark, Removal: p.Removal, Adopt: p.Write.Adopt}
			if diff := cmp.Diff(tc.out, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if p.Action == Wait && p.Message == "" {
				t.Error("a plan that waits must say what would help")
			}
		})
	}
}

// carryOut is what a portal does with a plan.
func carryOut(p Plan, want Account) *portal.Account {
	if !p.Writes() {
		return p.Account
	}
	return account(want, func(a *portal.Account) {
		if p.Account != nil {
			a.ID = p.Account.ID
		}
	})
}

func TestOnePlanConverges(t *testing.T) {
	text := rapid.SampledFrom([]string{"", "x", "y"})
	rapid.Check(t, func(t *rapid.T) {
		want := wantAda()
		want.Active = rapid.Bool().Draw(t, "active")
		var have Facts
		if rapid.Bool().Draw(t, "exists") {
			a := account(want, func(a *portal.Account) {
				a.DisplayName, a.Email = text.Draw(t, "displayName"), text.Draw(t, "email")
				a.Status = rapid.SampledFrom([]portal.Status{portal.StatusActive, portal.StatusDeactivated}).Draw(t, "status")
				a.ManagedBy = rapid.SampledFrom([]portal.ManagedBy{portal.ManagedByLocal, portal.ManagedBySCIM}).Draw(t, "managedBy")
				a.Owner = rapid.SampledFrom([]portal.Owner{{}, want.Owner, {UID: "other", SCIMID: "other"}}).Draw(t, "owner")
			})
			have.Named = a
			if a.Owner.UID == want.Owner.UID {
				have.Own = a
			}
		}
		policy := Policy{ProvisionExistingUsers: rapid.Bool().Draw(t, "toggle"), OnDelete: v1alpha1.UserDeactivate}
		have.NamedOwner = rapid.SampledFrom([]Presence{Gone, Leaving, Present}).Draw(t, "owner is")
		plan := Compute(want, have, policy)
		if diff := cmp.Diff(plan, Compute(want, have, policy)); diff != "" {
			t.Fatalf("the same facts gave two plans:\n%s", diff)
		}
		after := carryOut(plan, want)
		if !plan.Writes() {
			return
		}
		if again := Compute(want, Facts{Own: after, Named: after}, policy); again.Action != None {
			t.Fatalf("after %s the next plan is %s: %v", plan.Action, again.Action, again.Differences)
		}
	})
}

func TestWant(t *testing.T) {
	yes := true
	u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Name: "id", UID: "uid", Generation: 7}, Spec: v1alpha1.ScimUserSpec{
		UserName: "ada@example.test", ExternalID: "00u1", Name: &v1alpha1.Name{GivenName: "Ada", FamilyName: "Lovelace"},
		Emails: []v1alpha1.MultiValue{{Value: "home@example.test", Type: "home"}, {Value: "work@example.test", Type: "Work"}, {Value: "first@example.test", Primary: &yes}},
	}}
	got := Want(u, []string{"p2", "p1"}, []string{"ROLE_USER"})
	want := Account{Roles: []string{"ROLE_USER"}, AccountWrite: portal.AccountWrite{
		Owner: portal.Owner{UID: "uid", SCIMID: "id", Revision: 7}, UserName: "ada@example.test", DisplayName: "Ada Lovelace",
		GivenName: "Ada", FamilyName: "Lovelace", Email: "first@example.test", ExternalID: "00u1", Active: true, Pools: []string{"p1", "p2"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	u.Spec.Emails = u.Spec.Emails[:2]
	if got := Want(u, nil, nil).Email; got != "work@example.test" {
		t.Errorf("without a primary address the one for work is used, got %q", got)
	}
}

func TestComputePool(t *testing.T) {
	none, manager := []string{}, []string{"ROLE_MANAGER"}
	want := portal.PoolWrite{OwnerUID: "u", Name: "Payments", Roles: &manager}
	own := &portal.Pool{ID: "1", Name: "Payments", OwnerUID: "u", Roles: manager}
	cases := map[string]struct {
		reason string
		want   portal.PoolWrite
		have   PoolFacts
		action Action
		loses  bool
	}{
		"New":       {"No such pool: create.", want, PoolFacts{}, Create, false},
		"Same":      {"As it should be: nothing.", want, PoolFacts{own, own}, None, false},
		"Adopt":     {"A pool made in the portal is ruled by the AgentPool that names it.", want, PoolFacts{Named: &portal.Pool{ID: "2", Name: "payments"}}, Adopt, false},
		"Another":   {"Another AgentPool's pool is not taken.", want, PoolFacts{Named: &portal.Pool{ID: "2", OwnerUID: "x"}}, Wait, false},
		"Clash":     {"A rename onto another pool waits.", want, PoolFacts{own, &portal.Pool{ID: "2", Name: "Payments"}}, Wait, false},
		"Unruled":   {"Absent roles leave the portal's own.", portal.PoolWrite{OwnerUID: "u", Name: "Payments"}, PoolFacts{own, own}, None, false},
		"Emptied":   {"Empty roles take all, and losing ROLE_MANAGER is said.", portal.PoolWrite{OwnerUID: "u", Name: "Payments", Roles: &none}, PoolFacts{own, own}, Update, true},
		"Renamed":   {"A new name is written.", portal.PoolWrite{OwnerUID: "u", Name: "Pay", Roles: &manager}, PoolFacts{own, nil}, Update, false},
		"Described": {"So is a description.", portal.PoolWrite{OwnerUID: "u", Name: "Payments", Description: "d", Roles: &manager}, PoolFacts{own, own}, Update, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if p := ComputePool(tc.want, tc.have); p.Action != tc.action || p.LosesManager != tc.loses {
				t.Errorf("%s got %s, loses manager %v", tc.reason, p.Action, p.LosesManager)
			}
		})
	}
}

func TestRoleNamesKeepsAbsentApartFromEmpty(t *testing.T) {
	if RoleNames(nil) != nil {
		t.Error("absent became present")
	}
	if got := RoleNames([]v1alpha1.Role{}); got == nil || len(*got) != 0 {
		t.Error("empty must stay empty and present")
	}
	if got := *RoleNames([]v1alpha1.Role{"ROLE_B", "ROLE_A"}); !slices.IsSorted(got) {
		t.Errorf("got %v", got)
	}
}

func TestBudget(t *testing.T) {
	b := Budget{MaxPercent: 20, MinUsers: 5}
	for _, tc := range []struct{ managed, removed, left int }{{0, 0, 5}, {10, 5, 0}, {100, 0, 20}, {100, 25, 0}, {1000, 199, 1}} {
		if got := b.Left(tc.managed, tc.removed); got != tc.left {
			t.Errorf("Left(%d, %d) = %d, want %d", tc.managed, tc.removed, got, tc.left)
		}
	}
}
