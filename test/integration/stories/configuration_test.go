// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

func TestMigrationByToggle(t *testing.T) {
	w := newWorld(t)
	w.local("ada@example.test", store.NewAccount{DisplayName: "Ada (local)"})
	before := w.account("ada@example.test")
	w.local("stays@example.test", store.NewAccount{})
	t.Log("while the toggle is off, the user waits and the account stays local")
	ada := w.push("Ada@Example.Test")
	w.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonLocalAccountExists)
	w.eventually("the portal lists the user as waiting", func() error {
		r, err := w.store.MigrationReport(t.Context())
		if err != nil {
			return err
		}
		if len(r.Waiting) != 1 || r.Waiting[0].ID != before.ID {
			return fmt.Errorf("the report lists %+v", r.Waiting)
		}
		return nil
	})
	if a := w.account("ada@example.test"); a.ManagedBy != portalapi.ManagedByLocal || a.DisplayName != "Ada (local)" {
		t.Fatalf("the account was changed: %+v", a)
	}
	t.Log("on Save every match is adopted with its id, and the rest stays local, active and listed")
	w.changeLogin(func(m *portalapi.LoginMethods) { m.ProvisionExistingUsers = true })
	w.provisioned(ada, user)
	after := w.account("ada@example.test")
	if after.ID != before.ID || !after.Migrated || !after.ReadOnly || !after.CreatedAt.Equal(before.CreatedAt) {
		t.Errorf("want the same account, migrated and read-only, got %+v", after)
	}
	if a := w.account("stays@example.test"); a.ManagedBy != portalapi.ManagedByLocal || a.Status != portalapi.StatusActive {
		t.Errorf("an account that was not pushed changed: %+v", a)
	}
	r, err := w.store.MigrationReport(t.Context())
	w.must(err)
	if r.Migrated != 1 || r.UnmatchedCount != 2 { // the administrator and one other account
		t.Errorf("the report says %d migrated, %d unmatched", r.Migrated, r.UnmatchedCount)
	}
	t.Log("an account whose user is pushed later is adopted at once")
	w.local("late@example.test", store.NewAccount{})
	w.provisioned(w.push("late@example.test"), user)
	t.Log("switching the toggle off keeps adopted accounts SCIM-managed")
	w.changeLogin(func(m *portalapi.LoginMethods) { m.ProvisionExistingUsers = false })
	w.change(ada, func(s *v1alpha1.ScimUserSpec) { s.DisplayName = "Ada" })
	w.provisioned(ada, user)
}

func TestTheLastLocalManagerIsProtected(t *testing.T) {
	w := newWorld(t, withLogin(func(m *portalapi.LoginMethods) { m.ProvisionExistingUsers = true }))
	admin := w.push("admin@example.test")
	w.says(admin, v1alpha1.ConditionReady, v1alpha1.ReasonLastManager)
	if a := w.account("admin@example.test"); a.ManagedBy != portalapi.ManagedByLocal || !a.IsManager() {
		t.Errorf("the last local manager was taken over: %+v", a)
	}
}

func TestSCIMOffAndOn(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	w.provisioned(ada, user)
	w.provisioned(bob, user)
	w.changeLogin(func(m *portalapi.LoginMethods) { m.SCIMEnabled = false })
	w.says(ada, v1alpha1.ConditionSuspended, v1alpha1.ReasonSCIMOff)
	w.says(bob, v1alpha1.ConditionSuspended, v1alpha1.ReasonSCIMOff)
	t.Log("accounts stay active and become editable")
	no := false
	a := w.account("ada@example.test")
	if a.Status != portalapi.StatusActive || a.ReadOnly {
		t.Fatalf("want an active, editable account, got %+v", a)
	}
	manage := store.Actor{Kind: store.Person, Name: "admin", Scopes: []store.Scope{store.ScopeManage}}
	_, err := w.store.UpdateAccount(t.Context(), manage, a.ID, nil, store.AccountPatch{Active: &no})
	w.must(err)
	w.faults.reset()
	w.changeLogin(func(m *portalapi.LoginMethods) { m.SCIMEnabled = true })
	t.Log("switched on: accounts are adopted again, and one that an administrator deactivated stays deactivated")
	w.provisioned(bob, user)
	w.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonDeactivatedLocally)
	w.is("ada@example.test", portalapi.StatusDeactivated)
	t.Log("until the provider pushes the user again")
	w.change(ada, active)
	w.provisioned(ada, user)
}

