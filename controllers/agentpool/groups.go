// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/memberlines"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// superseded reports whether the pool is the own pool of a group that another pool names. That
// other pool replaces it.
func superseded(pool *v1alpha1.AgentPool, all []v1alpha1.AgentPool, groups groupindex.Lookup) bool {
	g, found := groups.Group(pool.OwnPoolOf())
	if !found {
		return false
	}
	return slices.ContainsFunc(all, func(o v1alpha1.AgentPool) bool {
		declares, _ := groupindex.Declares(&o, g, groups)
		return declares
	})
}

// Predecessor returns the own pool of a group whose record in the portal the pool takes over: the
// group fills the pool, the pool has no record in the portal, and no other such pool comes before
// it by name. It returns nil if there is none.
func Predecessor(pool *v1alpha1.AgentPool, all []v1alpha1.AgentPool, groups groupindex.Lookup, m *mirror.Mirror) *v1alpha1.AgentPool {
	if pool.OwnPoolOf() != "" || pool.Spec.Adopt != "" || m.OwnedPool(string(pool.UID)) != nil {
		return nil
	}
	for _, id := range groupindex.Filling(pool) {
		g, found := groups.Group(id)
		i := slices.IndexFunc(all, func(o v1alpha1.AgentPool) bool { return o.OwnPoolOf() == id })
		if !found || g.Deleted || i < 0 || m.OwnedPool(string(all[i].UID)) == nil {
			continue
		}
		earlier := slices.ContainsFunc(all, func(o v1alpha1.AgentPool) bool {
			_, fills := groupindex.Declares(&o, g, groups)
			return fills && o.Name < pool.Name && o.Spec.Adopt == "" && m.OwnedPool(string(o.UID)) == nil
		})
		if !earlier {
			return &all[i]
		}
	}
	return nil
}

// Succeed changes the plan of a pool without a record in the portal: the pool takes over record,
// which belongs to a group's own pool, with its agents and members. No user leaves or joins. If
// another pool has the wanted name, the plan stays as it is.
func Succeed(plan provision.PoolPlan, want portalapi.PoolWrite, record *portalapi.Pool) provision.PoolPlan {
	if plan.Pool != nil && plan.Pool.ID != record.ID {
		return plan
	}
	revision := record.Revision
	want.IfRevision, want.Adopt = &revision, &portalapi.Adopt{ID: record.ID, OwnerUID: record.Owner.UID, Inherit: true}
	return provision.PoolPlan{Action: provision.Adopt, Pool: record, Write: want}
}

// all returns the AgentPools of the namespace, in order of name. They are shared with the cache.
func (p *scope) all(ctx context.Context) ([]v1alpha1.AgentPool, error) {
	return All(ctx, p.Client, p.pool.Namespace)
}

// All lists the AgentPools of a namespace from a cache, in order of name. They must not be changed.
func All(ctx context.Context, c client.Reader, namespace string) ([]v1alpha1.AgentPool, error) {
	var list v1alpha1.AgentPoolList
	if err := c.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list agent pools: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.AgentPool) int { return strings.Compare(a.Name, b.Name) })
	return list.Items, nil
}

// title finds the pool's name in the portal. A pool that is to be replaced, or that belongs to a
// group that does not exist, is left unchanged.
func (p *scope) title(ctx context.Context) pass.Outcome {
	titled, ok := groupindex.Titled(p.pool, p.Groups)
	p.titled = titled
	if p.pool.OwnPoolOf() == "" {
		return pass.Next()
	}
	switch all, err := p.all(ctx); {
	case err != nil:
		return p.Retry(err)
	case !ok:
		return p.orphaned(ctx)
	case superseded(p.pool, all, p.Groups):
		return pass.Quiet(0)
	}
	return pass.Next()
}

// Resolve returns the groups that the pool's lines mean. undecided is true if the groups that they
// meant before are not known and a person must accept the current ones.
func Resolve(pool *v1alpha1.AgentPool, groups groupindex.Lookup, m *mirror.Mirror) (lines []groupindex.Line, pins []v1alpha1.PinnedGroup, undecided bool) {
	before := inForce(pool, m)
	facts := groupindex.Facts{
		Manager:   memberlines.Pinned(pool, before),
		Lost:      before != nil && pool.Status.ObservedGeneration == 0,
		Accepted:  Accepted(pool),
		Namespace: pool.Namespace,
		Older:     func(g groupindex.Group) int64 { return groupindex.Older(g, m.GroupRevision(g.ID)) },
	}
	known := pool.Status.Groups
	if facts.Lost {
		known = slices.Concat(known, provision.Pinned(before)) // of two pins of one line the first counts
	}
	lines, pins = groupindex.Resolve(pool.Spec.Groups, known, groups, facts)
	for _, l := range lines {
		undecided = undecided || facts.Lost && l.State > groupindex.StateOlder
	}
	return lines, pins, undecided
}

