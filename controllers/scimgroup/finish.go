// SPDX-License-Identifier: Apache-2.0

package scimgroup

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/poolplan"
	"lightrun.com/scim-operator/internal/operator/userplan"
)

// retryFinish is the pause before the next check whether a deleted group's members have left its
// pools.
const retryFinish = time.Second

// waitFor reports what the deletion waits for.
func waitFor(format string, args ...any) pass.Outcome {
	return pass.Wait(retryFinish, conditions.Unknown(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonDeleting, fmt.Sprintf(format, args...)))
}

// Undecided returns a leaf for a group that the provider deleted, if stays, which the AgentPool's
// pool still has, waits for a person: the guard holds a removal in that pool, or a person dropped
// one. It returns nil otherwise.
func Undecided(namespace, agentPool, stays string, record *portalapi.Pool) *conditions.Leaf {
	if record == nil || record.Mark == nil {
		return nil
	}
	id := record.Mark.Decision
	release, drop := shell.Scim(namespace, "release", "agentpool/"+agentPool, "--id", id), shell.Scim(namespace, "drop", "agentpool/"+agentPool, "--id", id)
	l := conditions.False(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonGuardHeld,
		fmt.Sprintf("The provider deleted the group, which keeps %s until a person decides about %s, which the deprovisioning guard holds in AgentPool %s. If this is meant: %s; if it is a mistake: %s", stays, id, agentPool, release, drop))
	if record.Mark.Held() == "" {
		l = conditions.False(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonRemovalDropped,
			fmt.Sprintf("The provider deleted the group, which keeps %s because a person dropped %s in AgentPool %s. To carry that removal out, and then this deletion: %s", stays, id, agentPool, release))
	}
	return &l
}

// writable ends the pass over a deleted group while nothing may be written to the portal: its
// members stay in its pools, and the guard decides about the deletion afterwards.
func (p *scope) writable(context.Context) pass.Outcome {
	switch {
	case p.SCIMOff():
		return pass.Stop(conditions.Unknown(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonSCIMOff, "SCIM is off in the portal's login methods: the members of the deleted group stay in its pools"))
	case p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly:
		return pass.Stop(conditions.False(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonReportOnly, "Would remove the members of the deleted group from its pools"))
	}
	return pass.Next()
}

// dropPool deletes the own pool of a group that the provider deleted; its members lose it together,
// if the guard allows it.
func (p *scope) dropPool(ctx context.Context) pass.Outcome {
	if _, known := p.known(); !known {
		return pass.Quiet(pass.ConflictPause)
	}
	own := p.own()
	if own == nil || own.OwnPoolOf() == "" {
		return pass.Next()
	}
	if own.DeletionTimestamp.IsZero() {
		if err := p.removePool(ctx, own); err != nil {
			return p.Retry(err)
		}
	}
	if l := Undecided(own.Namespace, own.Name, "its own pool", poolplan.Kept(own, p.View.Mirror)); l != nil {
		return pass.Wait(retryFinish, *l)
	}
	return waitFor("The provider deleted the group; its own pool is being released in the portal")
}

// unpinned waits until the status of each pool that the group fills says that the group is deleted.
func (p *scope) unpinned(context.Context) pass.Outcome {
	for i := range p.pools {
		pool := &p.pools[i]
		if pool.DeletionTimestamp.IsZero() && slices.Contains(groupindex.Filling(pool), p.group.Name) {
			return waitFor("The provider deleted the group; AgentPool %s still lists it in status.groups", pool.Name)
		}
	}
	return pass.Next()
}

// left waits until the members have left the pools that the group filled. What the guard stops
// keeps the group as well: the decision may be that it stays.
func (p *scope) left(ctx context.Context) pass.Outcome {
	snapshot, err := p.Pools.Snapshot(ctx, p.View.Mirror)
	if err != nil {
		return p.Retry(err)
	}
	switch dropped, err := p.dropped(ctx, snapshot); {
	case err != nil:
		return p.Retry(err)
	case dropped:
		return p.Undelete(ctx, func(taken string) string {
			return fmt.Sprintf("A person dropped the removals of this group's deletion, but %s has its name now: its members stay in its pools. Rename or delete that group in the identity provider to restore this one", taken)
		})
	}
	waiting, err := p.waiting(ctx, snapshot)
	switch {
	case err != nil:
		return p.Retry(err)
	case waiting == 0:
		return pass.Next()
	}
	for i := range p.pools {
		pool := &p.pools[i]
		if !slices.Contains(p.group.Status.Pools, pool.Name) {
			continue
		}
		if l := Undecided(pool.Namespace, pool.Name, fmt.Sprintf("%d member(s)", waiting), poolplan.Kept(pool, p.View.Mirror)); l != nil {
			return pass.Wait(retryFinish, *l)
		}
	}
	return waitFor("The provider deleted the group; %d member(s) have not left its pools in the portal yet", waiting)
}

// waiting returns the number of members that have not left the pools that the group filled.
func (p *scope) waiting(ctx context.Context, snapshot *poolindex.Snapshot) (int, error) {
	n := 0
	for _, name := range p.Groups.Members(p.group.Name) {
		var u v1alpha1.ScimUser
		err := p.Get(ctx, types.NamespacedName{Namespace: p.group.Namespace, Name: name}, &u)
		if apierrors.IsNotFound(err) || err == nil && (u.Spec.Deleted || u.Spec.Suspend) {
			continue
		}
		if err != nil {
			return 0, err
		}
		if a, _ := userplan.Access(&u, snapshot, p.View.Mirror); userplan.HasPendingRemoval(&u, a, snapshot, p.View.Mirror, p.group.Status.Pools) {
			n++
		}
	}
	return n, nil
}

// dropped reports whether a person dropped a removal that the group's deletion causes in one of its
// pools.
func (p *scope) dropped(ctx context.Context, snapshot *poolindex.Snapshot) (bool, error) {
	m := p.View.Mirror
	if record := m.PoolOf(p.group.Name); record != nil && p.own() == nil && droppedDeletion(record.Mark) {
		return true, nil // the removal of the group's own pool, which stays in the portal
	}
	for i := range p.pools {
		pool := &p.pools[i]
		record := m.OwnedPool(string(pool.UID))
		if record == nil || record.Mark == nil || record.Mark.State != portalapi.MarkDropped || !slices.Contains(p.group.Status.Pools, pool.Name) {
			continue
		}
		changes, _, err := poolplan.MemberChanges(ctx, pool, record, poolplan.MemberFacts{
			Users: p.Client, Groups: p.Groups, Mirror: m, Snapshot: snapshot,
		})
		if err != nil {
			return false, err
		}
		ours := slices.ContainsFunc(changes.Leave, func(a *portalapi.Account) bool { return p.Groups.Contains([]string{p.group.Name}, a.Owner.Name) })
		if ours && poolplan.LeaveSet(pool, record, changes.Leave, m).Is(record.Mark.Decision) {
			return true, nil // the decision is about exactly the users that leave because of the deletion
		}
	}
	return false, nil
}

func droppedDeletion(m *portalapi.Mark) bool {
	return m != nil && m.State == portalapi.MarkDropped && m.What == portalapi.RemovalDeletion
}

// finish removes the slices, releases the name and deletes the object.
func (p *scope) finish(ctx context.Context) pass.Outcome {
	if err := p.Slices.Delete(ctx, p.group.Name); err != nil {
		return p.Retry(fmt.Errorf("delete the group's slices: %w", err))
	}
	return p.Finish(ctx, p.Registry(), v1alpha1.ClaimGroup, "", p.group.Spec.DisplayName)
}
