package agentpool

import (
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/membership"
	"lightrun.com/scim-operator/internal/conditions"
	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/mirror"
	"lightrun.com/scim-operator/internal/provision"
)

// Plan says what must change in the portal for the pool to be as its AgentPool says, by what m holds, which must show a
// default pool. have is the pool as it is; nil: none. frozen says why its roles are left as they are; nil: they are not.
func Plan(pool *v1alpha1.AgentPool, m *mirror.Mirror) (plan provision.PoolPlan, have *portal.Pool, frozen *conditions.Leaf) {
	want := provision.WantPool(pool)
	if reason, message := membership.CheckRoles(pool.Spec.Roles, m); reason != "" {
		leaf := conditions.False(v1alpha1.ConditionProvisioned, reason, message)
		frozen, want.Roles = &leaf, nil
	}
	if pool.Name != v1alpha1.DefaultName {
		have = m.OwnedPool(want.OwnerUID)
		return provision.ComputePool(want, provision.PoolFacts{Own: have, Named: m.NamedPool(want.Name)}), have, frozen
	}
	have = m.DefaultPool()
	want.Name = have.Name // the portal's own
	if pool.Spec.Roles == nil && pool.Spec.Description == "" && have.OwnerUID == "" {
		return provision.PoolPlan{Action: provision.None, Pool: have}, have, frozen
	}
	facts := provision.PoolFacts{Named: have}
	if have.OwnerUID == want.OwnerUID {
		facts.Own = have
	}
	return provision.ComputePool(want, facts), have, frozen
}

// ReleasePlan is what becomes of the pool in the portal when its AgentPool goes.
type ReleasePlan struct {
	Pool     *portal.Pool // nil: there is none
	Remove   bool         // it is deleted there too; otherwise it stays, to be ruled in the portal
	Managers int          // how many lose ROLE_MANAGER with it at most; the deprovisioning guard counts them
}

// PlanRelease says what becomes of the pool when its AgentPool goes. dropped: a person decided that it stays.
func PlanRelease(pool *v1alpha1.AgentPool, m *mirror.Mirror, dropped bool) ReleasePlan {
	p := ReleasePlan{Pool: m.OwnedPool(string(pool.UID)), Remove: pool.Spec.OnDelete != v1alpha1.PoolOrphan && !dropped}
	if p.Pool != nil && p.Remove && slices.Contains(p.Pool.Roles, portal.RoleManager) {
		p.Managers = m.Managers(p.Pool.ID)
	}
	return p
}
