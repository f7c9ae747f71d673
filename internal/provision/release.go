package provision

import (
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/portal"
)

// ReleasePlan is what becomes of the account of a ScimUser that goes.
type ReleasePlan struct {
	Mode    portal.ReleaseMode
	Account *portal.Account // that it owns; nil: none, and releasing only retires the owner
	Removal bool            // takes away a person's access; the deprovisioning guard counts it
}

// ComputeRelease says what becomes of own, the account of a ScimUser that goes; nil when it has none. dropped: a person
// decided that what it has stays, so it becomes a local account.
func ComputeRelease(own *portal.Account, onDelete v1alpha1.UserDeletion, dropped bool) ReleasePlan {
	mode := portal.ReleaseMode(onDelete)
	switch {
	case dropped:
		mode = portal.ReleaseOrphan
	case mode == "":
		mode = portal.ReleaseDeactivate
	}
	return ReleasePlan{Mode: mode, Account: own, Removal: own != nil && own.Status == portal.StatusActive && mode != portal.ReleaseOrphan}
}