// resolveLines resolves spec.groups and spec.members and writes the pins to the status before
// anything follows from them.
func (p *scope) resolveLines(ctx context.Context) pass.Outcome {
	resolved, pins, undecided := Resolve(p.pool, p.Groups, p.View.Mirror)
	p.lines.put(p.pool.Name, lineKeys(p.pool, p.View.Mirror)) // before users are read: a later change enqueues the pool
	members, err := ResolveMembers(ctx, p.Client, p.pool, p.View.Mirror)
	if err != nil {
		return p.Retry(err)
	}
	said := pass.Next(groupsLeaf(p.pool, resolved))
	if members.Pinned {
		said = said.And(pass.Next(membersLeaf(p.pool, members)))
	}
	restoring := p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly // as it is in a restore window
	p.undecided, p.looked = undecided || members.Undecided || members.Open && restoring, true
	observed := p.pool.Generation
	if p.undecided {
		observed = p.pool.Status.ObservedGeneration
	}
	first := p.pool.Status.ObservedGeneration == 0 && observed != 0 && len(pins)+len(members.Pins) > 0 // see inForce
	if equality.Semantic.DeepEqual(pins, p.pool.Status.Groups) && equality.Semantic.DeepEqual(members.Pins, p.pool.Status.Members) && !first {
		return said
	}
	before := p.pool.DeepCopy()
	p.pool.Status.Groups, p.pool.Status.Members, p.pool.Status.ObservedGeneration = pins, members.Pins, observed
	p.titled.Status.Groups, p.titled.Status.Members = pins, members.Pins
	if err := p.Status().Patch(ctx, p.pool, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return said.And(p.Retry(fmt.Errorf("write down which groups and users are in the pool: %w", err)))
	}
	return said
}

// inForce returns the portal's pool of the AgentPool, also if an AgentPool with the same name owned
// it before a restore, or before it was deleted and applied again. The manager writes the status
// before the portal. Therefore, if the portal has the pool but the status is empty, the status was
// lost. The pins in the portal's record replace it.
func inForce(pool *v1alpha1.AgentPool, m *mirror.Mirror) *portalapi.Pool {
	if own := m.OwnedPool(string(pool.UID)); own != nil {
		return own
	}
	return m.PoolOf(pool.Name)
}

// Accepted returns the groups that a person accepted for lines that need a decision.
func Accepted(pool *v1alpha1.AgentPool) []string {
	return idList(pool.Annotations[v1alpha1.AnnotationAcceptGroups])
}

// groupsLeaf reports the state of the lines; the message names the worst of them.
func groupsLeaf(pool *v1alpha1.AgentPool, lines []groupindex.Line) conditions.Leaf {
	typ := v1alpha1.ConditionGroupsResolved
	var worst *groupindex.Line
	for i := range lines {
		if worst == nil || lines[i].State > worst.State {
			worst = &lines[i]
		}
	}
	if worst == nil {
		return conditions.True(typ, v1alpha1.ReasonResolved, "No group fills the pool")
	}
	switch name, ids := wording(worst.GroupReference), strings.Join(worst.Groups, ", "); worst.State {
	case groupindex.Renamed:
		return conditions.True(typ, v1alpha1.ReasonGroupRenamed, fmt.Sprintf("The group with %s was renamed and still fills the pool (%s). To use another group, name that group", name, ids))
	case groupindex.StateOlder:
		return conditions.False(typ, v1alpha1.ReasonBackupOlder, worst.Backup)
	case groupindex.NotFound:
		return conditions.False(typ, v1alpha1.ReasonGroupNotFound, fmt.Sprintf("The identity provider has pushed no group with %s; it fills the pool as soon as it exists", name))
	case groupindex.Ambiguous:
		return conditions.False(typ, v1alpha1.ReasonGroupAmbiguous, fmt.Sprintf("The identity provider has pushed several groups with %s: %s. Name one of them by id", name, ids))
	case groupindex.Changed:
		return conditions.False(typ, v1alpha1.ReasonGroupChanged, fmt.Sprintf("The group with %s is now %s, which may not be the group that filled this pool before. To use another group, name it by id in spec.groups. To accept the groups that the waiting lines match now: %s", name, ids, acceptCommand(pool, lines)))
	}
	return conditions.True(typ, v1alpha1.ReasonResolved, fmt.Sprintf("Filled by %d group(s)", len(lines)))
}

// acceptCommand returns the command by which a person accepts the groups that the pool's lines
// match now.
func acceptCommand(pool *v1alpha1.AgentPool, lines []groupindex.Line) string {
	var ids []string
	for _, l := range lines {
		if l.State == groupindex.Changed {
			ids = append(ids, l.Groups...)
		}
	}
	return shell.Scim(pool.Namespace, "accept", "agentpool/"+pool.Name, "--group", strings.Join(ids, ","))
}

// wording returns a text for the way in which a line names its group.
func wording(r v1alpha1.GroupReference) string {
	switch {
	case r.DisplayName != "":
		return fmt.Sprintf("displayName %q", r.DisplayName)
	case r.ExternalID != "":
		return fmt.Sprintf("externalId %q", r.ExternalID)
	}
	return fmt.Sprintf("id %q", r.ID)
}
