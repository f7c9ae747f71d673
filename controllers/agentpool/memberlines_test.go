// SPDX-License-Identifier: Apache-2.0

package agentpool_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/kubefake"
	"lightrun.com/scim-operator/test/framework/onepass"
)

// managers is a pool with ROLE_MANAGER that lists bob. Its status is that of its last pass, in
// which its line meant the user with this id, or no user if the id is empty.
func managers(id string) *v1alpha1.AgentPool {
	return with(onepass.Pool("leads", portalapi.RoleManager), func(p *v1alpha1.AgentPool) {
		p.Spec.Members = []v1alpha1.PoolMember{{UserName: "bob@example.test"}}
		p.Status.ObservedGeneration, p.Status.Roles = 1, p.Spec.Roles
		if id != "" {
			p.Status.Members = []v1alpha1.PinnedMember{{UserName: "bob@example.test", ID: id}}
		}
	})
}

// lost is the pool, without its status.
func lost(p *v1alpha1.AgentPool) *v1alpha1.AgentPool {
	p.Status = v1alpha1.AgentPoolStatus{}
	return p
}

// named is a user with another user name than the one that belongs to the id.
func named(id, userName string) *v1alpha1.ScimUser {
	u := onepass.User(id)
	u.Spec.UserName = userName + "@example.test"
	return u
}

