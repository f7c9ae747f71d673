// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"context"
	"fmt"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/poolindex"
)

// resolve finds the pools that the user is in, and the roles that these pools grant.
func (p *scope) resolve(ctx context.Context) (bool, error) {
	for known := false; !known; {
		snapshot, err := p.Pools.Snapshot(ctx, p.view.Mirror)
		if err != nil {
			return false, err
		}
		p.snapshot = snapshot
		p.access, known = Access(p.user, snapshot, p.view.Mirror, p.Attributes)
	}
	p.leaf(p.poolsLeaf())
	return false, nil
}

func (p *scope) poolsLeaf() conditions.Leaf {
	typ := v1alpha1.ConditionPoolsResolved
	if pending := p.access.Pending; len(pending) > 0 {
		return conditions.False(typ, v1alpha1.ReasonPoolPending, "Waiting for AgentPool "+strings.Join(pending, ", ")+": it is not in the portal yet, or takes no new users until a change of it is decided or carried out: see its conditions")
	}
	return conditions.True(typ, v1alpha1.ReasonResolved, fmt.Sprintf("In %d pool(s)", len(p.access.Pools)))
}

// observe reads the user's account from the mirror, and plans.
func (p *scope) observe(ctx context.Context) (bool, error) {
	m := p.view.Mirror
	p.have = m.Owned(string(p.user.UID))
	facts := Facts{Snapshot: p.snapshot, Mirror: m, Objects: p.Live, OnDelete: p.view.Spec.OnDelete}
	if p.view.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		facts.Stays = func(string) bool { return false } // the report includes the memberships
	}
	plan, err := Plan(ctx, p.user, p.access, facts)
	p.plan = plan
	return false, err
}

// verify checks that the roles in the portal are those that the pools grant.
func (p *scope) verify(context.Context) (bool, error) {
	var want []string
	if p.have != nil {
		want = rolesOf(granted(p.have), p.view.Mirror)
	}
	typ := v1alpha1.ConditionRolesInherited
	gone := p.ownerGone()
	if len(gone) > 0 && p.silent {
		return true, nil
	}
	switch late := p.snapshot.Behind(p.access.Pools); {
	case late.Pool != "":
		p.leaf(conditions.False(typ, late.Reason, late.Message()))
	case !sameRoles(p.have, want):
		p.leaf(conditions.False(typ, v1alpha1.ReasonProgressing, fmt.Sprintf("The portal has the roles %v, the pools grant %v; waiting for the change feed", p.have.Roles, want)))
	case len(gone) > 0:
		p.leaf(conditions.False(typ, v1alpha1.ReasonPoolOwnerGone, gone[0].Message()))
	default:
		p.leaf(conditions.True(typ, v1alpha1.ReasonInherited, "Has exactly the roles of its pools"))
	}
	return false, nil
}

// ownerGone returns the pools of the user whose AgentPool no longer exists. While the manager
// releases a pool, it looks the same for a moment, so the status is delayed once.
func (p *scope) ownerGone() []poolindex.Unruled {
	var gone []poolindex.Unruled
	if p.have != nil {
		gone = p.snapshot.OwnerGone(granted(p.have))
	}
	if len(gone) == 0 {
		p.releasing.end(p.user.Name)
	} else if left := p.releasing.left(p.user.Name, p.Clock.Now()); left > 0 {
		p.silent, p.result.RequeueAfter = true, left
	}
	return gone
}

func sameRoles(have *portalapi.Account, want []string) bool {
	if have == nil || len(have.Roles) != len(want) {
		return false
	}
	for i := range want {
		if have.Roles[i] != want[i] {
			return false
		}
	}
	return true
}
