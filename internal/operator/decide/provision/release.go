// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// ReleasePlan is the plan for the account of a ScimUser that is deleted.
type ReleasePlan struct {
	Mode    portalapi.ReleaseMode
	Account *portalapi.Account // that it owns; nil if there is none, and releasing only retires the owner
	Removal bool               // the release takes the user's access away; the deprovisioning guard counts it
}

// ComputeRelease plans the release of own, the account of a ScimUser that is deleted. own is nil if
// the ScimUser has no account. If dropped is true, a person decided that the user keeps what they
// have: the account becomes a local one.
func ComputeRelease(own *portalapi.Account, onDelete v1alpha1.UserDeletion, dropped bool) ReleasePlan {
	mode := portalapi.ReleaseMode(onDelete)
	switch {
	case dropped:
		mode = portalapi.ReleaseOrphan
	case mode == "":
		mode = portalapi.ReleaseDeactivate
	}
	return ReleasePlan{Mode: mode, Account: own, Removal: own != nil && own.Status == portalapi.StatusActive && mode != portalapi.ReleaseOrphan}
}
