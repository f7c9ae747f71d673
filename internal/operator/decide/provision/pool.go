// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
)

// PoolFacts contains the facts about a pool in the portal and the cluster.
type PoolFacts struct {
	Namespace string          // the namespace of the AgentPool. The commands in messages name it
	Own       *portalapi.Pool // the pool owned by this AgentPool; nil if there is none
	Named     *portalapi.Pool // the pool with the wanted name, or the default pool for AgentPool/default; nil if there is none
	Adopt     string          // the id of the pool that spec.adopt names; empty if there is none
	Adopted   *portalapi.Pool // the pool with that id; nil if there is none
	Owner     Presence        // presence of the AgentPool that owns Adopted; if Adopted is nil, of the one that owns Named
}

// PoolPlan is the next step for one pool.
type PoolPlan struct {
	Action  Action
	Pool    *portalapi.Pool // the pool to change; nil if the plan creates one
	Write   portalapi.PoolWrite
	Reason  string // for Wait, and for an Update that does not change the name: a condition reason of v1alpha1
	Message string // with Reason: the problem and what to do
	// LosesManager is true if the change takes a granted ROLE_MANAGER from all users of the pool.
	// The deprovisioning guard counts them.
	LosesManager bool
}

// WantPool returns the pool that an AgentPool declares.
func WantPool(p *v1alpha1.AgentPool) portalapi.PoolWrite {
	return portalapi.PoolWrite{
		Owner:   portalapi.Owner{UID: string(p.UID), Name: p.Name, Revision: p.Generation},
		Default: p.Name == v1alpha1.DefaultName,
		Name:    p.PortalName(), Description: p.Spec.Description, Roles: RoleNames(p.Spec.Roles),
		Pins: pins(&p.Status),
	}
}

// memberLine is the beginning of the line of a portal's pin that is about spec.members. All other
// pins are about spec.groups.
const memberLine = "userName "

// pins converts the AgentPool's pinned groups and members to the portal's form.
func pins(s *v1alpha1.AgentPoolStatus) (out []portalapi.Pin) {
	for _, p := range s.Groups {
		out = append(out, portalapi.Pin{Line: line(p.GroupReference), ID: p.Group, Deleted: p.Deleted})
	}
	for _, p := range s.Members {
		out = append(out, portalapi.Pin{Line: memberLine + p.UserName, ID: p.ID, Deleted: p.Gone == v1alpha1.MemberDeleted})
	}
	return out
}

// PinnedMembers returns the pins of spec.members of the pool in the portal, which may be nil.
func PinnedMembers(have *portalapi.Pool) (out []v1alpha1.PinnedMember) {
	if have == nil {
		return nil
	}
	for _, p := range have.Pins {
		if name, ok := strings.CutPrefix(p.Line, memberLine); ok {
			out = append(out, pinnedMember(name, p))
		}
	}
	return out
}

// Pinned returns the pins of spec.groups of the pool in the portal, which may be nil.
func Pinned(have *portalapi.Pool) (out []v1alpha1.PinnedGroup) {
	if have == nil {
		return nil
	}
	for _, p := range have.Pins {
		if !strings.HasPrefix(p.Line, memberLine) {
			out = append(out, v1alpha1.PinnedGroup{GroupReference: reference(p.Line), Group: p.ID, Deleted: p.Deleted})
		}
	}
	return out
}

// ReleasedPins returns what the lines of the spec meant when an AgentPool with the same name and
// the same lines had a pool, by the pins that the portal kept since. A line that was written in
// another way, also in another case, has no pin.
func ReleasedPins(spec *v1alpha1.AgentPoolSpec, kept []portalapi.Pin) (groups []v1alpha1.PinnedGroup, members []v1alpha1.PinnedMember) {
	if len(kept) == 0 {
		return nil, nil
	}
	byLine := make(map[string]portalapi.Pin, len(kept))
	for _, p := range kept {
		byLine[p.Line] = p
	}
	for _, ref := range spec.Groups {
		if p, ok := byLine[portalapi.LineDigest(line(ref))]; ok {
			groups = append(groups, v1alpha1.PinnedGroup{GroupReference: ref, Group: p.ID, Deleted: p.Deleted})
		}
	}
	for _, l := range spec.Members {
		if p, ok := byLine[portalapi.LineDigest(memberLine+l.UserName)]; ok {
			members = append(members, pinnedMember(l.UserName, p))
		}
	}
	return groups, members
}

