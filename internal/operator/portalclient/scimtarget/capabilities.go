// SPDX-License-Identifier: Apache-2.0

package scimtarget

import "lightrun.com/scim-operator/internal/kernel/portalapi"

// Lacks returns the parts of the port that the driver does not have, because no target has them.
func Lacks() []portalapi.Capability {
	return []portalapi.Capability{
		portalapi.CapabilityAudit, portalapi.CapabilityKeys, portalapi.CapabilityPlan, portalapi.CapabilityHandOver,
		portalapi.CapabilityGrants, portalapi.CapabilityPeople, portalapi.CapabilityREST,
		portalapi.CapabilitySignIn, portalapi.CapabilityFeed, portalapi.CapabilityTruncation,
	}
}
