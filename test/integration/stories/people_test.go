// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

func newPool(name string, roles ...string) store.NewPool {
	return store.NewPool{Name: name, Roles: roles}
}

// is waits until the portal's record has the status.
func (w *world) is(userName string, status portalapi.Status) *store.Account {
	w.t.Helper()
	var a *store.Account
	w.eventually(userName+" is "+string(status), func() error {
		if a = w.account(userName); a == nil {
			return errors.New("no account")
		}
		if a.Status != status {
			return fmt.Errorf("it is %s", a.Status)
		}
		return nil
	})
	return a
}

func TestDeactivatedAndBack(t *testing.T) {
	w := newWorld(t)
	w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test", in("fast"))
	w.provisioned(ada, user, quota)
	id := w.account("ada@example.test").ID
	w.change(ada, inactive)
	w.is("ada@example.test", portalapi.StatusDeactivated)
	w.change(ada, active)
	w.provisioned(ada, user, quota)
	if got := w.account("ada@example.test").ID; got != id {
		t.Errorf("the account changed from %s to %s", id, got)
	}
}

func TestRenameKeepsTheAccount(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	id := w.account("ada@example.test").ID
	w.rename(ada, "ada.l@example.test")
	w.provisioned(ada, user)
	if w.account("ada@example.test") != nil || w.account("ada.l@example.test").ID != id {
		t.Error("a rename must keep the account, and create no second one")
	}
	w.eventually("the old name is free", func() error { return w.free("ada@example.test") })
	w.provisioned(w.push("ada@example.test"), user)
}

func (w *world) free(userName string) error {
	var c v1alpha1.NameClaim
	key := client.ObjectKey{Namespace: w.namespace, Name: claims.ObjectName(v1alpha1.ClaimUser, userName)}
	if err := w.client.Get(w.t.Context(), key, &c); err != nil {
		return client.IgnoreNotFound(err)
	}
	return fmt.Errorf("the holder is %s", c.Spec.Holder.Name)
}

func TestRenameAndDeactivateInOneChange(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	w.rename(ada, "left.ada@example.test", inactive)
	w.is("left.ada@example.test", portalapi.StatusDeactivated)
}

func TestDeactivationDoesNotWaitForAName(t *testing.T) {
	w := newWorld(t)
	first := w.push("left@example.test")
	w.provisioned(first, user)
	w.remove(first)
	w.gone(first)
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	t.Log("the record of a former user has the new name and keeps it; Ada is deactivated anyway")
	w.rename(ada, "left@example.test", inactive)
	w.is("ada@example.test", portalapi.StatusDeactivated)
	w.says(ada, v1alpha1.ConditionProvisioned, v1alpha1.ReasonNameReleasePending)
	t.Log("with another new name, her account is renamed")
	w.rename(ada, "left.ada@example.test")
	w.is("left.ada@example.test", portalapi.StatusDeactivated)
	w.says(ada, v1alpha1.ConditionProvisioned, v1alpha1.ReasonProvisioned)
}

func TestLeavingFollowsOnDelete(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		policy v1alpha1.UserDeletion
		check  func(*store.Account) error
	}{
		{v1alpha1.UserDeactivate, func(a *store.Account) error {
			if a == nil || a.Status != portalapi.StatusDeactivated || a.Owner.UID != "" {
				return errors.New("want the record kept, deactivated and without owner")
			}
			return nil
		}},
		{v1alpha1.UserDelete, func(a *store.Account) error {
			if a != nil {
				return errors.New("want no record")
			}
			return nil
		}},
		{v1alpha1.UserOrphan, func(a *store.Account) error {
			if a == nil || a.Status != portalapi.StatusActive || a.ManagedBy != portalapi.ManagedByLocal {
				return errors.New("want an active local account")
			}
			return nil
		}},
	} {
		t.Run(string(tc.policy), func(t *testing.T) {
			w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.OnDelete = tc.policy }))
			ada := w.push("ada@example.test")
			w.provisioned(ada, user)
			w.remove(ada)
			w.gone(ada)
			if err := tc.check(w.account("ada@example.test")); err != nil {
				t.Errorf("%v, got %+v", err, w.account("ada@example.test"))
			}
			w.must(w.free("ada@example.test"))
		})
	}
}

