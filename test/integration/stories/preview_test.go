// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/preview"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/rest"
	"lightrun.com/scim-operator/internal/portal/store"
)

// preview returns the plan of the controllers, as `kubectl scim plan` does.
func (w *world) preview(migrate bool) *preview.Report {
	w.t.Helper()
	c, err := rest.New(rest.Options{URL: w.server.URL, Key: func(context.Context) (string, error) { return operatorKey, nil }, HTTP: &http.Client{}, Timeout: 30 * time.Second})
	w.must(err)
	r, err := preview.Compute(w.t.Context(), preview.Options{Objects: w.client, Portal: c, Namespace: w.namespace, Migrate: migrate})
	w.must(err)
	return r
}

// step returns a report's step for a user or pool.
func step(r *preview.Report, title string) preview.Step {
	for _, s := range slices.Concat(r.Users, r.Pools) {
		if strings.EqualFold(s.Title, title) {
			return s
		}
	}
	return preview.Step{}
}

func userNames(all []preview.Account) (out []string) {
	for _, a := range all {
		out = append(out, a.UserName)
	}
	return out
}

func TestMigrationPreview(t *testing.T) {
	w := newWorld(t)
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}})
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	loses := w.local("loses@example.test", store.NewAccount{DirectRoles: []string{manager}})
	keeps := w.local("keeps@example.test", store.NewAccount{DirectRoles: []string{manager}})
	plain := w.local("plain@example.test", store.NewAccount{DisplayName: "Plain (local)"})
	w.local("stays@example.test", store.NewAccount{})
	w.local("bob.private@example.test", store.NewAccount{Email: "bob@example.test"})
	people := []*v1alpha1.ScimUser{
		w.push("Loses@Example.test"), w.push("keeps@example.test", in("leads")), w.push("plain@example.test"), w.push("bob@example.test"),
	}
	for _, p := range people[:3] {
		w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonLocalAccountExists)
	}
	w.provisioned(people[3], user)
	w.faults.reset()
	t.Log("the preview lists adopted accounts, lost manager roles, accounts that stay, and ambiguous ones; it changes nothing")
	said := w.preview(true)
	want := preview.Migration{
		Adopted: []preview.Account{
			{ID: keeps.ID, UserName: keeps.UserName, ScimUser: people[1].Name}, {ID: loses.ID, UserName: loses.UserName, ScimUser: people[0].Name},
			{ID: plain.ID, UserName: plain.UserName, ScimUser: people[2].Name},
		},
		LosingManager: []preview.Account{{ID: loses.ID, UserName: loses.UserName, ScimUser: people[0].Name}},
	}
	if diff := cmp.Diff(want.Adopted, said.Migration.Adopted); diff != "" {
		t.Errorf("adopted (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.LosingManager, said.Migration.LosingManager); diff != "" {
		t.Errorf("losing the manager role (-want +got):\n%s", diff)
	}
	if got := fmt.Sprint(userNames(said.Migration.Unmatched)); got != "[admin@example.test stays@example.test]" {
		t.Errorf("unmatched: %s", got)
	}
	if len(said.Migration.Ambiguous) != 1 || said.Migration.Ambiguous[0].UserName != "bob.private@example.test" {
		t.Errorf("ambiguous: %+v", said.Migration.Ambiguous)
	}
	if got := w.faults.writes(); len(got) != 0 {
		t.Errorf("the preview wrote: %v", got)
	}
	t.Log("after Save the migration does exactly that")
	w.changeLogin(func(m *portalapi.LoginMethods) { m.ProvisionExistingUsers = true })
	for _, p := range people {
		s := step(said, p.Spec.UserName)
		var roles []string
		for _, g := range s.Roles {
			roles = append(roles, g.Name)
		}
		w.provisioned(p, roles...)
	}
	for _, a := range said.Migration.Adopted {
		if got := w.account(a.UserName); got.ID != a.ID || !got.Migrated || got.Owner.Name != a.ScimUser {
			t.Errorf("%s was to be adopted by %s, and is %+v", a.UserName, a.ScimUser, got)
		}
		if lost := !w.account(a.UserName).IsManager(); lost != (a.UserName != keeps.UserName) {
			t.Errorf("%s is no manager: %v", a.UserName, lost)
		}
	}
	for _, name := range append(userNames(said.Migration.Unmatched), said.Migration.Ambiguous[0].UserName) {
		if a := w.account(name); a.ManagedBy != portalapi.ManagedByLocal || a.Status != portalapi.StatusActive {
			t.Errorf("%s was to stay local: %+v", name, a)
		}
	}
	t.Log("after it nothing remains to do")
	if after := w.preview(true); after.Changes() != 0 || len(after.Migration.Adopted) != 0 {
		t.Errorf("still planned: %+v %+v", after.Pools, after.Users)
	}
}

