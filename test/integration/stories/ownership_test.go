// SPDX-License-Identifier: Apache-2.0

package stories_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// The cases of the ownership table: records that a name can't take over, and roles without a grant.

// portalPool reads a pool from the portal, or returns nil if there is none.
func (w *world) portalPool(id string) *store.Pool {
	w.t.Helper()
	p, err := w.store.Pool(w.t.Context(), id)
	if portalapi.CodeOf(err) == portalapi.CodeNotFound {
		return nil
	}
	w.must(err)
	return p
}

func (w *world) defaultPool() *store.Pool {
	w.t.Helper()
	all, err := w.store.Pools(w.t.Context())
	w.must(err)
	return &all[slices.IndexFunc(all, func(p store.Pool) bool { return p.Default })]
}

// hasRoles waits until the user's account has exactly these roles.
func (w *world) hasRoles(userName string, roles ...string) {
	w.t.Helper()
	slices.Sort(roles)
	w.eventually(userName+" has "+fmt.Sprint(roles), func() error {
		if a := w.account(userName); a == nil || !slices.Equal(a.Roles, roles) {
			return fmt.Errorf("the portal has %+v", a)
		}
		return nil
	})
}

// waiting fails if the object is Stalled or Reconciling.
func (w *world) waiting(o client.Object) {
	w.t.Helper()
	all := conditionsOf(o)
	if conditions.IsTrue(all, v1alpha1.ConditionReady) || conditions.IsTrue(all, v1alpha1.ConditionStalled) || conditions.IsTrue(all, v1alpha1.ConditionReconciling) {
		w.t.Errorf("%s does not wait for a person; %s", o.GetName(), describe(all))
	}
}

func (w *world) removed() int {
	w.t.Helper()
	r, err := w.store.Removals(w.t.Context(), deadline)
	w.must(err)
	return r.Removed
}

func TestGroupNameTakesNoPool(t *testing.T) {
	w := newWorld(t)
	made, err := w.store.CreatePool(t.Context(), admin, newPool("SRE", manager))
	w.must(err)
	ada := w.push("ada@example.test")
	pushed := w.group("sre", ada)
	group := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, pushed.Name)}
	w.says(group, v1alpha1.ConditionReady, v1alpha1.ReasonConsentRequired)
	w.waiting(group)
	if c := conditions.Find(group.Status.Conditions, v1alpha1.ConditionReady); !strings.Contains(c.Message, "spec.adopt: "+made.ID) || !strings.Contains(c.Message, "Agent Pools") {
		t.Errorf("the message must say how a person consents: %s", c.Message)
	}
	w.says(ada, v1alpha1.ConditionReady, v1alpha1.ReasonPoolPending)
	w.hasRoles("ada@example.test", user)
	if got := w.portalPool(made.ID); got.Revision != made.Revision {
		t.Errorf("the administrator's pool was changed: %+v", got)
	}
	t.Log("deleting the group deletes nothing of the administrator's")
	w.remove(pushed)
	w.gone(pushed)
	w.gone(group)
	if got := w.portalPool(made.ID); got == nil || got.Revision != made.Revision {
		t.Errorf("the administrator's pool: %+v", got)
	}
}

func TestPortalPoolIsAdoptedWithConsent(t *testing.T) {
	for name, consent := range map[string]func(*world, *store.Pool, *v1alpha1.AgentPool){
		"the pool's id in spec.adopt": func(w *world, made *store.Pool, p *v1alpha1.AgentPool) {
			w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.Adopt = made.ID })
		},
		"the portal's button": func(w *world, made *store.Pool, _ *v1alpha1.AgentPool) {
			yes := true
			_, err := w.store.UpdatePool(w.t.Context(), admin, made.ID, nil, store.PoolPatch{HandedOver: &yes})
			w.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, wideGuard)
			made, err := w.store.CreatePool(t.Context(), admin, newPool("Payments", quota))
			w.must(err)
			p := w.pool("payments", v1alpha1.AgentPoolSpec{DisplayName: "payments", Roles: []v1alpha1.Role{manager}})
			ada := w.push("ada@example.test", in("payments"))
			w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonConsentRequired)
			consent(w, made, p)
			w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
			w.provisioned(ada, user, manager)
			if p.Status.Pool != made.ID {
				t.Error(errors.New("a second pool was created"))
			}
			w.remove(p)
			w.gone(p)
			w.hasRoles("ada@example.test", user)
			if got := w.portalPool(made.ID); got == nil || got.Owner.UID != "" || len(got.Roles) > 0 {
				t.Errorf("the adopted pool must stay, without what its object granted: %+v", got)
			}
		})
	}
}

