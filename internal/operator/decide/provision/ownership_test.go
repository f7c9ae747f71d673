// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"strings"
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func TestOwnershipOf(t *testing.T) {
	me := portalapi.Owner{UID: "new", Name: "ada", Binding: "b"}
	for name, tc := range map[string]struct {
		reason string
		owner  portalapi.Owner
		there  Presence
		want   Ownership
	}{
		"SameUID":      {"A record with the object's UID is its own.", portalapi.Owner{UID: "new", Name: "ada", Binding: "b"}, Present, SameUID},
		"SameName":     {"A record with the object's name and another UID was owned before a restore, or before the object was applied again.", portalapi.Owner{UID: "old", Name: "ada", Binding: "b"}, Gone, SameName},
		"Elsewhere":    {"A record with the object's name under another binding belongs to another operator's object.", portalapi.Owner{UID: "old", Name: "ada", Binding: "a"}, Gone, OwnerGone},
		"OwnerGone":    {"The record of an owner that no longer exists is without an owner.", portalapi.Owner{UID: "x", Name: "bob"}, Gone, OwnerGone},
		"OwnerLeaving": {"The record of an owner that is being deleted waits for that deletion.", portalapi.Owner{UID: "x", Name: "bob"}, Leaving, OwnerLeaving},
		"Others":       {"The record of another object that exists belongs to that object.", portalapi.Owner{UID: "x", Name: "bob"}, Present, Others},
		"Unowned":      {"A record without an owner belongs to the portal.", portalapi.Owner{}, Gone, Unowned},
	} {
		t.Run(name, func(t *testing.T) {
			if got := OwnershipOf(tc.owner, me, tc.there); got != tc.want {
				t.Errorf("%s Got %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}

// The ownership table of the design, row by row.
func TestOwnership(t *testing.T) {
	local, scim := &portalapi.Account{ManagedBy: portalapi.ManagedByLocal}, &portalapi.Account{ManagedBy: portalapi.ManagedBySCIM}
	handedOver := &portalapi.Account{ManagedBy: portalapi.ManagedByLocal, HandedOver: true}
	mark := &portalapi.Mark{What: portalapi.RemovalDeactivation, State: portalapi.MarkHeld, Decision: "m-1", At: "ada"}
	held := &portalapi.Account{ManagedBy: portalapi.ManagedBySCIM, Owner: portalapi.Owner{UID: "x", Name: "ada"}, Mark: mark}
	dropped := &portalapi.Account{ManagedBy: portalapi.ManagedBySCIM, Owner: held.Owner, Mark: &portalapi.Mark{What: mark.What, State: portalapi.MarkDropped, Decision: "m-1", At: "ada"}}
	marked := func(what portalapi.Removal) *portalapi.Pool {
		return &portalapi.Pool{ID: "p", Name: "SRE", Owner: portalapi.Owner{UID: "x", Name: "other"}, Mark: &portalapi.Mark{What: what, State: portalapi.MarkHeld, Decision: "m-1", At: "other"}}
	}
	account := func(a *portalapi.Account, s Ownership, policy Policy) func() Verdict {
		return func() Verdict { return AccountVerdict("lightrun", a, s, policy) }
	}
	plain := &portalapi.Pool{ID: "p", Name: "SRE", Owner: portalapi.Owner{Name: "other"}}
	pool := func(p *portalapi.Pool, s Ownership, isDefault, chosen bool) func() Verdict {
		return func() Verdict { return PoolVerdict("lightrun", p, s, isDefault, chosen) }
	}
	def := &portalapi.Pool{ID: "d", Name: "Default", Default: true}
	for name, tc := range map[string]struct {
		reason  string
		verdict func() Verdict
		waits   string // the condition's reason; empty if the record is adopted
	}{
		"AccountSameUID":      {"A record with the object's UID is the object's own.", account(scim, SameUID, Policy{}), ""},
		"AccountSameName":     {"A record that the same name owned under another UID is adopted at once.", account(scim, SameName, Policy{}), ""},
		"AccountOwnerGone":    {"An account whose owner no longer exists is adopted by the existing user who has the claim.", account(scim, OwnerGone, Policy{}), ""},
		"AccountOthers":       {"A user waits for an account that another existing object owns.", account(scim, Others, Policy{}), v1alpha1.ReasonNameReleasePending},
		"AccountOwnerLeaving": {"A user waits until the deletion of the account's owner is done.", account(scim, OwnerLeaving, Policy{}), v1alpha1.ReasonNameReleasePending},
		"AccountHeld":         {"If the deletion of the record's owner is held, the adoption waits for the decision about it.", account(held, OwnerLeaving, Policy{}), v1alpha1.ReasonNameHeld},
		"AccountDropped":      {"If the deletion of the account's owner was dropped, the owner keeps the account.", account(dropped, OwnerLeaving, Policy{}), v1alpha1.ReasonNameHeld},
		"AccountRenameHeld":   {"If the guard holds the rename of the account's owner, the user waits for the decision about it.", account(held, Others, Policy{}), v1alpha1.ReasonNameHeld},
		"AccountReleased":     {"The kept account of a user who left is adopted when the user returns.", account(scim, Unowned, Policy{}), ""},
		"AccountLocal":        {"A record that was created in the portal is never adopted because of its name.", account(local, Unowned, Policy{}), v1alpha1.ReasonLocalAccountExists},
		"AccountMigrated":     {"The toggle for existing users is the consent to adopt local accounts.", account(local, Unowned, Policy{ProvisionExistingUsers: true}), ""},
		"AccountHanded":       {"The hand-over button is the consent to adopt a record.", account(handedOver, Unowned, Policy{}), ""},

		"PoolSameUID":      {"A record with the object's UID is the object's own.", pool(plain, SameUID, false, false), ""},
		"PoolSameName":     {"A record that the same name owned under another UID is adopted at once.", pool(plain, SameName, false, false), ""},
		"PoolOwnerGone":    {"A pool whose owner no longer exists is adopted under another name only with consent.", pool(plain, OwnerGone, false, false), v1alpha1.ReasonConsentRequired},
		"PoolChosen":       {"spec.adopt is the consent to adopt a pool whose owner no longer exists.", pool(plain, OwnerGone, false, true), ""},
		"PoolOthers":       {"An AgentPool waits for a pool that another existing object owns, whatever spec.adopt says.", pool(plain, Others, false, true), v1alpha1.ReasonNameReleasePending},
		"PoolOwnerLeaving": {"An AgentPool waits until a pool whose owner is being deleted is released.", pool(plain, OwnerLeaving, false, true), v1alpha1.ReasonNameReleasePending},
		"PoolHeld":         {"If the deletion of the record's owner is held, the adoption waits for the decision about it.", pool(marked(portalapi.RemovalDeletion), OwnerLeaving, false, true), v1alpha1.ReasonNameHeld},
		"PoolRoleHeld":     {"If the guard holds a change of the pool's owner, it also holds the owner's rename.", pool(marked(portalapi.RemovalManager), Others, false, false), v1alpha1.ReasonNameHeld},
		"PoolMembersHeld":  {"Held members of a pool do not delay its owner's rename, so the name needs no decision.", pool(marked(portalapi.RemovalMembers), Others, false, false), v1alpha1.ReasonNameReleasePending},
		"PoolUnowned":      {"A record that was created in the portal is never adopted because of its name.", pool(plain, Unowned, false, false), v1alpha1.ReasonConsentRequired},
		"PoolAdopt":        {"spec.adopt is the consent to adopt a pool that was created in the portal.", pool(plain, Unowned, false, true), ""},
		"PoolHanded":       {"The hand-over button is the consent to adopt a record.", pool(&portalapi.Pool{Name: "SRE", HandedOver: true}, Unowned, false, false), ""},
		"DefaultOwn":       {"AgentPool/default adopts the default pool.", pool(def, Unowned, true, false), ""},
		"DefaultOther":     {"No AgentPool with another name adopts the default pool.", pool(def, Unowned, false, true), v1alpha1.ReasonDefaultPoolName},
	} {
		t.Run(name, func(t *testing.T) {
			v := tc.verdict()
			if v.Adopt != (tc.waits == "") || v.Reason != tc.waits {
				t.Errorf("%s Got %+v", tc.reason, v)
			}
			if !v.Adopt && v.Message == "" {
				t.Error("a wait without a message")
			}
			if v.Reason == v1alpha1.ReasonNameHeld && !strings.Contains(v.Message, "kubectl scim release ") {
				t.Errorf("the message does not say how to decide: %s", v.Message)
			}
		})
	}
}
