// SPDX-License-Identifier: Apache-2.0

package poolplan

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/names"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// ListPools lists the AgentPools of a namespace from a cache, in order of name. They must not be
// changed.
func ListPools(ctx context.Context, c client.Reader, namespace string) ([]v1alpha1.AgentPool, error) {
	var list v1alpha1.AgentPoolList
	if err := c.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list agent pools: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1alpha1.AgentPool) int { return strings.Compare(a.Name, b.Name) })
	return list.Items, nil
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
// another pool has the wanted name, the plan stays as it is. So it does if the members would lose
// ROLE_MANAGER: then the pool gets a record of its own, and the guard decides about the own pool.
func Succeed(plan provision.PoolPlan, want portalapi.PoolWrite, record *portalapi.Pool) provision.PoolPlan {
	if provision.LosesManager(want, record) || plan.Pool != nil && plan.Pool.ID != record.ID {
		return plan
	}
	revision := record.Revision
	want.IfRevision, want.Adopt = &revision, &portalapi.Adopt{ID: record.ID, OwnerUID: record.Owner.UID, Inherit: true}
	return provision.PoolPlan{Action: provision.Adopt, Pool: record, Write: want}
}

// Succeeds reports whether other is the name of a group's own pool, and pool names that group.
func Succeeds(pool *v1alpha1.AgentPool, other string, groups groupindex.Lookup) bool {
	g, found := groups.Group(other)
	if !found {
		return false
	}
	declares, _ := groupindex.Declares(pool, g, groups)
	return declares
}

// NameTaken returns why a pool waits for a name that another pool has.
func NameTaken(name string, other client.Object, groups groupindex.Lookup, m *mirror.Mirror) (reason, message string) {
	if pool, ok := other.(*v1alpha1.AgentPool); ok {
		if named, _ := groupindex.WithPortalName(pool, groups); names.Fold(named.PortalName()) != names.Fold(name) {
			if v, held := nameHeld(pool, m); held {
				return v.Reason, v.Message
			}
			return v1alpha1.ReasonNameReleasePending, fmt.Sprintf("AgentPool %s still has the name %q in the portal; it is renamed first. "+
				provision.ExchangeNames, pool.Name, name)
		}
	}
	return v1alpha1.ReasonNameTaken, fmt.Sprintf("AgentPool %s has the name %q; rename one of the two, "+
		"or name the group in spec.groups there to have it fill that pool. "+provision.ExchangeNames, other.GetName(), name)
}

// nameHeld is why another AgentPool can't release its name in the portal now, if that needs a
// person's decision.
func nameHeld(other *v1alpha1.AgentPool, m *mirror.Mirror) (v provision.Verdict, held bool) {
	if m == nil {
		return v, false
	}
	if record := m.OwnedPool(string(other.UID)); record != nil {
		v = provision.PoolVerdict(other.Namespace, record, provision.Others, false, false)
	}
	return v, v.Reason == v1alpha1.ReasonNameHeld
}
