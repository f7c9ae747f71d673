// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/fakeportal"
	"lightrun.com/scim-operator/test/framework/kubefake"
)

// step is an action of an administrator or the identity provider.
type step struct {
	name string
	do   func(*world)
}

// day returns the company's actions, in order. The manager settles after each step.
func day() []step {
	return []step{
		{"the company is pushed", func(w *world) {
			w.local("admin@example.test", portalapi.RoleManager)
			w.local("old@example.test")
			w.configure()
			w.addPool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{portalapi.RoleIgnoreQuota}})
			w.addPool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{portalapi.RoleManager}, Members: []v1alpha1.PoolMember{{UserName: "Bob@example.test"}}})
			w.push("ada", "ada@example.test", "fast")
			w.push("bob", "bob@example.test")
			w.push("old", "old@example.test", "fast")
			w.push("eve", "eve@example.test", "fast", "leads")
		}},
		{"the toggle is saved", func(w *world) {
			m := fakeportal.SCIMOn()
			m.ProvisionExistingUsers = true
			_, _, err := w.portal.Store.SaveLoginMethods(context.Background(), fakeportal.Manager(), m, nil, false)
			must(w.t, err)
		}},
		{"users move, are renamed and leave", func(w *world) {
			w.rename("ada", "ada.l@example.test")
			w.join("fast", "bob")
			w.change("bob", func(s *v1alpha1.ScimUserSpec) { s.DisplayName = "Bob" })
			w.change("eve", func(s *v1alpha1.ScimUserSpec) { no := false; s.Active = &no })
			w.change("old", func(s *v1alpha1.ScimUserSpec) { s.Deleted = true })
		}},
		{"a user returns, another takes a free name, pools change", func(w *world) {
			w.push("old-again", "old@example.test")
			w.push("new-ada", "ada@example.test", "fast")
			w.change("eve", func(s *v1alpha1.ScimUserSpec) { s.Active = nil })
			w.changePool("leads", func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{}; s.DisplayName = "Leads" })
			w.remove(&v1alpha1.AgentPool{}, "fast")
		}},
		{"a pool takes over from a group's own pool, and the provider deletes a group", func(w *world) {
			w.declare("quick", v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{DisplayName: "FAST"}}, Roles: []v1alpha1.Role{portalapi.RoleIgnoreQuota}})
			w.changeGroup("leads", func(s *v1alpha1.ScimGroupSpec) { s.Deleted = true })
		}},
		{"the provider deletes the other group", func(w *world) {
			w.changeGroup("fast", func(s *v1alpha1.ScimGroupSpec) { s.Deleted = true })
		}},
	}
}

// TestEveryFault lets each call of the day fail in each way, one at a time.
func TestEveryFault(t *testing.T) {
	var faults []fault
	var want []string
	var snapshots [][]store.Account
	synctest.Test(t, func(t *testing.T) {
		var w *world
		w, want, snapshots = undisturbed(t)
		for _, call := range w.order {
			faults = append(faults, fault{call, before}, fault{call, crashBefore})
			if !strings.HasPrefix(call, "get ") {
				faults = append(faults, fault{call, after}, fault{call, crashAfter})
			}
			if strings.HasPrefix(call, "patch") || strings.HasPrefix(call, "update") || strings.HasPrefix(call, "delete") {
				faults = append(faults, fault{call, conflict})
			}
		}
		t.Logf("%d calls, %d faults", len(w.order), len(faults))
		golden, err := os.ReadFile("testdata/day.txt")
		must(t, err)
		if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(golden)), "\n"), strings.Split(want[len(want)-1], "\n")); diff != "" {
			t.Fatalf("the day without faults must end as in testdata/day.txt (-want, +got):\n%s", diff)
		}
	})
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.call+" "+string(f.mode), " ", "_"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { walk(t, f, want, snapshots) })
		})
	}
}

// undisturbed runs the day without a fault and returns the state after each step.
func undisturbed(t *testing.T) (w *world, want []string, snapshots [][]store.Account) {
	w = newWorld(t, fault{})
	for _, s := range day() {
		s.do(w)
		w.settle()
		want = append(want, w.describe())
		snapshots = append(snapshots, w.accounts())
	}
	return w, want, snapshots
}

