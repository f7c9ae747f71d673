package provision

import (
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/portal"
)

// PoolFacts are what the portal holds about a pool.
type PoolFacts struct {
	Own   *portal.Pool // the pool owned by this AgentPool; nil: none
	Named *portal.Pool // the pool that bears the wanted name; nil: none
}

// PoolPlan is what to do about one pool.
type PoolPlan struct {
	Action  Action
	Pool    *portal.Pool // the pool it speaks of; nil when it is to be created
	Write   portal.PoolWrite
	Reason  string // for Wait
	Message string // for Wait
	// LosesManager: the change takes ROLE_MANAGER from everyone in the pool; the deprovisioning guard counts them.
	LosesManager bool
}

// WantPool is the pool that an AgentPool calls for.
func WantPool(p *v1alpha1.AgentPool) portal.PoolWrite {
	return portal.PoolWrite{
		OwnerUID: string(p.UID), Revision: p.Generation,
		Name: p.PortalName(), Description: p.Spec.Description, Roles: RoleNames(p.Spec.Roles),
	}
}

// RoleNames are roles as the portal takes them, sorted: nil stays "not managed here", empty stays "none".
func RoleNames(roles []v1alpha1.Role) *[]string {
	if roles == nil {
		return nil
	}
	out := make([]string, len(roles))
	for i, r := range roles {
		out[i] = string(r)
	}
	slices.Sort(out)
	return &out
}

// ComputePool says what must change for the pool to become want. A pool in the portal that nobody rules and that bears
// the name is adopted: an AgentPool that names it is the person's wish to rule it from here.
func ComputePool(want portal.PoolWrite, have PoolFacts) PoolPlan {
	switch {
	case have.Own == nil && have.Named == nil:
		return PoolPlan{Action: Create, Write: poolDecidedOn(nil, want)}
	case have.Own == nil && have.Named.OwnerUID != "":
		return PoolPlan{Action: Wait, Pool: have.Named, Reason: v1alpha1.ReasonNameReleasePending, Message: "Another AgentPool's pool still bears this name in the portal; it is renamed or released first"}
	case have.Own == nil:
		want.AdoptID = have.Named.ID
		return PoolPlan{Action: Adopt, Pool: have.Named, Write: poolDecidedOn(have.Named, want), LosesManager: losesManager(want, have.Named)}
	case have.Named != nil && have.Named.ID != have.Own.ID:
		return PoolPlan{Action: Wait, Pool: have.Own, Reason: v1alpha1.ReasonPoolExists, Message: "The portal has another pool with this name. Rename one of the two, or delete the other pool in the portal"}
	case samePool(want, have.Own):
		return PoolPlan{Action: None, Pool: have.Own}
	}
	return PoolPlan{Action: Update, Pool: have.Own, Write: poolDecidedOn(have.Own, want), LosesManager: losesManager(want, have.Own)}
}

// poolDecidedOn is want for a pool as it is; nil: there is none.
func poolDecidedOn(have *portal.Pool, want portal.PoolWrite) portal.PoolWrite {
	var revision int64
	if have != nil {
		revision = have.Revision
	}
	want.IfRevision = &revision
	return want
}

func samePool(want portal.PoolWrite, have *portal.Pool) bool {
	return want.Name == have.Name && want.Description == have.Description && (want.Roles == nil || slices.Equal(*want.Roles, have.Roles))
}

func losesManager(want portal.PoolWrite, have *portal.Pool) bool {
	return want.Roles != nil && slices.Contains(have.Roles, portal.RoleManager) && !slices.Contains(*want.Roles, portal.RoleManager)
}
