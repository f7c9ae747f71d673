// SPDX-License-Identifier: Apache-2.0

// Package memberlines decides which users the lines of AgentPool.spec.members mean. In a pool with
// ROLE_MANAGER a line is resolved once, to the SCIM id of a user, so that a name that the identity
// provider gives to another user makes no manager. In all other pools the name decides. The package
// is pure: the pool's reconciler, `kubectl scim plan` and the tests gather the users and call the
// same functions.
package memberlines

import (
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
)

// Users contains the users that lines can mean. A living user has a ScimUser, and the provider has
// not deleted the user.
type Users struct {
	UserNames map[string]string // user names of living users, by SCIM id
	Deleted   map[string]bool   // SCIM ids of the users that the provider deleted, as their ScimUsers or the portal show
	IDs       map[string]string // SCIM ids of the living users who have the claim on a name, by folded name
}

// Named returns the SCIM id of the living user who has the name, and "" if there is none.
func (u Users) Named(userName string) string { return u.IDs[names.Fold(userName)] }

// Facts contains the inputs of Resolve, except the lines, their pins and the users.
type Facts struct {
	// Lost is true if the pool has the role in the portal, but its status does not have the users
	// that its lines meant, for example after a restore. Then a line without a pin means a user who
	// is in the pool in the portal. Any other user needs a decision.
	Lost bool
	// In reports whether the user with this SCIM id is in the pool in the portal, with a grant.
	In func(id string) bool
	// Accepted contains the SCIM ids of the users that a person accepted.
	Accepted []string
}

// State is the result of resolving a line. A greater one is worse.
type State int

const (
	Resolved State = iota // it means a living user
	Renamed               // it means a living user who was renamed since
	Absent                // no living user has the name, and the user that it meant is gone, if it meant one
	Changed               // a user has the name who may not be the one that it meant: a person must accept that user
)

// Line is a line of spec.members, resolved or not.
type Line struct {
	UserName string
	State    State
	ID       string // the user that the line means; with Changed: the user who has the name
	Former   string // with Changed: the user that the line meant; empty if that is not known
}

// Resolve returns the users that the lines mean. A line is resolved once, to the user who has the
// name then: while that user lives, the line means that user, also if a rename gave the name to
// another one. The pin stays when that user is gone, so a user who returns has the line again. If
// it is not known that the provider deleted that user, the line means the user who has the name, if
// that one is in the pool in the portal: a lost ScimUser that is pushed again has another id, and
// adopts its account. Otherwise a person decides about the user who has the name. The caller
// replaces its pins by the returned ones.
func Resolve(lines []v1alpha1.PoolMember, pins []v1alpha1.PinnedMember, users Users, f Facts) (resolved []Line, now []v1alpha1.PinnedMember) {
	byName := index(pins)
	for _, l := range lines {
		pin := byName[names.Fold(l.UserName)]
		pin.UserName = l.UserName
		line := resolve(&pin, users, f)
		resolved = append(resolved, line)
		if pin.ID != "" {
			now = append(now, pin)
		}
	}
	return resolved, now
}

// resolve resolves the line of the pin, and changes the pin. If the pin has no id, the line is not
// resolved yet.
func resolve(pin *v1alpha1.PinnedMember, users Users, f Facts) Line {
	line := Line{UserName: pin.UserName}
	if name, lives := users.UserNames[pin.ID]; pin.ID != "" && lives {
		if line.ID, pin.Gone = pin.ID, ""; names.Fold(name) != names.Fold(pin.UserName) {
			line.State = Renamed
		}
		return line
	}
	switch {
	case pin.ID == "":
	case users.Deleted[pin.ID]:
		pin.Gone = v1alpha1.MemberDeleted
	case pin.Gone != v1alpha1.MemberDeleted:
		pin.Gone = v1alpha1.MemberMissing
	}
	named := users.Named(pin.UserName)
	if named == "" {
		line.State = Absent
		return line
	}
	// Objects that were lost can come back under other SCIM ids, and adopt their accounts.
	unknown := pin.Gone == v1alpha1.MemberMissing || pin.ID == "" && f.Lost
	asks := pin.ID != "" || f.Lost
	if asks && (!unknown || !f.In(named)) && !slices.Contains(f.Accepted, named) {
		line.State, line.ID, line.Former = Changed, named, pin.ID
		return line
	}
	line.ID, pin.ID, pin.Gone = named, named, ""
	return line
}

// index returns the pins by folded user name. Of two pins of one line the first counts.
func index(pins []v1alpha1.PinnedMember) map[string]v1alpha1.PinnedMember {
	out := make(map[string]v1alpha1.PinnedMember, len(pins))
	for _, p := range pins {
		if folded := names.Fold(p.UserName); out[folded].ID == "" {
			out[folded] = p
		}
	}
	return out
}

// Pinned reports whether the lines of the pool are resolved to users, because it grants
// ROLE_MANAGER or is about to. record is its pool in the portal; nil if there is none.
func Pinned(pool *v1alpha1.AgentPool, record *portalapi.Pool) bool {
	return slices.Contains(pool.Spec.Roles, portalapi.RoleManager) || slices.Contains(pool.Status.Roles, portalapi.RoleManager) ||
		record != nil && provision.GrantsManager(record)
}

// Settled reports whether status.members is about the lines of the pool's current generation.
func Settled(pool *v1alpha1.AgentPool, record *portalapi.Pool) bool {
	return pool.Status.ObservedGeneration == pool.Generation || len(pool.Spec.Members) == 0 || !Pinned(pool, record)
}

// Declared contains the users that spec.members puts into a pool.
type Declared struct {
	Names []string // user names, in a pool without ROLE_MANAGER
	IDs   []string // SCIM ids of the users that lines mean
	// Left contains the IDs of users that the provider deleted. A user who returns with the id has
	// the line again.
	Left []string
	// Open contains the user names of lines that are not resolved yet, or whose user is missing.
	// Such a line adds no user who has the name. One who is in the pool already stays.
	Open []string
}

// DeclaredBy returns the users that spec.members puts into the pool. record is its pool in the
// portal; nil if there is none.
func DeclaredBy(pool *v1alpha1.AgentPool, record *portalapi.Pool) (d Declared) {
	if !Pinned(pool, record) {
		d.Names = pool.UserNames()
		return d
	}
	pins := index(pool.Status.Members)
	for _, l := range pool.Spec.Members {
		pin := pins[names.Fold(l.UserName)]
		if pin.ID != "" {
			d.IDs = append(d.IDs, pin.ID)
			if pin.Gone == v1alpha1.MemberDeleted {
				d.Left = append(d.Left, pin.ID)
			}
		}
		if pin.ID == "" || pin.Gone == v1alpha1.MemberMissing {
			d.Open = append(d.Open, l.UserName)
		}
	}
	return d
}
