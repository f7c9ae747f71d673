// SPDX-License-Identifier: Apache-2.0

package preview_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/operator/preview"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/fakeportal"
	"lightrun.com/scim-operator/test/framework/poll"
)

const password = "demo password, long enough"

// TestMigrationLines checks what the plan says about each local account.
func TestMigrationLines(t *testing.T) {
	no := false
	pushed := func(spec v1alpha1.ScimUserSpec) []client.Object { return []client.Object{person("ada", spec)} }
	manager := []string{portalapi.RoleManager}
	for name, c := range map[string]struct {
		reason string
		local  store.NewAccount
		off    bool // an administrator deactivated the account
		people []client.Object
		owned  bool // the ScimUser has an account by now
		want   string
	}{
		"Adopted":     {reason: "A local user that the provider pushed becomes SCIM-managed and loses nothing.", people: pushed(v1alpha1.ScimUserSpec{UserName: "ada@example.test"}), want: "Adopted"},
		"Inactive":    {reason: "A user pushed as inactive can no longer sign in.", people: pushed(v1alpha1.ScimUserSpec{UserName: "ada@example.test", Active: &no}), want: "Adopted becomes Deactivated"},
		"Reactivated": {reason: "A deactivated user who is active at the provider can sign in again.", off: true, people: pushed(v1alpha1.ScimUserSpec{UserName: "ada@example.test"}), want: "Adopted becomes Active"},
		"Roles": {reason: "The user loses direct roles, and pools that no AgentPool gives.", local: store.NewAccount{DirectRoles: manager}, people: pushed(v1alpha1.ScimUserSpec{UserName: "ada@example.test"}),
			want: "Adopted loses ROLE_MANAGER loses Support"},
		"LastManager": {reason: "The last local manager with a password stays local.", local: store.NewAccount{DirectRoles: manager, Password: password}, people: pushed(v1alpha1.ScimUserSpec{UserName: "ada@example.test"}),
			want: "Waits: No local manager"},
		"Unmatched": {reason: "A local user that the provider has not pushed stays local.", want: "Unmatched"},
		"SameAddress": {reason: "A pushed user with the same address and without an account can be renamed at the provider.", local: store.NewAccount{Email: "ada@mail.example.test"},
			people: pushed(v1alpha1.ScimUserSpec{UserName: "a.lovelace@example.test", Emails: []v1alpha1.MultiValue{{Value: "Ada@mail.example.test"}}}),
			want:   "SameAddress: change the user name at the provider to ada@example.test"},
		"SecondAccount": {reason: "A pushed user with the same address who has an account cannot get this account too: a rename would be refused.", local: store.NewAccount{Email: "ada@mail.example.test"}, owned: true,
			people: pushed(v1alpha1.ScimUserSpec{UserName: "a.lovelace@example.test", Emails: []v1alpha1.MultiValue{{Value: "ada@mail.example.test"}}}),
			want:   "SameAddress: deactivate or delete this local account"},
	} {
		t.Run(name, func(t *testing.T) {
			p := fakeportal.New(t, fakeportal.Options{})
			pools := []string{}
			if name == "Roles" {
				pool, err := p.Store.CreatePool(t.Context(), fakeportal.Manager(), store.NewPool{Name: "Support"})
				if err != nil {
					t.Fatal(err)
				}
				pools = []string{pool.ID}
			}
			c.local.UserName, c.local.Pools = "ada@example.test", pools
			a, err := p.Store.CreateAccount(t.Context(), fakeportal.Manager(), c.local)
			if err == nil && c.off {
				_, err = p.Store.UpdateAccount(t.Context(), fakeportal.Manager(), a.ID, nil, store.AccountPatch{Active: &no})
			}
			if err == nil && c.owned {
				w := had("ada")
				w.UserName = "a.lovelace@example.test"
				_, err = p.PutAccount(t.Context(), w)
			}
			if err != nil {
				t.Fatal(err)
			}
			r, err := preview.Compute(t.Context(), preview.Options{Objects: cluster(t, c.people, func(*v1alpha1.IdentityConfigurationSpec) {}), Portal: p, Namespace: namespace, Migrate: true})
			if err != nil {
				t.Fatal(err)
			}
			var line *portalapi.MigrationLine
			for i, l := range r.Migration.Lines {
				if l.AccountID == a.ID {
					line = &r.Migration.Lines[i]
				}
			}
			if line == nil {
				t.Fatalf("%s\nno line in %+v", c.reason, r.Migration.Lines)
			}
			outcome, message, _ := strings.Cut(c.want, ": ")
			got := string(line.Outcome)
			if line.Becomes != "" {
				got += " becomes " + string(line.Becomes)
			}
			for _, lost := range [][]string{line.RolesLost, line.PoolsLost} {
				for _, one := range lost {
					got += " loses " + one
				}
			}
			if got != outcome || !strings.Contains(line.Message, message) || line.Message == "" {
				t.Errorf("%s\ngot %q, %q, want %q", c.reason, got, line.Message, c.want)
			}
		})
	}
}

// TestPublisher asks in the portal for a plan, and again after the plan has changed.
func TestPublisher(t *testing.T) {
	p := fakeportal.New(t, fakeportal.Options{})
	if _, err := p.Store.CreateAccount(t.Context(), fakeportal.Manager(), store.NewAccount{UserName: "ada@example.test"}); err != nil {
		t.Fatal(err)
	}
	c := cluster(t, nil, func(*v1alpha1.IdentityConfigurationSpec) {})
	s := session.New(mirror.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	publisher := preview.Publisher{Objects: c, Namespace: namespace, Session: s, Log: testr.New(t)}
	ended := make(chan error, 1)
	go func() { ended <- publisher.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	s.Open(ctx, "key", p, &v1alpha1.IdentityConfigurationSpec{})

	ask := func() *store.MigrationPlan {
		t.Helper()
		request, err := p.Store.RequestPlan(t.Context(), fakeportal.Manager())
		if err != nil {
			t.Fatal(err)
		}
		var plan *store.MigrationPlan
		poll.For(t, "the plan", 30*time.Second, 20*time.Millisecond, func(ctx context.Context) (err error) {
			if plan, err = p.Store.MigrationPlan(ctx, 10); err != nil {
				return err
			}
			if plan == nil || plan.Answers < request {
				return errors.New("no plan yet")
			}
			return nil
		})
		return plan
	}
	first := ask()
	if got := fmt.Sprint(len(first.Lines), first.Stay); got != "1 1" || first.Lines[0].Outcome != portalapi.MigrationUnmatched {
		t.Errorf("the first plan is %+v", first)
	}
	if same := ask(); same.ID != first.ID {
		t.Error("the same plan has another id")
	}
	if err := c.Create(t.Context(), person("ada", v1alpha1.ScimUserSpec{UserName: "ada@example.test"})); err != nil {
		t.Fatal(err)
	}
	if other := ask(); other.ID == first.ID || other.Adopted != 1 {
		t.Errorf("after a push the plan is %+v", other)
	}
}
