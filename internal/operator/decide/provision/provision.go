// SPDX-License-Identifier: Apache-2.0

// Package provision plans the change in the portal that brings one account or pool to its desired
// state. It is pure: the same facts give the same plan, and it has no clock, client or cluster. The
// controllers carry a plan out; `kubectl scim plan`, the migration preview and ReportOnly show it.
//
// A plan changes an account only if the ScimUser owns it or may adopt it. It may adopt an account
// that was released or whose ScimUser is gone, an account that an administrator handed over in the
// portal, and any local account while "Provision existing users with SCIM" is on.
package provision

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
)

// Action is the one step that a plan takes.
type Action string

const (
	None   Action = "None"   // the account is in the desired state
	Create Action = "Create" // there is no such account yet
	Update Action = "Update" // the ScimUser owns the account, and the account differs from the desired state
	Adopt  Action = "Adopt"  // the ScimUser becomes the owner, and the account keeps its id and history
	Wait   Action = "Wait"   // the ScimUser can't own the account now; Reason and Message say why and what to do
)

// Done returns the action in the past tense, as events name it.
func (a Action) Done() string { return strings.TrimSuffix(string(a), "e") + "ed" }

// Account is the desired account of a user.
type Account struct {
	portalapi.AccountWrite          // without Adopt and IfRevision; Pools is sorted and contains the default pool
	Namespace              string   // the namespace of the ScimUser. The commands in messages name it
	Roles                  []string // roles that the pools give, sorted. The portal derives them, and the operator verifies them
}

// Presence is whether the owner of a portal record still exists.
type Presence int

const (
	Gone    Presence = iota // the object does not exist
	Leaving                 // the object is being deleted
	Present                 // the object exists
)

// Facts contains the facts about the account in the portal and the cluster.
type Facts struct {
	Own        *portalapi.Account // the account owned by this ScimUser; nil if there is none
	Named      *portalapi.Account // the account with the wanted name; nil if there is none
	Before     *portalapi.Account // the account that a ScimUser with the same name owned before a restore; nil if there is none
	Released   int64              // the revision at which the account of this ScimUser was released; 0 if it was not
	Accepted   int64              // the portal's revision that a person allowed an older object to overwrite; 0 if there is none
	NamedOwner Presence           // presence of the ScimUser that owns Named
	Granted    []string           // roles that the account has by a grant (GrantedRoles); other roles are removed without the guard
}

// Policy is the part of the IdentityConfiguration that plans depend on.
type Policy struct {
	ProvisionExistingUsers bool // adopt local accounts
}

// Difference is one field that differs from the desired state. The values are human-readable and
// may contain personal data.
type Difference struct{ Field, Have, Want string }

// Plan is the next step for one account.
type Plan struct {
	Action  Action
	Account *portalapi.Account     // the account to change; nil if the plan creates one
	Write   portalapi.AccountWrite // for Create, Update and Adopt; it applies only to this revision of Account
	Reason  string                 // for Wait, and for an Update that does not change the name: a condition reason of v1alpha1
	Message string                 // with Reason: the problem and what to do
	Mark    bool                   // for Wait: call MarkWaiting, so that the account shows that this user waits for it
	// Removal is true if the plan takes access or ROLE_MANAGER from a user. The deprovisioning
	// guard counts it.
	Removal     bool
	Differences []Difference
}

// Writes reports whether carrying out the plan changes the account.
func (p Plan) Writes() bool { return p.Action == Create || p.Action == Update || p.Action == Adopt }

// Compute returns the step that brings the account to want, under policy.
func Compute(want Account, have Facts, policy Policy) Plan {
	if have.Own != nil {
		return update(want, have)
	}
	if have.Released != 0 && want.Owner.Revision <= have.Released {
		if have.Accepted != have.Released {
			return Plan{Action: Wait, Reason: v1alpha1.ReasonBackupOlder, Message: releasedSince(want, have.Released)}
		}
		want.Accepted = have.Released
	}
	if p, decided := restored(want, have); decided {
		return p
	}
	if have.Named == nil {
		return Plan{Action: Create, Write: decidedOn(nil, want)}
	}
	return takeOver(want, have, policy)
}

// restored plans for a user whose SCIM id owned an account under this binding before a restore. It
// decides if that account has another user name, or if the user must wait. Otherwise decided is
// false, and the account can be taken over like any other.
func restored(want Account, have Facts) (p Plan, decided bool) {
	before := have.Before
	if before == nil || OwnershipOf(before.Owner, want.Owner, Gone) != SameName {
		return Plan{}, false
	}
	p = Plan{Action: Wait, Account: before, Differences: differences(want, before)}
	switch {
	case older(want, before) && have.Accepted != before.Owner.Revision:
		p.Reason, p.Message = v1alpha1.ReasonBackupOlder, BackupOlder(want.Namespace, want.Owner.Name, want.Owner.Revision, before.Owner.Revision)
	case want.Active && deactivatedLocally(before) && before.Owner.Revision >= want.Owner.Revision:
		p.Reason, p.Message = v1alpha1.ReasonDeactivatedLocally, stayDeactivated
	case have.Named == nil:
		p.Action, p.Write = Adopt, decidedOn(before, want)
		p.Write.Adopt = &portalapi.Adopt{ID: before.ID, OwnerUID: before.Owner.UID}
		p.Removal = removes(want, before, have.Granted)
	case have.Named.ID != before.ID:
		p.Reason = v1alpha1.ReasonNameReleasePending
		p.Message = "Another account of the portal has this user name, and this user's former account has a different one. It is renamed when the name is released"
		if have.Named.Owner.UID != "" && have.Named.Mark != nil {
			v := nameOfAnotherUser(want.Namespace, have.Named)
			p.Reason, p.Message = v.Reason, v.Message
		}
	default:
		return Plan{}, false
	}
	return p, true
}

