// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// restored creates an object from its export: without status, with another UID.
func (w *world) restored(o client.Object) {
	w.t.Helper()
	w.must(w.client.Get(w.t.Context(), keyOf(o), o))
	w.erase(o)
	if len(o.GetFinalizers()) > 0 {
		w.must(w.client.Patch(w.t.Context(), o, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
	}
	copied := o.DeepCopyObject().(client.Object)
	w.gone(copied)
	o.SetUID("")
	o.SetResourceVersion("")
	o.SetGeneration(0)
	o.SetFinalizers(nil)
	o.SetManagedFields(nil)
	w.must(w.client.Create(w.t.Context(), o))
}

// isInPool waits until the account is, or is not, in the portal's pool with this name.
func (w *world) isInPool(userName, pool string, want bool) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%s in %s: %v", userName, pool, want), func() error {
		if got := w.inPool(userName, pool); got != want {
			return errors.New("not yet")
		}
		return nil
	})
}

func (w *world) inPool(userName, pool string) bool {
	w.t.Helper()
	a := w.account(userName)
	return a != nil && slices.ContainsFunc(a.PoolRefs, func(p store.PoolRef) bool { return p.Name == pool })
}

func TestDeletionsWaitWhileNothingMayBeWritten(t *testing.T) {
	scim := func(on bool) func(*world) {
		return func(w *world) { w.changeLogin(func(m *portalapi.LoginMethods) { m.SCIMEnabled = on }) }
	}
	policy := func(p v1alpha1.ManagementPolicy) func(*world) {
		return func(w *world) { w.editConfig(func(s *v1alpha1.IdentityConfigurationSpec) { s.ManagementPolicy = p }) }
	}
	for name, tc := range map[string]struct {
		reason  string
		stop    func(*world)
		says    string
		proceed func(*world)
	}{
		"ReportOnly": {"Under ReportOnly, nothing is written to the portal.", policy(v1alpha1.PolicyReportOnly), v1alpha1.ReasonReportOnly, policy(v1alpha1.PolicyEnforce)},
		"SCIMOff":    {"While SCIM is off, administrators manage the accounts.", scim(false), v1alpha1.ReasonSCIMOff, scim(true)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
			team := w.group("team", ada, bob)
			w.isInPool("ada@example.test", "team", true)
			w.isInPool("bob@example.test", "team", true)
			tc.stop(w)
			w.says(ada, v1alpha1.ConditionReady, map[string]string{"SCIMOff": v1alpha1.ReasonSCIMOff, "ReportOnly": v1alpha1.ReasonReady}[name])
			w.remove(ada)
			w.remove(team)
			w.says(ada, v1alpha1.ConditionReady, tc.says)
			w.says(team, v1alpha1.ConditionReady, tc.says)
			if a := w.account("ada@example.test"); a.Status != portalapi.StatusActive || !w.inPool("ada@example.test", "team") || !w.inPool("bob@example.test", "team") {
				t.Errorf("%s Got %+v", tc.reason, a)
			}
			t.Log("the waiting deletions are carried out")
			tc.proceed(w)
			w.gone(ada)
			w.gone(team)
			w.is("ada@example.test", portalapi.StatusDeactivated)
			w.isInPool("bob@example.test", "team", false)
		})
	}
}

func TestHeldDeletionsSurviveARestore(t *testing.T) {
	zero := int32(0)
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		s.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &zero, MaxPercent: &zero}
	}))
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	team := w.group("team", bob)
	w.provisioned(ada, user)
	own := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, team.Name)}
	w.isInPool("bob@example.test", "team", true)
	w.remove(ada)
	w.remove(team)
	decisions := map[client.Object]string{ada: w.decision(ada), own: w.decision(own)}
	w.stop()
	for _, o := range []client.Object{ada, bob, team, own} {
		w.restored(o)
	}
	hundred, many := int32(100), int32(1000)
	c := w.identity()
	w.must(w.client.Get(t.Context(), keyOf(c), c))
	before := c.DeepCopy()
	c.Spec.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &many, MaxPercent: &hundred}
	w.must(w.client.Patch(t.Context(), c, client.MergeFrom(before)))
	w.startManager()
	for o, id := range decisions {
		if now := w.decision(o); now != id {
			t.Errorf("%s has the held removal %s, had %s", o.GetName(), now, id)
		}
	}
	w.provisioned(bob, user)
	if w.is("ada@example.test", portalapi.StatusActive); !w.inPool("bob@example.test", "team") {
		t.Error("bob left the pool")
	}
	t.Log("after the release they are carried out")
	for o, id := range decisions {
		w.annotate(o, v1alpha1.AnnotationRelease, id)
	}
	w.gone(ada)
	w.gone(team)
	w.is("ada@example.test", portalapi.StatusDeactivated)
	w.isInPool("bob@example.test", "team", false)
}

