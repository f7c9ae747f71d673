// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func wantAda() Account {
	return Account{
		AccountWrite: portalapi.AccountWrite{
			Owner: portalapi.Owner{UID: "uid-ada", Name: "ada", Revision: 3}, UserName: "ada@example.test",
			DisplayName: "Ada", Active: true, Pools: []string{"p-default"},
		},
		Roles: []string{"ROLE_USER"},
	}
}

// account returns the desired record of wantAda, changed by edit.
func account(want Account, edit func(*portalapi.Account)) *portalapi.Account {
	a := &portalapi.Account{
		ID: "a1", UserName: want.UserName, DisplayName: want.DisplayName, GivenName: want.GivenName, FamilyName: want.FamilyName,
		Email: want.Email, ExternalID: want.ExternalID, Status: status(want.Active), ManagedBy: portalapi.ManagedBySCIM,
		Owner: want.Owner, Pools: want.Pools, Roles: want.Roles,
	}
	if edit != nil {
		edit(a)
	}
	return a
}

func local(a *portalapi.Account) { a.ManagedBy, a.Owner = portalapi.ManagedByLocal, portalapi.Owner{} }

func TestCompute(t *testing.T) {
	type outcome struct {
		Action  Action
		Reason  string
		Mark    bool
		Removal bool
		Adopt   *portalapi.Adopt
	}
	cases := map[string]struct {
		reason string
		want   func(*Account)
		have   func(Account) Facts
		policy Policy
		out    outcome
	}{
		"New": {
			reason: "No account has the name: create.",
			have:   func(Account) Facts { return Facts{} },
			out:    outcome{Action: Create},
		},
		"DesiredState": {
			reason: "An account in its desired state costs no write.",
			have:   func(w Account) Facts { a := account(w, nil); return Facts{Own: a, Named: a} },
			out:    outcome{Action: None},
		},
		"NewerRevisionOnly": {
			reason: "The last push is recorded, so that newer and older pushes can be distinguished.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Owner.Revision = 2 })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update},
		},
		"OlderInPlace": {
			reason: "An older export replaced the object: nothing changes until the next push, or a person's decision.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Owner.Revision, a.DisplayName = w.Owner.Revision+1, "Newer" })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"OlderInPlaceAccepted": {
			reason: "A person allows it to replace a newer revision.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Owner.Revision, a.DisplayName = w.Owner.Revision+1, "Newer" })
				return Facts{Own: a, Named: a, Accepted: w.Owner.Revision + 1}
			},
			out: outcome{Action: Update},
		},
		"OlderInPlaceAndTheSame": {
			reason: "If it equals the newer one, nothing waits.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Owner.Revision = w.Owner.Revision + 1 })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: None},
		},
		"EditedBehindOurBack": {
			reason: "Drift is healed.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.DisplayName = "Mallory" })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update},
		},
		"Leaves": {
			reason: "Deactivation is a removal.",
			want:   func(w *Account) { w.Active = false },
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Status = portalapi.StatusActive })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update, Removal: true},
		},
		"LosesManager": {
			reason: "Losing ROLE_MANAGER counts as a removal.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) {
					a.Pools, a.Roles = []string{"p-default", "p-managers"}, []string{"ROLE_MANAGER", "ROLE_USER"}
				})
				return Facts{Own: a, Named: a, Granted: a.Roles}
			},
			out: outcome{Action: Update, Removal: true},
		},
		"LosesManagerWithoutAGrant": {
			reason: "A role without a grant is removed without the guard.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) {
					a.Pools, a.Ungranted, a.Roles = []string{"p-default", "p-managers"}, []string{"p-managers"}, []string{"ROLE_MANAGER", "ROLE_USER"}
				})
				return Facts{Own: a, Named: a, Granted: []string{"ROLE_USER"}}
			},
			out: outcome{Action: Update},
		},
		"DirectRole": {
			reason: "An account of ours has no direct role.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) {
					a.DirectRoles, a.Roles = []string{"ROLE_MANAGER"}, []string{"ROLE_MANAGER", "ROLE_USER"}
				})
				return Facts{Own: a, Named: a, Granted: []string{"ROLE_USER"}}
			},
			out: outcome{Action: Update},
		},
		"WantedAndNotGranted": {
			reason: "A wanted membership without a grant is granted by a write.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Ungranted = a.Pools })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update},
		},
		"DeactivatedByAdministrator": {
			reason: "An account that an administrator deactivated while SCIM was off stays deactivated.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) {
					a.Status, a.DeactivatedBy = portalapi.StatusDeactivated, portalapi.ManagedByLocal
				})
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonDeactivatedLocally},
		},
		"DeactivatedThenPushedAgain": {
			reason: "A newer push of the provider activates the account again.",
			want:   func(w *Account) { w.Owner.Revision++ },
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) {
					a.Status, a.DeactivatedBy, a.Owner.Revision = portalapi.StatusDeactivated, portalapi.ManagedByLocal, 3
				})
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update},
		},
		"LocalAccountToggleOff": {
			reason: "A local account is not taken over; the user waits, and the account records who waits for it.",
			have:   func(w Account) Facts { return Facts{Named: account(w, local)} },
			out:    outcome{Action: Wait, Reason: v1alpha1.ReasonLocalAccountExists, Mark: true},
		},
		"LocalAccountAlreadyMarked": {
			reason: "Waiting costs no call once it is recorded.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { local(a); a.WaitingFor = w.Owner })}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonLocalAccountExists},
		},
		"LocalAccountToggleOn": {
			reason: "The toggle adopts local accounts that the provider pushed.",
			have:   func(w Account) Facts { return Facts{Named: account(w, local)} },
			policy: Policy{ProvisionExistingUsers: true},
			out:    outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1"}},
		},
		"LocalAccountHandedOver": {
			reason: "A person may hand over one account while the toggle is off.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { local(a); a.HandedOver = true })}
			},
			out: outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1"}},
		},
		"Released": {
			reason: "A person who returns gets the account back.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { a.Owner, a.Status = portalapi.Owner{}, portalapi.StatusDeactivated })}
			},
			out: outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1"}},
		},
		"Restored": {
			reason: "A restored object has a new UID and the same SCIM id: it is the same person.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { a.Owner.UID = "uid-before" }), NamedOwner: Present}
			},
			out: outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1", OwnerUID: "uid-before"}},
		},
		"RestoredFromOldBackup": {
			reason: "The portal has seen a newer push: nothing of the backup is carried out.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) {
					a.Owner.UID, a.Owner.Revision, a.Status = "uid-before", 4, portalapi.StatusDeactivated
				})
				return Facts{Named: a, Before: a}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"RestoredFromOldBackupUnderAFormerName": {
			reason: "The user was renamed since the backup: there is no second account.",
			have: func(w Account) Facts {
				return Facts{Before: account(w, func(a *portalapi.Account) {
					a.Owner.UID, a.Owner.Revision, a.UserName = "uid-before", 4, "after@example.test"
				})}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"OldBackupAccepted": {
			reason: "A person allows this backup to replace this newer revision.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Owner.UID, a.Owner.Revision = "uid-before", 4 })
				return Facts{Named: a, Before: a, Accepted: 4}
			},
			out: outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1", OwnerUID: "uid-before"}},
		},
		"OldBackupAcceptedForAnotherRevision": {
			reason: "The decision was about an earlier revision of the portal.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Owner.UID, a.Owner.Revision = "uid-before", 5 })
				return Facts{Named: a, Before: a, Accepted: 4}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"RestoredAndRenamed": {
			reason: "The account is found by the SCIM id, so a rename keeps it.",
			have: func(w Account) Facts {
				return Facts{Before: account(w, func(a *portalapi.Account) { a.Owner.UID, a.UserName = "uid-before", "before@example.test" })}
			},
			out: outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1", OwnerUID: "uid-before"}},
		},
		"RestoredAfterDeactivationInThePortal": {
			reason: "A restore is no push: an account that an administrator deactivated stays deactivated.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) {
					a.Owner.UID, a.Status, a.DeactivatedBy = "uid-before", portalapi.StatusDeactivated, portalapi.ManagedByLocal
				})
				return Facts{Named: a, Before: a}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonDeactivatedLocally},
		},
		"OwnerGone": {
			reason: "An owner whose object is gone can't release the account; it is taken over by compare-and-swap.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { a.Owner = portalapi.Owner{UID: "uid-x", Name: "x"} }), NamedOwner: Gone}
			},
			out: outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1", OwnerUID: "uid-x"}},
		},
		"OwnerLeaving": {
			reason: "Delete then create at once: only the old user's deletion changes the account until it is carried out.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { a.Owner = portalapi.Owner{UID: "uid-x", Name: "x"} }), NamedOwner: Leaving}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonNameReleasePending},
		},
		"OwnerHeld": {
			reason: "What is held about the old user stays held: no other user marks or changes the account.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) {
					a.Owner = portalapi.Owner{UID: "uid-x", Name: "x"}
					a.Mark = &portalapi.Mark{What: portalapi.RemovalDeactivation, State: portalapi.MarkHeld, Decision: "m-1", At: "x"}
				}), NamedOwner: Leaving}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonNameHeld},
		},
		"RenameOntoHeldAccount": {
			reason: "A user who is renamed waits for the name only.",
			have: func(w Account) Facts {
				own := account(w, func(a *portalapi.Account) { a.UserName, a.DisplayName = "before@example.test", "Before" })
				return Facts{Own: own, Named: account(w, func(a *portalapi.Account) {
					a.ID, a.Owner = "a2", portalapi.Owner{UID: "uid-x", Name: "x"}
					a.Mark = &portalapi.Mark{What: portalapi.RemovalDeactivation, State: portalapi.MarkHeld, Decision: "m-1", At: "x"}
				})}
			},
			out: outcome{Action: Update, Reason: v1alpha1.ReasonNameHeld},
		},
		"OwnerAlive": {
			reason: "The account of an existing user is never taken over, even if that user was just renamed.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { a.Owner = portalapi.Owner{UID: "uid-x", Name: "x"} }), NamedOwner: Present}
			},
			policy: Policy{ProvisionExistingUsers: true},
			out:    outcome{Action: Wait, Reason: v1alpha1.ReasonNameReleasePending},
		},
		"DeactivatedWhileTheNewNameIsTaken": {
			reason: "A deactivation never waits for a name: all other changes are made.",
			have: func(w Account) Facts {
				own := account(w, func(a *portalapi.Account) { a.UserName, a.Status = "before@example.test", portalapi.StatusActive })
				return Facts{Own: own, Named: account(w, func(a *portalapi.Account) { a.ID, a.Owner = "a2", portalapi.Owner{} })}
			},
			want: func(w *Account) { w.Active = false },
			out:  outcome{Action: Update, Reason: v1alpha1.ReasonNameReleasePending, Removal: true},
		},
		"RenameOntoLocalAccount": {
			reason: "A rename never takes over a local account.",
			have: func(w Account) Facts {
				own := account(w, func(a *portalapi.Account) { a.UserName = "before@example.test" })
				return Facts{Own: own, Named: account(w, func(a *portalapi.Account) { local(a); a.ID = "a2" })}
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
				t.Error("a plan that waits must say what to do")
			}
		})
	}
}

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

