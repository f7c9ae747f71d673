// SPDX-License-Identifier: Apache-2.0

package agentpool_test

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/fakeportal"
	"lightrun.com/scim-operator/test/framework/kubefake"
	"lightrun.com/scim-operator/test/framework/onepass"
)

// with is a pool that has its finalizer, changed by edit.
func with(p *v1alpha1.AgentPool, edit func(*v1alpha1.AgentPool)) *v1alpha1.AgentPool {
	p.Finalizers = []string{v1alpha1.FinalizerPool}
	if edit != nil {
		edit(p)
	}
	return p
}

// members opens the session with a pool that has these users, each with an account.
func members(w *onepass.World, edit func(*v1alpha1.IdentityConfigurationSpec), users ...string) {
	id := w.Record("leads")
	for _, u := range users {
		w.Put(onepass.User(u))
		w.Account(u, id)
	}
	w.Open(edit)
}

// deleted deletes the AgentPool.
func deleted(w *onepass.World) {
	w.Must(w.Kube.Delete(w.T.Context(), &v1alpha1.AgentPool{ObjectMeta: onepass.Meta("leads")}))
}

func TestReconcile(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		pool   *v1alpha1.AgentPool // nil for the pool leads, without roles, as it is after its first pass
		given  func(*onepass.World)
		then   func(*onepass.World) // runs once the pool exists, or nil
		want   onepass.Want
	}{
		"Starting": {
			reason: "Until the configuration has been read, the pool gets its finalizer and its name, and no status.",
			pool:   onepass.Pool("leads"), given: func(*onepass.World) {},
			want: onepass.Want{},
		},
		"NamespaceEnds": {
			reason: "In a namespace that is being deleted, no finalizer is added: the manager may lose its rights before it could remove it.",
			pool:   onepass.Pool("leads"), given: func(w *onepass.World) { w.Ending(); w.Open(nil) },
			want: onepass.Want{Same: true},
		},
		"NoConfiguration": {
			reason: "Without a configuration, the pool waits for an administrator.",
			given: func(w *onepass.World) {
				w.Parts.Session.Close(session.Block{Reason: v1alpha1.ReasonNoConfiguration, Message: "There is none"})
			},
			want: onepass.Want{Ready: "Unknown NoConfiguration"},
		},
		"New": {
			reason: "A pool is created in the portal with its roles, and an event says so.",
			pool:   onepass.Pool("leads", "ROLE_IGNORE_QUOTA"), given: func(w *onepass.World) { w.Open(nil) },
			want: onepass.Want{Calls: "PutPool", Ready: "True Ready", Events: "Created"},
		},
		"Same": {
			reason: "A pool in the desired state is not written.",
			given:  func(w *onepass.World) { w.Record("leads"); w.Open(nil) },
			want:   onepass.Want{Ready: "True Ready"},
		},
		"ReportOnly": {
			reason: "Under ReportOnly, the condition only says what would change.",
			given:  func(w *onepass.World) { w.Open(onepass.ReportOnly) },
			want:   onepass.Want{Ready: "False ReportOnly", Says: "Would Create the pool", Also: "Drifted"},
		},
		"SCIMOff": {
			reason: "While SCIM is off, pools stay as they are.",
			given:  func(w *onepass.World) { w.SCIMOff(); w.Open(nil) },
			want:   onepass.Want{Ready: "Unknown SCIMOff", Also: "Suspended"},
		},
		"InvalidFilter": {
			reason: "A pool with an invalid filter keeps its members; all else is written.",
			pool:   with(onepass.Pool("leads"), func(p *v1alpha1.AgentPool) { p.Spec.MemberFilter = "userName eq" }),
			given:  func(w *onepass.World) { w.Open(nil) },
			want:   onepass.Want{Calls: "PutPool", Ready: "False InvalidFilter", Says: "spec.memberFilter: ", Events: "Created"},
		},
		"UnknownRole": {
			reason: "A role that the portal does not know is not granted; all else is written.",
			pool:   with(onepass.Pool("leads", "ROLE_OTHER"), nil),
			given:  func(w *onepass.World) { w.Open(nil) },
			want:   onepass.Want{Calls: "PutPool", Ready: "False UnknownRole", Events: "Created"},
		},
		"GroupNotFound": {
			reason: "A line without a group waits for the push, and the pool exists meanwhile.",
			pool: with(onepass.Pool("leads"), func(p *v1alpha1.AgentPool) {
				p.Spec.Groups = []v1alpha1.GroupReference{{DisplayName: "Leads"}}
			}),
			given: func(w *onepass.World) { w.Open(nil) },
			want:  onepass.Want{Calls: "PutPool", Ready: "False GroupNotFound", Events: "Created"},
		},
		"NameTaken": {
			reason: "If another AgentPool has the name, the pool waits until one of the two is renamed.",
			given: func(w *onepass.World) {
				other := with(onepass.Pool("other"), func(p *v1alpha1.AgentPool) { p.Spec.DisplayName = "leads" })
				w.Put(other)
				w.Open(nil)
				_, err := w.Parts.Pools.Reconcile(w.T.Context(), onepass.Request(other))
				w.Must(err)
			},
			want: onepass.Want{Ready: "False NameTaken", Says: "fill that pool. To exchange the names of two pools, make the change in two commits"},
		},
		"ConsentRequired": {
			reason: "A pool that was created in the portal is adopted only with consent.",
			given: func(w *onepass.World) {
				_, err := w.Portal.Store.CreatePool(w.T.Context(), fakeportal.Manager(), store.NewPool{Name: "leads"})
				w.Must(err)
				w.Open(nil)
			},
			want: onepass.Want{Ready: "False ConsentRequired"},
		},
		"Default": {
			reason: "The portal's own default pool is reported and not written.",
			pool:   with(onepass.Pool(v1alpha1.DefaultName), nil),
			given:  func(w *onepass.World) { w.Open(nil) },
			want:   onepass.Want{Ready: "True Ready"},
		},
		"Orphan": {
			reason: "The own pool of a group that does not exist is left to the group's controller for a while.",
			pool: with(onepass.Pool(kubefake.SCIMID("gone")), func(p *v1alpha1.AgentPool) {
				p.Spec.Groups = []v1alpha1.GroupReference{{ID: p.Name}}
			}),
			given: func(w *onepass.World) { w.Open(nil) },
			want:  onepass.Want{Same: true},
		},
		"Refused": {
			reason: "A call that the portal refuses is repeated seldom; the condition says why.",
			given:  func(w *onepass.World) { w.Refuse(onepass.Invalid()); w.Open(nil) },
			want:   onepass.Want{Calls: "PutPool", Ready: "False RefusedByPortal", Again: time.Minute},
		},
		"Unreachable": {
			reason: "A call that the portal does not answer is repeated with growing pauses.",
			given:  func(w *onepass.World) { w.Refuse(errors.New("no route")); w.Open(nil) },
			want:   onepass.Want{Calls: "PutPool", Ready: "Unknown PortalUnreachable", Fails: "no route"},
		},
		"Conflict": {
			reason: "After a conflict with another client's write, the next pass follows without a report or an error.",
			pool:   onepass.Pool("leads"), given: func(w *onepass.World) { w.Open(nil); w.Conflict() },
			want: onepass.Want{Same: true, Again: 50 * time.Millisecond},
		},
		"Joins": {
			reason: "Members join at once, in one call.",
			pool: with(onepass.Pool("leads"), func(p *v1alpha1.AgentPool) {
				p.Spec.Members = []v1alpha1.PoolMember{{UserName: "ada@example.test"}, {UserName: "bob@example.test"}}
			}),
			given: func(w *onepass.World) {
				w.Record("leads")
				w.Put(onepass.User("ada"), onepass.User("bob"))
				w.Account("ada")
				w.Account("bob")
				w.Open(nil)
			},
			want: onepass.Want{Calls: "PutMemberships", Ready: "True Ready"},
		},
		"Leaves": {
			reason: "A member who is not wanted leaves, if the removal fits the budget.",
			given:  func(w *onepass.World) { members(w, nil, "ada") },
			want:   onepass.Want{Calls: "PutMemberships", Ready: "True Ready"},
		},
		"LeavesHeld": {
			reason: "Members whose removal does not fit the budget all stay; the portal has the mark before the status reports them as held.",
			given:  func(w *onepass.World) { members(w, onepass.NoBudget, "ada") },
			then:   func(w *onepass.World) { w.Settle(w.Parts.Pools.Reconcile, onepass.Pool("leads")) },
			want:   onepass.Want{Calls: "MarkPool", Ready: "False GuardHeld", Says: "until then the pool gains no role", Also: "DeprovisioningHeld", Events: "GuardHeld"},
		},
		"RoleWaits": {
			reason: "A pool gains a role after the members who must leave have left: otherwise they would gain the role meanwhile.",
			pool:   with(onepass.Pool("leads", "ROLE_IGNORE_QUOTA"), nil),
			given:  func(w *onepass.World) { members(w, nil, "ada") },
			want:   onepass.Want{Calls: "PutMemberships", Ready: "True Ready", Again: time.Second},
		},
		"Deleted": {
			reason: "A deletion releases the pool in the portal, then its claims, then the object.",
			given:  func(w *onepass.World) { w.Record("leads"); w.Open(nil) }, then: deleted,
			want: onepass.Want{Calls: "ReleasePool", Gone: true},
		},
		"DeletedHeld": {
			reason: "A deletion that takes more than the budget is held, and the object stays.",
			given:  func(w *onepass.World) { members(w, onepass.NoBudget, "ada") }, then: deleted,
			want: onepass.Want{Calls: "MarkPool", Ready: "False GuardHeld", Says: "kubectl scim release agentpool/leads", Also: "DeprovisioningHeld", Events: "GuardHeld"},
		},
		"DeletedForeignFinalizer": {
			reason: "An AgentPool whose pool is released is not ready, although the object stays for another program.",
			pool: with(onepass.Pool("leads"), func(p *v1alpha1.AgentPool) {
				p.Finalizers = []string{v1alpha1.FinalizerPool, "example.test/backup"}
				p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady, Message: "All conditions are met", LastTransitionTime: metav1.Now()}}
			}),
			given: func(w *onepass.World) { w.Record("leads"); w.Open(nil) },
			then: func(w *onepass.World) {
				deleted(w)
				w.Settle(w.Parts.Pools.Reconcile, onepass.Pool("leads"))
			},
			want: onepass.Want{Ready: "Unknown Deleting", Says: "example.test/backup"},
		},
		"DeletedReportOnly": {
			reason: "Under ReportOnly, a deletion removes the object and leaves the portal's pool: it is not kept for later.",
			given:  func(w *onepass.World) { w.Record("leads"); w.Open(onepass.ReportOnly) }, then: deleted,
			want: onepass.Want{Gone: true},
		},
		"DeletedWithNamespace": {
			reason: "The deletion of a namespace removes its objects and leaves the portal as it is.",
			given:  func(w *onepass.World) { w.Record("leads"); w.Open(nil); w.Ending() }, then: deleted,
			want: onepass.Want{Gone: true},
		},
		"DeletedNotListed": {
			reason: "A deletion that waits for the portal's state reports it, because administrators see the finalizer.",
			given:  func(w *onepass.World) { w.Opening() }, then: deleted,
			want: onepass.Want{Ready: "Unknown PortalUnreachable", Says: "is released as soon as it is"},
		},
		"DeletedRefused": {
			reason: "A release that the portal refuses is repeated, and the object stays.",
			given:  func(w *onepass.World) { w.Record("leads"); w.Refuse(onepass.Invalid()); w.Open(nil) }, then: deleted,
			want: onepass.Want{Calls: "ReleasePool", Ready: "False RefusedByPortal", Again: time.Minute},
		},
	} {
		t.Run(name, func(t *testing.T) {
			pool := tc.pool
			if pool == nil {
				pool = with(onepass.Pool("leads"), nil)
			}
			w := onepass.New(t)
			tc.given(w)
			w.Put(pool)
			if tc.then != nil {
				tc.then(w)
			}
			p := &v1alpha1.AgentPool{ObjectMeta: onepass.Meta(pool.Name)}
			w.Check(tc.reason, w.Parts.Pools.Reconcile, p, &p.Status.Conditions, tc.want)
		})
	}
}
