// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// ReleasePlan is what becomes of the account of a ScimUser that goes.
type ReleasePlan struct {
	Mode    portalapi.ReleaseMode
	Account *portalapi.Account // that it owns; nil if there is none, and releasing only retires the owner
	Removal bool               // takes away a person's access; the deprovisioning guard counts it
}

// ComputeRelease returns what becomes of own, the account of a ScimUser that goes; nil when it has
// none. dropped: a person decided that what it has stays, so it becomes a local account.
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
