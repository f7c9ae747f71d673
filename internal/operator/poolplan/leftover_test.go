// SPDX-License-Identifier: Apache-2.0

package poolplan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

// TestLeftover has ada's account in a pool that the group g fills. ada has no ScimUser: the object
// was lost, or a backup of the portal brought the account back.
func TestLeftover(t *testing.T) {
	const namespace, group = "company", "g"
	ada, eve := kubefake.SCIMID("ada"), kubefake.SCIMID("eve")
	line := v1alpha1.PoolMember{UserName: "ada@example.test"}
	pinned := func(gone v1alpha1.MemberGone) func(*scene) {
		return func(s *scene) {
			s.pool.Spec.Roles, s.pool.Spec.Members = []v1alpha1.Role{portalapi.RoleManager}, []v1alpha1.PoolMember{line}
			s.pool.Status.Members = []v1alpha1.PinnedMember{{UserName: line.UserName, ID: ada, Gone: gone}}
		}
	}
	for name, tc := range map[string]struct {
		reason string
		given  func(*scene)
		want   poolplan.Changes
	}{
		"Left":        {"A user who left the group since, as a backup of the portal does not know, leaves the pool.", nil, poolplan.Changes{Leave: []*portalapi.Account{{ID: "a"}}}},
		"InTheGroup":  {"The group keeps the id of a user whose object is lost, so the user stays.", func(s *scene) { s.members += ada + "\n" }, poolplan.Changes{}},
		"Deactivated": {"An account that is not active leaves without the guard.", func(s *scene) { s.account.Status = portalapi.StatusDeactivated }, poolplan.Changes{Free: []*portalapi.Account{{ID: "a"}}}},
		"NotGranted":  {"So does one that the operator did not add to the pool.", func(s *scene) { s.account.Ungranted = []string{"1"} }, poolplan.Changes{Free: []*portalapi.Account{{ID: "a"}}}},
		"SlicesLost":  {"While a part of the group is missing, no user leaves.", func(s *scene) { s.group.Spec.Round, s.lost = 1, true }, poolplan.Changes{Later: 1}},
		"GroupLost":   {"While the group is missing, no user leaves.", func(s *scene) { s.group = nil }, poolplan.Changes{Later: 1}},
		"GroupOlder": {"While the group comes from an older backup, no user leaves.", func(s *scene) {
			s.own.Pins = []portalapi.Pin{{Line: "id g", ID: group, Revision: 9}}
		}, poolplan.Changes{Later: 1}},
		"OtherOperator": {"The account of another operator's user does not leave.", func(s *scene) { s.account.Owner.Binding = "other" }, poolplan.Changes{Later: 1}},
		"Filter":        {"A filter does not say whether it selects a user whose attributes are lost, so the user stays.", func(s *scene) { s.pool.Spec.MemberFilter = `title eq "x"` }, poolplan.Changes{Later: 1}},
		"Named":         {"A line names the user.", func(s *scene) { s.pool.Spec.Members = []v1alpha1.PoolMember{line} }, poolplan.Changes{}},
		"Missing":       {"In a pool with ROLE_MANAGER, a line means the user whose object is lost.", pinned(v1alpha1.MemberMissing), poolplan.Changes{}},
		"Deleted":       {"A line does not mean the user any more if the provider deleted the user.", pinned(v1alpha1.MemberDeleted), poolplan.Changes{Leave: []*portalapi.Account{{ID: "a"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scene{
				pool:  &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "ops", UID: "pool"}, Spec: v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{ID: group}}}},
				group: &v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: group}, Spec: v1alpha1.ScimGroupSpec{DisplayName: "Ops", Revision: 5}},
				own:   portalapi.Pool{ID: "1", Name: "ops", Owner: portalapi.Owner{UID: "pool", Name: "ops", Binding: "b"}, Revision: 1},
				account: portalapi.Account{ID: "a", UserName: line.UserName, Status: portalapi.StatusActive, Pools: []string{"1"}, Revision: 1,
					Owner: portalapi.Owner{UID: "uid", Name: ada, Binding: "b", Revision: 2}},
				members: eve + "\n",
			}
			if tc.given != nil {
				tc.given(s)
			}
			got := s.changes(t, namespace)
			for _, accounts := range [][]*portalapi.Account{got.Leave, got.Free} {
				for i := range accounts {
					accounts[i] = &portalapi.Account{ID: accounts[i].ID}
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// scene is a pool with one account, and the group that fills the pool.
type scene struct {
	pool    *v1alpha1.AgentPool
	group   *v1alpha1.ScimGroup // nil if it is lost
	members string              // of the group
	lost    bool                // the slices of the group are lost
	own     portalapi.Pool
	account portalapi.Account
}

func (s *scene) changes(t *testing.T, namespace string) poolplan.Changes {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := kubefake.New(t, scheme, s.pool)
	m := mirror.New(func(mirror.Event) {})
	m.PutConfiguration(&portalapi.Configuration{Binding: &portalapi.Binding{ID: "b"}})
	m.PutPool(&s.own)
	m.PutAccount(&s.account)
	groups := groupindex.New()
	if !s.lost {
		groups.PutSlice(&v1alpha1.ScimGroupSlice{
			ObjectMeta: metav1.ObjectMeta{Name: groupslice.Name("g", 0), Labels: map[string]string{v1alpha1.LabelGroup: "g"}},
			Spec:       v1alpha1.ScimGroupSliceSpec{Revision: 5, Members: s.members},
		})
	}
	if s.group != nil {
		groups.Put(s.group)
	}
	snapshot, err := poolindex.New(c, namespace, groups).Snapshot(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := poolplan.MemberChanges(t.Context(), s.pool, &s.own, poolplan.MemberFacts{Users: c, Groups: groups, Mirror: m, Snapshot: snapshot})
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	return got
}

// TestReleasedPin: ada's ScimUser was gone before a pass of the pool saw its tombstone.
func TestReleasedPin(t *testing.T) {
	ada := kubefake.SCIMID("ada")
	for _, tc := range []struct {
		reason   string
		released bool
		want     v1alpha1.MemberGone
	}{
		{"The portal released the account, so the provider deleted the user.", true, v1alpha1.MemberDeleted},
		{"The object was lost.", false, v1alpha1.MemberMissing},
	} {
		pool := &v1alpha1.AgentPool{
			ObjectMeta: metav1.ObjectMeta{Namespace: "company", Name: "ops", UID: "pool"},
			Spec:       v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{portalapi.RoleManager}, Members: []v1alpha1.PoolMember{{UserName: "ada"}}},
			Status:     v1alpha1.AgentPoolStatus{Members: []v1alpha1.PinnedMember{{UserName: "ada", ID: ada}}},
		}
		scheme := runtime.NewScheme()
		if err := v1alpha1.AddToScheme(scheme); err != nil {
			t.Fatal(err)
		}
		m := mirror.New(func(mirror.Event) {})
		if tc.released {
			m.PutReleased(portalapi.Owner{Name: ada, Revision: 3})
		}
		got, err := poolplan.ResolveMembers(t.Context(), kubefake.New(t, scheme, pool), pool, m)
		if err != nil || len(got.Pins) != 1 || got.Pins[0].Gone != tc.want {
			t.Errorf("%s The pins are %+v, %v", tc.reason, got.Pins, err)
		}
	}
}