func TestOnlyAgentPoolDefaultAdoptsTheDefaultPool(t *testing.T) {
	w := newWorld(t)
	before := w.defaultPool()
	group := w.pool("6f9619ff-8b86-4011-b42d-00c04fc964ff", v1alpha1.AgentPoolSpec{DisplayName: before.Name, Roles: []v1alpha1.Role{manager}})
	ada := w.push("ada@example.test", in(group.Name))
	w.says(group, v1alpha1.ConditionReady, v1alpha1.ReasonDefaultPoolName)
	w.waiting(group)
	w.hasRoles("ada@example.test", user)

	t.Log("an adoption by id is refused too")
	w.changePool(group, func(s *v1alpha1.AgentPoolSpec) { s.DisplayName, s.Adopt = "Everyone", before.ID })
	w.says(group, v1alpha1.ConditionReady, v1alpha1.ReasonDefaultPoolName)
	def := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, v1alpha1.DefaultName)}
	w.says(def, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if got := w.defaultPool(); got.Revision != before.Revision {
		t.Errorf("the default pool was changed: %+v", got)
	}

	t.Log("with another name it is an ordinary pool")
	w.changePool(group, func(s *v1alpha1.AgentPoolSpec) { s.DisplayName, s.Adopt = "Leads", "" })
	w.says(group, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.provisioned(ada, user, manager)
	w.changePool(group, func(s *v1alpha1.AgentPoolSpec) { s.DisplayName = "DEFAULT" })
	w.says(group, v1alpha1.ConditionReady, v1alpha1.ReasonDefaultPoolName)
	w.provisioned(w.push("bob@example.test"), user)
}

func TestDefaultPoolObjectIsDeleted(t *testing.T) {
	w := newWorld(t, wideGuard)
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	def := &v1alpha1.AgentPool{ObjectMeta: metav1Name(w.namespace, v1alpha1.DefaultName)}
	w.says(def, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.changePool(def, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{quota, manager} })
	w.provisioned(ada, user, quota, manager)
	w.changePool(def, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{quota} })
	w.provisioned(ada, user, quota)
	w.remove(def)
	w.eventually("its record is released", func() error {
		if p := w.defaultPool(); p.Owner.UID != "" || len(p.Roles) > 0 {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	w.provisioned(ada, user)
}

func TestRolesRemovedFromAManifestAreRevoked(t *testing.T) {
	w := newWorld(t)
	p := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: []v1alpha1.PoolMember{{UserName: "ada@example.test"}}})
	ada := w.push("ada@example.test")
	w.provisioned(ada, user, manager)
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.Roles = nil })
	w.provisioned(ada, user)
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	if len(p.Status.Roles) != 0 {
		t.Errorf("the status has %v", p.Status.Roles)
	}
}

func TestAFilterNeverMakesAManager(t *testing.T) {
	none := int32(0)
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		s.DeprovisioningGuard.MinUsers, s.DeprovisioningGuard.MaxPercent = &none, &none
	}))
	p := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}, Members: []v1alpha1.PoolMember{{UserName: "ada@example.test"}}})
	ada := w.push("ada@example.test")
	w.provisioned(ada, user, manager)
	t.Log("the guard holds the loss of the role; until a person decides, the filter adds no user")
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.Roles, s.MemberFilter = nil, `active eq true` })
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonGuardHeld)
	bob := w.push("bob@example.test")
	w.says(bob, v1alpha1.ConditionOwned, v1alpha1.ReasonOwned)
	w.hasRoles("bob@example.test", user)
	w.hasRoles("ada@example.test", user, manager)
	t.Log("a role that is not in the catalogue does not remove the others")
	w.changePool(p, func(s *v1alpha1.AgentPoolSpec) { s.Roles = []v1alpha1.Role{"ROLE_NO_SUCH"} })
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonGuardHeld)
	w.annotate(p, v1alpha1.AnnotationRelease, w.decision(p))
	w.says(p, v1alpha1.ConditionReady, v1alpha1.ReasonUnknownRole)
	w.hasRoles("ada@example.test", user)
	w.hasRoles("bob@example.test", user)
}

