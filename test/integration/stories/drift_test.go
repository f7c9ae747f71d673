// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

type loginMethods = portalapi.LoginMethods

// relistSoon is the interval of full listings in stories about changes that are not in the change
// feed.
const relistSoon = time.Second

// rawSQL edits the portal's database directly.
func (w *world) rawSQL(statement string, args ...any) {
	w.t.Helper()
	db, err := sql.Open("sqlite", "file:"+w.file+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	w.must(err)
	_, err = db.ExecContext(w.t.Context(), statement, args...)
	w.must(errors.Join(err, db.Close()))
}

func TestRawDatabaseEditsAreReverted(t *testing.T) {
	w := newWorld(t, func(w *world, _ *v1alpha1.IdentityConfiguration, _ *loginMethods) { w.relist = relistSoon })
	w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	ada, bob := w.push("ada@example.test", in("fast")), w.push("bob@example.test")
	w.provisioned(ada, user, quota)
	w.provisioned(bob, user)
	w.rawSQL(`UPDATE accounts SET display_name = 'Mallory', status = 'Deactivated' WHERE user_name_folded = 'ada@example.test'`)
	w.rawSQL(`DELETE FROM accounts WHERE user_name_folded = 'bob@example.test'`)
	w.eventually("both are in the desired state", func() error {
		a, b := w.account("ada@example.test"), w.account("bob@example.test")
		if b == nil || a.DisplayName == "Mallory" || a.Status != portalapi.StatusActive {
			return fmt.Errorf("ada %+v, bob %+v", a, b)
		}
		return nil
	})
	w.provisioned(ada, user, quota)
	w.provisioned(bob, user)
}

func TestReportOnlyShowsWhatWouldChange(t *testing.T) {
	w := newWorld(t)
	p := w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.ManagementPolicy = v1alpha1.PolicyReportOnly })
	w.change(ada, in("fast"), func(s *v1alpha1.ScimUserSpec) { s.DisplayName = "Ada L" })
	w.eventually("both differences are reported", func() error {
		w.must(w.client.Get(t.Context(), keyOf(ada), ada))
		c := conditions.Find(ada.Status.Conditions, v1alpha1.ConditionDrifted)
		if c == nil || c.Reason != v1alpha1.ReasonReportOnly || !strings.Contains(c.Message, "displayName") || !strings.Contains(c.Message, "pools") {
			return errors.New(describe(ada.Status.Conditions))
		}
		return nil
	})
	if a := w.account("ada@example.test"); a.DisplayName == "Ada L" || len(a.PoolRefs) != 1 {
		t.Errorf("the account was written: %+v", a)
	}
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{} })
	w.says(p, v1alpha1.ConditionDrifted, v1alpha1.ReasonReportOnly)
	t.Log("a user who is deleted meanwhile does not change the account")
	bob := w.push("bob@example.test")
	w.says(bob, v1alpha1.ConditionDrifted, v1alpha1.ReasonReportOnly)
	w.remove(bob)
	w.gone(bob)
	t.Log("with Enforce again, all changes are made")
	w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.ManagementPolicy = v1alpha1.PolicyEnforce })
	w.provisioned(ada, user)
	if a := w.account("ada@example.test"); a.DisplayName != "Ada L" || len(a.PoolRefs) != 2 {
		t.Errorf("the account was not written: %+v", a)
	}
}

func TestMigrationPreviewAndRestart(t *testing.T) {
	w := newWorld(t)
	var people []*v1alpha1.ScimUser
	ids := map[string]string{}
	for i := range 8 {
		name := fmt.Sprintf("p%d@example.test", i)
		n := store.NewAccount{}
		if i == 0 {
			n.DirectRoles = []string{manager}
		}
		ids[name] = w.local(name, n).ID
		people = append(people, w.push(strings.ToUpper(name)))
	}
	for _, p := range people {
		w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonLocalAccountExists)
	}
	var report *store.MigrationReport
	w.eventually("the report lists the waiting users, and the administrator who would lose the manager role", func() (err error) {
		if report, err = w.store.MigrationReport(t.Context()); err != nil {
			return err
		}
		if report.WaitingCount != 8 || report.LosingManagerCount != 1 || report.LosingManager[0].UserName != "p0@example.test" {
			return fmt.Errorf("%d wait, losing %+v", report.WaitingCount, report.LosingManager)
		}
		return nil
	})
	t.Log("a preview gives the same report and changes nothing")
	c, err := w.store.Configuration(t.Context())
	w.must(err)
	m := c.LoginMethods
	m.ProvisionExistingUsers = true
	_, preview, err := w.store.SaveLoginMethods(t.Context(), admin, m, nil, true)
	w.must(err)
	if preview.WaitingCount != 8 || preview.LosingManagerCount != 1 {
		t.Errorf("the preview says %+v", preview)
	}
	for name := range ids {
		if a := w.account(name); a.ManagedBy != portalapi.ManagedByLocal {
			t.Errorf("%s was adopted by a preview", name)
		}
	}
	t.Log("a migration that is stopped in the middle continues, with each account once")
	w.login(m)
	w.eventually("some are adopted", func() error {
		if r, err := w.store.MigrationReport(t.Context()); err != nil || r.Migrated == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	w.stop()
	w.startManager()
	for _, p := range people {
		w.provisioned(p, user)
		name := strings.ToLower(p.Spec.UserName)
		if a := w.account(name); a.ID != ids[name] || !a.Migrated {
			t.Errorf("%s is not the same account: %+v", name, a)
		}
	}
	n, err := w.store.CountAccounts(t.Context(), store.AccountFilter{})
	w.must(err)
	if n != 9 {
		t.Errorf("%d accounts, want 9: no duplicates", n)
	}
}

func TestAccountsWithoutAUser(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	w.provisioned(ada, user)
	w.provisioned(bob, user)
	w.stop()
	t.Log("a person deletes an object in Kubernetes while no manager runs")
	w.erase(ada)
	w.gone(ada)
	w.startManager()
	w.eventually("an event names the account", func() error {
		var list eventsv1.EventList
		w.must(w.client.List(t.Context(), &list, client.InNamespace(w.namespace)))
		for _, e := range list.Items {
			if e.Reason == "AccountsWithoutUser" && strings.Contains(e.Note, w.account("ada@example.test").ID) {
				return nil
			}
		}
		return fmt.Errorf("%d other events", len(list.Items))
	})
	w.is("ada@example.test", portalapi.StatusActive)
	w.annotate(w.identity(), v1alpha1.AnnotationReleaseOwnerGone, w.now())
	w.is("ada@example.test", portalapi.StatusDeactivated)
	w.provisioned(bob, user)
}

// editConfig changes the IdentityConfiguration and waits until the change takes effect.
func (w *world) editConfig(f func(*v1alpha1.IdentityConfigurationSpec)) {
	w.t.Helper()
	c := w.identity()
	w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(c), c))
	before := c.DeepCopy()
	f(&c.Spec)
	w.must(w.client.Patch(w.t.Context(), c, client.MergeFrom(before)))
	w.eventually("the manager has seen it", func() error {
		w.must(w.client.Get(w.t.Context(), client.ObjectKeyFromObject(c), c))
		if c.Status.ObservedGeneration != c.Generation {
			return errors.New("not yet")
		}
		return nil
	})
}
