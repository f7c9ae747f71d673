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

// retryMembers is the pause before memberships are decided again that were decided on another
// revision of an account. Meanwhile the change feed delivers the newer revision.
const retryMembers = time.Second

// Changes contains the memberships of a pool in the portal that are not in the desired state.
type Changes struct {
	Join  []*portalapi.Account // accounts that must join, with a grant
	Free  []*portalapi.Account // accounts that leave without the guard, because there is no grant or the account is not active
	Leave []*portalapi.Account // accounts with a grant that must leave: the guard decides about all of them together
	Later int                  // number of granted members whose ScimUser does not exist or is suspended: the user may return under another id
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
// portal. It considers only accounts that a living ScimUser owns; all others are decided with their
// account. ok is false if the snapshot is older than the index of groups.
func MemberChanges(ctx context.Context, pool *v1alpha1.AgentPool, own *portalapi.Pool, c MemberFacts) (changes Changes, ok bool, err error) {
	candidates := c.candidates(pool, own)
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
		wanted := len(groups) > 0 && c.Groups.Contains(groups, a.Owner.Name) || len(declared) > 0 && declared[names.Fold(a.UserName)]
		unknown := false
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
	seen := Seen(own.Pins, p.Groups, p.View.Mirror) // before the changes that follow from it
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
	p.seen = seen
	o := p.change(ctx, own, changes, keeps)
	if o.Ends() || len(p.seen) == 0 {
		return o
	}
	return o.And(p.Call(func() error { return p.putPart(ctx, own, nil) })) // no membership followed from what was seen
}

// change writes the changes of memberships that may be made now.
func (p *scope) change(ctx context.Context, own *portalapi.Pool, changes Changes, keeps bool) pass.Outcome {
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

// changes returns the pool's Changes. keeps is true if no member leaves for now, because its lines,
// one of its groups or its filter is not known.
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
	do := func(ctx context.Context) error { return p.put(ctx, own, items(leave, false)) }
	if p.released.includes(p.pool.Name, removal.Users) { // the rest of what a person released
		p.keepsMark = true
		ctx = portalapi.WithDecidedBy(ctx, p.pool.Annotations[v1alpha1.AnnotationDecidedBy])
		return p.Call(func() error { return do(ctx) })
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
		Dropped: fmt.Sprintf("%d user(s) stay in the pool", len(leave)),
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

// markAfter returns the mark that the record has after the outcome. If a person released the
// removal, the mark stays until all of the removal is carried out, so that no budget applies to the
// rest of it.
func markAfter(a removals.Answer, before *portalapi.Mark, at string) *portalapi.Mark {
	if a.Verdict == sets.Apply {
		return before
	}
	return a.Mark(at)
}

// incomplete returns the time to wait for the rest of a SCIM request that removes more users than
// MinUsers: the webhook stores such a request by several writes, but the guard decides about it as
// one set.
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

// put writes memberships, many in one call. It decides again soon about memberships that were
// decided on another revision of an account.
func (p *scope) put(ctx context.Context, own *portalapi.Pool, all []portalapi.MembershipWrite) error {
	p.nameCauses(all)
	for part := range slices.Chunk(all, portalapi.MaxMemberships) {
		if err := p.putPart(ctx, own, part); err != nil {
			return err
		}
	}
	return nil
}

// putPart writes memberships in one call. The first call of a pass says which revisions of groups
// they follow from.
func (p *scope) putPart(ctx context.Context, own *portalapi.Pool, part []portalapi.MembershipWrite) error {
	seen := p.seen
	p.seen = nil
	results, err := p.View.Client.PutMemberships(ctx, string(p.pool.UID), part, seen)
	if err != nil {
		return fmt.Errorf("write %d memberships: %w", len(part), err)
	}
	p.View.Mirror.PutMemberships(own.ID, part, results)
	p.View.Mirror.PutSeen(own.ID, seen)
	for i, r := range results {
		if r.Outcome != portalapi.MembershipDone && r.Outcome != portalapi.MembershipUnchanged {
			p.again = retryMembers
		} else if part[i].Request != "" {
			p.causes.done(p.pool.Name, p.effects(part[i].AccountID)...)
		}
	}
	return nil
}

// nameCauses sets the id of the SCIM request that causes each item.
func (p *scope) nameCauses(all []portalapi.MembershipWrite) {
	now := p.Clock.Now()
	for i := range all {
		all[i].Request = p.causes.newest(p.pool.Name, now, p.effects(all[i].AccountID)...)
	}
}

// effects returns the effects that can change the account's membership: those of the user and of
// the groups that contain the user.
func (p *scope) effects(accountID string) []string {
	a := p.View.Mirror.Account(accountID)
	if a == nil {
		return nil
	}
	return append(p.Groups.Containing(a.Owner.Name), a.Owner.Name)
}