func TestDirectRoleIsRemovedWithoutTheGuard(t *testing.T) {
	none := int32(0)
	w := newWorld(t, withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
		s.DeprovisioningGuard.MinUsers, s.DeprovisioningGuard.MaxPercent = &none, &none
	}))
	ada := w.push("ada@example.test")
	w.provisioned(ada, user)
	w.changeLogin(func(m *portalapi.LoginMethods) { m.SCIMEnabled = false })
	roles := []string{manager}
	_, err := w.store.UpdateAccount(t.Context(), admin, w.account("ada@example.test").ID, nil, store.AccountPatch{DirectRoles: &roles})
	w.must(err)
	w.hasRoles("ada@example.test", user, manager)
	w.changeLogin(func(m *portalapi.LoginMethods) { m.SCIMEnabled = true })
	w.hasRoles("ada@example.test", user)
	w.provisioned(ada, user)
	if n := w.removed(); n != 0 {
		t.Errorf("the guard counted %d removals", n)
	}
}

func TestUngrantedIsRemovedWithoutTheGuard(t *testing.T) {
	none := int32(0)
	w := newWorld(t, func(w *world, _ *v1alpha1.IdentityConfiguration, _ *loginMethods) { w.relist = relistSoon },
		withConfig(func(s *v1alpha1.IdentityConfigurationSpec) {
			s.DeprovisioningGuard.MinUsers, s.DeprovisioningGuard.MaxPercent = &none, &none
		}))
	fast := w.pool("fast", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{quota}})
	leads := w.pool("leads", v1alpha1.AgentPoolSpec{Roles: []v1alpha1.Role{manager}})
	ada, bob := w.push("ada@example.test", in("fast")), w.push("bob@example.test", in("leads"))
	w.provisioned(ada, user, quota)
	w.provisioned(bob, user, manager)
	w.says(fast, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
	account := w.account("ada@example.test").ID
	for what, statement := range map[string]string{
		"a role of a pool": `INSERT INTO pool_roles (pool_id, role) VALUES ('` + fast.Status.Pool + `', 'ROLE_MANAGER')`,
		"a membership":     `INSERT INTO memberships (account_id, pool_id) VALUES ('` + account + `', '` + leads.Status.Pool + `')`,
		"a direct role":    `INSERT INTO account_roles (account_id, role) VALUES ('` + account + `', 'ROLE_MANAGER')`,
	} {
		w.rawSQL(statement)
		if a := w.account("ada@example.test"); !slices.Contains(a.Roles, manager) {
			t.Fatalf("%s: the edit must give the manager role: %v", what, a.Roles)
		}
		w.hasRoles("ada@example.test", user, quota)
		w.provisioned(ada, user, quota)
		w.says(fast, v1alpha1.ConditionReady, v1alpha1.ReasonReady)
		if !slices.Equal(fast.Status.Roles, []v1alpha1.Role{quota}) {
			t.Errorf("%s: the pool's status has %v", what, fast.Status.Roles)
		}
	}
	if n := w.removed(); n != 0 {
		t.Errorf("the guard counted %d removals", n)
	}
	t.Log("a grant that the object no longer declares is a removal")
	w.change(bob, in())
	w.says(leads, v1alpha1.ConditionReady, v1alpha1.ReasonGuardHeld)
	w.staysIn(bob, "leads")
	w.hasRoles("bob@example.test", user, manager)
}
