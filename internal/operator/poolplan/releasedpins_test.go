// SPDX-License-Identifier: Apache-2.0

package poolplan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/memberlines"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

// TestReappliedPool: an AgentPool with a line about the group "Leads" and one about bob was
// deleted, with its pool in the portal, and is applied again. Meanwhile another group and another
// user may have taken the names.
func TestReappliedPool(t *testing.T) {
	bob, taker := kubefake.SCIMID("bob"), kubefake.SCIMID("taker")
	type facts struct {
		pool   *v1alpha1.AgentPool
		kept   []portalapi.Pin // of the released pool
		groups map[string]string
		users  map[string]string // user names by SCIM id
		have   *portalapi.Pool   // the pool in the portal; nil if there is none
	}
	exchanged := func(f *facts) {
		f.groups = map[string]string{"g1": "Former leads", "g2": "Leads"}
		f.users = map[string]string{bob: "robert@example.test", taker: "bob@example.test"}
	}
	taken := func(f *facts) {
		f.groups, f.users = map[string]string{"g2": "Leads"}, map[string]string{taker: "bob@example.test"}
	}
	for name, tc := range map[string]struct {
		reason string
		edit   func(*facts)
		group  groupindex.State
		means  string // the group in the pin
		member memberlines.State
		user   string // the user in the pin
	}{
		"Unchanged": {"A manifest that is applied again is filled at once.", func(*facts) {}, groupindex.Resolved, "g1", memberlines.Resolved, bob},
		"Exchanged": {"Lines mean the group and the user of the AgentPool that was deleted, whatever their names are now.", exchanged, groupindex.Renamed, "g1", memberlines.Renamed, bob},
		"Taken":     {"A person decides about another group and user with the names.", taken, groupindex.Changed, "g1", memberlines.Changed, bob},
		"TakenAndAccepted": {"A person can accept them.", func(f *facts) {
			taken(f)
			f.pool.Annotations = map[string]string{v1alpha1.AnnotationAcceptGroups: "g2", v1alpha1.AnnotationAcceptMembers: taker}
		}, groupindex.Resolved, "g2", memberlines.Resolved, taker},
		"Deleted": {"So does a person if the provider deleted the first ones before the AgentPool was deleted.", func(f *facts) {
			taken(f)
			f.kept[0].Deleted, f.kept[1].Deleted = true, true
		}, groupindex.Changed, "g1", memberlines.Changed, bob},
		"Absent": {"Lines whose names no group and no user has keep their pins.", func(f *facts) { f.groups, f.users = nil, nil }, groupindex.NotFound, "g1", memberlines.Absent, bob},
		"WrittenInAnotherWay": {"A line that was written in another way is a new line, also in another case.", func(f *facts) {
			exchanged(f)
			f.pool.Spec.Groups[0].DisplayName, f.pool.Spec.Members[0].UserName = "LEADS", "Bob@example.test"
		}, groupindex.Resolved, "g2", memberlines.Resolved, taker},
		"NeverReleased": {"A line of a pool that is new means the first group and user with the names.", func(f *facts) {
			exchanged(f)
			f.kept = nil
		}, groupindex.Resolved, "g2", memberlines.Resolved, taker},
		"WithoutManager": {"In a pool without ROLE_MANAGER a line is resolved again, and names decide about users.", func(f *facts) {
			exchanged(f)
			f.pool.Spec.Roles = nil
		}, groupindex.Resolved, "g2", memberlines.Resolved, ""},
		"WrittenAgain": {"After the first pass the status decides: a line that was removed and written again is new.", func(f *facts) {
			exchanged(f)
			f.pool.Status.ObservedGeneration = 1
		}, groupindex.Resolved, "g2", memberlines.Resolved, taker},
		"HasAPool": {"The pins of the pool that the portal has count, not those of an earlier one.", func(f *facts) {
			exchanged(f)
			f.have = &portalapi.Pool{ID: "1", Name: "leads", Roles: []string{portalapi.RoleManager}, Owner: portalapi.Owner{UID: "before", Name: "leads"}, Pins: []portalapi.Pin{
				{Line: "displayName Leads", ID: "g2"}, {Line: "userName bob@example.test", ID: taker}}}
		}, groupindex.Resolved, "g2", memberlines.Resolved, taker},
	} {
		t.Run(name, func(t *testing.T) {
			f := facts{
				pool: &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: "company", Name: "leads", UID: "again", Generation: 1}, Spec: v1alpha1.AgentPoolSpec{
					Roles: []v1alpha1.Role{portalapi.RoleManager}, Groups: []v1alpha1.GroupReference{{DisplayName: "Leads"}}, Members: []v1alpha1.PoolMember{{UserName: "bob@example.test"}}}},
				kept:   []portalapi.Pin{{Line: "displayName Leads", ID: "g1"}, {Line: "userName bob@example.test", ID: bob}},
				groups: map[string]string{"g1": "Leads"},
				users:  map[string]string{bob: "bob@example.test"},
			}
			tc.edit(&f)
			m, groups := mirror.New(func(mirror.Event) {}), groupindex.New()
			former := portalapi.Pool{ID: "0", Name: "leads", Owner: portalapi.Owner{UID: "former", Name: "leads"}, Pins: f.kept, Revision: 1}
			m.PutPool(&former)
			m.PutPool(&portalapi.Pool{ID: "0", Name: "leads", Revision: 2}) // released
			if f.have != nil {
				m.PutPool(f.have)
			}
			for id, displayName := range f.groups {
				groups.Put(&v1alpha1.ScimGroup{ObjectMeta: metav1.ObjectMeta{Name: id}, Spec: v1alpha1.ScimGroupSpec{DisplayName: displayName}})
			}
			var objects []client.Object
			for id, userName := range f.users {
				u := &v1alpha1.ScimUser{ObjectMeta: metav1.ObjectMeta{Namespace: "company", Name: id, UID: "uid"}, Spec: v1alpha1.ScimUserSpec{UserName: userName}}
				objects = append(objects, u, &v1alpha1.NameClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "company", Name: claims.ObjectName(v1alpha1.ClaimUser, userName)},
					Spec: v1alpha1.NameClaimSpec{Type: v1alpha1.ClaimUser, Holder: v1alpha1.ClaimHolder{Name: id, UID: "uid"}}})
			}
			scheme := runtime.NewScheme()
			if err := v1alpha1.AddToScheme(scheme); err != nil {
				t.Fatal(err)
			}
			lines, groupPins, undecided := poolplan.Resolve(f.pool, groups, m)
			members, err := poolplan.ResolveMembers(t.Context(), kubefake.New(t, scheme, objects...), f.pool, m)
			if err != nil || undecided || members.Undecided {
				t.Fatal(err, undecided, members)
			}
			if lines[0].State != tc.group || len(groupPins) != 1 || groupPins[0].Group != tc.means {
				t.Errorf("%s The line of the group is in state %v, with the pins %v", tc.reason, lines[0].State, groupPins)
			}
			var got memberlines.State
			var user string
			for _, l := range members.Lines {
				got = l.State
			}
			for _, p := range members.Pins {
				user = p.ID
			}
			if got != tc.member || user != tc.user {
				t.Errorf("%s The line of the user is in state %v, and its pin is %q, want %q", tc.reason, got, user, tc.user)
			}
			_, ids := poolplan.PinnedIDs(f.pool, m)
			if known := tc.means == "g1" && len(f.pool.Spec.Roles) > 0; known && !cmp.Equal(ids, []string{bob}) {
				t.Errorf("%s A change of these users enqueues the pool: %v", tc.reason, ids)
			}
		})
	}
}