func pinnedMember(userName string, p portalapi.Pin) v1alpha1.PinnedMember {
	pin := v1alpha1.PinnedMember{UserName: userName, ID: p.ID}
	if p.Deleted {
		pin.Gone = v1alpha1.MemberDeleted
	}
	return pin
}

// line returns a group reference in the form of a portal's pin.
func line(r v1alpha1.GroupReference) string {
	switch {
	case r.DisplayName != "":
		return "displayName " + r.DisplayName
	case r.ExternalID != "":
		return "externalId " + r.ExternalID
	}
	return "id " + r.ID
}

// reference returns the group reference of a portal's pin. It is the inverse of line.
func reference(line string) v1alpha1.GroupReference {
	switch by, value, _ := strings.Cut(line, " "); by {
	case "displayName":
		return v1alpha1.GroupReference{DisplayName: value}
	case "externalId":
		return v1alpha1.GroupReference{ExternalID: value}
	default:
		return v1alpha1.GroupReference{ID: value}
	}
}

// RoleNames returns roles in the portal's form, sorted. An absent list and an empty one both give
// an empty list.
func RoleNames(roles []v1alpha1.Role) []string {
	out := make([]string, len(roles))
	for i, r := range roles {
		out[i] = string(r)
	}
	slices.Sort(out)
	return out
}

// Granted returns the roles that the pool's owner granted to the pool. If the pool has no owner, it
// returns all roles of the pool, which administrators granted in the portal.
func Granted(p *portalapi.Pool) []string {
	out := []string{}
	for _, r := range p.Roles {
		if !slices.Contains(p.Ungranted, r) {
			out = append(out, r)
		}
	}
	return out
}

// ComputePool returns the step that brings the pool to want.
func ComputePool(want portalapi.PoolWrite, have PoolFacts) PoolPlan {
	switch {
	case have.Own != nil:
		return updatePool(want, have)
	case have.Adopt != "" && have.Adopted == nil:
		return waitForPool(nil, v1alpha1.ReasonAdoptRefused, fmt.Sprintf("The portal has no pool %q, which spec.adopt names. Correct spec.adopt, or remove it", have.Adopt))
	case have.Adopt != "" && have.Named != nil && have.Named.ID != have.Adopt:
		return waitForPool(have.Named, v1alpha1.ReasonAdoptRefused, fmt.Sprintf("spec.adopt names the pool %q and the portal has another one with the name %q. Rename one of the two", have.Adopted.Name, want.Name))
	case have.Adopt != "":
		return takeOverPool(have.Namespace, want, have.Adopted, have.Owner, true)
	case have.Named != nil:
		return takeOverPool(have.Namespace, want, have.Named, have.Owner, false)
	}
	return PoolPlan{Action: Create, Write: poolDecidedOn(nil, want)}
}

func waitForPool(p *portalapi.Pool, reason, message string) PoolPlan {
	return PoolPlan{Action: Wait, Pool: p, Reason: reason, Message: message}
}

// takeOverPool plans for a pool that the AgentPool does not own, by the ownership table.
func takeOverPool(namespace string, want portalapi.PoolWrite, have *portalapi.Pool, owner Presence, chosen bool) PoolPlan {
	v := PoolVerdict(namespace, have, OwnershipOf(have.Owner, want.Owner, owner), want.Default, chosen)
	if !v.Adopt && v.Reason == v1alpha1.ReasonConsentRequired {
		v.Message += ". To take it over: " + consentCommand(namespace, want, have)
	}
	if !v.Adopt {
		return waitForPool(have, v.Reason, v.Message)
	}
	if want.Default {
		want.Name = have.Name
	}
	want.Adopt = &portalapi.Adopt{ID: have.ID, OwnerUID: have.Owner.UID}
	return PoolPlan{Action: Adopt, Pool: have, Write: poolDecidedOn(have, want), LosesManager: LosesManager(want, have)}
}

