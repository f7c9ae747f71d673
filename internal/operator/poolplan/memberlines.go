// SPDX-License-Identifier: Apache-2.0

package poolplan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/claims"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/memberlines"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Members is the result of resolving spec.members of a pool.
type Members struct {
	Pinned    bool // the pool has ROLE_MANAGER: its lines are resolved. Otherwise all else is empty
	Lines     []memberlines.Line
	Pins      []v1alpha1.PinnedMember
	Undecided bool // the users that the lines meant before are not known, and a person must accept the current ones
	Open      bool // what the lines meant is not known, and no user has the name of one: a restore may bring that user back
}

// PinnedIDs reports whether the pool's lines of spec.members are resolved to users, and returns the
// SCIM ids of the users that they are pinned to, in the status or in the portal.
func PinnedIDs(pool *v1alpha1.AgentPool, m *mirror.Mirror) (pinned bool, ids []string) {
	before := recordOf(pool, m)
	if !memberlines.Pinned(pool, before) {
		return false, nil
	}
	_, released := releasedPins(pool, before, m)
	for _, pin := range slices.Concat(pool.Status.Members, provision.PinnedMembers(before), released) {
		ids = append(ids, pin.ID)
	}
	return true, ids
}

// ResolveMembers returns the users that the lines of spec.members mean. r reads ScimUsers and
// NameClaims.
func ResolveMembers(ctx context.Context, r client.Reader, pool *v1alpha1.AgentPool, m *mirror.Mirror) (Members, error) {
	before := recordOf(pool, m)
	if !memberlines.Pinned(pool, before) {
		return Members{}, nil
	}
	known := pool.Status.Members
	// A pool that did not have the role when its status was lost had no pins: it gains the role.
	inPortal := provision.PinnedMembers(before)
	had := before != nil && (len(inPortal) > 0 || provision.GrantsManager(before))
	facts := memberlines.Facts{Lost: had && pool.Status.ObservedGeneration == 0, Accepted: idList(pool.Annotations[v1alpha1.AnnotationAcceptMembers])}
	if facts.Lost {
		known = slices.Concat(known, inPortal) // of two pins of one line the first counts
	}
	_, released := releasedPins(pool, before, m)
	known = slices.Concat(known, released)
	users, err := living(ctx, r, pool, known, m)
	if err != nil {
		return Members{}, err
	}
	in, err := inPool(ctx, r, pool.Namespace, before, users, m)
	if err != nil {
		return Members{}, err
	}
	facts.In = func(id string) bool { return in[id] }
	out := Members{Pinned: true}
	out.Lines, out.Pins = memberlines.Resolve(pool.Spec.Members, known, users, facts)
	for _, l := range out.Lines {
		out.Undecided = out.Undecided || facts.Lost && l.State == memberlines.Changed
		out.Open = out.Open || facts.Lost && l.State == memberlines.Absent && l.ID == ""
	}
	return out, nil
}

// living reads the users that the lines of the pool can mean. If the ScimUser of a deleted user was
// gone before this pass, the release of the account shows the deletion.
func living(ctx context.Context, r client.Reader, pool *v1alpha1.AgentPool, pins []v1alpha1.PinnedMember, m *mirror.Mirror) (memberlines.Users, error) {
	users := memberlines.Users{UserNames: make(map[string]string, len(pins)), Deleted: map[string]bool{}, IDs: map[string]string{}}
	lives := make(map[string]bool, len(pins)) // by folded name of the line
	for _, pin := range pins {
		var u v1alpha1.ScimUser
		switch err := r.Get(ctx, client.ObjectKey{Namespace: pool.Namespace, Name: pin.ID}, &u); {
		case apierrors.IsNotFound(err):
			users.Deleted[pin.ID] = m.Released(pin.ID) != 0
		case err != nil:
			return users, fmt.Errorf("get the user of a line of spec.members: %w", err)
		case u.Spec.Deleted:
			users.Deleted[pin.ID] = true
		case !claims.Gone(&u):
			users.UserNames[pin.ID], lives[names.Fold(pin.UserName)] = u.Spec.UserName, true
		}
	}
	registry := claims.Registry{Live: r}
	for _, line := range pool.Spec.Members {
		folded := names.Fold(line.UserName)
		if lives[folded] {
			continue
		}
		owner, err := registry.Owner(ctx, v1alpha1.ClaimUser, pool.Namespace, line.UserName)
		if err != nil {
			return users, fmt.Errorf("find the user of a line of spec.members: %w", err)
		}
		// The claim also belongs to a user who was renamed, while the account has the former name.
		if u, ok := owner.(*v1alpha1.ScimUser); ok && names.Fold(u.Spec.UserName) == folded {
			users.IDs[folded] = u.Name
		}
	}
	return users, nil
}

// inPool returns which of the users who have the name of a line are in the record, the pool in the
// portal, with a grant: by their account, or by the account of their name that they are about to
// adopt, because the ScimUser that owns it does not exist.
func inPool(ctx context.Context, r client.Reader, namespace string, record *portalapi.Pool, users memberlines.Users, m *mirror.Mirror) (map[string]bool, error) {
	in := map[string]bool{}
	if record == nil {
		return in, nil
	}
	for name, id := range users.IDs {
		a := m.AccountOf(id)
		if a == nil {
			if a = m.NamedAccount(name); a == nil || a.Owner.UID == "" {
				continue
			}
			err := r.Get(ctx, client.ObjectKey{Namespace: namespace, Name: a.Owner.Name}, &v1alpha1.ScimUser{})
			if err == nil {
				continue
			}
			if !apierrors.IsNotFound(err) {
				return nil, fmt.Errorf("get the owner of an account: %w", err)
			}
		}
		_, in[id] = memberOf(a, record.ID)
	}
	return in, nil
}

// Asks returns what a person must decide about lines of the pool, and "" if there is nothing.
func (m Members) Asks(pool *v1alpha1.AgentPool) string {
	changed := slices.DeleteFunc(slices.Clone(m.Lines), func(l memberlines.Line) bool { return l.State != memberlines.Changed })
	if len(changed) == 0 {
		return ""
	}
	return changedMessage(pool, changed)
}

// maxAccepted is the maximum number of users in the message of MemberChanged, which has a maximum
// length. The other users follow after a decision about these.
const maxAccepted = 3

// changedMessage asks for a decision about the users of these lines.
func changedMessage(pool *v1alpha1.AgentPool, changed []memberlines.Line) string {
	shown := changed[:min(len(changed), maxAccepted)]
	var all, accepted []string
	for _, l := range shown {
		former := "it is not known which user the line meant"
		if l.Former != "" {
			former = "the line meant ScimUser " + l.Former + ", which is gone"
		}
		all = append(all, fmt.Sprintf("%q is now ScimUser %s (%s)", l.UserName, l.ID, former))
		accepted = append(accepted, l.ID)
	}
	return fmt.Sprintf("%d line(s) of spec.members name a user who may not be the one that they meant, and give that user nothing: %s. To give the lines to these users, remove the lines, apply, and write them again, or run: %s",
		len(changed), strings.Join(all, "; "), shell.Scim(pool.Namespace, "accept", "agentpool/"+pool.Name, "--member", strings.Join(accepted, ",")))
}

// idList returns the ids in the value of an annotation.
func idList(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
}
