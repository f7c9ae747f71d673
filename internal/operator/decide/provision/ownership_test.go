// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func TestStand(t *testing.T) {
	me := portalapi.Owner{UID: "new", Name: "ada", Binding: "b"}
	for name, tc := range map[string]struct {
		reason string
		owner  portalapi.Owner
		there  Presence
		want   Standing
	}{
		"Ours":      {"Our UID owns it.", portalapi.Owner{UID: "new", Name: "ada", Binding: "b"}, Present, Ours},
		"Heirs":     {"Our name owned it under another UID: restored, or deleted and applied again.", portalapi.Owner{UID: "old", Name: "ada", Binding: "b"}, Gone, Heirs},
		"Elsewhere": {"Our name of another company's binding is no heir's.", portalapi.Owner{UID: "old", Name: "ada", Binding: "a"}, Gone, Abandoned},
		"Abandoned": {"The owner no longer exists.", portalapi.Owner{UID: "x", Name: "bob"}, Gone, Abandoned},
		"Leavings":  {"The owner is being deleted.", portalapi.Owner{UID: "x", Name: "bob"}, Leaving, Leavings},
		"Others":    {"Another living object owns it.", portalapi.Owner{UID: "x", Name: "bob"}, Present, Others},
		"Portals":   {"It has no owner.", portalapi.Owner{}, Gone, Portals},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Stand(tc.owner, me, tc.there); got != tc.want {
				t.Errorf("%s Got %s, want %s", tc.reason, got, tc.want)
			}
		})
	}
}

// The ownership table of the design, row by row.
func TestOwnership(t *testing.T) {
	local, scim := &portalapi.Account{ManagedBy: portalapi.ManagedByLocal}, &portalapi.Account{ManagedBy: portalapi.ManagedBySCIM}
	handedOver := &portalapi.Account{ManagedBy: portalapi.ManagedByLocal, HandedOver: true}
	account := func(a *portalapi.Account, s Standing, policy Policy) func() Verdict {
		return func() Verdict { return AccountVerdict(a, s, policy) }
	}
	plain := &portalapi.Pool{ID: "p", Name: "SRE", Owner: portalapi.Owner{Name: "other"}}
	pool := func(p *portalapi.Pool, s Standing, isDefault, chosen bool) func() Verdict {
		return func() Verdict { return PoolVerdict(p, s, isDefault, chosen) }
	}
	def := &portalapi.Pool{ID: "d", Name: "Default", Default: true}
	for name, tc := range map[string]struct {
		reason  string
		verdict func() Verdict
		waits   string // the condition's reason; empty: adopted
	}{
		"AccountOurs":      {"Owned by our UID: ours.", account(scim, Ours, Policy{}), ""},
		"AccountHeirs":     {"Owned by the same name under another UID: adopted at once.", account(scim, Heirs, Policy{}), ""},
		"AccountAbandoned": {"Its owner no longer exists: adopted by the living user who holds the claim.", account(scim, Abandoned, Policy{}), ""},
		"AccountOthers":    {"Owned by another living object: waits.", account(scim, Others, Policy{}), v1alpha1.ReasonNameReleasePending},
		"AccountLeavings":  {"Its owner is being deleted and the account with it: waits.", account(scim, Leavings, Policy{OnDelete: v1alpha1.UserDelete}), v1alpha1.ReasonNameReleasePending},
		"AccountKept":      {"Its owner is being deleted and leaves the account: adopted.", account(scim, Leavings, Policy{OnDelete: v1alpha1.UserDeactivate}), ""},
		"AccountReleased":  {"The kept record of a person who left: adopted by who returns.", account(scim, Portals, Policy{}), ""},
		"AccountLocal":     {"Made in the portal: never adopted because of its name.", account(local, Portals, Policy{}), v1alpha1.ReasonLocalAccountExists},
		"AccountMigrated":  {"The migration toggle is consent.", account(local, Portals, Policy{ProvisionExistingUsers: true}), ""},
		"AccountHanded":    {"The hand-over button is consent.", account(handedOver, Portals, Policy{}), ""},

		"PoolOurs":      {"Owned by our UID: ours.", pool(plain, Ours, false, false), ""},
		"PoolHeirs":     {"Owned by the same name under another UID: adopted at once.", pool(plain, Heirs, false, false), ""},
		"PoolAbandoned": {"Its owner no longer exists: another name adopts it only with consent.", pool(plain, Abandoned, false, false), v1alpha1.ReasonConsentRequired},
		"PoolChosen":    {"spec.adopt is that consent.", pool(plain, Abandoned, false, true), ""},
		"PoolOthers":    {"Owned by another living object: waits, whatever spec.adopt says.", pool(plain, Others, false, true), v1alpha1.ReasonNameReleasePending},
		"PoolLeavings":  {"Its owner is being deleted: waits until it is released.", pool(plain, Leavings, false, true), v1alpha1.ReasonNameReleasePending},
		"PoolPortals":   {"Made in the portal: never adopted because of its name.", pool(plain, Portals, false, false), v1alpha1.ReasonConsentRequired},
		"PoolAdopt":     {"spec.adopt is consent.", pool(plain, Portals, false, true), ""},
		"PoolHanded":    {"The hand-over button is consent.", pool(&portalapi.Pool{Name: "SRE", HandedOver: true}, Portals, false, false), ""},
		"DefaultOwn":    {"The default pool: adopted by AgentPool/default.", pool(def, Portals, true, false), ""},
		"DefaultOther":  {"The default pool: no other AgentPool reaches it.", pool(def, Portals, false, true), v1alpha1.ReasonDefaultPoolName},
	} {
		t.Run(name, func(t *testing.T) {
			v := tc.verdict()
			if v.Adopt != (tc.waits == "") || v.Reason != tc.waits {
				t.Errorf("%s Got %+v", tc.reason, v)
			}
			if !v.Adopt && v.Message == "" {
				t.Error("a wait without a message")
			}
		})
	}
}
