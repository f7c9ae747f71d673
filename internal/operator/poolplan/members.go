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
	"lightrun.com/scim-operator/internal/operator/decide/access"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/memberlines"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/removals"
	"lightrun.com/scim-operator/internal/operator/userplan"
)

// Changes contains the memberships of a pool in the portal that are not in the desired state.
type Changes struct {
	Join  []*portalapi.Account // accounts that must join, with a grant
	Free  []*portalapi.Account // accounts that leave without the guard, because there is no grant or the account is not active
	Leave []*portalapi.Account // accounts with a grant that must leave: the guard decides about all of them together
	Later int                  // number of granted members who stay because their ScimUser does not exist or is suspended: the user may return under another id
}

// None reports whether all memberships are in the desired state.
func (c Changes) None() bool { return len(c.Join)+len(c.Free)+len(c.Leave) == 0 }

// Users returns the names of the ScimUsers that own the accounts.
func Users(accounts []*portalapi.Account) []string {
	out := make([]string, len(accounts))
	for i, a := range accounts {
		out[i] = a.Owner.Name
	}
	return out
}

// MemberFacts contains the inputs that the members of a pool follow from.
type MemberFacts struct {
	Users    client.Reader // ScimUsers, from a cache
	Groups   *groupindex.Index
	Mirror   *mirror.Mirror
	Snapshot *poolindex.Snapshot
}

// MemberChanges compares the desired members of the pool with the members of own, its pool in the
// portal. It considers the accounts that a living ScimUser owns, and those that have lost their
// ScimUser and that neither a group nor a line names (leftover); all others are decided with their
// account. ok is false if the snapshot is older than the index of groups.
func MemberChanges(ctx context.Context, pool *v1alpha1.AgentPool, own *portalapi.Pool, c MemberFacts) (changes Changes, ok bool, err error) {
	named := c.namer(pool, own)
	candidates := c.candidates(pool, own, named)
	find, err := c.finder(ctx, pool, len(candidates))
	if err != nil {
		return changes, false, err
	}
	for _, a := range candidates {
		u, err := find(a.Owner.Name)
		if err != nil {
			return changes, false, err
		}
		in, granted := memberOf(a, own.ID)
		active := in && granted && a.Status == portalapi.StatusActive
		if u == nil {
			if err := c.withoutUser(ctx, pool, a, in, active, named, &changes); err != nil {
				return changes, false, err
			}
			continue
		}
		if active && u.Spec.Suspend {
			changes.Later++
		}
		if !decides(u, a, c.Mirror) {
			continue
		}
		may, known := userplan.Access(u, c.Snapshot, c.Mirror)
		if !known {
			return Changes{}, false, nil
		}
		wanted := slices.ContainsFunc(may.Pools, func(m access.Membership) bool { return m.Pool == pool.Name })
		switch ours := string(u.UID) == a.Owner.UID; {
		case !ours && (wanted || !active): // once the user has adopted the account
		case wanted && !granted:
			changes.Join = append(changes.Join, a)
		case wanted || !in:
		case active:
			changes.Leave = append(changes.Leave, a)
		default:
			changes.Free = append(changes.Free, a)
		}
	}
	return changes, true, nil
}

// withoutUser adds to changes what becomes of an account whose ScimUser does not exist.
func (c MemberFacts) withoutUser(ctx context.Context, pool *v1alpha1.AgentPool, a *portalapi.Account, in, active bool, named namer, changes *Changes) error {
	if !in {
		return nil
	}
	left, err := c.leftover(ctx, pool, a, named)
	switch {
	case err != nil:
		return err
	case left && active:
		changes.Leave = append(changes.Leave, a)
	case left:
		changes.Free = append(changes.Free, a)
	case active:
		changes.Later++
	}
	return nil
}

// leftover reports whether the account, which is in the pool and whose ScimUser does not exist,
// must leave the pool, because nothing names it: no group that fills the pool has the SCIM id, and
// no line of spec.members means the user. That is so if a backup of the portal brought a membership
// back that ended since. The groups keep the ids of users whose ScimUsers are lost, so such a user
// stays. So does every member of a pool whose groups are not all known or whose members a filter
// selects, an account of another binding, and an account that a living user is about to adopt.
func (c MemberFacts) leftover(ctx context.Context, pool *v1alpha1.AgentPool, a *portalapi.Account, named namer) (bool, error) {
	known := c.Snapshot.Pool(pool.Name)
	if known == nil || known.Keeps || known.Frozen || pool.Spec.MemberFilter != "" || a.Owner.Binding != c.Mirror.Binding() || named(a, true) {
		return false, nil
	}
	adopts, err := claims.Registry{Live: c.Users}.Owner(ctx, v1alpha1.ClaimUser, pool.Namespace, a.UserName)
	if err != nil {
		return false, fmt.Errorf("find the user who has the name of account %s: %w", a.ID, err)
	}
	return adopts == nil, nil
}

