// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"fmt"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/guard"
)

// Ownership is the relation of one object to the owner of a portal record.
type Ownership string

const (
	SameUID      Ownership = "SameUID"      // the object's UID owns the record
	SameName     Ownership = "SameName"     // under this binding, the object's name owns the record with another UID: the object was restored, or deleted and applied again
	OwnerGone    Ownership = "OwnerGone"    // the owner no longer exists
	OwnerLeaving Ownership = "OwnerLeaving" // the owner is being deleted
	Others       Ownership = "Others"       // another object that exists owns the record
	Unowned      Ownership = "Unowned"      // the record has no owner: it was created in the portal, or released
)

// OwnershipOf returns the relation of the object me to the owner of a record. there is whether the
// owner's object still exists.
func OwnershipOf(owner, me portalapi.Owner, there Presence) Ownership {
	switch {
	case owner.UID == "":
		return Unowned
	case owner.UID == me.UID:
		return SameUID
	case owner.Name == me.Name && owner.Binding == me.Binding:
		return SameName
	case there == Gone:
		return OwnerGone
	case there == Leaving:
		return OwnerLeaving
	}
	return Others
}

// Verdict is the decision of the ownership table about a record that an object wants.
type Verdict struct {
	Adopt   bool   // the object may take the record over, by compare-and-swap on the current owner
	Reason  string // if not Adopt: a condition reason of v1alpha1
	Message string
}

func adopt() Verdict { return Verdict{Adopt: true} }

// AccountVerdict applies the ownership table to an account whose user name the ScimUser has the
// claim on.
func AccountVerdict(namespace string, a *portalapi.Account, s Ownership, policy Policy) Verdict {
	switch {
	case s == SameUID, s == SameName, s == OwnerGone:
		return adopt()
	case s == Unowned && a.ManagedBy == portalapi.ManagedByLocal && !policy.ProvisionExistingUsers && !a.HandedOver:
		return Verdict{Reason: v1alpha1.ReasonLocalAccountExists, Message: "The portal has a local account with this user name. Turn on \"Provision existing users with SCIM\" to adopt every such account, or hand this one over in User Management"}
	case s == Unowned:
		return adopt()
	}
	return nameOfAnotherUser(namespace, a)
}

// nameOfAnotherUser is why a user waits for the name of an account that another ScimUser owns. Only
// the owner changes the account, also while the owner is being deleted: otherwise two objects would
// mark the same account, and a name would give one user the roles of the other one.
func nameOfAnotherUser(namespace string, a *portalapi.Account) Verdict {
	if a.Mark == nil {
		return Verdict{Reason: v1alpha1.ReasonNameReleasePending, Message: fmt.Sprintf("The account of ScimUser %s still has this user name; it is renamed or released first", a.Owner.Name)}
	}
	return nameHeld(namespace, "ScimUser "+a.Owner.Name, "user name", a.Mark, "rename or delete this user in the identity provider")
}

// nameHeld is why an object waits for a name whose owner can't release it, because the guard holds
// a removal there or a person dropped it. keep is what to do if the owner keeps the name.
func nameHeld(namespace, owner, name string, m *portalapi.Mark, keep string) Verdict {
	release, drop := guard.Commands(namespace, owner, m.Decision)
	v := Verdict{Reason: v1alpha1.ReasonNameHeld}
	if m.Held() == "" {
		v.Message = fmt.Sprintf("%s keeps this %s, because a person dropped the removal %s there: %s; or, to carry that removal out and free the name: %s", owner, name, m.Decision, keep, release)
		return v
	}
	v.Message = fmt.Sprintf("%s still has this %s until a person decides about %s, which the deprovisioning guard holds there. If that removal is meant, the name is free after: %s; if it is a mistake: %s, and %s", owner, name, m.Decision, release, drop, keep)
	return v
}

// keepsName reports whether a pool can't be renamed or released, because of what is held or was
// dropped there. Members who stay do not prevent it.
func keepsName(m *portalapi.Mark) bool {
	return m != nil && (m.What == portalapi.RemovalManager || m.Held() == portalapi.RemovalDeletion)
}

// ExchangeNames says how two pools exchange their names, for the messages of both.
const ExchangeNames = "To exchange the names of two pools, make the change in two commits: first give one of them a third name"

// PoolVerdict applies the ownership table to a pool that an AgentPool wants. chosen is true if
// spec.adopt is the pool's id.
func PoolVerdict(namespace string, p *portalapi.Pool, s Ownership, isDefault, chosen bool) Verdict {
	switch {
	case p.Default && isDefault:
		return adopt()
	case p.Default:
		return Verdict{Reason: v1alpha1.ReasonDefaultPoolName, Message: fmt.Sprintf("%q is the portal's default pool, which only AgentPool/default manages. Give this pool another displayName", p.Name)}
	case s == SameUID, s == SameName:
		return adopt()
	case (s == Others || s == OwnerLeaving) && keepsName(p.Mark):
		return nameHeld(namespace, "AgentPool "+p.Owner.Name, "pool in the portal", p.Mark, "give this pool another displayName")
	case s == Others:
		return Verdict{Reason: v1alpha1.ReasonNameReleasePending, Message: fmt.Sprintf("AgentPool %s still has this pool in the portal; it is renamed or released first. %s", p.Owner.Name, ExchangeNames)}
	case s == OwnerLeaving:
		return Verdict{Reason: v1alpha1.ReasonNameReleasePending, Message: fmt.Sprintf("AgentPool %s, which is being deleted, still has this pool in the portal; it is released first", p.Owner.Name)}
	case chosen, s == Unowned && p.HandedOver:
		return adopt()
	case s == OwnerGone:
		return Verdict{Reason: v1alpha1.ReasonConsentRequired, Message: fmt.Sprintf("The portal's pool %q belongs to AgentPool %s, which no longer exists. Consent with spec.adopt: %s, or give this pool another displayName", p.Name, p.Owner.Name, p.ID)}
	}
	return Verdict{Reason: v1alpha1.ReasonConsentRequired, Message: fmt.Sprintf("The portal has a pool %q that was created there. Consent with spec.adopt: %s, hand it over on the portal's page Agent Pools, or give this pool another displayName", p.Name, p.ID)}
}
