// SPDX-License-Identifier: Apache-2.0

package poolplan_test

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

// TestReleaseOfAReplacedPool deletes the own pool of a group that fills the declared pool leads. In
// the portal, ada and bob are in both pools and eve is only in the own pool.
func TestReleaseOfAReplacedPool(t *testing.T) {
	group := kubefake.SCIMID("group")
	type facts struct {
		own, declared       *v1alpha1.AgentPool
		ownRecord, declares *portalapi.Pool
		ada                 *portalapi.Account
		group               *v1alpha1.ScimGroup
	}
	for name, tc := range map[string]struct {
		reason string
		edit   func(*facts)
		losers []string
	}{
		"Replaced": {"A user who is in the declared pool loses nothing; the guard counts only the others.", func(*facts) {}, []string{"eve"}},
		"GivesARole": {"A pool with a role gives something, also if people gave it the role in the portal.", func(f *facts) {
			f.ownRecord.Roles, f.ownRecord.Ungranted = []string{"ROLE_IGNORE_QUOTA"}, []string{"ROLE_IGNORE_QUOTA"}
		}, []string{"ada", "bob", "eve"}},
		"Extended":        {"What people made of it is theirs.", func(f *facts) { f.own.Spec.Description = "ours" }, []string{"ada", "bob", "eve"}},
		"OtherGroup":      {"A pool that another group fills does not replace it.", func(f *facts) { f.declared.Status.Groups[0].Group = "another" }, []string{"ada", "bob", "eve"}},
		"NotResolved":     {"Nor does one whose line has no group yet.", func(f *facts) { f.declared.Status.Groups = nil }, []string{"ada", "bob", "eve"}},
		"DeclaredDeleted": {"Nor does one that is being deleted.", func(f *facts) { now := metav1.Now(); f.declared.DeletionTimestamp = &now }, []string{"ada", "bob", "eve"}},
		"NoRecord":        {"Nor does one that is not in the portal, or is another operator's there.", func(f *facts) { f.declares.Owner.UID = "another" }, []string{"ada", "bob", "eve"}},
		"Ungranted":       {"A membership that the operator did not write may be removed at any time.", func(f *facts) { f.ada.Ungranted = []string{"leads"} }, []string{"ada", "eve"}},
		"GroupDeleted":    {"The users of a group that the provider deleted leave both pools.", func(f *facts) { f.group.Spec.Deleted = true }, []string{"ada", "bob", "eve"}},
		"GroupUnknown":    {"Of a group that is not known nothing follows.", func(f *facts) { f.group.Name = "another" }, []string{"ada", "bob", "eve"}},
	} {
		t.Run(name, func(t *testing.T) {
			ref := v1alpha1.GroupReference{DisplayName: "Group"}
			f := facts{
				own:       &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Name: group, UID: "own"}, Spec: v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{ID: group}}}},
				declared:  &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Name: "leads", UID: "leads"}, Spec: v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{ref}}},
				ownRecord: &portalapi.Pool{ID: "own", Name: "Group", Created: true, Owner: portalapi.Owner{UID: "own", Name: group}},
				declares:  &portalapi.Pool{ID: "leads", Name: "leads", Created: true, Owner: portalapi.Owner{UID: "leads", Name: "leads"}},
				ada:       account("ada", "own", "leads"),
				group:     &v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Name: group}, Spec: v1alpha1.ScimGroupSpec{DisplayName: "Group"}},
			}
			f.declared.Status.Groups = []v1alpha1.PinnedGroup{{GroupReference: ref, Group: group}}
			tc.edit(&f)
			m, groups := mirror.New(func(mirror.Event) {}), groupindex.New()
			groups.Put(f.group)
			m.PutPool(f.ownRecord)
			m.PutPool(f.declares)
			for _, a := range []*portalapi.Account{f.ada, account("bob", "own", "leads"), account("eve", "own")} {
				m.PutAccount(a)
			}
			plan := poolplan.PlanRelease(f.own, []v1alpha1.AgentPool{*f.own, *f.declared}, groups, m)
			got := slices.Sorted(slices.Values(plan.Removal.Users))
			if !plan.Deletes || !slices.Equal(got, tc.losers) || plan.Removal.Members != len(tc.losers) {
				t.Errorf("%s\n%v would lose something, want %v: %+v", tc.reason, got, tc.losers, plan)
			}
		})
	}
}

func account(name string, pools ...string) *portalapi.Account {
	return &portalapi.Account{ID: name, UserName: name, Status: portalapi.StatusActive, Owner: portalapi.Owner{UID: "uid-" + name, Name: name}, Pools: pools, Revision: 1}
}
