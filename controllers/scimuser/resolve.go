// SPDX-License-Identifier: Apache-2.0

package scimuser

import (
	"context"
	"fmt"
	"strings"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/userplan"
)

// resolve finds the pools that the user is in and the roles that those grant.
func (p *scope) resolve(ctx context.Context) pass.Outcome {
	for known := false; !known; {
		snapshot, err := p.Pools.Snapshot(ctx, p.View.Mirror)
		if err != nil {
			return p.Retry(err)
		}
		p.snapshot = snapshot
		p.access, known = userplan.Access(p.user, snapshot, p.View.Mirror)
	}
	return pass.Next(p.poolsLeaf())
}

func (p *scope) poolsLeaf() conditions.Leaf {
	typ := v1alpha1.ConditionPoolsResolved
	if pending := p.access.Pending; len(pending) > 0 {
		return conditions.False(typ, v1alpha1.ReasonPoolPending, "Waiting for AgentPool "+strings.Join(pending, ", ")+": it is not in the portal yet, or takes no new users until a change of it is decided or carried out: see its conditions")
	}
	return conditions.True(typ, v1alpha1.ReasonResolved, fmt.Sprintf("In %d pool(s)", len(p.access.Pools)))
}

// observe reads the user's account from the mirror, and plans.
func (p *scope) observe(ctx context.Context) pass.Outcome {
	m := p.View.Mirror
	p.have = m.OwnedAccount(string(p.user.UID))
	facts := userplan.Facts{Snapshot: p.snapshot, Mirror: m, Objects: p.Live}
	if p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		facts.KeepsMembers = func(string) bool { return false } // the report includes the memberships
	}
	plan, err := userplan.Plan(ctx, p.user, p.access, facts)
	p.plan = plan
	return p.Retry(err)
}

// verify checks that the roles in the portal are those that the pools grant.
func (p *scope) verify(context.Context) pass.Outcome {
	var want []string
	if p.have != nil {
		want = userplan.RolesOf(userplan.Granted(p.have), p.View.Mirror)
	}
	gone, left := p.ownerGone()
	if left > 0 {
		return pass.Quiet(left)
	}
	typ := v1alpha1.ConditionRolesInherited
	switch late := p.snapshot.Behind(p.access.Pools); {
	case late.Pool != "":
		return pass.Stop(conditions.False(typ, late.Reason, late.Message()))
	case !sameRoles(p.have, want):
		return pass.Stop(conditions.False(typ, v1alpha1.ReasonProgressing, fmt.Sprintf("The portal has the roles %v, the pools grant %v; waiting for the change feed", p.have.Roles, want)))
	case len(gone) > 0:
		return pass.Stop(conditions.False(typ, v1alpha1.ReasonPoolOwnerGone, gone[0].Message(p.user.Namespace)))
	}
	if p.have != nil {
		if free := p.snapshot.RolesWithoutOwner(userplan.Granted(p.have)); len(free) > 0 {
			return pass.Stop(conditions.True(typ, v1alpha1.ReasonPoolWithoutOwner, free[0].Message(p.user.Namespace)))
		}
	}
	return pass.Stop(conditions.True(typ, v1alpha1.ReasonInherited, "Has exactly the roles of its pools"))
}

// ownerGone are the pools of the user whose AgentPool no longer exists. A pool that is being
// released looks like one for a moment, so the status waits once; left is for how long.
func (p *scope) ownerGone() (gone []poolindex.Unmanaged, left time.Duration) {
	if p.have != nil {
		gone = p.snapshot.OwnerGone(userplan.Granted(p.have))
	}
	if len(gone) == 0 {
		p.releasing.end(p.user.Name)
		return nil, 0
	}
	return gone, p.releasing.left(p.user.Name, p.Clock.Now())
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
