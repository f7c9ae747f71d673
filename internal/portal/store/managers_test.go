// SPDX-License-Identifier: Apache-2.0

package store

import (
	"path/filepath"
	"sync"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// TestLastManagersAtTheSameTime lets two managers lose their access at the same moment, each by
// another change.
func TestLastManagersAtTheSameTime(t *testing.T) {
	s, err := Open(t.Context(), Options{Database: filepath.Join(t.TempDir(), "portal.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	system := SystemActor("test")
	if _, _, err := s.SaveLoginMethods(t.Context(), system, portalapi.LoginMethods{SCIMEnabled: true, ProvisionExistingUsers: true,
		SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal"}}, nil, false); err != nil {
		t.Fatal(err)
	}
	off, over, empty := false, true, ""
	patch := func(p AccountPatch) func(*Account) error {
		return func(a *Account) error {
			_, err := s.UpdateAccount(t.Context(), system, a.ID, nil, p)
			return err
		}
	}
	adopt := func(a *Account) error {
		_, err := s.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u-" + a.ID, Revision: 1}, UserName: a.UserName,
			Active: true, Adopt: &portalapi.Adopt{ID: a.ID}})
		return err
	}
	changes := map[string]func(*Account) error{
		"deactivate":      patch(AccountPatch{Active: &off}),
		"demote":          patch(AccountPatch{DirectRoles: &[]string{}}),
		"remove password": patch(AccountPatch{Password: &empty}),
		"hand over":       patch(AccountPatch{HandedOver: &over}),
		"delete":          func(a *Account) error { return s.DeleteAccount(t.Context(), system, a.ID, nil) },
		"adopt":           adopt,
	}
	manager := func(name string) *Account {
		a, err := s.CreateAccount(t.Context(), system, NewAccount{UserName: name, Password: demoPassword, DirectRoles: []string{portalapi.RoleManager}})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	spare := manager("spare@example.test")
	for one, first := range changes {
		for _, other := range []string{one, "deactivate"} {
			second := changes[other]
			ada, bob := manager("ada@example.test"), manager("bob@example.test")
			if err := s.DeleteAccount(t.Context(), system, spare.ID, nil); err != nil {
				t.Fatal(err)
			}
			var together sync.WaitGroup
			results := make([]error, 2)
			together.Go(func() { results[0] = first(ada) })
			together.Go(func() { results[1] = second(bob) })
			together.Wait()
			refused := 0
			for _, err := range results {
				if portalapi.CodeOf(err) == portalapi.CodeLastManager {
					refused++
				} else if err != nil {
					t.Errorf("%s and %s: %v", one, other, err)
				}
			}
			left, err := s.CountAccounts(t.Context(), AccountFilter{})
			if err != nil {
				t.Fatal(err)
			}
			// An account that is handed over keeps the other change from being the last.
			if one != "hand over" && other != "hand over" && refused != 1 {
				t.Errorf("%s and %s: %d refusals, %d accounts, want one refusal", one, other, refused, left)
			}
			if err := s.inSnapshot(t.Context(), func(c *conn) error {
				if remains, err := c.managerLeft(); err != nil || !remains {
					t.Errorf("%s and %s: no manager with a password remains (%v)", one, other, err)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			spare = manager("spare@example.test")
			for _, a := range []*Account{ada, bob} {
				if _, err := s.write.ExecContext(t.Context(), `DELETE FROM accounts WHERE id = ?`, a.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestSSOOffNeedsAManager(t *testing.T) {
	s, err := Open(t.Context(), Options{Database: Memory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	on := portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal"}}
	if _, _, err := s.SaveLoginMethods(t.Context(), SystemActor("test"), on, nil, false); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "admin@example.test"} {
		if name != "" {
			if err := s.EnsureManager(t.Context(), SystemActor("test"), name, demoPassword); err != nil {
				t.Fatal(err)
			}
		}
		_, _, err := s.SaveLoginMethods(t.Context(), SystemActor("test"), portalapi.LoginMethods{}, nil, false)
		if refused := portalapi.CodeOf(err) == portalapi.CodeLastManager; refused != (name == "") || err != nil && !refused {
			t.Errorf("with the manager %q, switching SSO off: %v", name, err)
		}
	}
}