// decides reports whether the memberships of the account follow from this ScimUser now.
func decides(u *v1alpha1.ScimUser, a *portalapi.Account, m *mirror.Mirror) bool {
	if u.Spec.Deleted || u.Spec.Suspend || !u.DeletionTimestamp.IsZero() {
		return false
	}
	return string(u.UID) == a.Owner.UID || restored(u, a, m)
}

// restored reports whether the user will adopt the account that the same SCIM id had before a
// restore. Such an account already counts as a member that leaves. Otherwise a decision about it
// would be lost before the adoption.
func restored(u *v1alpha1.ScimUser, a *portalapi.Account, m *mirror.Mirror) bool {
	return a.Owner.Name == u.Name && a.Owner.Binding == m.Binding() && a.Owner.Revision <= u.Spec.Revision
}

// memberOf reports whether the account is in the pool, and whether its owner added it.
func memberOf(a *portalapi.Account, poolID string) (in, granted bool) {
	in = slices.Contains(a.Pools, poolID)
	return in, in && !slices.Contains(a.Ungranted, poolID)
}

// candidates returns the accounts, in order of id, whose membership may not be in the desired
// state. This needs no read of any user. Those for which a filter has no answer are among them.
func (c MemberFacts) candidates(pool *v1alpha1.AgentPool, own *portalapi.Pool, named namer) []*portalapi.Account {
	var out []*portalapi.Account
	c.Mirror.EachOwned(func(a *portalapi.Account) {
		in, granted := memberOf(a, own.ID)
		wanted, unknown := named(a, in), false
		if !wanted && pool.Spec.MemberFilter != "" {
			match, known := c.Snapshot.Filtered(pool.Name, a.Owner.Name)
			wanted, unknown = match, !known
		}
		if unknown || in != wanted || in && !granted {
			out = append(out, a)
		}
	})
	slices.SortFunc(out, func(a, b *portalapi.Account) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// namer reports whether a group or a line of a pool names the owner of an account. in is whether
// the account is in the pool.
type namer func(a *portalapi.Account, in bool) bool

// namer returns the namer of the pool. A line does not name a user that the provider deleted.
func (c MemberFacts) namer(pool *v1alpha1.AgentPool, own *portalapi.Pool) namer {
	var groups []string
	for _, id := range groupindex.Filling(pool) {
		if g, found := c.Groups.Group(id); found && !g.Deleted {
			groups = append(groups, id)
		}
	}
	by := memberlines.DeclaredBy(pool, own)
	declared, open, ids := folded(by.Names), folded(by.Open), map[string]bool{}
	for _, id := range by.IDs {
		ids[id] = true
	}
	for _, id := range by.Left {
		delete(ids, id)
	}
	return func(a *portalapi.Account, in bool) bool {
		return len(groups) > 0 && c.Groups.Contains(groups, a.Owner.Name) || ids[a.Owner.Name] || len(declared) > 0 && declared[names.Fold(a.UserName)] ||
			in && len(open) > 0 && open[names.Fold(a.UserName)]
	}
}

// folded returns a set of the folded user names.
func folded(userNames []string) map[string]bool {
	out := make(map[string]bool, len(userNames))
	for _, name := range userNames {
		out[names.Fold(name)] = true
	}
	return out
}

// listAbove is the maximum number of users that are read one by one. If there are more, all users
// are listed once, without copies.
const listAbove = 1000

// finder finds n ScimUsers by name; nil for one that does not exist.
func (c MemberFacts) finder(ctx context.Context, pool *v1alpha1.AgentPool, n int) (func(name string) (*v1alpha1.ScimUser, error), error) {
	if pool.Spec.MemberFilter == "" || n <= listAbove {
		return func(name string) (*v1alpha1.ScimUser, error) {
			var u v1alpha1.ScimUser
			err := c.Users.Get(ctx, client.ObjectKey{Namespace: pool.Namespace, Name: name}, &u)
			switch {
			case apierrors.IsNotFound(err):
				return nil, nil
			case err != nil:
				return nil, fmt.Errorf("get the owner of an account: %w", err)
			}
			return &u, nil
		}, nil
	}
	var list v1alpha1.ScimUserList
	if err := c.Users.List(ctx, &list, client.InNamespace(pool.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	all := make(map[string]*v1alpha1.ScimUser, len(list.Items))
	for i := range list.Items {
		all[list.Items[i].Name] = &list.Items[i]
	}
	return func(name string) (*v1alpha1.ScimUser, error) { return all[name], nil }, nil
}

// LeaveSet returns the removal of these accounts from the pool.
func LeaveSet(pool *v1alpha1.AgentPool, own *portalapi.Pool, leave []*portalapi.Account, m *mirror.Mirror) removals.Removal {
	r := removals.Removal{Set: removals.Set(portalapi.RemovalMembers, pool, Users(leave)...), Mark: own.Mark, Pool: own.ID, Members: len(leave)}
	if provision.GrantsManager(own) {
		ids := make([]string, len(leave))
		for i, a := range leave {
			ids[i] = a.ID
		}
		r.Accounts = m.Managing(own.ID, ids)
	}
	return r
}
