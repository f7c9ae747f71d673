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

// PutMemberships changes the accounts. The change feed tells nothing of it: the manager knows what
// it wrote.
func (b *books) PutMemberships(_ context.Context, ownerUID string, items []portalapi.MembershipWrite) ([]portalapi.MembershipResult, error) {
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
		if item.In {
			a.Pools = append(a.Pools, "pool-"+ownerUID)
			slices.Sort(a.Pools)
		}
		a.Roles, a.Revision = b.roles(a.Pools), a.Revision+1
		out = append(out, portalapi.MembershipResult{AccountID: a.ID, Outcome: portalapi.MembershipDone, Revision: a.Revision})
	}
	return out, nil
}

// TestAPushedGroupIsInForceBeforeItsUsersStatuses: whoever is looked at first, nobody's status is
// written before the pool's pass has put all of them in, a thousand in one call; then each user
// costs one status and no call.
func TestAPushedGroupIsInForceBeforeItsUsersStatuses(t *testing.T) {
	const people = 4000
	c := newCompany(t, people)
	t.Cleanup(c.stop)
	members := maps.Clone(c.members)
	clear(c.members)
	c.start()
	c.lookAtPool()
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
	c.lookAtPool()
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
	c.lookAtPool()
	if puts, reads, _ := c.count(); puts+reads != 0 {
		t.Errorf("once all is in force: %d portal writes, %d reads", puts, reads)
	}
}

func groupSlice(members map[string]bool) *v1alpha1.ScimGroupSlice {
	part := &v1alpha1.ScimGroupSlice{ObjectMeta: meta(groupslice.Name("fast-group", 0)), Spec: v1alpha1.ScimGroupSliceSpec{Members: members}}
	part.Labels = map[string]string{v1alpha1.LabelGroup: "fast-group"}
	return part
}
