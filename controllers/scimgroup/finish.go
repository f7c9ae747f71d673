// SPDX-License-Identifier: Apache-2.0

package scimgroup

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/agentpool"
	"lightrun.com/scim-operator/controllers/scimuser"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
)

// retryFinish is the pause before the next check whether a deleted group's members have left its
// pools.
const retryFinish = time.Second

// waitFor reports what the deletion waits for.
func (p *scope) waitFor(format string, args ...any) (bool, error) {
	p.leaf(conditions.Unknown(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonDeleting, fmt.Sprintf(format, args...)))
	p.result.RequeueAfter = retryFinish
	return true, nil
}

// waitForPerson reports the decision that the deletion waits for.
func (p *scope) waitForPerson(l conditions.Leaf) (bool, error) {
	p.leaf(l)
	p.result.RequeueAfter = retryFinish
	return true, nil
}

// Undecided returns a leaf for a group that the provider deleted, if stays, which the AgentPool's
// pool still has, waits for a person: the guard holds a removal in that pool, or a person dropped
// one. It returns nil otherwise.
func Undecided(agentPool, stays string, record *portalapi.Pool) *conditions.Leaf {
	if record == nil || record.Mark == nil {
		return nil
	}
	id := record.Mark.Decision
	release, drop := fmt.Sprintf("kubectl scim release agentpool/%s --id %s", agentPool, id), fmt.Sprintf("kubectl scim drop agentpool/%s --id %s", agentPool, id)
	l := conditions.False(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonGuardHeld,
		fmt.Sprintf("The provider deleted the group; %s stays until a person decides about %s, which the deprovisioning guard holds in AgentPool %s. If this is meant: %s; if it is a mistake: %s", stays, id, agentPool, release, drop))
	if record.Mark.Held() == "" {
		l = conditions.False(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonRemovalDropped,
			fmt.Sprintf("The provider deleted the group; %s stays because a person dropped %s in AgentPool %s. To carry that removal out, and then this deletion: %s", stays, id, agentPool, release))
	}
	return &l
}

// later ends the pass over a deleted group while nothing may be written to the portal. Its members
// stay in its pools, and the guard decides about the deletion later.
func (p *scope) later(ctx context.Context) (bool, error) {
	ending, err := pass.NamespaceEnding(ctx, p.Live, p.group.Namespace)
	if p.view.Unknown || ending || err != nil {
		p.silent = err == nil
		return true, err
	}
	if a := pass.Release(p.view); a.Stop {
		p.silent = a.Silent
		if a.Leaf != nil {
			p.leaf(conditions.Unknown(v1alpha1.ConditionPoolsResolved, a.Leaf.Reason, a.Leaf.Message))
		}
		return true, nil
	}
	switch {
	case pass.SCIMOff(p.view):
		p.leaf(conditions.Unknown(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonSCIMOff, "SCIM is off in the portal's login methods: the members of the deleted group stay in its pools"))
		return true, nil
	case p.view.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly:
		p.leaf(conditions.False(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonReportOnly, "Would remove the members of the deleted group from its pools"))
		return true, nil
	}
	return false, nil
}

// dropPool deletes the own pool of a group that the provider deleted. Its members lose the pool
// together, if the guard allows it.
func (p *scope) dropPool(ctx context.Context) (bool, error) {
	if _, known := p.known(); !known || p.view.Unknown {
		p.silent, p.result.RequeueAfter = true, conflictPause
		return true, nil
	}
	own := p.own()
	if own == nil || own.OwnPoolOf() == "" {
		return false, nil
	}
	if own.DeletionTimestamp.IsZero() {
		if err := p.removePool(ctx, own); err != nil {
			return true, err
		}
	}
	if l := Undecided(own.Name, "its own pool", agentpool.Kept(own, p.view.Mirror)); l != nil {
		return p.waitForPerson(*l)
	}
	return p.waitFor("The provider deleted the group; its own pool is being released in the portal")
}

// unpinned waits until the status of each pool that the group fills shows that the group is
// deleted.
func (p *scope) unpinned(context.Context) (bool, error) {
	for i := range p.pools {
		pool := &p.pools[i]
		if pool.DeletionTimestamp.IsZero() && slices.Contains(groupindex.Filling(pool), p.group.Name) {
			return p.waitFor("The provider deleted the group; AgentPool %s still lists it in status.groups", pool.Name)
		}
	}
	return false, nil
}