// TestDaysFullOfFaults lets several calls of each step fail at random; a seed repeats them.
func TestDaysFullOfFaults(t *testing.T) {
	var want []string
	var snapshots [][]store.Account
	synctest.Test(t, func(t *testing.T) { _, want, snapshots = undisturbed(t) })
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed_", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, fault{call: fmt.Sprint("seed ", seed)})
				w.dice = rand.New(rand.NewPCG(seed, seed))
				for i, s := range day() {
					w.left = 0
					s.do(w)
					w.left = 12
					w.watch = w.guardRails(w.accounts(), snapshots[i])
					w.settle()
					w.watch = nil
					if got := w.describe(); got != want[i] {
						t.Fatalf("after %q (-without faults, +with):\n%s", s.name, cmp.Diff(strings.Split(want[i], "\n"), strings.Split(got, "\n")))
					}
				}
			})
		})
	}
}

// walk runs the day with one fault, up to the step with the fault, and compares the state with the
// day without faults.
func walk(t *testing.T, f fault, want []string, snapshots [][]store.Account) {
	w := newWorld(t, f)
	for i, s := range day() {
		s.do(w)
		w.watch = w.guardRails(w.accounts(), snapshots[i])
		w.settle()
		w.watch = nil
		if got := w.describe(); got != want[i] {
			t.Fatalf("after %q with a fault %s %s (-without fault, +with):\n%s", s.name, f.mode, f.call, cmp.Diff(strings.Split(want[i], "\n"), strings.Split(got, "\n")))
		}
		if w.hit {
			return
		}
	}
	t.Fatalf("the fault %v was never reached", f)
}

// guardRails checks after each write that no user lost access that they have before and after the
// step, and that no user has a role that they have neither before nor after.
func (w *world) guardRails(from, to []store.Account) func() {
	start := map[string]store.Account{}
	for _, a := range from {
		start[a.ID] = a
	}
	end := map[string]store.Account{}
	for _, a := range to {
		end[key(a)] = a
	}
	return func() {
		for _, a := range w.accounts() {
			was, will := start[a.ID], end[key(a)]
			allowed := slices.Concat(was.Roles, will.Roles, []string{portalapi.RoleUser})
			for _, r := range a.Roles {
				if !slices.Contains(allowed, r) {
					w.t.Errorf("%s had %s, which nothing gives: before %v, after %v", a.UserName, r, was.Roles, will.Roles)
				}
			}
			if was.Status == portalapi.StatusActive && will.Status == portalapi.StatusActive && a.Status != portalapi.StatusActive {
				w.t.Errorf("%s was deactivated during the step", a.UserName)
			}
		}
	}
}

// key identifies an account across runs: by its owner's name, or else its user name.
func key(a store.Account) string {
	if a.Owner.Name != "" {
		return a.Owner.Name
	}
	return a.UserName
}

func (w *world) local(userName string, roles ...string) {
	_, err := w.portal.Store.CreateAccount(w.t.Context(), store.SystemActor("test"), store.NewAccount{UserName: userName, DirectRoles: roles})
	must(w.t, err)
}

func (w *world) configure() {
	must(w.t, w.kube.Create(w.t.Context(), &v1alpha1.IdentityConfiguration{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.DefaultName, UID: "uid-config", Generation: 1, CreationTimestamp: metav1.Now()},
		Spec: v1alpha1.IdentityConfigurationSpec{
			Portal:              v1alpha1.Portal{URL: "http://portal.example.test", CredentialsSecretRef: v1alpha1.LocalReference{Name: "portal"}},
			IdentityProvider:    v1alpha1.IdentityProvider{Type: v1alpha1.ProviderOkta},
			DeprovisioningGuard: v1alpha1.DeprovisioningGuard{MinUsers: &w.guard.minUsers, MaxPercent: &w.guard.maxPercent},
		},
	}))
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + name), Generation: 1, CreationTimestamp: metav1.Now()}
}

// groupID returns the SCIM id of the group with the name.
func groupID(name string) string { return kubefake.SCIMID("g-" + name) }