// older reports whether want comes from a backup: the portal has a newer revision of this user.
func older(want Account, have *portalapi.Account) bool {
	return want.Owner.Revision < have.Owner.Revision
}

// BackupOlder returns the message for a ScimUser whose revision is older than the portal's.
func BackupOlder(namespace, scimID string, object, portal int64) string {
	return fmt.Sprintf("The portal has revision %d of this user, and the object, from a backup, has %d: the account stays as it is until the identity provider pushes this user again. To let the backup replace what is newer: %s",
		portal, object, shell.Scim(namespace, "accept", "scimuser/"+scimID, "--revision", strconv.FormatInt(portal, 10)))
}

// releasedSince returns the message for a ScimUser from a backup whose account was released since.
func releasedSince(want Account, released int64) string {
	return fmt.Sprintf("The account of this user was released at revision %d, and the object, from a backup, has %d: the user gets no account until the identity provider pushes this user again. To let the backup bring the user back: %s",
		released, want.Owner.Revision, shell.Scim(want.Namespace, "accept", "scimuser/"+want.Owner.Name, "--revision", strconv.FormatInt(released, 10)))
}

func deactivatedLocally(a *portalapi.Account) bool {
	return a.Status == portalapi.StatusDeactivated && a.DeactivatedBy == portalapi.ManagedByLocal
}

const stayDeactivated = "An administrator deactivated the account in the portal while SCIM was off. It stays deactivated until the identity provider pushes the user again"

// update plans for an account that the user owns.
func update(want Account, have Facts) Plan {
	own := have.Own
	p := Plan{Action: None, Account: own, Differences: differences(want, own)}
	if len(p.Differences) == 0 {
		return p
	}
	if older(want, own) { // an older export replaced the object
		if have.Accepted != own.Owner.Revision {
			p.Action, p.Reason, p.Message = Wait, v1alpha1.ReasonBackupOlder, BackupOlder(want.Namespace, want.Owner.Name, want.Owner.Revision, own.Owner.Revision)
			return p
		}
		want.Owner.Revision = own.Owner.Revision // the portal refuses an older revision, and the provider's next change is newer than both
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

// exceptName plans for an account whose new name another account has. All changes except the name
// are made now: a deactivation, for example, never waits for a name.
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
		p.Message = "The portal has a local account with the new user name. Rename or remove that account, or rename the user in the identity provider"
	case have.Named.Owner.UID == "":
		p.Message = "The account of a user that the provider deleted has the new user name. Rename this user in the identity provider; all other changes are applied"
	default:
		v := nameOfAnotherUser(want.Namespace, have.Named)
		p.Reason, p.Message = v.Reason, v.Message+". All other changes are applied"
	}
	return p
}

// takeOver plans for an account that has the user's name and another owner, or none.
func takeOver(want Account, have Facts, policy Policy) Plan {
	named := have.Named
	p := Plan{Action: Adopt, Account: named, Differences: differences(want, named)}
	v := AccountVerdict(want.Namespace, named, OwnershipOf(named.Owner, want.Owner, have.NamedOwner), policy)
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

// decidedOn returns the write of want with the revision of have, on which it was decided, as the
// precondition. If have is nil, the precondition is that there is no account.
func decidedOn(have *portalapi.Account, want Account) portalapi.AccountWrite {
	w, revision := want.AccountWrite, int64(0)
	if have != nil {
		revision = have.Revision
	}
	w.IfRevision = &revision
	return w
}

// GrantedRoles returns the roles that the account has by a grant: the account's owner added it to a
// pool, and the pool's owner granted the role to the pool (or an administrator, if the pool has no
// owner). pool returns the pool with an id, or nil; the roles of an unknown pool count as granted.
// All roles of a local account count as granted, by administrators.
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

// removes reports whether the change from have to want takes away access, or a granted
// ROLE_MANAGER.
func removes(want Account, have *portalapi.Account, granted []string) bool {
	if have.Status != portalapi.StatusActive {
		return false
	}
	manager := slices.Contains(have.Roles, portalapi.RoleManager) && slices.Contains(granted, portalapi.RoleManager)
	return !want.Active || manager && !slices.Contains(want.Roles, portalapi.RoleManager)
}

// differences lists the fields of have that differ from want, in a fixed order. Roles are not
// compared, because they are derived.
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
