// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/scimuser"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/access"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// retryMembers is the pause before memberships are written again that were decided on another
// version of an account: the change feed reports the newer one.
const retryMembers = time.Second

// Changes are the memberships of a pool in the portal that are not in the desired state.
type Changes struct {
	Join  []*portalapi.Account // to join it, with a grant
	Free  []*portalapi.Account // to leave it without the guard: there is no grant, or the account is not active
	Leave []*portalapi.Account // to leave it, with a grant: the guard decides about all of them at once
	Later int                  // granted members whose ScimUser is gone or suspended: the user may return, under another id
}

// None says that all memberships are in the desired state.
func (c Changes) None() bool { return len(c.Join)+len(c.Free)+len(c.Leave) == 0 }

// Users are the names of the ScimUsers whose accounts those are.
func Users(accounts []*portalapi.Account) []string {
	out := make([]string, len(accounts))
	for i, a := range accounts {
		out[i] = a.Owner.Name
	}
	return out
}

// MemberFacts are the inputs from which the members of a pool follow.
type MemberFacts struct {
	Users    client.Reader // ScimUsers, from a cache
	Groups   *groupindex.Index
	Mirror   *mirror.Mirror
	Snapshot *poolindex.Snapshot
}

// MemberChanges compares the desired members of the pool with those of own, its pool in the portal.
// Only accounts count that a living ScimUser owns: the others are decided with the account. ok is
// false when the snapshot is older than the index of groups.
func MemberChanges(ctx context.Context, pool *v1alpha1.AgentPool, own *portalapi.Pool, c MemberFacts) (changes Changes, ok bool, err error) {
	find, err := c.finder(ctx, pool)
	if err != nil {
		return changes, false, err
	}
	for _, a := range c.candidates(pool, own) {
		u, err := find(a.Owner.Name)
		if err != nil {
			return changes, false, err
		}
		in, granted := memberOf(a, own.ID)
		active := in && granted && a.Status == portalapi.StatusActive
		if active && (u == nil || u.Spec.Suspend) {
			changes.Later++
		}
		if u == nil || !decides(u, a, c.Mirror) {
			continue
		}
		may, known := scimuser.Access(u, c.Snapshot, c.Mirror)
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

// decides says whether the user decides about the memberships of the account now.
func decides(u *v1alpha1.ScimUser, a *portalapi.Account, m *mirror.Mirror) bool {
	if u.Spec.Deleted || u.Spec.Suspend || !u.DeletionTimestamp.IsZero() {
		return false
	}
	return string(u.UID) == a.Owner.UID || restored(u, a, m)
}

// restored says whether the user will adopt the account that the same SCIM id had before a restore.
// Such an account counts as a member that leaves already, or a decision about it would be forgotten
// meanwhile.
func restored(u *v1alpha1.ScimUser, a *portalapi.Account, m *mirror.Mirror) bool {
	return a.Owner.Name == u.Name && a.Owner.Binding == m.Binding() && a.Owner.Revision <= u.Spec.Revision
}

// memberOf says whether the account is in the pool, and whether its owner put it there.
func memberOf(a *portalapi.Account, poolID string) (in, granted bool) {
	in = slices.Contains(a.Pools, poolID)
	return in, in && !slices.Contains(a.Ungranted, poolID)
}

// candidates are the accounts, in order of id, whose membership may not be in the desired state.
// For a pool that is filled by groups or lists its members this needs no read of any user.
func (c MemberFacts) candidates(pool *v1alpha1.AgentPool, own *portalapi.Pool) []*portalapi.Account {
	var groups []string
	for _, id := range groupindex.Filling(pool) {
		if g, found := c.Groups.Group(id); found && !g.Deleted {
			groups = append(groups, id)
		}
	}
	declared := map[string]bool{}
	for _, name := range pool.UserNames() {
		declared[names.Fold(name)] = true
	}
	var out []*portalapi.Account
	c.Mirror.EachOwned(func(a *portalapi.Account) {
		in, granted := memberOf(a, own.ID)
		wanted := c.Groups.Contains(groups, a.Owner.Name) || len(declared) > 0 && declared[names.Fold(a.UserName)]
		if in != wanted || in && !granted || pool.Spec.MemberFilter != "" && !wanted {
			out = append(out, a)
		}
	})
	slices.SortFunc(out, func(a, b *portalapi.Account) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// finder finds ScimUsers by name; nil for one that does not exist. A filter needs all users, so
// they are listed once.
func (c MemberFacts) finder(ctx context.Context, pool *v1alpha1.AgentPool) (func(name string) (*v1alpha1.ScimUser, error), error) {
	if pool.Spec.MemberFilter == "" {
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

// LeaveSet is the removal of those accounts from the pool.
func LeaveSet(pool *v1alpha1.AgentPool, own *portalapi.Pool, leave []*portalapi.Account, m *mirror.Mirror) removals.Removal {
	r := removals.Removal{Set: removals.Set(portalapi.RemovalMembers, pool, Users(leave)...), Mark: own.Mark, Pool: own.ID, Members: len(leave)}
	if slices.Contains(provision.Granted(own), portalapi.RoleManager) {
		ids := make([]string, len(leave))
		for i, a := range leave {
			ids[i] = a.ID
		}
		r.Accounts = m.Managing(own.ID, ids)
	}
	return r
}

// members reconciles the members of the pool in the portal: joins and memberships without a grant
// at once, many in one call; the users that must leave as one set that the guard decides about.
func (p *scope) members(ctx context.Context) pass.Outcome {
	own := p.View.Mirror.OwnedPool(string(p.pool.UID))
	if own == nil || own.Default {
		return pass.Next()
	}
	changes, keeps, err := p.changes(ctx, own)
	if err != nil {
		return p.Retry(err)
	}
	if p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly {
		if changes.None() {
			return pass.Next()
		}
		return p.ReportOnly(fmt.Sprintf("Would add %d user(s) to the pool and remove %d", len(changes.Join), len(changes.Free)+len(changes.Leave)))
	}
	if err := p.put(ctx, own, slices.Concat(items(changes.Join, true), items(changes.Free, false))); err != nil {
		return p.Refused(err)
	}
	switch {
	case keeps: // the set of users that leave is not complete, so nothing is decided, and what is held stays held
		p.keepsMark = true
		return pass.Next()
	case p.Answer.Verdict == sets.Hold, p.Answer.Verdict == sets.Keep:
		return pass.Next() // one decision at a time: no user leaves until the one about the pool's role is carried out
	case len(changes.Leave) == 0 && changes.Later > 0 && own.Mark != nil && own.Mark.What == portalapi.RemovalMembers:
		p.keepsMark = true // the decision may be about them
		return pass.Next()
	}
	return p.leave(ctx, own, changes.Leave)
}

// changes are the pool's; keeps: no member leaves for now, as its lines, one of its groups or its
// filter is not known.
func (p *scope) changes(ctx context.Context, own *portalapi.Pool) (_ Changes, keeps bool, _ error) {
	for {
		snapshot, err := p.Pools.Snapshot(ctx, p.View.Mirror)
		if err != nil {
			return Changes{}, false, err
		}
		changes, ok, err := MemberChanges(ctx, p.pool, own, MemberFacts{Users: p.Client, Groups: p.Groups, Mirror: p.View.Mirror, Snapshot: snapshot})
		if ok || err != nil {
			known := snapshot.Pool(p.pool.Name)
			return changes, known == nil || known.Keeps || known.Frozen, err
		}
	}
}

// leave removes those users from the pool, all or none, if the guard or a person allows it.
func (p *scope) leave(ctx context.Context, own *portalapi.Pool, leave []*portalapi.Account) pass.Outcome {
	removal := LeaveSet(p.pool, own, leave, p.View.Mirror)
	do := func() error { return p.put(ctx, own, items(leave, false)) }
	if p.released.includes(p.pool.Name, removal.Users) { // the rest of what a person released
		p.keepsMark = true
		return p.Call(do)
	}
	if wait := p.incomplete(removal); wait > 0 {
		p.keepsMark = true
		return pass.Next().Within(wait)
	}
	o := p.Guarded(ctx, pass.Guarded{
		Removal: removal, Do: do, Held: "; until then the pool gains no role",
		Mark: func(ctx context.Context, a removals.Answer) error {
			return p.mark(ctx, markAfter(a, own.Mark, p.pool.Name))
		},
		Dropped: func(decision string) string {
			return fmt.Sprintf("A person dropped the removal of %d user(s) (%s): they stay in the pool until the identity provider or the AgentPool changes", len(leave), decision)
		},
	})
	switch {
	case o.Refused:
	case p.Answer.Verdict == sets.Nothing:
		p.released.forget(p.pool.Name)
	case p.Answer.Verdict == sets.Apply && p.Answer.Decision != "":
		p.keepsMark = true // until all of them are out
		p.released.note(p.pool.Name, removal.Users)
	}
	return o
}

// markAfter is the mark that the record has after the answer: what a person released keeps it until
// all of it is carried out, so that the rest does not pass by a budget.
func markAfter(a removals.Answer, before *portalapi.Mark, at string) *portalapi.Mark {
	if a.Verdict == sets.Apply {
		return before
	}
	return a.Mark(at)
}

// incomplete is how long to wait for the rest of a request that takes out more users than pass at
// any time: it arrives in several writes, and is one set.
func (p *scope) incomplete(r removals.Removal) time.Duration {
	if len(r.Users) <= removals.MinUsers(p.View.Spec.DeprovisioningGuard) || r.Mark != nil && r.Is(r.Mark.Decision) {
		p.quiet.end(p.pool.Name)
		return 0
	}
	wait := p.quiet.left(p.pool.Name, r.ID(0), p.Clock.Now(), p.Groups.Replaced(groupindex.Filling(p.pool)))
	if wait == 0 {
		p.quiet.end(p.pool.Name)
	}
	return wait
}

func items(accounts []*portalapi.Account, in bool) []portalapi.MembershipWrite {
	out := make([]portalapi.MembershipWrite, len(accounts))
	for i, a := range accounts {
		out[i] = portalapi.MembershipWrite{AccountID: a.ID, IfRevision: a.Revision, In: in}
	}
	return out
}

// put writes memberships, many in one call. What was decided on another version of an account is
// decided again soon.
func (p *scope) put(ctx context.Context, own *portalapi.Pool, all []portalapi.MembershipWrite) error {
	p.nameCauses(all)
	for part := range slices.Chunk(all, portalapi.MaxMemberships) {
		results, err := p.View.Client.PutMemberships(ctx, string(p.pool.UID), part)
		if err != nil {
			return fmt.Errorf("write %d memberships: %w", len(part), err)
		}
		p.View.Mirror.PutMemberships(own.ID, part, results)
		for i, r := range results {
			if r.Outcome != portalapi.MembershipDone && r.Outcome != portalapi.MembershipUnchanged {
				p.again = retryMembers
			} else if part[i].Request != "" {
				p.causes.done(p.pool.Name, p.effects(part[i].AccountID)...)
			}
		}
	}
	return nil
}

// nameCauses notes at each item the SCIM request that it follows from.
func (p *scope) nameCauses(all []portalapi.MembershipWrite) {
	now := p.Clock.Now()
	for i := range all {
		all[i].Request = p.causes.newest(p.pool.Name, now, p.effects(all[i].AccountID)...)
	}
}

// effects are what a request can lead to that writes the account's membership: of the user, and of
// the groups that contain them.
func (p *scope) effects(accountID string) []string {
	a := p.View.Mirror.Account(accountID)
	if a == nil {
		return nil
	}
	return append(p.Groups.Containing(a.Owner.Name), a.Owner.Name)
}
