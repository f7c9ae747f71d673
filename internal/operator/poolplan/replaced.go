// SPDX-License-Identifier: Apache-2.0

package poolplan

import (
	"context"
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// replacements returns the ids of the portal's pools that replace record, the pool of a group's own
// AgentPool: the pools of the declared AgentPools that the group fills. A user who is in one of
// them loses nothing with record. There is none if record gives a role.
func replacements(pool *v1alpha1.AgentPool, record *portalapi.Pool, all []v1alpha1.AgentPool, groups groupindex.Lookup, m *mirror.Mirror) (ids []string) {
	group := pool.OwnPoolOf()
	if group == "" || len(record.Roles) > 0 {
		return nil
	}
	g, found := groups.Group(group)
	if !found || g.Deleted {
		return nil
	}
	for i := range all {
		own := m.OwnedPool(string(all[i].UID))
		if _, fills := groupindex.Declares(&all[i], g, groups); fills && own != nil {
			ids = append(ids, own.ID)
		}
	}
	return ids
}

// memberOfAny reports whether the account is in one of the pools, with a grant.
func memberOfAny(a *portalapi.Account, pools []string) bool {
	return slices.ContainsFunc(pools, func(id string) bool {
		_, granted := memberOf(a, id)
		return granted
	})
}

// Joining reports whether members of own, the portal's pool of a group's own AgentPool, are about
// to join the declared pool that replaces it. Its removal waits for them: they must not be without
// both pools.
func Joining(ctx context.Context, own *portalapi.Pool, pool *v1alpha1.AgentPool, c MemberFacts) (bool, error) {
	record := c.Mirror.OwnedPool(string(pool.UID))
	if own == nil || record == nil {
		return false, nil
	}
	changes, ok, err := MemberChanges(ctx, pool, record, c)
	if err != nil {
		return false, err
	}
	return !ok || slices.ContainsFunc(changes.Join, func(a *portalapi.Account) bool { return memberOfAny(a, []string{own.ID}) }), nil
}
