// SPDX-License-Identifier: Apache-2.0

package mirror

import (
	"slices"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// EachOwned calls f with every account that has an owner, in no particular order. f must neither
// block nor call the mirror.
func (m *Mirror) EachOwned(f func(*portalapi.Account)) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, a := range m.accountByUID {
		f(a)
	}
}

// Managing returns how many active accounts in ids have ROLE_MANAGER and no grant of it by another
// pool. Direct roles, and memberships and pool roles that no owner granted, do not count as grants.
// The caller ensures that this pool grants the role.
func (m *Mirror) Managing(poolID string, ids []string) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := 0
	for _, id := range ids {
		a := m.accounts[id]
		if a == nil || a.Status != portalapi.StatusActive || !slices.Contains(a.Roles, portalapi.RoleManager) {
			continue
		}
		if !slices.ContainsFunc(a.Pools, func(other string) bool { return other != poolID && m.manages(a, other) }) {
			n++
		}
	}
	return n
}

// manages reports whether the pool grants the account ROLE_MANAGER. The caller has locked m.mu.
func (m *Mirror) manages(a *portalapi.Account, poolID string) bool {
	p := m.pools[poolID]
	return p != nil && !slices.Contains(a.Ungranted, poolID) && slices.Contains(p.Roles, portalapi.RoleManager) && !slices.Contains(p.Ungranted, portalapi.RoleManager)
}

// PutMemberships applies the results of the operator's own PutMemberships call. It derives the
// accounts as the portal does, from the state in the mirror; later the change feed delivers the
// portal's own state. It notifies, because the users' reconcilers depend on their pools.
func (m *Mirror) PutMemberships(poolID string, items []portalapi.MembershipWrite, results []portalapi.MembershipResult) {
	var events []Event
	m.mu.Lock()
	for i, r := range results {
		before := m.accounts[r.AccountID]
		if before == nil || r.Outcome != portalapi.MembershipDone || before.Revision != items[i].IfRevision {
			continue
		}
		after := *before
		other := func(id string) bool { return id == poolID }
		after.Pools = slices.DeleteFunc(slices.Clone(before.Pools), other)
		after.Ungranted = slices.DeleteFunc(slices.Clone(before.Ungranted), other)
		if len(after.Ungranted) == 0 {
			after.Ungranted = nil
		}
		if items[i].Add {
			after.Pools = append(after.Pools, poolID)
			slices.Sort(after.Pools)
		}
		after.Roles, after.Revision = m.effective(&after), r.Revision
		if m.written != nil {
			m.written.accounts[after.ID] = true
		}
		if before, changed := m.setAccount(&after); changed {
			events = append(events, Event{Account: &AccountEvent{Before: before, After: &after}})
		}
	}
	m.mu.Unlock()
	for _, e := range events {
		m.notify(e)
	}
}

// effective returns the account's roles, as the portal derives them: the user role, its direct
// roles and the roles of its pools. The caller has locked m.mu.
func (m *Mirror) effective(a *portalapi.Account) []string {
	roles := append([]string{portalapi.RoleUser}, a.DirectRoles...)
	for _, id := range a.Pools {
		if p := m.pools[id]; p != nil {
			roles = append(roles, p.Roles...)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// GroupRevision returns the highest revision of the group in the pins of all pools; 0 if no pool
// has a pin of it. deleted is true if a pin of any pool says that the provider deleted the group.
func (m *Mirror) GroupRevision(id string) (revision int64, deleted bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.groups[id], m.deletedGroups[id]
}

// PutSeen raises the revisions of groups in the pool's pins to those that the manager's own call of
// PutMemberships sent. No reconciler depends on these revisions, so PutSeen does not notify.
func (m *Mirror) PutSeen(poolID string, seen []portalapi.GroupRevision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.pools[poolID]
	if before == nil || len(seen) == 0 {
		return
	}
	after := *before
	after.Pins = slices.Clone(before.Pins)
	for i := range after.Pins {
		for _, g := range seen {
			if g.Group == after.Pins[i].ID {
				after.Pins[i].Revision = max(after.Pins[i].Revision, g.Revision)
			}
		}
	}
	m.setPool(&after)
}
