// SPDX-License-Identifier: Apache-2.0

package scimgroup_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/scimgroup"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/kubefake"
	"lightrun.com/scim-operator/test/framework/onepass"
)

var leads = kubefake.SCIMID("leads")

// deleted is the group after the provider deleted it.
func deleted() *v1alpha1.ScimGroup {
	g := onepass.Group("leads")
	g.Spec.Deleted, g.Spec.Revision = true, 2
	return g
}

// people creates the AgentPool ops as an administrator declares it. Its status pins its line to the
// group leads. If gone is true, the status also says that the provider deleted the group.
func people(w *onepass.World, gone bool) {
	p := onepass.Pool("ops")
	p.Spec.Groups = []v1alpha1.GroupReference{{DisplayName: "leads"}}
	w.Put(p)
	p.Status.Groups = []v1alpha1.PinnedGroup{{GroupReference: p.Spec.Groups[0], Group: leads, Deleted: gone}}
	p.Status.ObservedGeneration = 1
	w.Must(w.Kube.Status().Update(w.T.Context(), p))
}

// filled sets status.pools of the group: the group fills the pool ops.
func filled(w *onepass.World) {
	g := &v1alpha1.ScimGroup{ObjectMeta: onepass.Meta(leads)}
	w.Must(w.Kube.Get(w.T.Context(), client.ObjectKeyFromObject(g), g))
	g.Status.Pools = []string{"ops"}
	w.Must(w.Kube.Status().Update(w.T.Context(), g))
}

// member adds ada to the group, and to the portal's pool that belongs to AgentPool ops.
func member(w *onepass.World) {
	id := w.Record("ops")
	w.Put(onepass.User("ada"), onepass.Members("leads", "ada"))
	w.Account("ada", id)
}

// replaced is the group's own pool and its pool in the portal, with ada as the member, while the
// pool ops, which the group fills too, has a pool in the portal. If joined, ada is in that one as
// well.
func replaced(w *onepass.World, joined bool) {
	own, ops := w.Record(leads), w.Record("ops")
	w.Put(onepass.User("ada"), onepass.Members("leads", "ada"), scimgroup.NewPool(onepass.Namespace, leads))
	pools := []string{own}
	if joined {
		pools = append(pools, ops)
	}
	w.Account("ada", pools...)
	people(w, false)
}

