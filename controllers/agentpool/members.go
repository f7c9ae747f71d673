// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	sets "lightrun.com/scim-operator/internal/operator/decide/guard"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/removals"
)

// retryMembers is the pause before memberships are decided again that were decided on another
// revision of an account. Meanwhile the change feed delivers the newer revision.
const retryMembers = time.Second

// members reconciles the members of the pool in the portal: joins and memberships without a grant
// at once, many in one call; the users that must leave as one set that the guard decides about.
func (p *scope) members(ctx context.Context) pass.Outcome {
	own := p.View.Mirror.OwnedPool(string(p.pool.UID))
	if own == nil || own.Default {
		return pass.Next()
	}
	seen := poolplan.Seen(own.Pins, p.Groups, p.View.Mirror) // before the changes that follow from it
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
func (p *scope) change(ctx context.Context, own *portalapi.Pool, changes poolplan.Changes, keeps bool) pass.Outcome {
	if err := p.put(ctx, own, slices.Concat(items(changes.Join, true), items(changes.Free, false))); err != nil {
		return p.Refused(err)
	}
	switch {
	case keeps: // the set of users that leave is not complete, so nothing is decided, and what is held stays held
		p.keepsMark = true
		return pass.Next()
	case p.Removal.Verdict == sets.Hold, p.Removal.Verdict == sets.Keep:
		return pass.Next() // one decision at a time: no user leaves until the one about the pool's role is carried out
	case len(changes.Leave) == 0 && changes.Later > 0 && own.Mark != nil && own.Mark.What == portalapi.RemovalMembers:
		p.keepsMark = true // the decision may be about them
		return pass.Next()
	}
	return p.leave(ctx, own, changes.Leave)
}

// changes returns the pool's Changes. keeps is true if no member leaves for now, because its lines,
// one of its groups or its filter is not known. While the cache is behind the pins that this pass
// wrote, there is no change and p.behind is set: an event of that write triggers the next pass.
func (p *scope) changes(ctx context.Context, own *portalapi.Pool) (_ poolplan.Changes, keeps bool, _ error) {
	for invalidated := false; ; {
		snapshot, err := p.Pools.Snapshot(ctx, p.View.Mirror)
		if err != nil {
			return poolplan.Changes{}, false, err
		}
		if p.behind = !snapshot.Observed(p.pool); p.behind && !invalidated {
			p.Pools.Invalidate() // it may be older than the cache
			invalidated = true
			continue
		} else if p.behind {
			return poolplan.Changes{}, true, nil
		}
		changes, ok, err := poolplan.MemberChanges(ctx, p.pool, own, poolplan.MemberFacts{Users: p.Client, Groups: p.Groups, Mirror: p.View.Mirror, Snapshot: snapshot})
		if ok || err != nil {
			known := snapshot.Pool(p.pool.Name)
			return changes, known == nil || known.Keeps || known.Frozen, err
		}
	}
}

// leave removes the users from the pool, all or none, if the guard or an administrator allows it.
func (p *scope) leave(ctx context.Context, own *portalapi.Pool, leave []*portalapi.Account) pass.Outcome {
	removal := poolplan.LeaveSet(p.pool, own, leave, p.View.Mirror)
	do := func(ctx context.Context) error { return p.put(ctx, own, items(leave, false)) }
	if p.released.includes(p.pool.Name, removal.Users) { // the rest of a removal that an administrator released
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
		Mark: func(ctx context.Context, a removals.Outcome) error {
			return p.mark(ctx, markAfter(a, own.Mark, p.pool.Name))
		},
		Dropped: fmt.Sprintf("%d user(s) stay in the pool", len(leave)),
	})
	switch {
	case o.Refused:
	case p.Removal.Verdict == sets.Nothing:
		p.released.forget(p.pool.Name)
	case p.Removal.Verdict == sets.Apply && p.Removal.Decision != "":
		p.keepsMark = true // until all of them are out
		p.released.note(p.pool.Name, removal.Users)
	}
	return o
}

// markAfter returns the mark that the record has after the outcome. If an administrator released
// the removal, the mark stays until all of the removal is carried out, so that no budget applies to
// the rest of it.
func markAfter(a removals.Outcome, before *portalapi.Mark, at string) *portalapi.Mark {
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
		p.settling.reset(p.pool.Name)
		return 0
	}
	wait := p.settling.remaining(p.pool.Name, r.ID(0), p.Clock.Now(), p.Groups.ReplacementsComplete(groupindex.Filling(p.pool)))
	if wait == 0 {
		p.settling.reset(p.pool.Name)
	}
	return wait
}

func items(accounts []*portalapi.Account, in bool) []portalapi.MembershipWrite {
	out := make([]portalapi.MembershipWrite, len(accounts))
	for i, a := range accounts {
		out[i] = portalapi.MembershipWrite{AccountID: a.ID, IfRevision: a.Revision, Add: in}
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