func TestSSOOffAndOn(t *testing.T) {
	w := newWorld(t)
	w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	ada, bob, eve := w.push("ada@example.test", in("fast")), w.push("bob@example.test"), w.push("eve@example.test")
	w.provisioned(ada, user, quota)
	w.provisioned(bob, user)
	w.provisioned(eve, user)
	before := w.account("ada@example.test")
	t.Log("SCIM requires single sign-on, which can't be switched off alone")
	c, err := w.store.Configuration(t.Context())
	w.must(err)
	m := c.LoginMethods
	m.SSO.Enabled = false
	if _, _, err := w.store.SaveLoginMethods(t.Context(), admin, m, nil, false); portalapi.CodeOf(err) != portalapi.CodeSSORequired {
		t.Fatalf("want %s, got %v", portalapi.CodeSSORequired, err)
	}
	t.Log("both are switched off: no account is deactivated, and every object says why nothing is written")
	m.SCIMEnabled = false
	w.login(m)
	for _, p := range []*v1alpha1.ScimUser{ada, bob, eve} {
		w.says(p, v1alpha1.ConditionSuspended, v1alpha1.ReasonSCIMOff)
	}
	w.faults.reset()
	t.Log("changes wait meanwhile: an update, a new user, a deactivation, and a pool's new roles")
	w.change(ada, func(s *v1alpha1.ScimUserSpec) { s.DisplayName = "Ada L" })
	w.change(eve, inactive)
	late := w.push("new@example.test")
	w.says(late, v1alpha1.ConditionSuspended, v1alpha1.ReasonSCIMOff)
	for _, p := range []*v1alpha1.ScimUser{ada, eve} {
		w.saysOfNewest(p, v1alpha1.ConditionSuspended)
	}
	if got := w.faults.writes(); len(got) != 0 {
		t.Errorf("the portal was written: %v", got)
	}
	for _, name := range []string{"ada@example.test", "bob@example.test", "eve@example.test"} {
		w.is(name, portalapi.StatusActive)
	}
	t.Log("an administrator deactivates an account, and creates a local account for a user who is already pushed")
	no := false
	manage := store.Actor{Kind: store.Person, Name: "admin", Scopes: []store.Scope{store.ScopeManage}}
	_, err = w.store.UpdateAccount(t.Context(), manage, w.account("bob@example.test").ID, nil, store.AccountPatch{Active: &no})
	w.must(err)
	w.local("new@example.test", store.NewAccount{})
	t.Log("on again: accounts are adopted without duplicates and up to date; deactivated and local ones stay as people left them")
	m.SSO.Enabled, m.SCIMEnabled = true, true
	w.login(m)
	w.provisioned(ada, user, quota)
	if a := w.account("ada@example.test"); a.ID != before.ID || a.DisplayName != "Ada L" || !a.ReadOnly {
		t.Errorf("want the same account, up to date, got %+v", a)
	}
	w.is("eve@example.test", portalapi.StatusDeactivated)
	w.says(bob, v1alpha1.ConditionReady, v1alpha1.ReasonDeactivatedLocally)
	w.says(late, v1alpha1.ConditionReady, v1alpha1.ReasonLocalAccountExists)
	w.is("bob@example.test", portalapi.StatusDeactivated)
	n, err := w.store.CountAccounts(t.Context(), store.AccountFilter{})
	w.must(err)
	if n != 5 { // with the administrator
		t.Errorf("%d accounts, want 5: no duplicates", n)
	}
}

// saysOfNewest waits until the condition exists for the object's newest generation.
func (w *world) saysOfNewest(o client.Object, typ string) {
	w.t.Helper()
	w.eventually(o.GetName()+" says "+typ+" of its newest generation", func() error {
		if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		all := conditionsOf(o)
		if c := conditions.Find(all, typ); c == nil || c.ObservedGeneration != o.GetGeneration() {
			return errors.New(describe(all))
		}
		return nil
	})
}

func TestNoConfigurationMeansNoPortalWrite(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	c := w.identity()
	w.remove(c)
	w.gone(c)
	w.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonNoConfiguration)
	w.faults.reset()
	bob := w.push("bob@example.test")
	w.says(bob, v1alpha1.ConditionReady, v1alpha1.ReasonNoConfiguration)
	t.Log("a user that the provider deletes waits; the account stays")
	w.remove(ada)
	w.saysOfNewest(ada, v1alpha1.ConditionReady)
	w.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonNoConfiguration)
	if got := w.faults.writes(); len(got) != 0 {
		t.Errorf("the portal was written: %v", got)
	}
	w.is("ada@example.test", portalapi.StatusActive)
}