func TestReconcile(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		group  *v1alpha1.ScimGroup // nil for leads, as it was pushed
		given  func(*onepass.World)
		then   func(*onepass.World) // runs once the group exists, or nil
		pools  string               // names of the AgentPools afterwards
		want   onepass.Want
	}{
		"New": {
			reason: "A group that no pool names gets its own pool, even while the portal's state is not known.",
			given:  func(*onepass.World) {}, pools: leads,
			want: onepass.Want{Ready: "True Ready"},
		},
		"Named": {
			reason: "A group that a declared pool names gets no own pool.",
			given:  func(w *onepass.World) { people(w, false); w.Open(nil) }, pools: "ops",
			want: onepass.Want{Ready: "True Ready"},
		},
		"NotNamed": {
			reason: "A declared pool whose object name is the group's id is not deleted.",
			given: func(w *onepass.World) {
				p := onepass.Pool(leads, "ROLE_IGNORE_QUOTA")
				w.Put(p)
				w.Open(nil)
			}, pools: leads,
			want: onepass.Want{Ready: "True Ready"},
		},
		"NameTaken": {
			reason: "If another group has the name, no pool is created until one of the two is renamed.",
			given: func(w *onepass.World) {
				other := onepass.Group("other")
				other.Spec.DisplayName = "LEADS"
				w.Put(other)
			},
			want: onepass.Want{Ready: "False NameTaken", Says: "has this name; rename one of the two"},
		},
		"Behind": {
			reason: "The index is behind the object: the pass ends without a change of the status and is repeated soon.",
			given:  func(*onepass.World) {},
			then: func(w *onepass.World) {
				older := onepass.Group("leads")
				older.Spec.DisplayName = "before"
				w.Parts.Index.Put(older)
			},
			want: onepass.Want{Same: true, Again: 50 * time.Millisecond},
		},
		"Failure": {
			reason: "The status reports a failure without its details, and the error makes the pass run again.",
			given: func(w *onepass.World) {
				w.Write = func(verb string, _ client.Object) error {
					if verb == "create" {
						return errors.New("no quota")
					}
					return nil
				}
			},
			want: onepass.Want{Ready: "Unknown Progressing", Says: "see the manager's log", Fails: "create the group's own pool: no quota"},
		},
		"Conflict": {
			reason: "After a conflict with another client's write, the next pass follows without a report or an error.",
			given:  func(w *onepass.World) { w.Conflict() },
			want:   onepass.Want{Same: true, Again: 50 * time.Millisecond},
		},
		"DeletedStarting": {
			reason: "Right after the start, a deletion waits silently, because the portal's state is not known.",
			group:  deleted(), given: func(*onepass.World) {},
			want: onepass.Want{Same: true},
		},
		"DeletedWithNamespace": {
			reason: "A namespace that is being deleted deprovisions no user.",
			group:  deleted(), given: func(w *onepass.World) { w.Open(nil); w.Ending() },
			want: onepass.Want{Same: true},
		},
		"DeletedNotListed": {
			reason: "The group's condition says that the deletion waits for the portal's state.",
			group:  deleted(), given: func(w *onepass.World) { w.Opening() },
			want: onepass.Want{Ready: "Unknown PortalUnreachable", Says: "is released as soon as it is"},
		},
		"DeletedSCIMOff": {
			reason: "While SCIM is off, the members of a deleted group stay in the pools.",
			group:  deleted(), given: func(w *onepass.World) { w.SCIMOff(); w.Open(nil) },
			want: onepass.Want{Ready: "Unknown SCIMOff"},
		},
		"DeletedReportOnly": {
			reason: "Under ReportOnly, the condition only says what would change.",
			group:  deleted(), given: func(w *onepass.World) { w.Open(onepass.ReportOnly) },
			want: onepass.Want{Ready: "False ReportOnly"},
		},
		"DeletedOwnPool": {
			reason: "The group's own AgentPool is deleted first; the group waits until the portal's record is released.",
			group:  deleted(), given: func(w *onepass.World) {
				p := onepass.Pool(leads)
				p.Spec.Groups, p.Finalizers = []v1alpha1.GroupReference{{ID: leads}}, []string{v1alpha1.FinalizerPool}
				w.Put(p)
				w.Open(nil)
			}, pools: leads,
			want: onepass.Want{Ready: "Unknown Deleting", Says: "its own pool is being released", Again: time.Second},
		},
		"Replaced": {
			reason: "The own pool is deleted once its members are in the declared pool that replaces it.",
			given:  func(w *onepass.World) { replaced(w, true); w.Open(nil) }, pools: "ops",
			want: onepass.Want{Ready: "True Ready"},
		},
		"ReplacedJoining": {
			reason: "The own pool stays until its members have joined the declared pool: they must not be without both pools.",
			given:  func(w *onepass.World) { replaced(w, false); w.Open(nil) }, pools: leads + " ops",
			want: onepass.Want{Ready: "True Ready", Again: time.Second},
		},
		"ReplacedReportOnly": {
			reason: "Under ReportOnly, the own pool stays: its record in the portal would remain without an AgentPool.",
			given:  func(w *onepass.World) { replaced(w, true); w.Open(onepass.ReportOnly) }, pools: leads + " ops",
			want: onepass.Want{Ready: "True Ready"},
		},
		"DeletedPinned": {
			reason: "A deleted group waits while an AgentPool still lists it, because its members still have that pool's roles.",
			group:  deleted(), given: func(w *onepass.World) { people(w, false); w.Open(nil) }, pools: "ops",
			want: onepass.Want{Ready: "Unknown Deleting", Says: "AgentPool ops still lists it", Again: time.Second},
		},
		"DeletedMembers": {
			reason: "A deleted group waits until its members have left its pools in the portal.",
			group:  deleted(), given: func(w *onepass.World) { member(w); people(w, true); w.Open(nil) }, then: filled, pools: "ops",
			want: onepass.Want{Ready: "Unknown Deleting", Says: "1 member(s) have not left its pools", Again: time.Second},
		},
		"DeletedHeld": {
			reason: "A deleted group stays while the guard holds a removal in one of its pools, which may be dropped.",
			group:  deleted(), given: func(w *onepass.World) {
				member(w)
				people(w, true)
				w.Must(w.Portal.MarkPool(w.T.Context(), portalapi.Owner{UID: "uid-ops", Name: "ops", Revision: 1}, &portalapi.Mark{What: portalapi.RemovalMembers, State: portalapi.MarkHeld, Decision: "m-1", At: "ops"}))
				w.Open(nil)
			}, then: filled, pools: "ops",
			want: onepass.Want{Ready: "False GuardHeld", Says: "kubectl scim release agentpool/ops --id m-1 -n company", Again: time.Second},
		},
		"DeletedDone": {
			reason: "When nothing is left to wait for, the group's slices and the object are deleted.",
			group:  deleted(), given: func(w *onepass.World) { w.Open(nil) },
			then: func(w *onepass.World) { w.Put(onepass.Members("leads")) },
			want: onepass.Want{Gone: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := tc.group
			if g == nil {
				g = onepass.Group("leads")
			}
			w := onepass.New(t)
			tc.given(w)
			w.Put(g.DeepCopy())
			if tc.then != nil {
				tc.then(w)
			}
			got := &v1alpha1.ScimGroup{ObjectMeta: onepass.Meta(g.Name)}
			w.Check(tc.reason, w.Parts.Groups.Reconcile, got, &got.Status.Conditions, tc.want)
			var pools v1alpha1.AgentPoolList
			w.Must(w.Kube.List(t.Context(), &pools))
			var names []string
			for _, p := range pools.Items {
				names = append(names, p.Name)
			}
			if strings.Join(names, " ") != tc.pools {
				t.Errorf("%s\nAgentPools %v, want %q", tc.reason, names, tc.pools)
			}
			var slices v1alpha1.ScimGroupSliceList
			w.Must(w.Kube.List(t.Context(), &slices))
			if tc.want.Gone && len(slices.Items) > 0 {
				t.Errorf("%s\n%d slices are left", tc.reason, len(slices.Items))
			}
		})
	}
}
