// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// backupPortal writes a copy of the portal's database with SQLite's own backup.
func (w *world) backupPortal() (file string) {
	w.t.Helper()
	file = filepath.Join(w.t.TempDir(), "backup.db")
	db, err := sql.Open("sqlite", "file:"+w.file+"?_pragma=busy_timeout(10000)")
	w.must(err)
	_, err = db.ExecContext(w.t.Context(), `VACUUM INTO ?`, file)
	w.must(errors.Join(err, db.Close()))
	return file
}

// restorePortal replaces the portal's database by a backup, as the manual says: in the restore
// window, and with a new epoch of the change feed. It returns with the window open.
func (w *world) restorePortal(backup string) {
	w.t.Helper()
	w.restoreWindow(true)
	w.eventually("the restore window is open", func() error {
		c := w.identity()
		w.must(w.client.Get(w.t.Context(), keyOf(c), c))
		if !conditions.IsTrue(c.Status.Conditions, v1alpha1.ConditionRestoreOpen) {
			return errors.New(describe(c.Status.Conditions))
		}
		return nil
	})
	w.faults.down.Store(true)
	w.server.CloseClientConnections() // as the end of the portal does
	w.servePortal(backup)
	w.must(w.store.NewFeedEpoch(w.t.Context()))
	w.faults.down.Store(false)
}

// ownersGone waits until the configuration's status counts these records without their objects. If
// want is nil, there is neither a count nor a condition.
func (w *world) ownersGone(want *v1alpha1.OwnerGone) (message string) {
	w.t.Helper()
	w.eventually("the status counts what has lost its object", func() error {
		c := w.identity()
		w.must(w.client.Get(w.t.Context(), keyOf(c), c))
		got, says := c.Status.OwnerGone, conditions.Find(c.Status.Conditions, v1alpha1.ConditionOwnerGone)
		if (got == nil) != (want == nil) || got != nil && *got != *want || (says == nil) != (want == nil) {
			return fmt.Errorf("%+v, %+v", got, says)
		}
		if says != nil {
			message = says.Message
		}
		return nil
	})
	return message
}

// TestPortalRestoredFromAnOlderBackup: since the portal's backup, the provider deleted gone and
// took left out of the group, and a person deleted the AgentPool of former. A database that knows
// nothing of that comes back.
func TestPortalRestoredFromAnOlderBackup(t *testing.T) {
	w := newWorld(t, wideGuard)
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}})
	heads := w.pool("heads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: []v1alpha1.PoolMember{{UserName: "gone@example.test"}}})
	old := w.pool("old", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: []v1alpha1.PoolMember{{UserName: "former@example.test"}}})
	gone, left, stays, former := w.push("gone@example.test", in("leads")), w.push("left@example.test", in("leads")), w.push("stays@example.test", in("leads")), w.push("former@example.test")
	for _, u := range []*v1alpha1.ScimUser{gone, left, stays, former} {
		w.provisioned(u, user, manager)
	}
	for _, p := range []*v1alpha1.AgentPool{leads, heads, old} {
		w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	}
	backup := w.backupPortal()
	w.remove(gone)
	w.gone(gone)
	w.change(left, in())
	w.provisioned(left, user)
	w.erase(old)
	w.gone(old)
	w.provisioned(former, user)
	w.ownersGone(nil)

	w.restorePortal(backup)
	w.hasRoles("gone@example.test", user, manager)
	t.Log("the window is open, and all is seen: managers first")
	if says := w.ownersGone(&v1alpha1.OwnerGone{Accounts: 1, Managers: 1, Pools: 1}); !strings.Contains(says, "1 account(s) have no ScimUser any more (1 with ROLE_MANAGER) and 1 pool(s) have no AgentPool any more") ||
		!strings.Contains(says, "kubectl scim audit --release -n "+w.namespace) {
		t.Errorf("the condition says %q", says)
	}
	plan := w.preview(false)
	if l := plan.WithoutUser; len(l) != 1 || l[0].UserName != "gone@example.test" || !l[0].Manages() || !slices.Equal(l[0].Leaves, []string{"heads", "leads"}) {
		t.Errorf("the plan lists the accounts %+v", l)
	}
	if p := plan.WithoutAgentPool; len(p) != 1 || p[0].AgentPool != "old" || p[0].Users != 1 {
		t.Errorf("the plan lists the pools %+v", p)
	}
	w.restoreWindow(false)

	t.Log("a user that neither a group nor a line names leaves the living pools at once, and no other user does")
	w.hasRoles("gone@example.test", user)
	w.provisioned(left, user)
	w.provisioned(stays, user, manager)
	w.says(former, v1alpha1.ConditionRolesInherited, v1alpha1.ReasonPoolOwnerGone)
	w.is("gone@example.test", portalapi.StatusActive) // the loss of an object deprovisions no user
	w.nextSecond()
	w.annotate(w.identity(), v1alpha1.AnnotationReleaseOwnerGone, w.now())
	w.is("gone@example.test", portalapi.StatusDeactivated)
	w.provisioned(former, user)
	w.ownersGone(nil)
	for _, p := range []*v1alpha1.AgentPool{leads, heads} {
		w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	}
}

// TestALostScimUserIsReported: a person deletes a ScimUser with kubectl. The user keeps the account
// and the pool, because the group still has the id, and the loss is seen at once.
func TestALostScimUserIsReported(t *testing.T) {
	w := newWorld(t, wideGuard)
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}})
	ada, bob := w.push("ada@example.test", in("leads")), w.push("bob@example.test", in("leads"))
	w.provisioned(ada, user, manager)
	w.provisioned(bob, user, manager)
	w.ownersGone(nil)
	lost := &v1alpha1.ScimUser{ObjectMeta: metav1Name(w.namespace, ada.Name), Spec: *ada.Spec.DeepCopy()}
	w.erase(ada)
	w.gone(ada)
	w.ownersGone(&v1alpha1.OwnerGone{Accounts: 1, Managers: 1})
	w.changePool(leads, func(s *v1alpha1.AgentPoolSpec) { s.Description = "another pass" })
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.hasRoles("ada@example.test", user, manager)
	t.Log("a restored object owns the account again")
	w.create(lost)
	w.provisioned(lost, user, manager)
	w.ownersGone(nil)
	if got := roleNames(lost); !slices.Contains(got, manager) {
		t.Errorf("the roles in the status are %v", got)
	}
}