func TestOneOperatorAtATime(t *testing.T) {
	first := newWorld(t)
	ada := first.push("ada@example.test")
	first.provisioned(ada, user)
	t.Log("a second namespace waits and says which operator the portal is bound to")
	second := &world{t: t, cp: first.cp, client: first.client, namespace: first.cp.Namespace(t), store: first.store, server: first.server, faults: first.faults, cluster: "cluster-b"}
	second.create(&corev1.Secret{ObjectMeta: metav1Name(second.namespace, "portal"), Data: map[string][]byte{"token": []byte(operatorKey)}})
	second.create(second.configuration())
	second.startWebhook()
	second.startManager()
	c := second.identity()
	second.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonBoundElsewhere)
	if got := describe(c.Status.Conditions); !strings.Contains(got, first.namespace) {
		t.Errorf("the message must name the first operator: %s", got)
	}
	bob := second.push("bob@example.test")
	second.says(bob, v1alpha1.ConditionReady, v1alpha1.ReasonConfigurationNotOK)
	first.provisioned(first.push("eve@example.test"), user)
}

func TestSecondProvider(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	w.integrated(v1alpha1.BoundProvider{Type: v1alpha1.ProviderOkta})
	c := w.identity()
	w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(c), c))
	before := c.DeepCopy()
	c.Spec.IdentityProvider.Type = v1alpha1.ProviderEntraID
	w.must(w.client.Patch(t.Context(), c, client.MergeFrom(before)))
	w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonProviderConflict)
	if got := describe(c.Status.Conditions); !strings.Contains(got, "Okta") || !strings.Contains(got, "all 1 users keep their accounts") {
		t.Errorf("the message must name the first provider and the effect of a change: %s", got)
	}
	m := conditions.Find(c.Status.Conditions, v1alpha1.ConditionBound).Message
	if strings.Contains(m, "portal answered") || !strings.HasPrefix(m, "The portal is integrated with Okta") || strings.Count(m, "integrated with") != 1 || !strings.HasSuffix(m, "To replace Okta: kubectl scim provider --replace Okta -n "+w.namespace) {
		t.Errorf("it is no plain sentence with a command: %s", m)
	}
	if r := w.preview(false); r.Waits != "" || r.Provider != "Okta" || !strings.Contains(r.Replacement, "all 1 users keep their accounts") || r.Changes() != 0 {
		t.Errorf("the preview says %q, %q, %q and %d changes", r.Waits, r.Provider, r.Replacement, r.Changes())
	}
	t.Log("the first keeps working, whatever spec says: its pushes are carried out, also by a manager that starts now")
	w.integrated(v1alpha1.BoundProvider{Type: v1alpha1.ProviderOkta})
	w.provisioned(w.push("bob@example.test"), user)
	w.stop()
	w.startManager()
	w.provisioned(w.push("eve@example.test"), user)
	w.integrated(v1alpha1.BoundProvider{Type: v1alpha1.ProviderOkta})
	t.Log("reverted, nothing has changed; changed again, the second is still refused")
	w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.IdentityProvider.Type = v1alpha1.ProviderOkta })
	w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.IdentityProvider.Type = v1alpha1.ProviderEntraID })
	w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonProviderConflict)
	t.Log("the explicit step names the provider to replace; all users keep their accounts")
	id := w.account("ada@example.test").ID
	w.annotate(c, v1alpha1.AnnotationReplaceProvider, string(v1alpha1.ProviderOkta))
	w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.integrated(v1alpha1.BoundProvider{Type: v1alpha1.ProviderEntraID})
	w.provisioned(ada, user)
	if a := w.account("ada@example.test"); a.ID != id || !strings.Contains(a.ReadOnlyReason, "Entra") {
		t.Errorf("want the same account, now read-only because of Entra ID, got %+v", a)
	}
	t.Log("the new provider finds the user by user name and continues")
	w.change(ada, func(s *v1alpha1.ScimUserSpec) { s.ExternalID, s.DisplayName = "entra-1", "Ada" })
	w.provisioned(ada, user)
}