// left waits until the members have left the pools that the group filled. While the guard holds
// that, the group stays too, because a person may decide that it is not deleted.
func (p *scope) left(ctx context.Context) (bool, error) {
	snapshot, err := p.Pools.Snapshot(ctx, p.view.Mirror)
	if err != nil {
		return true, err
	}
	switch dropped, err := p.dropped(ctx, snapshot); {
	case err != nil:
		return true, err
	case dropped:
		return true, p.undelete(ctx)
	}
	waiting := 0
	for _, name := range p.Groups.Members(p.group.Name) {
		var u v1alpha1.ScimUser
		err := p.Get(ctx, types.NamespacedName{Namespace: p.group.Namespace, Name: name}, &u)
		if apierrors.IsNotFound(err) || err == nil && (u.Spec.Deleted || u.Spec.Suspend) {
			continue
		}
		if err != nil {
			return true, err
		}
		if a, _ := scimuser.Access(&u, snapshot, p.view.Mirror, p.Attributes); scimuser.Stays(&u, a, snapshot, p.view.Mirror, p.group.Status.Pools) {
			waiting++
		}
	}
	if waiting > 0 {
		for i := range p.pools {
			pool := &p.pools[i]
			if !slices.Contains(p.group.Status.Pools, pool.Name) {
				continue
			}
			if l := Undecided(pool.Name, fmt.Sprintf("%d member(s)", waiting), agentpool.Kept(pool, p.view.Mirror)); l != nil {
				return p.waitForPerson(*l)
			}
		}
		return p.waitFor("The provider deleted the group; %d member(s) have not left its pools in the portal yet", waiting)
	}
	return false, nil
}

// dropped reports whether a person dropped a removal that the group's deletion causes in one of its
// pools.
func (p *scope) dropped(ctx context.Context, snapshot *poolindex.Snapshot) (bool, error) {
	m := p.view.Mirror
	if record := m.PoolOf(p.group.Name); record != nil && p.own() == nil && droppedDeletion(record.Mark) {
		return true, nil // the removal of the group's own pool, which stays in the portal
	}
	for i := range p.pools {
		pool := &p.pools[i]
		record := m.OwnedPool(string(pool.UID))
		if record == nil || record.Mark == nil || record.Mark.State != portalapi.MarkDropped || !slices.Contains(p.group.Status.Pools, pool.Name) {
			continue
		}
		changes, _, err := agentpool.MemberChanges(ctx, pool, record, agentpool.MemberFacts{
			Users: p.Client, Groups: p.Groups, Mirror: m, Snapshot: snapshot, Attributes: p.Attributes,
		})
		if err != nil {
			return false, err
		}
		ours := slices.ContainsFunc(changes.Leave, func(a *portalapi.Account) bool { return p.Groups.Contains([]string{p.group.Name}, a.Owner.Name) })
		if ours && agentpool.LeaveSet(pool, record, changes.Leave, m).Is(record.Mark.Decision) {
			return true, nil // the decision is about exactly the users that leave because of the deletion
		}
	}
	return false, nil
}

func droppedDeletion(m *portalapi.Mark) bool {
	return m != nil && m.State == portalapi.MarkDropped && m.What == portalapi.RemovalDeletion
}

// undelete removes the tombstone: SCIM clients and the manager see the group again, as the provider
// last described it.
func (p *scope) undelete(ctx context.Context) error {
	taken, err := pass.Undelete(ctx, p.registry(), p.group.DeepCopy(), p.Clock.Now())
	if taken == "" || err != nil {
		p.silent = true // the event of that write triggers the next pass
		return err
	}
	p.leaf(conditions.False(v1alpha1.ConditionPoolsResolved, v1alpha1.ReasonRemovalDropped,
		fmt.Sprintf("A person dropped the removals of this group's deletion, but %s has its name now: its members stay in its pools. Rename or delete that group in the identity provider to restore this one", taken)))
	return nil
}

// finish removes the slices, releases the name and deletes the object.
func (p *scope) finish(ctx context.Context) (bool, error) {
	p.silent = true
	if err := p.Slices.Delete(ctx, p.group.Name); err != nil {
		return true, fmt.Errorf("delete the group's slices: %w", err)
	}
	if err := p.registry().Release(ctx, v1alpha1.ClaimGroup, p.group.Spec.DisplayName, p.group); err != nil {
		return true, fmt.Errorf("release the group's name: %w", err)
	}
	uid := p.group.UID
	return true, client.IgnoreNotFound(p.Delete(ctx, p.group, client.Preconditions{UID: &uid}))
}