// revisionOf returns the account's revision; 0: no account.
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

func TestComputeRelease(t *testing.T) {
	active, gone := &portalapi.Account{Status: portalapi.StatusActive}, &portalapi.Account{Status: portalapi.StatusDeactivated}
	for name, tc := range map[string]struct {
		reason   string
		own      *portalapi.Account
		onDelete v1alpha1.UserDeletion
		dropped  bool
		mode     portalapi.ReleaseMode
		removal  bool
	}{
		"Default":     {"By default the record stays and sign-in ends.", active, "", false, portalapi.ReleaseDeactivate, true},
		"Delete":      {"Deleting takes access away.", active, v1alpha1.UserDelete, false, portalapi.ReleaseDelete, true},
		"Orphan":      {"Orphaning takes nothing away.", active, v1alpha1.UserOrphan, false, portalapi.ReleaseOrphan, false},
		"Dropped":     {"A person decided that the user keeps everything.", active, v1alpha1.UserDelete, true, portalapi.ReleaseOrphan, false},
		"Deactivated": {"A user who could not sign in loses nothing.", gone, v1alpha1.UserDelete, false, portalapi.ReleaseDelete, false},
		"None":        {"Without an account nothing is lost.", nil, v1alpha1.UserDeactivate, false, portalapi.ReleaseDeactivate, false},
	} {
		t.Run(name, func(t *testing.T) {
			if p := ComputeRelease(tc.own, tc.onDelete, tc.dropped); p.Mode != tc.mode || p.Removal != tc.removal || p.Account != tc.own {
				t.Errorf("%s got %+v", tc.reason, p)
			}
		})
	}
}

func TestWant(t *testing.T) {
	yes := true
	u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Name: "id", UID: "uid"}, Spec: v1alpha1.ScimUserSpec{
		Revision: 7,
		UserName: "ada@example.test", ExternalID: "00u1", Name: &v1alpha1.Name{GivenName: "Ada", FamilyName: "Lovelace"},
		Emails: []v1alpha1.MultiValue{{Value: "home@example.test", Type: "home"}, {Value: "work@example.test", Type: "Work"}, {Value: "first@example.test", Primary: &yes}},
	}}
	got := Want(u, []string{"p2", "p1"}, []string{"ROLE_USER"})
	want := Account{Roles: []string{"ROLE_USER"}, AccountWrite: portalapi.AccountWrite{
		Owner: portalapi.Owner{UID: "uid", Name: "id", Revision: 7}, UserName: "ada@example.test", DisplayName: "Ada Lovelace",
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