func TestReturnToAccountWithoutPools(t *testing.T) {
	w := newWorld(t)
	w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test", in("fast"))
	w.provisioned(ada, user, quota)
	id := w.account("ada@example.test").ID
	w.remove(ada)
	w.gone(ada)
	back := w.push("ada@example.test")
	w.provisioned(back, user)
	if got := w.account("ada@example.test").ID; got != id {
		t.Errorf("the account changed from %s to %s", id, got)
	}
}

func TestDeletedWhileThePortalIsDown(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	w.faults.down.Store(true)
	w.remove(ada)
	bob := w.push("bob@example.test")
	w.says(ada, v1alpha1.ConditionProvisioned, v1alpha1.ReasonPortalUnreachable)
	w.faults.down.Store(false)
	w.gone(ada)
	w.provisioned(bob, user)
	w.is("ada@example.test", portalapi.StatusDeactivated)
}

func TestAnswersLostAfterTheEffect(t *testing.T) {
	w := newWorld(t)
	var lost int
	w.faults.mu.Lock()
	w.faults.after = func(r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/provisioning/users/") && lost < 3 {
			lost++
			return true
		}
		return false
	}
	w.faults.mu.Unlock()
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	w.provisioned(ada, user)
	w.provisioned(bob, user)
	n, err := w.store.CountAccounts(t.Context(), store.AccountFilter{})
	w.must(err)
	if n != 3 { // with the administrator
		t.Errorf("%d accounts, want 3: no duplicates", n)
	}
}

func TestDriftIsHealed(t *testing.T) {
	w := newWorld(t)
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	t.Log("the portal itself refuses a manager's edit of a SCIM account")
	name := "Mallory"
	_, err := w.store.UpdateAccount(t.Context(), store.Actor{Kind: store.Key, Name: "k", Scopes: []store.Scope{store.ScopeManage}}, w.account("ada@example.test").ID, nil, store.AccountPatch{DisplayName: &name})
	if portalapi.CodeOf(err) != portalapi.CodeReadOnly {
		t.Fatalf("want %s, got %v", portalapi.CodeReadOnly, err)
	}
	t.Log("an edit with the operator's key is reverted through the change feed")
	a := w.account("ada@example.test")
	operator := store.Actor{Kind: store.Operator, Name: "o", Scopes: []store.Scope{store.ScopeProvisioning}, Leader: w.leader}
	_, err = w.store.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: a.Owner, UserName: a.UserName, DisplayName: name, Active: true})
	w.must(err)
	w.eventually("healed", func() error {
		if got := w.account("ada@example.test").DisplayName; got != "ada@example.test" {
			return fmt.Errorf("the display name is %q", got)
		}
		return nil
	})
}

func TestRestartWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	var people []*v1alpha1.ScimUser
	for i := range 20 {
		people = append(people, w.push(fmt.Sprintf("p%d@example.test", i), in("fast")))
	}
	for _, p := range people {
		w.provisioned(p, user, quota)
	}
	pool := &v1alpha1.AgentPool{}
	w.eventually("the pool counts its members", func() error {
		w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "fast"}, pool))
		if pool.Status.MemberCount != 20 {
			return fmt.Errorf("it counts %d", pool.Status.MemberCount)
		}
		return nil
	})
	w.stop()
	versions := w.versions()
	w.faults.reset()
	w.startManager()
	newcomer := w.push("new@example.test")
	w.provisioned(newcomer, user)
	for _, c := range w.faults.writes() {
		if !strings.Contains(c, string(newcomer.UID)) {
			t.Errorf("the restart wrote to the portal: %s", c)
		}
	}
	after := w.versions()
	for name, v := range versions {
		if after[name] != v {
			t.Errorf("%s was written", name)
		}
	}
	w.writesNothingOnRestart(21)
}

// versions returns the resource versions of all users.
func (w *world) versions() map[string]string {
	w.t.Helper()
	var list v1alpha1.ScimUserList
	w.must(w.client.List(context.Background(), &list, client.InNamespace(w.namespace)))
	out := map[string]string{}
	for _, u := range list.Items {
		out[u.Name] = u.ResourceVersion
	}
	return out
}

func TestNewUserCost(t *testing.T) {
	w := newWorld(t)
	w.provisioned(w.push("first@example.test"), user)
	w.faults.reset()
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	if got := w.faults.writes(); len(got) != 1 {
		t.Errorf("the portal was called %d times: %v", len(got), got)
	}
}
