// SPDX-License-Identifier: Apache-2.0

package agentpool

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolplan"
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

// all returns the AgentPools of the namespace, in order of name. They are shared with the cache.
func (p *scope) all(ctx context.Context) ([]v1alpha1.AgentPool, error) {
	return poolplan.ListPools(ctx, p.Client, p.pool.Namespace)
}

// title finds the pool's name in the portal. A pool that is to be replaced, or that belongs to a
// group that does not exist, is left unchanged.
func (p *scope) title(ctx context.Context) pass.Outcome {
	named, ok := groupindex.WithPortalName(p.pool, p.Groups)
	p.named = named
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

// resolveLines resolves spec.groups and spec.members and writes the pins to the status before
// anything follows from them.
func (p *scope) resolveLines(ctx context.Context) pass.Outcome {
	resolved, pins, undecided := poolplan.Resolve(p.pool, p.Groups, p.View.Mirror)
	p.lines.put(p.pool.Name, lineKeys(p.pool, p.View.Mirror)) // before users are read: a later change enqueues the pool
	members, err := poolplan.ResolveMembers(ctx, p.Client, p.pool, p.View.Mirror)
	if err != nil {
		return p.Retry(err)
	}
	groups, err := p.complete(ctx, groupsLeaf(p.pool, resolved), resolved)
	if err != nil {
		return p.Retry(err)
	}
	said := pass.Next(groups)
	if members.Pinned {
		said = said.And(pass.Next(membersLeaf(p.pool, members)))
	}
	restoring := p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly // as it is in a restore window
	p.undecided, p.looked = undecided || members.Undecided || members.Open && restoring, true
	observed := p.pool.Generation
	if p.undecided {
		observed = p.pool.Status.ObservedGeneration
	}
	first := p.pool.Status.ObservedGeneration == 0 && observed != 0 && len(pins)+len(members.Pins) > 0 // see recordOf
	if equality.Semantic.DeepEqual(pins, p.pool.Status.Groups) && equality.Semantic.DeepEqual(members.Pins, p.pool.Status.Members) && !first {
		return said
	}
	before := p.pool.DeepCopy()
	p.pool.Status.Groups, p.pool.Status.Members, p.pool.Status.ObservedGeneration = pins, members.Pins, observed
	p.named.Status.Groups, p.named.Status.Members = pins, members.Pins
	if err := p.Status().Patch(ctx, p.pool, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return said.And(p.Retry(fmt.Errorf("write down which groups and users are in the pool: %w", err)))
	}
	return said
}

// complete returns the leaf of the lines, unless all of them are resolved and a part of the
// members of one of their groups is missing: then no user leaves the pool by the groups, and a
// person has to act.
func (p *scope) complete(ctx context.Context, leaf conditions.Leaf, lines []groupindex.Line) (conditions.Leaf, error) {
	if leaf.Status != metav1.ConditionTrue {
		return leaf, nil
	}
	for _, line := range lines {
		for _, id := range line.Groups {
			g, _ := p.Groups.Group(id)
			switch missing, err := groupindex.Incomplete(ctx, p.Live, p.pool.Namespace, g); {
			case err != nil:
				return leaf, err
			case missing:
				return conditions.False(v1alpha1.ConditionGroupsResolved, v1alpha1.ReasonMembersMissing, groupindex.MembersMissing(g)), nil
			}
		}
	}
	return leaf, nil
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
