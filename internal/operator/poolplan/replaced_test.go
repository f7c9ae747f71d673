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

// TestReleaseOfAReplacedPool plans the deletion of a group's own pool. The group also fills a
// declared pool, which is named "leads". In the portal, ada and bob are in both pools and eve is
// only in the own pool.
func TestReleaseOfAReplacedPool(t *testing.T) {
	group, other := kubefake.SCIMID("group"), kubefake.SCIMID("other")
	type facts struct {
		own, declared             *v1alpha1.AgentPool
		ownRecord, declaredRecord *portalapi.Pool
		ada                       *portalapi.Account
		group                     *v1alpha1.ScimGroup
	}
	for name, tc := range map[string]struct {
		reason   string
		edit     func(*facts)
		replaced bool     // another pool replaces the own pool
		affected []string // the users that lose something
	}{
		"Replaced": {"A user who is in the declared pool loses nothing; the guard counts only the others.", func(*facts) {}, true, []string{"eve"}},
		"GivesARole": {"A pool with a role is not replaced: its members lose the role, even if an administrator granted it in the portal.", func(f *facts) {
			f.ownRecord.Roles, f.ownRecord.Ungranted = []string{"ROLE_IGNORE_QUOTA"}, []string{"ROLE_IGNORE_QUOTA"}
		}, false, []string{"ada", "bob", "eve"}},
		"Extended": {"An own pool that an administrator has edited is a declared pool; the other pool does not replace it.", func(f *facts) { f.own.Spec.Description = "ours" }, false, []string{"ada", "bob", "eve"}},
		"OtherGroup": {"A declared pool that another group fills does not replace the own pool.", func(f *facts) {
			ref := v1alpha1.GroupReference{DisplayName: "Other"}
			f.declared.Spec.Groups, f.declared.Status.Groups = []v1alpha1.GroupReference{ref}, []v1alpha1.PinnedGroup{{GroupReference: ref, Group: other}}
		}, false, []string{"ada", "bob", "eve"}},
		"PinUnknown":      {"A declared pool whose line is pinned to a group that does not exist does not replace the own pool.", func(f *facts) { f.declared.Status.Groups[0].Group = "another" }, false, []string{"ada", "bob", "eve"}},
		"NotResolved":     {"A declared pool whose line is not resolved does not replace the own pool.", func(f *facts) { f.declared.Status.Groups = nil }, false, []string{"ada", "bob", "eve"}},
		"DeclaredDeleted": {"A declared pool that is being deleted does not replace the own pool.", func(f *facts) { now := metav1.Now(); f.declared.DeletionTimestamp = &now }, false, []string{"ada", "bob", "eve"}},
		"NoRecord":        {"A declared pool that owns no record in the portal does not replace the own pool.", func(f *facts) { f.declaredRecord.Owner.UID = "another" }, false, []string{"ada", "bob", "eve"}},
		"Ungranted":       {"A membership that the operator did not write does not count: an administrator can remove it at any time.", func(f *facts) { f.ada.Ungranted = []string{"leads"} }, true, []string{"ada", "eve"}},
		"GroupDeleted":    {"The users of a group that the provider deleted leave both pools.", func(f *facts) { f.group.Spec.Deleted = true }, false, []string{"ada", "bob", "eve"}},
		"GroupUnknown":    {"No pool is replaced while the group is not in the index.", func(f *facts) { f.group.Name = "another" }, false, []string{"ada", "bob", "eve"}},
	} {
		t.Run(name, func(t *testing.T) {
			ref := v1alpha1.GroupReference{DisplayName: "Group"}
			f := facts{
				own:            &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Name: group, UID: "own"}, Spec: v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{ID: group}}}},
				declared:       &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Name: "leads", UID: "leads"}, Spec: v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{ref}}},
				ownRecord:      &portalapi.Pool{ID: "own", Name: "Group", Created: true, Owner: portalapi.Owner{UID: "own", Name: group}},
				declaredRecord: &portalapi.Pool{ID: "leads", Name: "leads", Created: true, Owner: portalapi.Owner{UID: "leads", Name: "leads"}},
				ada:            account("ada", "own", "leads"),
				group:          &v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Name: group}, Spec: v1alpha1.ScimGroupSpec{DisplayName: "Group"}},
			}
			f.declared.Status.Groups = []v1alpha1.PinnedGroup{{GroupReference: ref, Group: group}}
			tc.edit(&f)
			m, groups := mirror.New(func(mirror.Event) {}), groupindex.New()
			groups.Put(f.group)
			groups.Put(&v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Name: other}, Spec: v1alpha1.ScimGroupSpec{DisplayName: "Other"}})
			m.PutPool(f.ownRecord)
			m.PutPool(f.declaredRecord)
			for _, a := range []*portalapi.Account{f.ada, account("bob", "own", "leads"), account("eve", "own")} {
				m.PutAccount(a)
			}
			plan := poolplan.PlanRelease(f.own, []v1alpha1.AgentPool{*f.own, *f.declared}, groups, m)
			if plan.Replaced != tc.replaced {
				t.Errorf("%s\nthe pool is replaced: %v", tc.reason, plan.Replaced)
			}
			if !plan.Deletes {
				t.Errorf("%s\nthe portal's pool is not deleted", tc.reason)
			}
			if got := slices.Sorted(slices.Values(plan.Removal.Users)); !slices.Equal(got, tc.affected) {
				t.Errorf("%s\nthe users %v lose something, want %v", tc.reason, got, tc.affected)
			}
			if plan.Removal.Members != len(tc.affected) {
				t.Errorf("%s\n%d users leave the pool, want %d", tc.reason, plan.Removal.Members, len(tc.affected))
			}
		})
	}
}

func account(name string, pools ...string) *portalapi.Account {
	return &portalapi.Account{ID: name, UserName: name, Status: portalapi.StatusActive, Owner: portalapi.Owner{UID: "uid-" + name, Name: name}, Pools: pools, Revision: 1}
}
