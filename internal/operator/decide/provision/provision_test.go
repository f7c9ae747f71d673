// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
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
		// Accepted is the revision of the release that the write replaces.
		Accepted int64
	}
	cases := map[string]struct {
		reason string
		want   func(*Account)
		have   func(Account) Facts
		policy Policy
		out    outcome
	}{
		"New": {
			reason: "A user whose name no account has gets a new account.",
			have:   func(Account) Facts { return Facts{} },
			out:    outcome{Action: Create},
		},
		"DesiredState": {
			reason: "An account in its desired state costs no write.",
			have:   func(w Account) Facts { a := account(w, nil); return Facts{Own: a, Named: a} },
			out:    outcome{Action: None},
		},
		"NewerRevisionOnly": {
			reason: "A push that changes no attribute is recorded by its revision, so that older pushes can be recognised.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Owner.Revision = 2 })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update},
		},
		"OlderInPlace": {
			reason: "After an older export replaced the object, nothing changes until the next push or a decision.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Owner.Revision, a.DisplayName = w.Owner.Revision+1, "Newer" })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"OlderInPlaceAccepted": {
			reason: "A user whose older revision was accepted is written.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Owner.Revision, a.DisplayName = w.Owner.Revision+1, "Newer" })
				return Facts{Own: a, Named: a, Accepted: w.Owner.Revision + 1}
			},
			out: outcome{Action: Update},
		},
		"OlderInPlaceAndTheSame": {
			reason: "An older export that equals the newer one does not wait.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Owner.Revision = w.Owner.Revision + 1 })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: None},
		},
		"EditedBehindOurBack": {
			reason: "A change in the portal of an attribute that the operator manages is reverted.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.DisplayName = "Mallory" })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update},
		},
		"Leaves": {
			reason: "The guard counts a deactivation as a removal.",
			want:   func(w *Account) { w.Active = false },
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Status = portalapi.StatusActive })
				return Facts{Own: a, Named: a}
			},
			out: outcome{Action: Update, Removal: true},
		},
		"LosesManager": {
			reason: "The guard counts the loss of ROLE_MANAGER as a removal.",
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
			reason: "A direct role of a SCIM-managed account is removed.",
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
			reason: "No call is made for a user who waits once the account records it.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { local(a); a.WaitingFor = w.Owner })}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonLocalAccountExists},
		},
		"LocalAccountToggleOn": {
			reason: "The toggle for existing users adopts the local account of a pushed user.",
			have:   func(w Account) Facts { return Facts{Named: account(w, local)} },
			policy: Policy{ProvisionExistingUsers: true},
			out:    outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1"}},
		},
		"LocalAccountHandedOver": {
			reason: "An account that was handed over is adopted while the toggle is off.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { local(a); a.HandedOver = true })}
			},
			out: outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1"}},
		},
		"Released": {
			reason: "A user who returns gets the released account back.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { a.Owner, a.Status = portalapi.Owner{}, portalapi.StatusDeactivated })}
			},
			out: outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1"}},
		},
		"Restored": {
			reason: "A restored object has a new UID and the same SCIM id: it is the same user.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { a.Owner.UID = "uid-before" }), NamedOwner: Present}
			},
			out: outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1", OwnerUID: "uid-before"}},
		},
		"RestoredFromOldBackup": {
			reason: "A user from a backup that is older than the portal's record changes nothing.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) {
					a.Owner.UID, a.Owner.Revision, a.Status = "uid-before", 4, portalapi.StatusDeactivated
				})
				return Facts{Named: a, Before: a}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"RestoredFromOldBackupUnderAFormerName": {
			reason: "A user who was renamed after the backup gets no second account.",
			have: func(w Account) Facts {
				return Facts{Before: account(w, func(a *portalapi.Account) {
					a.Owner.UID, a.Owner.Revision, a.UserName = "uid-before", 4, "after@example.test"
				})}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"OldBackupAccepted": {
			reason: "A backup that was accepted for this revision is written.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Owner.UID, a.Owner.Revision = "uid-before", 4 })
				return Facts{Named: a, Before: a, Accepted: 4}
			},
			out: outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1", OwnerUID: "uid-before"}},
		},
		"OldBackupAcceptedForAnotherRevision": {
			reason: "A backup that was accepted for an earlier revision still waits.",
			have: func(w Account) Facts {
				a := account(w, func(a *portalapi.Account) { a.Owner.UID, a.Owner.Revision = "uid-before", 5 })
				return Facts{Named: a, Before: a, Accepted: 4}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"ReleasedSince": {
			reason: "A user from a backup does not come back if the provider deleted the user since.",
			have:   func(w Account) Facts { return Facts{Released: w.Owner.Revision + 1} },
			out:    outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"ReleasedAtThisRevision": {
			reason: "A user whose account a person released after the object was gone does not come back by the same object.",
			have:   func(w Account) Facts { return Facts{Released: w.Owner.Revision} },
			out:    outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"ReleasedSinceAndDeactivated": {
			reason: "The account that the provider's deletion deactivated is not taken over by an older object.",
			have: func(w Account) Facts {
				return Facts{Released: w.Owner.Revision + 1, Named: account(w, func(a *portalapi.Account) { a.Status, a.Owner = portalapi.StatusDeactivated, portalapi.Owner{} })}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"ReleasedSinceAsOrphan": {
			reason: "The account that stayed as a local one is not marked as waited for by an older object, nor taken over.",
			have:   func(w Account) Facts { return Facts{Released: w.Owner.Revision + 1, Named: account(w, local)} },
			policy: Policy{ProvisionExistingUsers: true},
			out:    outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"ReleasedSinceAndTakenOver": {
			reason: "Another user has the account now: the older object waits for a push, not for the name.",
			have: func(w Account) Facts {
				return Facts{Released: w.Owner.Revision, NamedOwner: Present, Named: account(w, func(a *portalapi.Account) { a.Owner = portalapi.Owner{UID: "uid-x", Name: "x"} })}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"ReleasedBefore": {
			reason: "A push after the release brings the user back.",
			have:   func(w Account) Facts { return Facts{Released: w.Owner.Revision - 1} },
			out:    outcome{Action: Create},
		},
		"ReleasedSinceAndAccepted": {
			reason: "A person accepts the backup for this release.",
			have:   func(w Account) Facts { return Facts{Released: w.Owner.Revision + 1, Accepted: w.Owner.Revision + 1} },
			out:    outcome{Action: Create, Accepted: 4},
		},
		"ReleasedSinceAndAcceptedForAnotherRevision": {
			reason: "A backup that was accepted for an earlier release still waits.",
			have:   func(w Account) Facts { return Facts{Released: w.Owner.Revision + 2, Accepted: w.Owner.Revision + 1} },
			out:    outcome{Action: Wait, Reason: v1alpha1.ReasonBackupOlder},
		},
		"RestoredAndRenamed": {
			reason: "A restored user keeps the account after a rename, because it is found by the SCIM id.",
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
			reason: "An account whose owner's object is gone is taken over by compare-and-swap: that owner cannot release it.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { a.Owner = portalapi.Owner{UID: "uid-x", Name: "x"} }), NamedOwner: Gone}
			},
			out: outcome{Action: Adopt, Adopt: &portalapi.Adopt{ID: "a1", OwnerUID: "uid-x"}},
		},
		"OwnerLeaving": {
			reason: "If a user is deleted and created at once, only the deletion of the old user changes the account until it is carried out.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) { a.Owner = portalapi.Owner{UID: "uid-x", Name: "x"} }), NamedOwner: Leaving}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonNameReleasePending},
		},
		"OwnerHeld": {
			reason: "While the deletion of the old user is held, no other user marks or changes the account.",
			have: func(w Account) Facts {
				return Facts{Named: account(w, func(a *portalapi.Account) {
					a.Owner = portalapi.Owner{UID: "uid-x", Name: "x"}
					a.Mark = &portalapi.Mark{What: portalapi.RemovalDeactivation, State: portalapi.MarkHeld, Decision: "m-1", At: "x"}
				}), NamedOwner: Leaving}
			},
			out: outcome{Action: Wait, Reason: v1alpha1.ReasonNameHeld},
		},
		"RenameOntoHeldAccount": {
			reason: "A user who is renamed to the name of a held account waits only with the name.",
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
			got := outcome{Action: p.Action, Reason: p.Reason, Mark: p.Mark, Removal: p.Removal, Adopt: p.Write.Adopt, Accepted: p.Write.Accepted}
			if diff := cmp.Diff(tc.out, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if p.Action == Wait && p.Message == "" {
				t.Error("a plan that waits must say what to do")
			}
		})
	}
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
		"Default":     {"By default the release keeps the account and ends sign-in.", active, "", false, portalapi.ReleaseDeactivate, true},
		"Delete":      {"The release mode Delete takes access away.", active, v1alpha1.UserDelete, false, portalapi.ReleaseDelete, true},
		"Orphan":      {"The release mode Orphan takes nothing away.", active, v1alpha1.UserOrphan, false, portalapi.ReleaseOrphan, false},
		"Dropped":     {"After a dropped deletion, the user keeps everything.", active, v1alpha1.UserDelete, true, portalapi.ReleaseOrphan, false},
		"Deactivated": {"A user who could not sign in loses nothing by the release.", gone, v1alpha1.UserDelete, false, portalapi.ReleaseDelete, false},
		"None":        {"A user without an account loses nothing by the release.", nil, v1alpha1.UserDeactivate, false, portalapi.ReleaseDeactivate, false},
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
