// SPDX-License-Identifier: Apache-2.0

// Package provision says what must change in the portal for one account or pool to be as it should.
// It is pure: the same facts give the same plan, and nothing here knows a clock, a client or a
// cluster. The controllers carry a plan out; `kubectl scim plan`, the migration preview and
// ReportOnly show it.
//
// An account is touched only when it is ours: created by us, released by a ScimUser that is gone or
// going, handed over by a person, or adopted because the toggle "Provision existing users with
// SCIM" is on.
package provision

import (
	"fmt"
	"slices"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Action is the one step that a plan takes.
type Action string

const (
	None   Action = "None"   // it is in the desired state
	Create Action = "Create" // no such account yet
	Update Action = "Update" // ours, and differs
	Adopt  Action = "Adopt"  // becomes ours, keeping its id and history
	Wait   Action = "Wait"   // not ours to touch now; Reason and Message say why and what would help
)

// Account is what a person's account should be.
type Account struct {
	portalapi.AccountWrite          // without Adopt and IfRevision; Pools sorted, the default pool among them
	Roles                  []string // that its pools give; sorted. The portal derives them, we verify
}

// Presence says whether an account's ScimUser still exists.
type Presence int

const (
	Gone    Presence = iota // no such object
	Leaving                 // being deleted
	Present                 // alive
)

// Facts are what the portal and the cluster hold about the account.
type Facts struct {
	Own        *portalapi.Account // the account owned by this ScimUser; nil: none
	Named      *portalapi.Account // the account that has the wanted name; nil: none
	Before     *portalapi.Account // the account that an object of our name owned, before a restore; nil: none
	Accepted   int64              // the portal's revision that a person lets an older object replace; 0: none
	NamedOwner Presence           // of the ScimUser that owns Named
	Granted    []string           // roles that the account found holds by a grant (GrantedRoles); the others are taken back at no cost
}

// Policy is what an operator's owner decided. It only ever takes steps away.
type Policy struct {
	ProvisionExistingUsers bool                  // adopt local accounts
	OnDelete               v1alpha1.UserDeletion // what a leaving owner's account is about to become
}

// Difference is one field that is not in the desired state. Values are for people to read and may
// contain personal data.
type Difference struct{ Field, Have, Want string }

// Plan is what to do about one account.
type Plan struct {
	Action  Action
	Account *portalapi.Account     // the account it speaks of; nil when it is to be created
	Write   portalapi.AccountWrite // for Create, Update and Adopt; it lands on Account as it is here, or not at all
	Reason  string                 // for Wait, and for an Update that leaves the new name for later: a condition reason of v1alpha1
	Message string                 // with Reason: what is the matter and what would help
	Mark    bool                   // for Wait: record at the account that this user waits for it
	// Removal: carrying it out takes away a person's access or their manager role; the
	// deprovisioning guard counts it.
	Removal     bool
	Differences []Difference
}

// Writes says whether carrying out the plan changes the account.
func (p Plan) Writes() bool { return p.Action == Create || p.Action == Update || p.Action == Adopt }

// Compute says what must change for the account to become want, under policy.
func Compute(want Account, have Facts, policy Policy) Plan {
	if have.Own != nil {
		return update(want, have)
	}
	if p, decided := restored(want, have); decided {
		return p
	}
	if have.Named == nil {
		return Plan{Action: Create, Write: decidedOn(nil, want)}
	}
	return takeOver(want, have, policy)
}

// restored plans for a user who had an account under the same SCIM id in this binding, where the
// account's name is not what the account is found by, or something is to wait for. decided is false
// where the account is an ordinary one to take over.
func restored(want Account, have Facts) (p Plan, decided bool) {
	before := have.Before
	if before == nil || Stand(before.Owner, want.Owner, Gone) != Heirs {
		return Plan{}, false
	}
	p = Plan{Action: Wait, Account: before, Differences: differences(want, before)}
	switch {
	case older(want, before) && have.Accepted != before.Owner.Revision:
		p.Reason, p.Message = v1alpha1.ReasonBackupOlder, BackupOlder(want.Owner.Name, want.Owner.Revision, before.Owner.Revision)
	case want.Active && deactivatedLocally(before) && before.Owner.Revision >= want.Owner.Revision:
		p.Reason, p.Message = v1alpha1.ReasonDeactivatedLocally, stayDeactivated
	case have.Named == nil:
		p.Action, p.Write = Adopt, decidedOn(before, want)
		p.Write.Adopt = &portalapi.Adopt{ID: before.ID, OwnerUID: before.Owner.UID}
		p.Removal = removes(want, before, have.Granted)
	case have.Named.ID != before.ID:
		p.Reason = v1alpha1.ReasonNameReleasePending
		p.Message = "Another account of the portal has the user name; the account that this user had before has another one. It is renamed when the name is released"
	default:
		return Plan{}, false
	}
	return p, true
}

// older says whether want comes from a backup: the portal has seen a newer push of this user.
func older(want Account, have *portalapi.Account) bool {
	return want.Owner.Revision < have.Owner.Revision
}

// BackupOlder reports an object whose revision is older than the portal's, and what a person can
// do.
func BackupOlder(scimID string, object, portal int64) string {
	return fmt.Sprintf("The portal has revision %d of this user, and the object, from a backup, has %d: the account stays as it is until the identity provider pushes this user again. To let the backup replace what is newer: kubectl scim accept scimuser/%s --revision %d",
		portal, object, scimID, portal)
}

func deactivatedLocally(a *portalapi.Account) bool {
	return a.Status == portalapi.StatusDeactivated && a.DeactivatedBy == portalapi.ManagedByLocal
}

const stayDeactivated = "An administrator deactivated the account in the portal while SCIM was off. It stays deactivated until the identity provider pushes the user again"

// update plans for an account that is ours already.
func update(want Account, have Facts) Plan {
	own := have.Own
	p := Plan{Action: None, Account: own, Differences: differences(want, own)}
	if len(p.Differences) == 0 {
		return p
	}
	if older(want, own) { // an older export was applied over the object
		if have.Accepted != own.Owner.Revision {
			p.Action, p.Reason, p.Message = Wait, v1alpha1.ReasonBackupOlder, BackupOlder(want.Owner.Name, want.Owner.Revision, own.Owner.Revision)
			return p
		}
		want.Owner.Revision = own.Owner.Revision // the portal refuses an older one, and what is pushed next is newer than both
	}
	if want.Active && deactivatedLocally(own) && own.Owner.Revision >= want.Owner.Revision {
		p.Action, p.Reason, p.Message = Wait, v1alpha1.ReasonDeactivatedLocally, stayDeactivated
		return p
	}
	if have.Named != nil && have.Named.ID != own.ID {
		return exceptName(want, have)
	}
	p.Action, p.Write = Update, decidedOn(own, want)
	p.Removal = removes(want, own, have.Granted)
	return p
}

// exceptName plans for an account whose new name another account has. All but the name follows
// now: above all, a deactivation never waits for a name.
func exceptName(want Account, have Facts) Plan {
	former := want
	former.UserName = have.Own.UserName
	p := update(former, Facts{Own: have.Own, Granted: have.Granted, Accepted: have.Accepted})
	switch p.Action {
	case Wait:
		return p
	case None:
		p.Action = Wait
	}
	p.Differences = differences(want, have.Own)
	p.Reason = v1alpha1.ReasonNameReleasePending
	switch {
	case have.Named.ManagedBy == portalapi.ManagedByLocal:
		p.Reason = v1alpha1.ReasonLocalAccountExists
		p.Message = "The portal has a local account with the new user name. Rename or remove that account, or rename the person in the identity provider"
	case have.Named.Owner.UID == "":
		p.Message = "The retained account of a deleted user has the new user name. Rename this user in the identity provider; everything except the name is already updated"
	default:
		p.Message = "Another ScimUser's account still has the new user name; this account is renamed when that one is renamed or released, everything else is already updated"
	}
	return p
}

// takeOver plans for an account that has our name and is not ours.
func takeOver(want Account, have Facts, policy Policy) Plan {
	named := have.Named
	p := Plan{Action: Adopt, Account: named, Differences: differences(want, named)}
	v := AccountVerdict(named, Stand(named.Owner, want.Owner, have.NamedOwner), policy)
	if !v.Adopt {
		p.Action, p.Reason, p.Message = Wait, v.Reason, v.Message
		p.Mark = v.Reason == v1alpha1.ReasonLocalAccountExists && named.WaitingFor.UID != want.Owner.UID
		return p
	}
	p.Write = decidedOn(named, want)
	p.Write.Adopt = &portalapi.Adopt{ID: named.ID, OwnerUID: named.Owner.UID}
	p.Removal = removes(want, named, have.Granted)
	return p
}

// decidedOn is the write of want for an account as it is; nil: there is none.
func decidedOn(have *portalapi.Account, want Account) portalapi.AccountWrite {
	w, revision := want.AccountWrite, int64(0)
	if have != nil {
		revision = have.Revision
	}
	w.IfRevision = &revision
	return w
}

// GrantedRoles are those of the account's roles that it holds by a grant: through a pool that its
// owner put it in, to which the pool's owner, or without one a person, gave them. pool returns a
// pool of that id or nil; what is not known counts as granted. A local account was granted all that
// it has, by people.
func GrantedRoles(a *portalapi.Account, pool func(id string) *portalapi.Pool) []string {
	if a.Owner.UID == "" {
		return a.Roles
	}
	var out []string
	for _, id := range a.Pools {
		if slices.Contains(a.Ungranted, id) {
			continue
		}
		p := pool(id)
		if p == nil {
			return a.Roles
		}
		out = append(out, Granted(p)...)
	}
	return out
}

// removes says whether turning have into want takes away access or the manager role, where it was
// granted.
func removes(want Account, have *portalapi.Account, granted []string) bool {
	if have.Status != portalapi.StatusActive {
		return false
	}
	manager := slices.Contains(have.Roles, portalapi.RoleManager) && slices.Contains(granted, portalapi.RoleManager)
	return !want.Active || manager && !slices.Contains(want.Roles, portalapi.RoleManager)
}

// differences lists what of have is not as in want, in a fixed order. Roles are not among them:
// they are derived.
func differences(want Account, have *portalapi.Account) []Difference {
	var out []Difference
	field := func(name, have, want string) {
		if have != want {
			out = append(out, Difference{Field: name, Have: have, Want: want})
		}
	}
	field("userName", have.UserName, want.UserName)
	field("displayName", have.DisplayName, want.DisplayName)
	field("givenName", have.GivenName, want.GivenName)
	field("familyName", have.FamilyName, want.FamilyName)
	field("email", have.Email, want.Email)
	field("externalId", have.ExternalID, want.ExternalID)
	field("status", string(have.Status), string(status(want.Active)))
	field("managedBy", string(have.ManagedBy), string(portalapi.ManagedBySCIM))
	field("owner", have.Owner.UID, want.Owner.UID)
	if have.Owner.UID == want.Owner.UID && have.Owner.Revision < want.Owner.Revision {
		field("revision", fmt.Sprint(have.Owner.Revision), fmt.Sprint(want.Owner.Revision))
	}
	if !slices.Equal(have.Pools, want.Pools) {
		field("pools", fmt.Sprint(have.Pools), fmt.Sprint(want.Pools))
	}
	field("directRoles", strings.Join(have.DirectRoles, ","), "")
	field("ungranted", strings.Join(have.Ungranted, ","), "")
	return out
}

func status(active bool) portalapi.Status {
	if active {
		return portalapi.StatusActive
	}
	return portalapi.StatusDeactivated
}
