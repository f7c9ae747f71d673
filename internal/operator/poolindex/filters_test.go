// SPDX-License-Identifier: Apache-2.0

package poolindex_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/scimattrs"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/poolindex"
)

// TestFiltered asks one filter about ada, who was in Payments and matched, after a change.
func TestFiltered(t *testing.T) {
	const payments, sales = `title eq "Payments"`, `title eq "Sales"`
	type state struct {
		Match bool // what a pass finds
		Asked bool // the filter decoded the attributes for it
		Last  bool // what is known without a pass
		Known bool
	}
	as := func(edit func(*v1alpha1.ScimUser)) *v1alpha1.ScimUser {
		u := &v1alpha1.ScimUser{
			ObjectMeta: metav1.ObjectMeta{Name: "ada", UID: "uid-ada", Generation: 3},
			Spec:       v1alpha1.ScimUserSpec{UserName: "ada", Title: "Payments", Revision: 7},
		}
		if edit != nil {
			edit(u)
		}
		return u
	}
	for name, tc := range map[string]struct {
		reason string
		change func(*poolindex.Index) (now *v1alpha1.ScimUser)
		filter string // of the pool from then on
		before state  // the next pass
		after  state
	}{
		"Same": {
			reason: "The filter is not evaluated again for a user who has not changed.",
			change: func(*poolindex.Index) *v1alpha1.ScimUser { return as(nil) },
			filter: payments, before: state{Last: true, Known: true}, after: state{Match: true, Last: true, Known: true},
		},
		"StatusOnly": {
			reason: "The filter is not evaluated again after a write of the user's status.",
			change: func(x *poolindex.Index) *v1alpha1.ScimUser {
				u := as(func(u *v1alpha1.ScimUser) { u.ResourceVersion, u.Status.UserName = "9", "ada" })
				x.Observe(u)
				return u
			},
			filter: payments, before: state{Last: true, Known: true}, after: state{Match: true, Last: true, Known: true},
		},
		"ChangedUser": {
			reason: "The filter is evaluated again after a push of the user.",
			change: func(x *poolindex.Index) *v1alpha1.ScimUser {
				u := as(func(u *v1alpha1.ScimUser) { u.Generation, u.Spec.Revision, u.Spec.Title = 4, 8, "Sales" })
				x.Observe(u)
				return u
			},
			filter: payments, after: state{Asked: true, Known: true},
		},
		"ChangedBeforeItsEvent": {
			reason: "A pass that reads the change before its event was handled evaluates the filter, and its result does not count for the former state.",
			change: func(*poolindex.Index) *v1alpha1.ScimUser {
				return as(func(u *v1alpha1.ScimUser) { u.Generation, u.Spec.Revision, u.Spec.Title = 4, 8, "Sales" })
			},
			filter: payments, before: state{Last: true, Known: true}, after: state{Asked: true},
		},
		"SlowPass": {
			reason: "The result of a pass over the state before the change does not count for a later pass.",
			change: func(x *poolindex.Index) *v1alpha1.ScimUser {
				x.Observe(as(func(u *v1alpha1.ScimUser) { u.Generation, u.Spec.Revision, u.Spec.Title = 4, 8, "Sales" }))
				return as(nil)
			},
			filter: payments, after: state{Match: true},
		},
		"RestoredInPlace": {
			reason: "The filter is evaluated again if another object has the same generation, as after a restore of etcd.",
			change: func(x *poolindex.Index) *v1alpha1.ScimUser {
				u := as(func(u *v1alpha1.ScimUser) { u.Spec.Revision, u.Spec.Title = 5, "Sales" })
				x.Observe(u)
				return u
			},
			filter: payments, after: state{Asked: true, Known: true},
		},
		"ChangedFilter": {
			reason: "The results of the former filter do not count for a changed filter.",
			change: func(*poolindex.Index) *v1alpha1.ScimUser { return as(nil) },
			filter: sales, after: state{Asked: true, Known: true},
		},
		"DeletedUser": {
			reason: "A deleted user has no result, and a user who is created again is another user.",
			change: func(x *poolindex.Index) *v1alpha1.ScimUser {
				x.Vanished("ada")
				u := as(func(u *v1alpha1.ScimUser) { u.UID, u.Spec.Title = "another", "Sales" })
				return u
			},
			filter: payments, after: state{Asked: true},
		},
		"CreatedAgain": {
			reason: "The same id, generation and revision under another UID is another user.",
			change: func(x *poolindex.Index) *v1alpha1.ScimUser {
				u := as(func(u *v1alpha1.ScimUser) { u.UID, u.Spec.Title = "another", "Sales" })
				x.Observe(u)
				return u
			},
			filter: payments, after: state{Asked: true, Known: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			pool := agentPool("ruled")
			pool.Spec.MemberFilter = payments
			cluster := agentPools{pool}
			m, x := portal(), poolindex.New(cluster, "", groupindex.New())
			snapshot := func() *poolindex.Snapshot {
				t.Helper()
				s, err := x.Snapshot(t.Context(), m)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			pass := func(u *v1alpha1.ScimUser) (s state) {
				got := snapshot().Effective(access.User{
					Name: u.Name, Version: poolindex.VersionOf(u), UserName: u.Spec.UserName,
					Attributes: func() access.Attributes { s.Asked = true; return scimattrs.Attributes(&u.Spec) },
				})
				s.Match = len(got.Pools) == 2
				return s
			}
			known := func(s state) state {
				s.Last, s.Known = snapshot().Filtered("ruled", "ada")
				return s
			}
			x.Observe(as(nil))
			if diff := cmp.Diff(state{Match: true, Asked: true, Last: true, Known: true}, known(pass(as(nil)))); diff != "" {
				t.Fatalf("at first (-want +got):\n%s", diff)
			}
			now := tc.change(x)
			cluster[0].Spec.MemberFilter = tc.filter
			x.Invalidate()
			if diff := cmp.Diff(tc.before, known(state{})); diff != "" {
				t.Errorf("%s Before the pass (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.after, known(pass(now))); diff != "" {
				t.Errorf("%s The pass (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
