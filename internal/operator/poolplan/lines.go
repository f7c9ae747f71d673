// SPDX-License-Identifier: Apache-2.0

package poolplan

import (
	"slices"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/decide/provision"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/memberlines"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
)

// Resolve returns the groups that the pool's lines mean. undecided is true if the groups that they
// meant before are not known and a person must accept the current ones.
func Resolve(pool *v1alpha1.AgentPool, groups groupindex.Lookup, m *mirror.Mirror) (lines []groupindex.Line, pins []v1alpha1.PinnedGroup, undecided bool) {
	before := recordOf(pool, m)
	facts := groupindex.Facts{
		Manager:   memberlines.Pinned(pool, before),
		Lost:      before != nil && pool.Status.ObservedGeneration == 0,
		Accepted:  Accepted(pool),
		Namespace: pool.Namespace,
		Portal:    m,
	}
	known := pool.Status.Groups
	if facts.Lost {
		known = slices.Concat(known, provision.Pinned(before)) // of two pins of one line the first counts
	}
	if facts.Manager {
		released, _ := releasedPins(pool, before, m)
		known = slices.Concat(known, released)
	}
	lines, pins = groupindex.Resolve(pool.Spec.Groups, known, groups, facts)
	for _, l := range lines {
		undecided = undecided || facts.Lost && l.State > groupindex.StateOlder
	}
	return lines, pins, undecided
}

// recordOf returns the portal's pool of the AgentPool, also if an AgentPool with the same name
// owned it before a restore, or before it was deleted and applied again. The manager writes the
// status before the portal. Therefore, if the portal has the pool but the status is empty, the
// status was lost. The pins in the portal's record replace it.
func recordOf(pool *v1alpha1.AgentPool, m *mirror.Mirror) *portalapi.Pool {
	if own := m.OwnedPool(string(pool.UID)); own != nil {
		return own
	}
	return m.PoolOf(pool.Name)
}

// releasedPins returns what the lines of the pool meant in the last AgentPool with the same name,
// if the portal's pool of that one was released since, and no pass over the lines of this one has
// ended: a pool that is deleted and applied again means the same groups and users. before is the
// pool's record in the portal; nil if there is none.
func releasedPins(pool *v1alpha1.AgentPool, before *portalapi.Pool, m *mirror.Mirror) ([]v1alpha1.PinnedGroup, []v1alpha1.PinnedMember) {
	if before != nil || pool.Status.ObservedGeneration != 0 {
		return nil, nil
	}
	return provision.ReleasedPins(&pool.Spec, m.ReleasedPins(pool.Name))
}

// Accepted returns the groups that a person accepted for lines that need a decision.
func Accepted(pool *v1alpha1.AgentPool) []string {
	return idList(pool.Annotations[v1alpha1.AnnotationAcceptGroups])
}
