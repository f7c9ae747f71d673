// SPDX-License-Identifier: Apache-2.0

package poolplan

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// Plan returns the change in the portal that makes the pool match its AgentPool. m must contain a
// default pool; r reads the owners of other pools. have is the current pool; nil if there is none.
// frozen is the reason why the plan leaves the roles unchanged; nil if it does not.
func Plan(ctx context.Context, r client.Reader, pool *v1alpha1.AgentPool, m *mirror.Mirror, leaving Leaving) (plan provision.PoolPlan, have *portalapi.Pool, frozen *conditions.Leaf, err error) {
	want := provision.WantPool(pool)
	want.Owner.Binding = m.Binding()
	facts := provision.PoolFacts{Namespace: pool.Namespace, Own: m.OwnedPool(want.Owner.UID), Named: m.NamedPool(want.Name), Adopt: pool.Spec.Adopt}
	have = facts.Own
	if want.Default {
		have = m.DefaultPool()
		facts.Named = have
		if len(pool.Spec.Roles) == 0 && pool.Spec.Description == "" && have.Owner.UID == "" {
			return provision.PoolPlan{Action: provision.None, Pool: have}, have, nil, nil
		}
	}
	found := facts.Named
	if facts.Adopt != "" {
		facts.Adopted = m.Pool(facts.Adopt)
		found = facts.Adopted
	}
	if facts.Own == nil && found != nil {
		if facts.Owner, err = presence(ctx, r, pool.Namespace, found.Owner, m.Binding()); err != nil {
			return plan, have, nil, err
		}
	}
	if reason, message := poolindex.CheckRoles(pool.Spec.Roles, m); reason != "" {
		leaf := conditions.False(v1alpha1.ConditionProvisioned, reason, message)
		frozen, want.Roles = &leaf, kept(pool, facts.Own, found)
	}
	if own := facts.Own; own != nil && own.Mark.Held() == portalapi.RemovalMembers {
		have := provision.Granted(own) // a pool with a held removal of members gains no role
		want.Roles = slices.DeleteFunc(want.Roles, func(r string) bool { return !slices.Contains(have, r) })
	}
	plan = provision.ComputePool(want, facts)
	if leaving == nil || plan.Pool == nil || want.Default || !gains(want.Roles, plan.Pool) {
		return plan, have, frozen, nil
	}
	if leave, err := leaving(plan.Pool); !leave || err != nil {
		return plan, have, frozen, err
	}
	want.Roles = slices.DeleteFunc(want.Roles, func(r string) bool { return !slices.Contains(plan.Pool.Roles, r) })
	return provision.ComputePool(want, facts), have, frozen, nil
}

// Leaving reports whether members of the portal's pool must leave it. They would get the roles that
// the pool gains before they leave.
type Leaving func(record *portalapi.Pool) (bool, error)

// gains reports whether roles contains a role that the record does not have.
func gains(roles []string, record *portalapi.Pool) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return !slices.Contains(record.Roles, r) })
}

// kept returns the roles of a pool whose AgentPool declares a role that can't be granted: the pool
// keeps the roles that were granted to it. The API does not allow ROLE_MANAGER together with a
// filter, so a pool with a filter does not keep ROLE_MANAGER.
func kept(pool *v1alpha1.AgentPool, own, found *portalapi.Pool) []string {
	if own == nil {
		own = found
	}
	if own == nil {
		return []string{}
	}
	return slices.DeleteFunc(provision.Granted(own), func(r string) bool { return r == portalapi.RoleManager && pool.Spec.MemberFilter != "" })
}

// presence reads the AgentPool that owns a pool, and returns whether it still exists. One with
// another UID, from a restore, that is being deleted releases the pool of this binding.
func presence(ctx context.Context, r client.Reader, namespace string, owner portalapi.Owner, binding string) (provision.Presence, error) {
	switch {
	case owner.UID == "":
		return provision.Gone, nil
	case owner.Name == "": // the portal stored the record before it stored names of owners
		return provision.Present, nil
	}
	var other v1alpha1.AgentPool
	err := r.Get(ctx, client.ObjectKey{Namespace: namespace, Name: owner.Name}, &other)
	switch {
	case apierrors.IsNotFound(err):
		return provision.Gone, nil
	case err != nil:
		return provision.Gone, fmt.Errorf("get the pool's owner: %w", err)
	case string(other.UID) != owner.UID && owner.Binding != binding:
		return provision.Gone, nil
	case !other.DeletionTimestamp.IsZero():
		return provision.Leaving, nil
	case string(other.UID) != owner.UID:
		return provision.Gone, nil
	}
	return provision.Present, nil
}

