// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"fmt"
	"slices"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/pass"
)

// countOwnerGone counts the accounts without a ScimUser and the pools without an AgentPool. It
// returns nil if there are none. A person who dropped the release of a pool wants it to stay.
func countOwnerGone(accounts []*portalapi.Account, pools []*portalapi.Pool) *v1alpha1.OwnerGone {
	g := v1alpha1.OwnerGone{Accounts: int64(len(accounts))}
	for _, a := range accounts {
		if a.Status == portalapi.StatusActive && slices.Contains(a.Roles, portalapi.RoleManager) {
			g.Managers++
		}
	}
	for _, p := range pools {
		if p.Mark == nil || p.Mark.State != portalapi.MarkDropped {
			g.Pools++
		}
	}
	if g == (v1alpha1.OwnerGone{}) {
		return nil
	}
	return &g
}

// warnOwnerGone reports what has lost its object. A pass that did not come to the search keeps the
// last known state.
func (p *scope) warnOwnerGone() pass.Outcome {
	if !p.searched {
		return keep(conditions.Find(p.config.Status.Conditions, v1alpha1.ConditionOwnerGone))
	}
	p.ownerGone = countOwnerGone(p.strays.settled, p.strayPools.settled)
	if p.ownerGone == nil {
		return pass.Next()
	}
	return pass.Warn(conditions.True(v1alpha1.ConditionOwnerGone, v1alpha1.ReasonOwnerGone, ownerGoneMessage(p.config.Namespace, *p.ownerGone)))
}

func ownerGoneMessage(namespace string, g v1alpha1.OwnerGone) string {
	var parts []string
	if g.Accounts > 0 {
		part := fmt.Sprintf("%d account(s) have no ScimUser any more", g.Accounts)
		if g.Managers > 0 {
			part += fmt.Sprintf(" (%d with %s)", g.Managers, portalapi.RoleManager)
		}
		parts = append(parts, part)
	}
	if g.Pools > 0 {
		parts = append(parts, fmt.Sprintf("%d pool(s) have no AgentPool any more", g.Pools))
	}
	return fmt.Sprintf("In the portal, %s, and keep what they have: the objects were deleted although the provider did not delete the users, or the portal was restored from a backup. To list them: %s. To release them: %s. To keep one, restore its object",
		strings.Join(parts, " and "), shell.Scim(namespace, "audit"), shell.Scim(namespace, "audit", "--release"))
}