func TestPlanIsCarriedOut(t *testing.T) {
	two, zero := int32(2), int32(0)
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		s.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &two, MaxPercent: &zero}
	}))
	fast := w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	ada, bob, eve := w.push("ada@example.test", in("fast")), w.push("bob@example.test"), w.push("eve@example.test")
	w.provisioned(ada, user, quota)
	w.provisioned(bob, user)
	w.provisioned(eve, user)
	if r := w.preview(false); r.Changes() != 0 || r.Waits != "" {
		t.Errorf("in the desired state, but still planned: %+v %+v, %s", r.Pools, r.Users, r.Waits)
	}
	t.Log("in ReportOnly the objects change; the plan and the conditions say what will be done")
	w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.ManagementPolicy = v1alpha1.PolicyReportOnly })
	w.changePool(fast, func(s *v1alpha1.AgentPoolSpec) { s.DisplayName, s.Roles = "Fast lane", []v1alpha1.Role{} })
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Groups: names("leads"), Roles: []v1alpha1.Role{quota}, Members: []v1alpha1.PoolMember{{UserName: "bob@example.test"}}})
	w.change(eve, inactive)
	w.rename(ada, "ada.l@example.test")
	zoe := w.push("zoe@example.test", in("leads"))
	w.says(zoe, v1alpha1.ConditionDrifted, v1alpha1.ReasonReportOnly)
	w.says(leads, v1alpha1.ConditionDrifted, v1alpha1.ReasonReportOnly)
	r := w.preview(false)
	if r.Waits == "" || r.Guard.Removals != 1 || r.Guard.Held != 0 {
		t.Errorf("waits %q, guard %+v", r.Waits, r.Guard)
	}
	for title, want := range map[string]string{
		"ada.l@example.test": "Update userName displayName roles", "bob@example.test": "Update pools roles", "eve@example.test": "Update status",
		"zoe@example.test": "Create", "Fast lane": "Update name roles", "leads": "Create name roles",
	} {
		s := step(r, title)
		got := s.Action
		for _, c := range s.Changes {
			got += " " + c.Field
		}
		if got != want {
			t.Errorf("%s: planned %q, want %q", title, got, want)
		}
	}
	t.Log("with Enforce, exactly that is done")
	w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.ManagementPolicy = v1alpha1.PolicyEnforce })
	for _, u := range []*v1alpha1.ScimUser{ada, bob, zoe} {
		var roles []string
		for _, g := range step(r, u.Spec.UserName).Roles {
			roles = append(roles, g.Name)
		}
		w.provisioned(u, roles...)
	}
	w.is("eve@example.test", portalapi.StatusDeactivated)
	w.eventually("nothing remains to do", func() error {
		if after := w.preview(false); after.Changes() != 0 {
			return fmt.Errorf("%+v %+v", after.Pools, after.Users)
		}
		return nil
	})
}

func TestPreviewOfLastManagerAndGuard(t *testing.T) {
	one, zero := int32(1), int32(0)
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		s.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &one, MaxPercent: &zero}
	}))
	last := w.push("admin@example.test")
	w.says(last, v1alpha1.ConditionReady, v1alpha1.ReasonLocalAccountExists)
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	w.provisioned(ada, user)
	w.provisioned(bob, user)
	w.change(ada, inactive)
	w.is("ada@example.test", portalapi.StatusDeactivated)
	w.change(bob, inactive)
	w.says(bob, v1alpha1.ConditionDeprovisioningHeld, v1alpha1.ReasonGuardHeld)
	r := w.preview(true)
	if len(r.Migration.LastManager) != 1 || r.Migration.LastManager[0].UserName != "admin@example.test" || len(r.Migration.Adopted) != 0 {
		t.Errorf("the migration is %+v", r.Migration)
	}
	if s := step(r, "admin@example.test"); s.Reason != v1alpha1.ReasonLastManager {
		t.Errorf("the step is %+v", s)
	}
	if r.Guard.Removals != 1 || r.Guard.Held != 1 {
		t.Errorf("the guard's part of the plan is %+v", r.Guard)
	}
	w.changeLogin(func(m *portalapi.LoginMethods) { m.ProvisionExistingUsers = true })
	t.Log("the guard comes first, as for any loss of the manager role; after the release, the portal still refuses")
	w.says(last, v1alpha1.ConditionReady, v1alpha1.ReasonGuardHeld)
	id := w.decision(last)
	w.annotate(last, v1alpha1.AnnotationRelease, id)
	w.says(last, v1alpha1.ConditionReady, v1alpha1.ReasonLastManager)
	if c := conditions.Find(last.Status.Conditions, v1alpha1.ConditionReady); c.Message == "" {
		t.Error("the message must say what to do")
	}
	t.Log("the release stays valid, and is carried out once another manager exists")
	w.local("boss@example.test", store.NewAccount{Password: "correct horse battery staple", DirectRoles: []string{manager}})
	w.annotate(last, "example.test/touched", "now") // otherwise the next try comes within a minute
	w.provisioned(last, user)
	if m := w.account("admin@example.test").Mark; m != nil {
		t.Errorf("the mark %+v remains", m)
	}
	if got := last.Annotations[v1alpha1.AnnotationRelease]; got != id {
		t.Errorf("the decision is about %q, want %q", got, id)
	}
}
