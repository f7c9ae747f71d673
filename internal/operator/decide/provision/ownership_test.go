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
		"SameUID":      {"Our UID owns it.", portalapi.Owner{UID: "new", Name: "ada", Binding: "b"}, Present, SameUID},
		"SameName":     {"An object with our name and another UID owned it: restored, or deleted and applied again.", portalapi.Owner{UID: "old", Name: "ada", Binding: "b"}, Gone, SameName},
		"Elsewhere":    {"The same name under another company's binding does not count.", portalapi.Owner{UID: "old", Name: "ada", Binding: "a"}, Gone, OwnerGone},
		"OwnerGone":    {"The owner no longer exists.", portalapi.Owner{UID: "x", Name: "bob"}, Gone, OwnerGone},
		"OwnerLeaving": {"The owner is being deleted.", portalapi.Owner{UID: "x", Name: "bob"}, Leaving, OwnerLeaving},
		"Others":       {"Another object that exists owns it.", portalapi.Owner{UID: "x", Name: "bob"}, Present, Others},
		"Unowned":      {"It has no owner.", portalapi.Owner{}, Gone, Unowned},
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
		waits   string // the condition's reason; empty: adopted
	}{
		"AccountSameUID":      {"Owned by our UID: ours.", account(scim, SameUID, Policy{}), ""},
		"AccountSameName":     {"Owned by the same name under another UID: adopted at once.", account(scim, SameName, Policy{}), ""},
		"AccountOwnerGone":    {"Its owner no longer exists: adopted by the existing user who has the claim.", account(scim, OwnerGone, Policy{}), ""},
		"AccountOthers":       {"Owned by another object that exists: waits.", account(scim, Others, Policy{}), v1alpha1.ReasonNameReleasePending},
		"AccountOwnerLeaving": {"Its owner is being deleted: waits until that is done.", account(scim, OwnerLeaving, Policy{}), v1alpha1.ReasonNameReleasePending},
		"AccountHeld":         {"Its owner's deletion is held: waits for a person's decision there.", account(held, OwnerLeaving, Policy{}), v1alpha1.ReasonNameHeld},
		"AccountDropped":      {"A person dropped its owner's deletion: the owner keeps the account.", account(dropped, OwnerLeaving, Policy{}), v1alpha1.ReasonNameHeld},
		"AccountRenameHeld":   {"Its owner was renamed, and the guard holds that write: waits for the decision there.", account(held, Others, Policy{}), v1alpha1.ReasonNameHeld},
		"AccountReleased":     {"The kept record of a person who left: adopted when the person returns.", account(scim, Unowned, Policy{}), ""},
		"AccountLocal":        {"Created in the portal: never adopted because of its name.", account(local, Unowned, Policy{}), v1alpha1.ReasonLocalAccountExists},
		"AccountMigrated":     {"The migration toggle is consent.", account(local, Unowned, Policy{ProvisionExistingUsers: true}), ""},
		"AccountHanded":       {"The hand-over button is consent.", account(handedOver, Unowned, Policy{}), ""},

		"PoolSameUID":      {"Owned by our UID: ours.", pool(plain, SameUID, false, false), ""},
		"PoolSameName":     {"Owned by the same name under another UID: adopted at once.", pool(plain, SameName, false, false), ""},
		"PoolOwnerGone":    {"Its owner no longer exists: another name adopts it only with consent.", pool(plain, OwnerGone, false, false), v1alpha1.ReasonConsentRequired},
		"PoolChosen":       {"spec.adopt is that consent.", pool(plain, OwnerGone, false, true), ""},
		"PoolOthers":       {"Owned by another object that exists: waits, whatever spec.adopt says.", pool(plain, Others, false, true), v1alpha1.ReasonNameReleasePending},
		"PoolOwnerLeaving": {"Its owner is being deleted: waits until it is released.", pool(plain, OwnerLeaving, false, true), v1alpha1.ReasonNameReleasePending},
		"PoolHeld":         {"Its owner's deletion is held: waits for a person's decision there.", pool(marked(portalapi.RemovalDeletion), OwnerLeaving, false, true), v1alpha1.ReasonNameHeld},
		"PoolRoleHeld":     {"Its owner's change is held, the rename with it.", pool(marked(portalapi.RemovalManager), Others, false, false), v1alpha1.ReasonNameHeld},
		"PoolMembersHeld":  {"Members who stay do not stop a rename: no person has to decide.", pool(marked(portalapi.RemovalMembers), Others, false, false), v1alpha1.ReasonNameReleasePending},
		"PoolUnowned":      {"Created in the portal: never adopted because of its name.", pool(plain, Unowned, false, false), v1alpha1.ReasonConsentRequired},
		"PoolAdopt":        {"spec.adopt is consent.", pool(plain, Unowned, false, true), ""},
		"PoolHanded":       {"The hand-over button is consent.", pool(&portalapi.Pool{Name: "SRE", HandedOver: true}, Unowned, false, false), ""},
		"DefaultOwn":       {"The default pool: adopted by AgentPool/default.", pool(def, Unowned, true, false), ""},
		"DefaultOther":     {"The default pool: no other AgentPool adopts it.", pool(def, Unowned, false, true), v1alpha1.ReasonDefaultPoolName},
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
