// SPDX-License-Identifier: Apache-2.0

package scimuser_test

import (
	"errors"
	"testing"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/fakeportal"
	"lightrun.com/scim-operator/test/framework/onepass"
)

// left is a user that the provider deleted.
func left(name string) *v1alpha1.ScimUser {
	u := onepass.User(name)
	u.Spec.Deleted, u.Spec.Revision = true, 2
	return u
}

func TestReconcile(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		user   *v1alpha1.ScimUser
		given  func(*onepass.World)
		then   func(*onepass.World) // runs once the user exists, or nil
		want   onepass.Want
	}{
		"Starting": {
			reason: "Until the configuration has been read, nothing is done or reported.",
			user:   onepass.User("ada"), given: func(*onepass.World) {},
			want: onepass.Want{Same: true},
		},
		"NoConfiguration": {
			reason: "Without a configuration, the user waits for an administrator, and no call is made.",
			user:   onepass.User("ada"), given: func(w *onepass.World) {
				w.Parts.Session.Close(session.Block{Reason: v1alpha1.ReasonNoConfiguration, Message: "There is none"})
			},
			want: onepass.Want{Ready: "Unknown NoConfiguration"},
		},
		"New": {
			reason: "A user who was pushed gets an account.",
			user:   onepass.User("ada"), given: func(w *onepass.World) { w.Open(nil) },
			want: onepass.Want{Calls: "PutAccount", Ready: "True Ready"},
		},
		"Same": {
			reason: "An account in the desired state is not written.",
			user:   onepass.User("ada"), given: func(w *onepass.World) { w.Account("ada"); w.Open(nil) },
			want: onepass.Want{Ready: "True Ready"},
		},
		"ReportOnly": {
			reason: "Under ReportOnly, the condition only says what would change.",
			user:   onepass.User("ada"), given: func(w *onepass.World) { w.Open(onepass.ReportOnly) },
			want: onepass.Want{Ready: "False ReportOnly", Says: "Would create the account", Also: "Drifted"},
		},
		"Suspended": {
			reason: "The account of a suspended user is not written, whatever the portal has.",
			user: func() *v1alpha1.ScimUser {
				u := onepass.User("ada")
				u.Spec.Suspend = true
				return u
			}(), given: func(w *onepass.World) { w.Open(nil) },
			want: onepass.Want{Ready: "Unknown SuspendedByUser", Also: "Suspended"},
		},
		"SCIMOff": {
			reason: "While SCIM is off, accounts stay as they are.",
			user:   onepass.User("ada"), given: func(w *onepass.World) {
				w.SCIMOff()
				w.Open(nil)
			},
			want: onepass.Want{Ready: "Unknown SCIMOff", Also: "Suspended"},
		},
		"NameTaken": {
			reason: "If another user has the name, the user waits until one of the two is renamed.",
			user:   onepass.User("ada"), given: func(w *onepass.World) {
				other := onepass.User("bob")
				other.Spec.UserName = "ADA@example.test"
				w.Put(other)
				w.Open(nil)
			},
			want: onepass.Want{Ready: "False NameTaken", Says: "rename one of the two"},
		},
		"LocalAccount": {
			reason: "A local account with the user's name is marked once, and adopted only with consent.",
			user:   onepass.User("ada"), given: func(w *onepass.World) {
				_, err := w.Portal.Store.CreateAccount(w.T.Context(), fakeportal.Manager(), store.NewAccount{UserName: "ada@example.test", DisplayName: "Ada"})
				w.Must(err)
				w.Open(nil)
			},
			want: onepass.Want{Calls: "MarkWaiting", Ready: "False LocalAccountExists"},
		},
		"Refused": {
			reason: "A call that the portal refuses is repeated seldom; the condition says why.",
			user:   onepass.User("ada"), given: func(w *onepass.World) {
				w.Refuse(onepass.Invalid())
				w.Open(nil)
			},
			want: onepass.Want{Calls: "PutAccount", Ready: "False RefusedByPortal", Again: time.Minute},
		},
		"Unreachable": {
			reason: "A call that the portal does not answer is repeated with growing pauses.",
			user:   onepass.User("ada"), given: func(w *onepass.World) {
				w.Refuse(errors.New("no route"))
				w.Open(nil)
			},
			want: onepass.Want{Calls: "PutAccount", Ready: "Unknown PortalUnreachable", Fails: "no route"},
		},
		"Conflict": {
			reason: "After a conflict with another client's write, the next pass follows without a report or an error.",
			user:   left("ada"), given: func(w *onepass.World) {
				w.Open(nil)
				w.Conflict()
			},
			want: onepass.Want{Calls: "ReleaseAccount", Same: true, Again: 50 * time.Millisecond},
		},
		"Deleted": {
			reason: "If the provider deleted the user, the account is released, and then the object is deleted.",
			user:   left("ada"), given: func(w *onepass.World) { w.Account("ada"); w.Open(nil) },
			want: onepass.Want{Calls: "ReleaseAccount", Gone: true},
		},
		"DeletionHeld": {
			reason: "A deletion that does not fit the guard's budget is marked in the portal and held: the user stays, and the condition says how to decide.",
			user:   left("ada"), given: func(w *onepass.World) { w.Account("ada"); w.Open(onepass.NoBudget) },
			want: onepass.Want{Calls: "MarkAccount", Ready: "False GuardHeld", Says: "kubectl scim release scimuser/", Also: "DeprovisioningHeld", Events: "GuardHeld"},
		},
		"DeletionDropped": {
			reason: "A dropped deletion removes the tombstone; that write triggers the next pass.",
			user:   left("ada"), given: func(w *onepass.World) {
				w.Account("ada")
				w.Open(onepass.NoBudget)
			}, then: func(w *onepass.World) {
				var u v1alpha1.ScimUser
				if _, err := w.Parts.Users.Reconcile(w.T.Context(), onepass.Request(left("ada"))); err != nil {
					w.T.Fatal(err)
				}
				w.Must(w.Kube.Get(w.T.Context(), onepass.Request(left("ada")).NamespacedName, &u))
				u.Annotations = map[string]string{v1alpha1.AnnotationDrop: u.Status.Held.Decision}
				w.Must(w.Kube.Update(w.T.Context(), &u))
			},
			want: onepass.Want{Calls: "MarkAccount", Ready: "False GuardHeld", Also: "DeprovisioningHeld", Events: "RemovalDropped"},
		},
		"NameHeld": {
			reason: "If the deletion of the user who had the name is held, the new user waits without a mark, a call or a poll.",
			user: func() *v1alpha1.ScimUser {
				u := onepass.User("bob")
				u.Spec.UserName = "ada@example.test"
				return u
			}(), given: func(w *onepass.World) {
				w.Account("ada", w.Record("leads", "ROLE_MANAGER"))
				w.Put(left("ada"))
				w.Open(onepass.NoBudget)
				_, err := w.Parts.Users.Reconcile(w.T.Context(), onepass.Request(left("ada")))
				w.Must(err)
			},
			want: onepass.Want{Ready: "False NameHeld", Says: "kubectl scim release scimuser/" + left("ada").Name + " --id "},
		},
		"DeletionReported": {
			reason: "Under ReportOnly, a deleted user waits, and the account stays.",
			user:   left("ada"), given: func(w *onepass.World) { w.Account("ada"); w.Open(onepass.ReportOnly) },
			want: onepass.Want{Ready: "False ReportOnly", Says: "Would release the account", Also: "Drifted"},
		},
		"DeletionOlder": {
			reason: "A tombstone from an old backup deprovisions no user.",
			user: func() *v1alpha1.ScimUser {
				u := left("ada")
				u.Spec.Revision = 0
				return u
			}(), given: func(w *onepass.World) { w.Account("ada"); w.Open(nil) },
			want: onepass.Want{Ready: "False BackupOlder"},
		},
		"NotListed": {
			reason: "A deletion that waits for the portal's state reports it; a user who is not deleted would report nothing.",
			user:   left("ada"), given: func(w *onepass.World) {
				w.Opening()
			},
			want: onepass.Want{Ready: "Unknown PortalUnreachable", Says: "is released as soon as it is"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := onepass.New(t, onepass.Pool(v1alpha1.DefaultName))
			tc.given(w)
			w.Put(tc.user)
			if tc.then != nil {
				tc.then(w)
			}
			var u v1alpha1.ScimUser
			u.Name = tc.user.Name
			w.Check(tc.reason, w.Parts.Users.Reconcile, &u, &u.Status.Conditions, tc.want)
		})
	}
}