// ReleasePlan is what happens to the pool in the portal when its AgentPool is deleted.
type ReleasePlan struct {
	Pool     *portalapi.Pool  // nil if the AgentPool has none
	Replaced bool             // other pools in the portal replace it: a user who is in one of them loses nothing
	Remove   bool             // the portal deletes a pool that the object created, or removes the roles that the object granted
	Deletes  bool             // the portal deletes the pool; otherwise it stays, and administrators manage it there
	Removal  removals.Removal // the users that lose something; the guard decides about all of them together
}

// Kept returns the pool in the portal that the AgentPool owns, or that an AgentPool with the same
// name owned before a restore or before it was applied again. It returns nil if there is none.
func Kept(pool *v1alpha1.AgentPool, m *mirror.Mirror) *portalapi.Pool {
	if own := m.OwnedPool(string(pool.UID)); own != nil {
		return own
	}
	if former := m.PoolOf(pool.Name); former != nil && former.Owner.Binding == m.Binding() {
		return former
	}
	return nil
}

// PlanRelease plans what happens to the pool when its AgentPool is deleted. all are the AgentPools
// of the namespace, of which one may replace a group's own pool.
func PlanRelease(pool *v1alpha1.AgentPool, all []v1alpha1.AgentPool, groups groupindex.Lookup, m *mirror.Mirror) ReleasePlan {
	p := ReleasePlan{Pool: Kept(pool, m), Remove: pool.Spec.OnDelete != v1alpha1.PoolOrphan}
	if p.Pool == nil {
		return p
	}
	p.Deletes = p.Remove && p.Pool.Created
	switch {
	case p.Deletes, p.Remove && len(provision.Granted(p.Pool)) > 0 && !p.Pool.Default:
		by := replacements(pool, p.Pool, all, groups, m)
		p.Replaced = len(by) > 0
		p.Removal = losers(portalapi.RemovalDeletion, pool, p.Pool, m, p.Pool.Mark, by...)
	case p.Remove:
		p.Removal = ManagerSet(pool, provision.PoolPlan{Pool: p.Pool, LosesManager: provision.GrantsManager(p.Pool)}, m, p.Pool.Mark)
		p.Removal.Kind = portalapi.RemovalDeletion
	}
	return p
}

// ManagerSet returns the removal of ROLE_MANAGER by the plan: all members of the pool that have the
// role from no other pool lose it.
func ManagerSet(pool *v1alpha1.AgentPool, plan provision.PoolPlan, m *mirror.Mirror, mark *portalapi.Mark) removals.Removal {
	if !plan.LosesManager {
		return removals.Removal{Mark: mark}
	}
	r := losers(portalapi.RemovalManager, pool, plan.Pool, m, mark)
	r.Pool, r.Members = "", 0 // the users stay in the pool
	return r
}

// losers returns the active accounts that lose something with a pool. If the pool is deleted, these
// are all members with a grant, except those that one of the replacements has; if it loses
// ROLE_MANAGER, the members that lose this role.
func losers(kind portalapi.Removal, pool *v1alpha1.AgentPool, record *portalapi.Pool, m *mirror.Mirror, mark *portalapi.Mark, replacements ...string) removals.Removal {
	r := removals.Removal{Set: removals.Set(kind, pool), Mark: mark, Pool: record.ID}
	manages := provision.GrantsManager(record)
	for _, a := range m.Accounts() {
		in, granted := memberOf(a, record.ID)
		if !in || a.Status != portalapi.StatusActive {
			continue
		}
		manager := manages && m.Managing(record.ID, []string{a.ID}) > 0
		member := kind == portalapi.RemovalDeletion && granted && a.Owner.UID != "" && !memberOfAny(a, replacements)
		if member {
			r.Members++
		}
		if manager {
			r.Accounts++
		}
		switch {
		case !member && !manager:
		case a.Owner.UID != "":
			r.Users = append(r.Users, a.Owner.Name)
		default:
			r.Users = append(r.Users, "account "+a.ID)
		}
	}
	return r
}