// consentCommand returns the command by which a person consents to the adoption. It also sets
// displayName: after the command, a group's own pool counts as declared by an administrator, and
// the default name of such a pool is the object's name.
func consentCommand(namespace string, want portalapi.PoolWrite, have *portalapi.Pool) string {
	patch, _ := json.Marshal(map[string]any{"spec": map[string]string{"displayName": want.Name, "adopt": have.ID}}) // cannot fail: strings only
	return shell.Command("kubectl", "patch", "agentpool", want.Owner.Name, "-n", namespace, "--type", "merge", "-p", string(patch))
}

// updatePool plans for a pool that the AgentPool owns. A conflict about the new name delays only
// the name: all other changes, such as the removal of roles, are made at once.
func updatePool(want portalapi.PoolWrite, have PoolFacts) PoolPlan {
	own := have.Own
	p := PoolPlan{Action: None, Pool: own}
	switch {
	case want.Default:
		want.Name = own.Name // the portal decides it
	case own.Default:
		v := PoolVerdict(have.Namespace, own, SameUID, false, false)
		return waitForPool(own, v.Reason, v.Message)
	case have.Named != nil && have.Named.ID != own.ID:
		p.Reason, p.Message = nameInTheWay(have.Namespace, want, have.Named)
		want.Name = own.Name
	}
	if have.Adopt != "" && have.Adopt != own.ID {
		p.Reason = v1alpha1.ReasonAdoptRefused
		p.Message = fmt.Sprintf("This AgentPool manages the pool %s already and can't adopt %s too. Remove spec.adopt", own.ID, have.Adopt)
	}
	switch {
	case !samePool(want, own):
		p.Action, p.Write, p.LosesManager = Update, poolDecidedOn(own, want), LosesManager(want, own)
	case p.Reason != "":
		p.Action = Wait
	}
	return p
}

// nameInTheWay returns why a pool can't take the name of another one.
func nameInTheWay(namespace string, want portalapi.PoolWrite, other *portalapi.Pool) (reason, message string) {
	switch {
	case other.Default:
		v := PoolVerdict(namespace, other, Unowned, false, false)
		return v.Reason, v.Message
	case other.Owner.UID != "":
		v := PoolVerdict(namespace, other, Others, false, false)
		return v.Reason, v.Message + "; all other changes are applied"
	}
	return v1alpha1.ReasonPoolExists, fmt.Sprintf("The portal has another pool with the name %q. Rename one of the two, or delete the other pool in the portal; all other changes are applied", want.Name)
}

// poolDecidedOn returns want with the revision of have, on which it was decided, as the
// precondition. If have is nil, the precondition is that there is no pool.
func poolDecidedOn(have *portalapi.Pool, want portalapi.PoolWrite) portalapi.PoolWrite {
	var revision int64
	if have != nil {
		revision = have.Revision
	}
	want.IfRevision = &revision
	return want
}

func samePool(want portalapi.PoolWrite, have *portalapi.Pool) bool {
	return want.Name == have.Name && want.Description == have.Description && slices.Equal(want.Roles, have.Roles) && samePins(want.Pins, have.Pins) && len(have.Ungranted) == 0
}

// samePins compares pins without revisions, which the portal never lowers.
func samePins(a, b []portalapi.Pin) bool {
	return slices.EqualFunc(a, b, func(a, b portalapi.Pin) bool {
		a.Revision, b.Revision = 0, 0
		return a == b
	})
}

// GrantsManager reports whether the pool grants ROLE_MANAGER and the operator granted it.
func GrantsManager(p *portalapi.Pool) bool {
	return slices.Contains(Granted(p), portalapi.RoleManager)
}

// LosesManager reports whether the write takes a granted ROLE_MANAGER from the pool.
func LosesManager(want portalapi.PoolWrite, have *portalapi.Pool) bool {
	return GrantsManager(have) && !slices.Contains(want.Roles, portalapi.RoleManager)
}
