// SPDX-License-Identifier: Apache-2.0

package agentpool

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
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// Plan returns what must change in the portal so that the pool matches its AgentPool. m must
// contain a default pool; r reads the owners of other pools. have is the pool as it is; nil if
// there is none. frozen says why its roles are left unchanged; nil: they are not.
func Plan(ctx context.Context, r client.Reader, pool *v1alpha1.AgentPool, m *mirror.Mirror, leaving Leaving) (plan provision.PoolPlan, have *portalapi.Pool, frozen *conditions.Leaf, err error) {
	want := provision.WantPool(pool)
	want.Owner.Binding = m.Binding()
	facts := provision.PoolFacts{Own: m.OwnedPool(want.Owner.UID), Named: m.NamedPool(want.Name), Adopt: pool.Spec.Adopt}
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
		if facts.Owner, err = presence(ctx, r, pool.Namespace, found.Owner); err != nil {
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

// Leaving says whether members of the portal's pool are to leave it, who would gain what roles the
// pool gains meanwhile.
type Leaving func(record *portalapi.Pool) (bool, error)

// gains reports whether a pool with these roles has one more than before.
func gains(roles []string, record *portalapi.Pool) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return !slices.Contains(record.Roles, r) })
}

// kept returns the roles of a pool whose object declares some that can't be granted: those that it
// was granted. What the API bans by manifest stays banned: beside a filter the manager role is not
// kept.
func kept(pool *v1alpha1.AgentPool, own, found *portalapi.Pool) []string {
	if own == nil {
		own = found
	}
	if own == nil {
		return []string{}
	}
	return slices.DeleteFunc(provision.Granted(own), func(r string) bool { return r == portalapi.RoleManager && pool.Spec.MemberFilter != "" })
}

// presence reports whether the AgentPool that owns a pool is still there.
func presence(ctx context.Context, r client.Reader, namespace string, owner portalapi.Owner) (provision.Presence, error) {
	switch {
	case owner.UID == "":
		return provision.Gone, nil
	case owner.Name == "": // a record of before names were kept
		return provision.Present, nil
	}
	var other v1alpha1.AgentPool
	err := r.Get(ctx, client.ObjectKey{Namespace: namespace, Name: owner.Name}, &other)
	switch {
	case apierrors.IsNotFound(err):
		return provision.Gone, nil
	case err != nil:
		return provision.Gone, fmt.Errorf("get the pool's owner: %w", err)
	case string(other.UID) != owner.UID:
		return provision.Gone, nil
	case !other.DeletionTimestamp.IsZero():
		return provision.Leaving, nil
	}
	return provision.Present, nil
}

// ReleasePlan is what happens to the pool in the portal when its AgentPool is deleted.
type ReleasePlan struct {
	Pool    *portalapi.Pool  // nil: there is none
	Remove  bool             // the pool that the object created, or the roles that it granted, are removed
	Deletes bool             // the pool is deleted there; otherwise it stays and is managed in the portal
	Removal removals.Removal // the users that lose something; the guard decides about all of them at once
}

// Kept returns the pool in the portal that an AgentPool owns, or owned under the same name before
// it was restored or applied again; nil if there is none.
func Kept(pool *v1alpha1.AgentPool, m *mirror.Mirror) *portalapi.Pool {
	if own := m.OwnedPool(string(pool.UID)); own != nil {
		return own
	}
	if had := m.PoolOf(pool.Name); had != nil && had.Owner.Binding == m.Binding() {
		return had
	}
	return nil
}

// PlanRelease plans what happens to the pool when its AgentPool is deleted.
func PlanRelease(pool *v1alpha1.AgentPool, m *mirror.Mirror) ReleasePlan {
	p := ReleasePlan{Pool: Kept(pool, m), Remove: pool.Spec.OnDelete != v1alpha1.PoolOrphan}
	if p.Pool == nil {
		return p
	}
	p.Deletes = p.Remove && p.Pool.Created
	switch {
	case p.Deletes, p.Remove && len(provision.Granted(p.Pool)) > 0 && !p.Pool.Default:
		p.Removal = losers(portalapi.RemovalDeletion, pool, p.Pool, m, p.Pool.Mark)
	case p.Remove:
		p.Removal = ManagerSet(pool, provision.PoolPlan{Pool: p.Pool, LosesManager: slices.Contains(provision.Granted(p.Pool), portalapi.RoleManager)}, m, p.Pool.Mark)
		p.Removal.Kind = portalapi.RemovalDeletion
	}
	return p
}

// ManagerSet returns the loss of ROLE_MANAGER, which the plan takes from all members of the pool
// that have it from no other pool.
func ManagerSet(pool *v1alpha1.AgentPool, plan provision.PoolPlan, m *mirror.Mirror, mark *portalapi.Mark) removals.Removal {
	if !plan.LosesManager {
		return removals.Removal{Mark: mark}
	}
	r := losers(portalapi.RemovalManager, pool, plan.Pool, m, mark)
	r.Pool, r.Members = "", 0 // they stay in it
	return r
}

// losers returns the active accounts that lose something with a pool: all members with a grant when
// it is deleted, or those that lose ROLE_MANAGER with it.
func losers(kind portalapi.Removal, pool *v1alpha1.AgentPool, record *portalapi.Pool, m *mirror.Mirror, mark *portalapi.Mark) removals.Removal {
	r := removals.Removal{Set: removals.Set(kind, pool), Mark: mark, Pool: record.ID}
	manages := slices.Contains(provision.Granted(record), portalapi.RoleManager)
	for _, a := range m.Accounts() {
		in, granted := memberOf(a, record.ID)
		if !in || a.Status != portalapi.StatusActive {
			continue
		}
		manager := manages && m.Managing(record.ID, []string{a.ID}) > 0
		member := kind == portalapi.RemovalDeletion && granted && a.Owner.UID != ""
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
