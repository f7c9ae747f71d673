// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"fmt"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Standing says whose a portal record is, from the point of view of one object.
type Standing string

const (
	Ours      Standing = "Ours"      // owned by our UID
	Heirs     Standing = "Heirs"     // owned by our name under this binding and another UID: restored, or deleted and applied again
	Abandoned Standing = "Abandoned" // its owner no longer exists
	Leavings  Standing = "Leavings"  // its owner is being deleted
	Others    Standing = "Others"    // owned by another living object
	Portals   Standing = "Portals"   // it has no owner: people made it in the portal, or it was released
)

// Stand says whose a record of owner is from the point of view of me. there says whether the
// owner's object still exists.
func Stand(owner, me portalapi.Owner, there Presence) Standing {
	switch {
	case owner.UID == "":
		return Portals
	case owner.UID == me.UID:
		return Ours
	case owner.Name == me.Name && owner.Binding == me.Binding:
		return Heirs
	case there == Gone:
		return Abandoned
	case there == Leaving:
		return Leavings
	}
	return Others
}

// Verdict is what the ownership table says about a record that an object wants.
type Verdict struct {
	Adopt   bool   // it may be taken over, by compare-and-swap on its present owner
	Reason  string // otherwise: a condition reason of v1alpha1
	Message string
}

func adopt() Verdict { return Verdict{Adopt: true} }

// AccountVerdict is the row of the ownership table for an account that has the user name that the
// object holds the claim on.
func AccountVerdict(a *portalapi.Account, s Standing, policy Policy) Verdict {
	switch {
	case s == Ours, s == Heirs, s == Abandoned:
		return adopt()
	case s == Portals && a.ManagedBy == portalapi.ManagedByLocal && !policy.ProvisionExistingUsers && !a.HandedOver:
		return Verdict{Reason: v1alpha1.ReasonLocalAccountExists, Message: "The portal has a local account with this user name. Switch on \"Provision existing users with SCIM\" to adopt every such account, or hand this one over in User Management"}
	case s == Portals, s == Leavings && policy.OnDelete == v1alpha1.UserDeactivate:
		return adopt()
	case s == Leavings:
		return Verdict{Reason: v1alpha1.ReasonNameReleasePending, Message: "The account of a ScimUser that is being deleted still has this user name; it is released first"}
	}
	return Verdict{Reason: v1alpha1.ReasonNameReleasePending, Message: "The account of another ScimUser still has this user name; that user was renamed and its account must be renamed first"}
}

// PoolVerdict is the row of the ownership table for a pool that an AgentPool wants. chosen:
// spec.adopt names the pool's id.
func PoolVerdict(p *portalapi.Pool, s Standing, isDefault, chosen bool) Verdict {
	switch {
	case p.Default && isDefault:
		return adopt()
	case p.Default:
		return Verdict{Reason: v1alpha1.ReasonDefaultPoolName, Message: fmt.Sprintf("%q is the portal's default pool, which AgentPool/default alone rules. Give this pool another displayName", p.Name)}
	case s == Ours, s == Heirs:
		return adopt()
	case s == Others:
		return Verdict{Reason: v1alpha1.ReasonNameReleasePending, Message: fmt.Sprintf("AgentPool %s still has this pool in the portal; it is renamed or released first. Two pools exchange their names in two commits", p.Owner.Name)}
	case s == Leavings:
		return Verdict{Reason: v1alpha1.ReasonNameReleasePending, Message: fmt.Sprintf("AgentPool %s, which is being deleted, still has this pool in the portal; it is released first", p.Owner.Name)}
	case chosen, s == Portals && p.HandedOver:
		return adopt()
	case s == Abandoned:
		return Verdict{Reason: v1alpha1.ReasonConsentRequired, Message: fmt.Sprintf("The portal's pool %q belongs to AgentPool %s, which no longer exists. Consent with spec.adopt: %s, or give this pool another displayName", p.Name, p.Owner.Name, p.ID)}
	}
	return Verdict{Reason: v1alpha1.ReasonConsentRequired, Message: fmt.Sprintf("The portal has a pool %q that was made there. Consent with spec.adopt: %s, hand it over on the portal's page Agent Pools, or give this pool another displayName", p.Name, p.ID)}
}
