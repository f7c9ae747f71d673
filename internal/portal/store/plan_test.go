// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/postgres"
)

func TestMigrationPlan(t *testing.T) {
	for name, database := range map[string]string{"SQLite": Memory, "PostgreSQL": postgres.Start(t).Database(t)} {
		t.Run(name, func(t *testing.T) {
			s := openPlans(t, database)
			request, err := s.RequestPlan(t.Context(), SystemActor("test"))
			if err != nil || request != 1 {
				t.Fatalf("request %d, %v", request, err)
			}
			if p, err := s.MigrationPlan(t.Context(), 10); p != nil || err != nil {
				t.Fatalf("there is a plan before one is published: %+v, %v", p, err)
			}
			lines := make([]portalapi.MigrationLine, 5)
			for i := range lines {
				lines[i] = portalapi.MigrationLine{AccountID: fmt.Sprint(i), UserName: fmt.Sprint(i), Outcome: portalapi.MigrationAdopted}
			}
			lines[0].Outcome = portalapi.MigrationUnmatched
			lines[1].Becomes = portalapi.StatusActive
			lines[3].RolesLost = []string{portalapi.RoleManager}
			lines[4].Becomes = portalapi.StatusDeactivated
			put := func(id string, lines []portalapi.MigrationLine, first, last bool) {
				t.Helper()
				if err := s.PutMigrationPlan(t.Context(), operator, portalapi.MigrationPlan{ID: id, Request: request, Lines: lines}, first, last); err != nil {
					t.Fatal(err)
				}
			}
			put("lost", lines[:3], true, false) // the writer stopped
			put("plan", lines[:3], true, false)
			put("plan", lines[:3], true, false) // its answer was lost
			if p, err := s.MigrationPlan(t.Context(), 10); p != nil || err != nil {
				t.Fatalf("a part of a plan is shown: %+v, %v", p, err)
			}
			put("plan", lines[3:], false, true)
			put("plan", lines[3:], false, true)
			p, err := s.MigrationPlan(t.Context(), 4)
			if err != nil {
				t.Fatal(err)
			}
			var order []string
			for _, l := range p.Lines {
				order = append(order, l.AccountID)
			}
			if diff := cmp.Diff([]string{"3", "4", "1", "2"}, order); diff != "" {
				t.Errorf("those who lose something come first (-want +got):\n%s", diff)
			}
			if want := (MigrationLoss{Adopted: 4, Deactivated: 1, Activated: 1, Manager: 1, Access: 1}); p.MigrationLoss != want || p.Total != 5 || p.Stay != 1 || p.Answers != request {
				t.Errorf("the plan has %+v", p)
			}
		})
	}
}

// openPlans opens a portal with SCIM on, and with a local manager who remains.
func openPlans(t *testing.T, database string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Database: database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	system := SystemActor("test")
	if err := s.EnsureManager(t.Context(), system, "local@example.test", demoPassword); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.SaveLoginMethods(t.Context(), system, plansOn(false), nil, false); err != nil {
		t.Fatal(err)
	}
	return s
}

func plansOn(existing bool) portalapi.LoginMethods {
	return portalapi.LoginMethods{SCIMEnabled: true, ProvisionExistingUsers: existing,
		SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal"}}
}

// TestApprovedPlan checks which adoptions the approved plan allows.
func TestApprovedPlan(t *testing.T) {
	manager := []string{portalapi.RoleManager}
	for name, c := range map[string]struct {
		reason   string
		line     *portalapi.MigrationLine // of ada, who is a manager and in the pool Support; nil: the plan has no line
		declared bool                     // the login methods are declared after the Save
		handed   bool
		active   bool
		refused  bool
	}{
		"AsPlanned":        {reason: "What the plan says is done.", line: &portalapi.MigrationLine{RolesLost: manager, PoolsLost: []string{"Support"}}, active: true},
		"Deactivated":      {reason: "A user who was pushed as inactive after the plan stays.", line: &portalapi.MigrationLine{RolesLost: manager, PoolsLost: []string{"Support"}}, refused: true},
		"PlannedInactive":  {reason: "A planned deactivation is done.", line: &portalapi.MigrationLine{Becomes: portalapi.StatusDeactivated, RolesLost: manager, PoolsLost: []string{"Support"}}},
		"RoleIsNotPlanned": {reason: "A role that the plan does not take stays.", line: &portalapi.MigrationLine{PoolsLost: []string{"Support"}}, active: true, refused: true},
		"PoolIsNotPlanned": {reason: "A pool that the plan does not take stays.", line: &portalapi.MigrationLine{RolesLost: manager}, active: true, refused: true},
		"NoLine":           {reason: "A user who is pushed later and loses something needs a new plan.", active: true, refused: true},
		"Declared":         {reason: "A declared configuration is the consent.", declared: true, active: true},
		"HandedOver":       {reason: "A hand-over is a consent of its own.", handed: true, active: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := openPlans(t, Memory)
			system := SystemActor("test")
			pool, err := s.CreatePool(t.Context(), system, NewPool{Name: "Support"})
			if err != nil {
				t.Fatal(err)
			}
			ada, err := s.CreateAccount(t.Context(), system, NewAccount{UserName: "ada@example.test", DirectRoles: manager, Pools: []string{pool.ID}})
			if err != nil {
				t.Fatal(err)
			}
			plan := portalapi.MigrationPlan{ID: "plan", Request: 1}
			if c.line != nil {
				l := *c.line
				l.AccountID, l.Outcome = ada.ID, portalapi.MigrationAdopted
				plan.Lines = []portalapi.MigrationLine{l}
			}
			if err := s.PutMigrationPlan(t.Context(), operator, plan, true, true); err != nil {
				t.Fatal(err)
			}
			seen := Seen{Plan: true}
			for saved := false; !saved; { // the second time, the effects were seen
				effects, err := s.SaveSeenLoginMethods(t.Context(), system, plansOn(true), nil, seen)
				if err != nil || effects != nil && seen.Effects != "" {
					t.Fatalf("%+v, %v", effects, err)
				}
				if saved = effects == nil; !saved {
					seen.Effects = effects.ID
				}
			}
			if c.declared {
				if _, err := s.PutLoginMethods(t.Context(), operator, plansOn(true), "Git"); err != nil {
					t.Fatal(err)
				}
			}
			if c.handed {
				on := true
				if _, err := s.UpdateAccount(t.Context(), system, ada.ID, nil, AccountPatch{HandedOver: &on}); err != nil {
					t.Fatal(err)
				}
			}
			_, err = s.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u", Revision: 1}, UserName: ada.UserName, Active: c.active, Adopt: &portalapi.Adopt{ID: ada.ID}})
			if refused := portalapi.CodeOf(err) == portalapi.CodePlanChanged; refused != c.refused || err != nil && !refused {
				t.Errorf("%s\ngot %v", c.reason, err)
			}
			after, err := s.Account(t.Context(), ada.ID)
			if err != nil || c.refused != (after.ManagedBy == portalapi.ManagedByLocal && slices.Equal(after.Roles, ada.Roles)) {
				t.Errorf("%s\nthe account is %+v, %v", c.reason, after, err)
			}
		})
	}
}