// addPool declares a pool that the group with its name fills, and pushes that group.
func (w *world) addPool(name string, spec v1alpha1.AgentPoolSpec) {
	spec.Groups = []v1alpha1.GroupReference{{DisplayName: name}}
	group := &v1alpha1.ScimGroup{ObjectMeta: meta(groupID(name)), Spec: v1alpha1.ScimGroupSpec{DisplayName: name}}
	w.ids = append(w.ids, group.Name, "g-"+name)
	part := &v1alpha1.ScimGroupSlice{ObjectMeta: meta(groupslice.Name(group.Name, 0))}
	part.Labels = map[string]string{v1alpha1.LabelGroup: group.Name}
	must(w.t, w.kube.Create(w.t.Context(), part))
	must(w.t, w.kube.Create(w.t.Context(), group))
	_, err := registry(w.kube).Keep(w.t.Context(), v1alpha1.ClaimGroup, name, group)
	must(w.t, err)
	w.declare(name, spec)
}

func (w *world) declare(name string, spec v1alpha1.AgentPoolSpec) {
	must(w.t, w.kube.Create(w.t.Context(), &v1alpha1.AgentPool{ObjectMeta: meta(name), Spec: spec}))
}

func (w *world) changeGroup(name string, f func(*v1alpha1.ScimGroupSpec)) {
	var g v1alpha1.ScimGroup
	must(w.t, w.kube.Get(w.t.Context(), client.ObjectKey{Namespace: namespace, Name: groupID(name)}, &g))
	f(&g.Spec)
	g.Spec.Revision++
	g.Generation++
	must(w.t, w.kube.Update(w.t.Context(), &g))
}

func (w *world) changePool(name string, f func(*v1alpha1.AgentPoolSpec)) {
	var p v1alpha1.AgentPool
	must(w.t, w.kube.Get(w.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, &p))
	f(&p.Spec)
	p.Generation++
	must(w.t, w.kube.Update(w.t.Context(), &p))
}

// push creates a user as the webhook does, and adds them to the groups with these names.
func (w *world) push(id, userName string, groups ...string) {
	u := &v1alpha1.ScimUser{ObjectMeta: meta(kubefake.SCIMID(id)), Spec: v1alpha1.ScimUserSpec{UserName: userName, Revision: 1}}
	w.ids = append(w.ids, u.Name, id)
	must(w.t, w.kube.Create(w.t.Context(), u))
	w.claim(u, userName)
	for _, name := range groups {
		w.join(name, id)
	}
}

// join adds the user to the group with the name.
func (w *world) join(name, id string) {
	store := groupslice.NewStore(w.kube, namespace, groupslice.Options{})
	must(w.t, store.Change(w.t.Context(), groupID(name), []groupslice.Change{{User: kubefake.SCIMID(id), Add: true}}))
}

func (w *world) claim(u *v1alpha1.ScimUser, userName string) {
	other, err := registry(w.kube).Keep(w.t.Context(), v1alpha1.ClaimUser, userName, u)
	must(w.t, err)
	if other != nil {
		w.t.Fatalf("%s has the owner %s", userName, other.GetName())
	}
}

func (w *world) user(id string) *v1alpha1.ScimUser {
	var u v1alpha1.ScimUser
	must(w.t, w.kube.Get(w.t.Context(), client.ObjectKey{Namespace: namespace, Name: kubefake.SCIMID(id)}, &u))
	return &u
}

func (w *world) change(id string, f func(*v1alpha1.ScimUserSpec)) {
	u := w.user(id)
	f(&u.Spec)
	u.Spec.Revision++
	u.Generation++
	must(w.t, w.kube.Update(w.t.Context(), u))
}

func (w *world) rename(id, userName string) {
	w.claim(w.user(id), userName)
	w.change(id, func(s *v1alpha1.ScimUserSpec) { s.UserName = userName })
}

func (w *world) remove(o client.Object, name string) {
	o.SetNamespace(namespace)
	o.SetName(name)
	must(w.t, w.kube.Delete(w.t.Context(), o))
}

func (f fault) String() string { return fmt.Sprintf("%s %s", f.mode, f.call) }

// registry returns the claim protocol that webhook and controllers use.
func registry(c client.Client) claims.Registry { return claims.Registry{Client: c, Live: c} }
