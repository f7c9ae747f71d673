// SPDX-License-Identifier: Apache-2.0

package scale_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// PutMemberships changes the accounts. It adds nothing to the change feed: the manager knows its
// own writes.
func (b *mapPortal) PutMemberships(_ context.Context, ownerUID string, items []portalapi.MembershipWrite, _ []portalapi.GroupRevision) ([]portalapi.MembershipResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.puts++
	index := make(map[string]*portalapi.Account, len(b.accounts))
	for i := range b.accounts {
		index[b.accounts[i].ID] = &b.accounts[i]
	}
	var out []portalapi.MembershipResult
	for _, item := range items {
		a := index[item.AccountID]
		a.Pools = slices.DeleteFunc(slices.Clone(a.Pools), func(id string) bool { return id == "pool-"+ownerUID })
		if item.Add {
			a.Pools = append(a.Pools, "pool-"+ownerUID)
			slices.Sort(a.Pools)
		}
		a.Roles, a.Revision = b.roles(a.Pools), a.Revision+1
		out = append(out, portalapi.MembershipResult{AccountID: a.ID, Outcome: portalapi.MembershipDone, Revision: a.Revision})
	}
	return out, nil
}

// TestPushedGroupBeforeStatuses: no user's status is written before the pool's pass has added all
// users, a thousand per call, whichever object is reconciled first. Then each user costs one status
// write and no call.
func TestPushedGroupBeforeStatuses(t *testing.T) {
	const people = 4000
	c := newCompany(t, people)
	t.Cleanup(c.stop)
	members := maps.Clone(c.members)
	clear(c.members)
	c.start()
	c.passPool()
	c.look(c.names...)
	c.count()

	t.Log("2,000 of 4,000 users are pushed as a group")
	part := groupSlice(members)
	c.parts.Index.PutSlice(part)
	pushed := slices.Sorted(maps.Keys(members))
	c.look(pushed...)
	if puts, reads, wrote := c.count(); puts+reads+wrote != 0 {
		t.Errorf("before the pool's pass: %d portal writes, %d reads, %d status writes", puts, reads, wrote)
	}
	c.passPool()
	if puts, _, wrote := c.count(); puts != 2 || wrote > 1 {
		t.Errorf("the pool's pass: %d portal writes, %d status writes", puts, wrote)
	}
	in := 0
	for _, a := range c.portal.accounts {
		if slices.Contains(a.Roles, portalapi.RoleIgnoreQuota) {
			in++
		}
	}
	if in != len(pushed) {
		t.Errorf("%d of %d are in force", in, len(pushed))
	}
	c.look(c.names...)
	if puts, reads, wrote := c.count(); puts+reads != 0 || wrote != len(pushed) {
		t.Errorf("after it: %d portal writes, %d reads, %d status writes", puts, reads, wrote)
	}
	c.passPool()
	if puts, reads, _ := c.count(); puts+reads != 0 {
		t.Errorf("once all is in force: %d portal writes, %d reads", puts, reads)
	}
}

func groupSlice(members map[string]bool) *v1alpha1.ScimGroupSlice {
	part := &v1alpha1.ScimGroupSlice{ObjectMeta: meta(groupslice.Name("fast-group", 0))}
	part.Spec.SetMembers(slices.Collect(maps.Keys(members)))
	part.Labels = map[string]string{v1alpha1.LabelGroup: "fast-group"}
	return part
}