func TestTwoProvidersOfOneType(t *testing.T) {
	w := newWorld(t)
	named := func(name string) {
		w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.IdentityProvider.Name = name })
	}
	w.integrated(v1alpha1.BoundProvider{Type: v1alpha1.ProviderOkta})
	t.Log("the integrated provider gets a name")
	named("acme")
	acme := v1alpha1.BoundProvider{Type: v1alpha1.ProviderOkta, Name: "acme"}
	w.integrated(acme)
	c := w.identity()
	w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	for _, other := range []string{"globex", ""} {
		named(other)
		w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonProviderConflict)
		w.integrated(acme)
		if got := describe(c.Status.Conditions); !strings.Contains(got, "Okta/acme") {
			t.Errorf("the message must name the first provider: %s", got)
		}
		named("acme")
		w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	}
	named("globex")
	w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonProviderConflict)
	t.Log("the annotation contains the type and the name of the first provider")
	w.annotate(c, v1alpha1.AnnotationReplaceProvider, "Okta")
	w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonProviderConflict)
	w.annotate(c, v1alpha1.AnnotationReplaceProvider, "Okta/acme")
	w.integrated(v1alpha1.BoundProvider{Type: v1alpha1.ProviderOkta, Name: "globex"})
	w.says(c, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
}

// integrated waits until the configuration's status names the provider as integrated.
func (w *world) integrated(want v1alpha1.BoundProvider) {
	w.t.Helper()
	c := w.identity()
	w.eventually(fmt.Sprintf("status says that %v is integrated", want), func() error {
		w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(c), c))
		if got := c.Status.Provider; c.Status.ObservedGeneration != c.Generation || got == nil || *got != want {
			return fmt.Errorf("generation %d of %d says %v", c.Status.ObservedGeneration, c.Generation, got)
		}
		return nil
	})
}

func TestTheGuardHoldsAMassRemoval(t *testing.T) {
	two, zero := int32(2), int32(0)
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		s.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &two, MaxPercent: &zero}
	}))
	var people []*v1alpha1.ScimUser
	for i := range 5 {
		people = append(people, w.push(fmt.Sprintf("p%d@example.test", i)))
	}
	for _, p := range people {
		w.provisioned(p, user)
	}
	for _, p := range people {
		w.change(p, inactive)
	}
	var held []*v1alpha1.ScimUser
	w.eventually("two removals pass, three are held", func() error {
		held = nil
		left := 0
		for _, p := range people {
			w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(p), p))
			for _, c := range p.Status.Conditions {
				if c.Type == v1alpha1.ConditionDeprovisioningHeld {
					held = append(held, p)
				}
			}
			if w.account(p.Spec.UserName).Status == portalapi.StatusDeactivated {
				left++
			}
		}
		if left != 2 || len(held) != 3 {
			return fmt.Errorf("%d passed, %d held", left, len(held))
		}
		return nil
	})
	for _, p := range held {
		w.hasEvent(p, v1alpha1.ReasonGuardHeld)
	}
	t.Log("new users never wait")
	w.provisioned(w.push("new@example.test"), user)
	t.Log("a person releases one")
	one := held[0]
	w.annotate(one, v1alpha1.AnnotationRelease, w.decision(one))
	w.is(one.Spec.UserName, portalapi.StatusDeactivated)
}

func TestReportOnlyWritesNothing(t *testing.T) {
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.ManagementPolicy = v1alpha1.PolicyReportOnly }))
	ada := w.push("ada@example.test")
	w.says(ada, v1alpha1.ConditionDrifted, v1alpha1.ReasonReportOnly)
	if w.account("ada@example.test") != nil {
		t.Error("an account was created")
	}
}

func TestSuspend(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	w.change(ada, func(s *v1alpha1.ScimUserSpec) { s.Suspend = true })
	w.change(ada, func(s *v1alpha1.ScimUserSpec) { s.DisplayName = "Changed" })
	w.saysOfNewest(ada, v1alpha1.ConditionSuspended)
	w.says(ada, v1alpha1.ConditionSuspended, v1alpha1.ReasonSuspendedByUser)
	if got := w.account("ada@example.test").DisplayName; got == "Changed" {
		t.Error("the account was written in spite of suspend")
	}
	w.change(ada, func(s *v1alpha1.ScimUserSpec) { s.Suspend = false })
	w.provisioned(ada, user)
	w.eventually("the account is written after that", func() error {
		if w.account("ada@example.test").DisplayName != "Changed" {
			return errors.New("not yet")
		}
		return nil
	})
}