func TestMembersOfManagers(t *testing.T) {
	bob, other := kubefake.SCIMID("bob"), kubefake.SCIMID("other")
	// given makes the portal's pool with these pins of the line, the users with their accounts, and
	// puts those of in into the pool.
	given := func(pins []string, in []string, users ...*v1alpha1.ScimUser) func(*onepass.World) {
		return func(w *onepass.World) {
			record := portalapi.PoolWrite{Owner: portalapi.Owner{UID: "uid-leads", Name: "leads", Revision: 1}, Name: "leads", Roles: []string{portalapi.RoleManager}}
			for _, id := range pins {
				record.Pins = append(record.Pins, portalapi.Pin{Line: "userName bob@example.test", ID: id})
			}
			pool, err := w.Portal.PutPool(w.T.Context(), record)
			w.Must(err)
			for _, u := range users {
				if w.Put(u); u.Spec.Deleted {
					continue
				}
				a := portalapi.AccountWrite{Owner: portalapi.Owner{UID: string(u.UID), Name: u.Name, Revision: 1}, UserName: u.Spec.UserName, DisplayName: u.Spec.DisplayName, Active: true}
				if slices.Contains(in, u.Name) {
					a.Pools = []string{pool.ID}
				}
				_, err := w.Portal.PutAccount(w.T.Context(), a)
				w.Must(err)
			}
			w.Open(nil)
		}
	}
	deleted := onepass.User("bob")
	deleted.Spec.Deleted = true
	accepts := func(p *v1alpha1.AgentPool, ids string) *v1alpha1.AgentPool {
		p.Annotations = map[string]string{v1alpha1.AnnotationAcceptMembers: ids}
		return p
	}
	for name, tc := range map[string]struct {
		reason string
		pool   *v1alpha1.AgentPool
		given  func(*onepass.World)
		want   onepass.Want
		pins   []string // the ids in status.members after the pass
		in     []string // ids of the pool's users after the pass
	}{
		"First": {
			reason: "A new line means the user who has the name; the portal gets the pin before the membership.",
			pool:   managers(""), given: given(nil, nil, onepass.User("bob")),
			want: onepass.Want{Calls: "PutPool PutMemberships", Ready: "True Ready", Events: "Updated"},
			pins: []string{bob}, in: []string{bob},
		},
		"BeforeThePush": {
			reason: "A line for a user who is not pushed yet needs no decision.",
			pool:   managers(""), given: given(nil, nil),
			want: onepass.Want{Ready: "True Ready"},
		},
		"Same": {
			reason: "A pool in the desired state is not written.",
			pool:   managers(bob), given: given([]string{bob}, []string{bob}, onepass.User("bob")),
			want: onepass.Want{Ready: "True Ready"},
			pins: []string{bob}, in: []string{bob},
		},
		"Renamed": {
			reason: "After a rename, the pinned user stays, and the user who has the name now does not join.",
			pool:   managers(bob), given: given([]string{bob}, []string{bob}, named("bob", "robert"), named("other", "bob")),
			want: onepass.Want{Ready: "True Ready"},
			pins: []string{bob}, in: []string{bob},
		},
		"Tombstone": {
			reason: "While the pinned user's deletion is not finished, the user who has the name now waits for a decision; the portal records the deletion.",
			pool:   managers(bob), given: given([]string{bob}, nil, deleted, named("other", "bob")),
			want: onepass.Want{Calls: "PutPool", Events: "Updated", Ready: "False MemberChanged", Says: "kubectl scim accept agentpool/leads --member " + other},
			pins: []string{bob},
		},
		"Gone": {
			reason: "After the pinned user's ScimUser is deleted, the user who has the name now waits for a decision.",
			pool:   managers(bob), given: given([]string{bob}, nil, named("other", "bob")),
			want: onepass.Want{Ready: "False MemberChanged", Says: "the line meant ScimUser " + bob + ", which is gone"},
			pins: []string{bob},
		},
		"PushedAgain": {
			reason: "If the ScimUser was lost, the user who has its name and has adopted its account has the line.",
			pool:   managers(bob), given: given([]string{bob}, []string{other}, named("other", "bob")),
			want: onepass.Want{Calls: "PutPool", Ready: "True Ready", Events: "Updated"},
			pins: []string{other}, in: []string{other},
		},
		"PushedAgainBeforeTheAdoption": {
			reason: "If the ScimUser was lost, the user who has its name and is about to adopt its account has the line.",
			pool:   managers(bob), given: func(w *onepass.World) {
				lost := onepass.User("bob")
				given([]string{bob}, []string{bob}, lost)(w)
				w.Must(w.Kube.Delete(w.T.Context(), lost))
				w.Put(named("other", "bob"))
			},
			want: onepass.Want{Calls: "PutPool", Ready: "True Ready", Events: "Updated"},
			pins: []string{other}, in: []string{bob},
		},
		"LostByAPlainPool": {
			reason: "A pool that lost its status and had no ROLE_MANAGER in the portal gains the role for the user who has the name.",
			pool:   lost(managers("")), given: func(w *onepass.World) {
				w.Record("leads")
				w.Put(onepass.User("bob"))
				w.Account("bob")
				w.Open(nil)
			},
			want: onepass.Want{Calls: "PutPool PutMemberships", Ready: "True Ready", Events: "Updated"},
			pins: []string{bob}, in: []string{bob},
		},
		"Accepted": {
			reason: "The annotation accept-members resolves the line to the user that it names.",
			pool:   accepts(managers(bob), other), given: given([]string{bob}, nil, named("other", "bob")),
			want: onepass.Want{Calls: "PutPool PutMemberships", Ready: "True Ready", Events: "Updated"},
			pins: []string{other}, in: []string{other},
		},
		"Lost": {
			reason: "If the status is lost, the portal's pin says which user the line means.",
			pool:   lost(managers("")), given: given([]string{bob}, []string{bob}, named("bob", "robert"), named("other", "bob")),
			want: onepass.Want{Ready: "True Ready"},
			pins: []string{bob}, in: []string{bob},
		},
		"LostWithoutPins": {
			reason: "If all pins are lost, a user who has the name and is in the pool in the portal needs no decision.",
			pool:   lost(managers("")), given: given(nil, []string{bob}, onepass.User("bob")),
			want: onepass.Want{Calls: "PutPool", Ready: "True Ready", Events: "Updated"},
			pins: []string{bob}, in: []string{bob},
		},
		"LostWithoutPinsAndAnotherUser": {
			reason: "If all pins are lost, a user who has the name and is not in the pool needs a decision; no user leaves meanwhile.",
			pool:   lost(managers("")), given: given(nil, []string{bob}, named("bob", "robert"), named("other", "bob")),
			want: onepass.Want{Ready: "False MemberChanged", Says: "it is not known which user the line meant"},
			in:   []string{bob},
		},
		"LosesTheRole": {
			reason: "Until the portal has removed ROLE_MANAGER, the line means its pinned user.",
			pool: with(managers(bob), func(p *v1alpha1.AgentPool) {
				p.Spec.Roles, p.Generation = nil, 2
			}),
			given: given([]string{bob}, []string{bob}, named("bob", "robert"), named("other", "bob")),
			want:  onepass.Want{Calls: "PutPool", Ready: "True Ready", Events: "Updated"},
			pins:  []string{bob}, in: []string{bob},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := onepass.New(t)
			tc.given(w)
			w.Put(tc.pool)
			p := &v1alpha1.AgentPool{ObjectMeta: onepass.Meta("leads")}
			w.Check(tc.reason, w.Parts.Pools.Reconcile, p, &p.Status.Conditions, tc.want)
			var pins []string
			for _, pin := range p.Status.Members {
				pins = append(pins, pin.ID)
			}
			if diff := cmp.Diff(tc.pins, pins); diff != "" {
				t.Errorf("%s Pins (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.in, in(w), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s Users in the pool (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// in returns the ids of the users who are in a pool other than the default one, in the portal.
func in(w *onepass.World) (ids []string) {
	w.T.Helper()
	for _, a := range w.Parts.Session.View().Mirror.Accounts() {
		if len(a.Pools) > 1 {
			ids = append(ids, a.Owner.Name)
		}
	}
	slices.Sort(ids)
	return ids
}

// TestRoleLossDropsPins: the pass after the loss of the role removes the pins, and names decide.
func TestRoleLossDropsPins(t *testing.T) {
	bob, other := kubefake.SCIMID("bob"), kubefake.SCIMID("other")
	w := onepass.New(t)
	id := w.Record("leads")
	for _, u := range []struct {
		user  *v1alpha1.ScimUser
		pools []string
	}{{named("bob", "robert"), []string{id}}, {named("other", "bob"), nil}} {
		w.Put(u.user)
		_, err := w.Portal.PutAccount(t.Context(), portalapi.AccountWrite{Owner: portalapi.Owner{UID: string(u.user.UID), Name: u.user.Name, Revision: 1}, UserName: u.user.Spec.UserName, Active: true, Pools: u.pools})
		w.Must(err)
	}
	w.Open(nil)
	w.Put(with(managers(bob), func(p *v1alpha1.AgentPool) { p.Spec.Roles, p.Status.Roles = nil, nil }))
	p := &v1alpha1.AgentPool{ObjectMeta: onepass.Meta("leads")}
	w.Check("No pin is left.", w.Parts.Pools.Reconcile, p, &p.Status.Conditions, onepass.Want{Calls: "PutMemberships PutMemberships", Ready: "True Ready"})
	if len(p.Status.Members) != 0 {
		t.Errorf("the pins are %v", p.Status.Members)
	}
	if diff := cmp.Diff([]string{other}, in(w)); diff != "" {
		t.Errorf("users in the pool (-want +got):\n%s", diff)
	}
}

// TestRoleWaitsForTheCache: the lines and the roles of a pool change together. Its former members
// do not get the new role, although the snapshot of all pools is older than the change.
func TestRoleWaitsForTheCache(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		given  func(*onepass.World, *v1alpha1.AgentPool)
		edit   func(*v1alpha1.AgentPoolSpec)
	}{
		"Groups": {
			reason: "The line of the pool names another group.",
			given: func(w *onepass.World, p *v1alpha1.AgentPool) {
				w.Put(onepass.Group("before"), onepass.Members("before", "ada"), onepass.Group("after"), onepass.Members("after"))
				p.Spec.Groups = []v1alpha1.GroupReference{{DisplayName: "before"}}
			},
			edit: func(s *v1alpha1.AgentPoolSpec) { s.Groups = []v1alpha1.GroupReference{{DisplayName: "after"}} },
		},
		"Members": {
			reason: "The pool lists another user.",
			given: func(_ *onepass.World, p *v1alpha1.AgentPool) {
				p.Spec.Members = []v1alpha1.PoolMember{{UserName: "ada@example.test"}}
			},
			edit: func(s *v1alpha1.AgentPoolSpec) {
				s.Members = []v1alpha1.PoolMember{{UserName: "bob@example.test"}}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := onepass.New(t)
			id := w.Record("leads")
			w.Put(onepass.User("ada"))
			w.Account("ada", id)
			w.Open(nil)
			pool := with(onepass.Pool("leads"), func(p *v1alpha1.AgentPool) { p.Status.ObservedGeneration = 1 })
			tc.given(w, pool)
			w.Put(pool)
			w.Settle(w.Parts.Pools.Reconcile, pool)
			if diff := cmp.Diff([]string{kubefake.SCIMID("ada")}, in(w)); diff != "" {
				t.Fatalf("before (-want +got):\n%s", diff)
			}
			w.Must(w.Kube.Get(t.Context(), client.ObjectKeyFromObject(pool), pool))
			tc.edit(&pool.Spec)
			pool.Spec.Roles, pool.Generation = []v1alpha1.Role{portalapi.RoleManager}, 2
			w.Must(w.Kube.Update(t.Context(), pool))
			for range 4 {
				w.Settle(w.Parts.Pools.Reconcile, pool)
				for _, a := range w.Parts.Session.View().Mirror.Accounts() {
					if slices.Contains(a.Roles, portalapi.RoleManager) && a.Owner.Name != "" {
						t.Fatalf("%s %s has the role", tc.reason, a.UserName)
					}
				}
			}
			if record := w.Parts.Session.View().Mirror.Pool(id); len(in(w)) != 0 || !slices.Contains(record.Roles, portalapi.RoleManager) {
				t.Errorf("%s In the end %v are in the pool, and it has the roles %v", tc.reason, in(w), record.Roles)
			}
		})
	}
}