func TestDecisionsAboutMembersSurviveARestore(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		drop   bool
		says   string
	}{
		"Held":    {"A held removal stays held, whatever the budget is after the restore.", false, v1alpha1.ReasonGuardHeld},
		"Dropped": {"A dropped removal stays dropped.", true, v1alpha1.ReasonRemovalDropped},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var all []*v1alpha1.ScimUser
			for i := range 8 {
				all = append(all, w.push(fmt.Sprintf("ops%d@example.test", i), in("ops")))
			}
			pool := w.pool("ops", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}, Groups: []v1alpha1.GroupReference{{ID: w.groupID("ops")}}})
			for _, u := range all {
				w.provisioned(u, user, quota)
			}
			w.empty("ops")
			id := w.decision(pool)
			if tc.drop {
				w.annotate(pool, v1alpha1.AnnotationDrop, id)
			}
			w.says(pool, v1alpha1.ConditionReady, tc.says)
			w.stop()
			w.restored(pool)
			for _, u := range all {
				w.restored(u)
			}
			hundred := int32(100)
			c := w.identity()
			w.must(w.client.Get(t.Context(), keyOf(c), c))
			before := c.DeepCopy()
			c.Spec.DeprovisioningGuard = v1alpha1.DeprovisioningGuard{MinUsers: &hundred, MaxPercent: &hundred}
			w.must(w.client.Patch(t.Context(), c, client.MergeFrom(before)))
			w.startManager()
			for _, u := range all {
				w.saysOfNewest(u, v1alpha1.ConditionReady)
			}
			w.says(pool, v1alpha1.ConditionReady, tc.says)
			if m := w.poolMark("ops"); m == nil || m.Decision != id || w.quotas(all) != len(all) {
				t.Errorf("%s The mark is %+v, was %s; %d of %d are in the pool", tc.reason, m, id, w.quotas(all), len(all))
			}
		})
	}
}

func TestOwnPoolBesideARestoredPoolOfAnotherGroup(t *testing.T) {
	w := newWorld(t)
	ada, bob := w.push("ada@example.test"), w.push("bob@example.test")
	team := w.group("team", ada)
	pool := w.pool("leads", v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{DisplayName: "team"}}})
	w.isInPool("ada@example.test", "leads", true)
	w.says(pool, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.changeGroup(team, func(s *v1alpha1.ScimGroupSpec) { s.DisplayName = "renamed" })
	w.gone(&v1alpha1.NameClaim{ObjectMeta: metav1Name(w.namespace, claims.ObjectName(v1alpha1.ClaimGroup, "team"))})
	w.stop()
	t.Log("another group has the name, and the pool is restored without its status")
	w.restored(pool)
	other := w.group("team", bob)
	own := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, other.Name), Spec: v1alpha1.AgentPoolSpec{Groups: []v1alpha1.GroupReference{{ID: other.Name}}}}
	w.create(own)
	w.startManager()
	w.says(pool, v1alpha1.ConditionGroupsResolved, v1alpha1.ReasonGroupRenamed)
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.isInPool("bob@example.test", "team", true)
	if !w.inPool("ada@example.test", "leads") || w.inPool("bob@example.test", "leads") {
		t.Error("the pool has another group's members")
	}
}

func TestUsersPushedAgainKeepTheirPools(t *testing.T) {
	w := newWorld(t, wideGuard)
	ada := w.push("ada@example.test")
	team := w.group("o'team", ada)
	own := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, team.Name)}
	w.isInPool("ada@example.test", "o'team", true)
	account, record := w.account("ada@example.test"), w.poolNamed("o'team")
	w.stop()
	for _, o := range []client.Object{ada, team, own} {
		w.must(w.client.Get(t.Context(), keyOf(o), o))
		w.erase(o)
	}
	w.must(w.client.Patch(t.Context(), own, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
	t.Log("the provider pushes the user and the group again, under new SCIM ids")
	ada = w.push("ada@example.test")
	team = w.group("o'team", ada)
	own = &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, team.Name)}
	w.startManager()
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonConsentRequired)
	w.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonPoolPending)
	if a := w.account("ada@example.test"); a.ID != account.ID || a.Owner.Name != ada.Name || !w.inPool("ada@example.test", "o'team") {
		t.Errorf("the user has %+v", a)
	}
	t.Log("a person consents with the condition's command")
	message := conditions.Find(own.Status.Conditions, v1alpha1.ConditionReady).Message
	command := regexp.MustCompile(`kubectl patch agentpool (\S+) -n \S+ --type merge -p '(.*)'$`).FindStringSubmatch(message)
	if len(command) < 2 || command[1] != own.Name {
		t.Fatalf("the message must end with a command: %s", message)
	}
	w.must(w.client.Patch(t.Context(), own, client.RawPatch(types.MergePatchType, []byte(strings.ReplaceAll(command[2], `'\''`, "'")))))
	w.says(own, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if got := w.poolNamed("o'team"); got == nil || got.ID != record.ID || got.Owner.Name != own.Name || !w.inPool("ada@example.test", "o'team") {
		t.Errorf("the pool is %+v", got)
	}
}

// poolNamed returns the portal's pool with this name, or nil if there is none.
func (w *world) poolNamed(name string) *store.Pool {
	w.t.Helper()
	all, err := w.store.Pools(w.t.Context())
	w.must(err)
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}
