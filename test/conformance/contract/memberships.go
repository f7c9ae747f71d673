// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"slices"
	"sync"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// into returns an item that adds the account, at its current revision, to a pool.
func into(a *portalapi.Account) portalapi.MembershipWrite {
	return portalapi.MembershipWrite{AccountID: a.ID, IfRevision: a.Revision, Add: true}
}

// members changes the pool of the owner, and fails unless each item has the outcome.
func (p *portalTest) members(ownerUID string, items []portalapi.MembershipWrite, want ...portalapi.MembershipOutcome) []portalapi.MembershipResult {
	p.Helper()
	results, err := p.Client.PutMemberships(p.Context(), ownerUID, items, nil)
	p.ok(err)
	var got []portalapi.MembershipOutcome
	for i, r := range results {
		if r.AccountID != items[i].AccountID {
			p.Fatalf("result %d is of %s, want %s", i, r.AccountID, items[i].AccountID)
		}
		got = append(got, r.Outcome)
	}
	p.equal("outcomes", got, want)
	return results
}

var membershipTests = map[string]func(*portalTest){
	"Many users are added to a pool in one call, with its roles": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Payments", portalapi.RoleIgnoreQuota))
		var items []portalapi.MembershipWrite
		var want []portalapi.MembershipOutcome
		for i := range 300 {
			items, want = append(items, into(p.put(person(number(i))))), append(want, portalapi.MembershipDone)
		}
		end, err := p.Client.Position(p.Context())
		p.ok(err)
		p.audited("the call", 1, func() {
			results := p.members("o-Payments", items, want...)
			for i, r := range results {
				if r.Revision <= items[i].IfRevision {
					p.Fatalf("revision %d after %d", r.Revision, items[i].IfRevision)
				}
			}
		})
		changes, _, err := p.Client.Changes(p.Context(), end, 0)
		p.ok(err)
		if len(changes) != len(items) {
			p.Errorf("the feed has %d changes, want %d", len(changes), len(items))
		}
		for _, c := range changes {
			if c.Account == nil || !slices.Contains(c.Account.Pools, pool.ID) || c.Account.Ungranted != nil {
				p.Fatalf("the feed has %+v", c)
			}
			p.equal("roles", c.Account.Roles, []string{portalapi.RoleIgnoreQuota, portalapi.RoleUser})
		}
		p.equal("members", p.poolNow(pool.ID).Members, len(items))
		p.audited("the call again, as after a lost response", 0, func() {
			for i := range want {
				want[i] = portalapi.MembershipUnchanged
			}
			p.members("o-Payments", items, want...)
		})
		_, err = p.Client.PutMemberships(p.Context(), "o-Payments", slices.Repeat(items[:1], portalapi.MaxMemberships+1), nil)
		p.refused(err, portalapi.CodeInvalid)
	},
	"The audit has one event for each request that caused some of the items": func(p *portalTest) {
		p.scimOn()
		p.putPool(team("Payments"))
		var items []portalapi.MembershipWrite
		for i, request := range []string{"r1", "", "r2", "r1"} {
			item := into(p.put(person(number(i))))
			item.Request = request
			items = append(items, item)
		}
		done := []portalapi.MembershipOutcome{portalapi.MembershipDone, portalapi.MembershipDone, portalapi.MembershipDone, portalapi.MembershipDone}
		p.audited("three requests", 3, func() { p.members("o-Payments", items, done...) })
		same := portalapi.MembershipUnchanged
		p.audited("the call again", 0, func() { p.members("o-Payments", items, same, same, same, same) })
		var events portalv1.AuditEventPage
		p.manage("GET", "/audit-events?limit=3", nil, &events)
		said := map[string]string{}
		for _, e := range events.Items {
			for _, c := range e.Changes {
				said[e.RequestID] = c.To
			}
		}
		p.equal("r1", said["r1"], p.user(items[0].AccountID).UserName+", "+p.user(items[3].AccountID).UserName)
		p.equal("r2", said["r2"], p.user(items[2].AccountID).UserName)
	},
	"Each user has a separate result, and a stale item changes nothing": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Payments", portalapi.RoleManager))
		ada, bob := p.put(person("ada")), p.put(person("bob", pool.ID))
		late := p.put(person("late"))
		w := person("late")
		w.Owner.Revision, w.DisplayName = 2, "Changed in between"
		changed := p.put(w)
		local := p.local("carl")
		results := p.members("o-Payments", []portalapi.MembershipWrite{
			into(ada), {AccountID: bob.ID, IfRevision: bob.Revision}, into(late), {AccountID: "no-such-account", Add: true},
			{AccountID: local.ID, IfRevision: local.Revision, Add: true}, {AccountID: ada.ID, IfRevision: ada.Revision},
		}, portalapi.MembershipDone, portalapi.MembershipDone, portalapi.MembershipStale, portalapi.MembershipUnknown, portalapi.MembershipNotOwned, portalapi.MembershipStale)
		if results[2].Revision != changed.Revision || results[3].Revision != 0 {
			p.Errorf("the results do not say what to read: %+v", results)
		}
		p.equal("ada's roles", p.user(ada.ID).Roles, []string{portalapi.RoleManager, portalapi.RoleUser})
		for _, id := range []string{bob.ID, late.ID, local.ID} {
			p.equal("roles of the others", p.user(id).Roles, []string{portalapi.RoleUser})
		}
		p.putOutdated(since(ada.Revision, person("ada"))) // a pass that did not see the change
	},
	"The whole call is refused for the default pool, without a pool, and while SCIM is off": func(p *portalTest) {
		p.scimOn()
		def := p.defaultPool()
		w := team("Everyone")
		w.Default, w.Adopt = true, &portalapi.Adopt{ID: def.ID}
		p.putPool(w)
		p.putPool(team("Payments"))
		item := []portalapi.MembershipWrite{into(p.put(person("ada")))}
		put := func(owner string) error {
			_, err := p.Client.PutMemberships(p.Context(), owner, item, nil)
			return err
		}
		p.refused(put("o-Everyone"), portalapi.CodeDefaultPool)
		p.refused(put("o-no-such-owner"), portalapi.CodeNotFound)
		off := p.loginMethods()
		off.SCIM.Enabled = false
		p.saveLoginMethods(off)
		p.refused(put("o-Payments"), portalapi.CodeSCIMRequired)
	},
	"One of two calls with the same precondition succeeds": func(p *portalTest) {
		p.scimOn()
		p.putPool(team("Payments"))
		p.putPool(team("Billing"))
		item := []portalapi.MembershipWrite{into(p.put(person("ada")))}
		outcomes := make([]portalapi.MembershipOutcome, 2)
		var wait sync.WaitGroup
		for i, owner := range []string{"o-Payments", "o-Billing"} {
			wait.Go(func() {
				if r, err := p.Client.PutMemberships(p.Context(), owner, item, nil); err != nil {
					p.Error(err)
				} else {
					outcomes[i] = r[0].Outcome
				}
			})
		}
		wait.Wait()
		slices.Sort(outcomes)
		p.equal("outcomes", outcomes, []portalapi.MembershipOutcome{portalapi.MembershipDone, portalapi.MembershipStale})
	},
	"Removals count for the pool, and for the portal where ROLE_MANAGER is lost": func(p *portalTest) {
		if p.noClock() {
			return
		}
		p.scimOn()
		leads, others := p.putPool(team("Leads", portalapi.RoleManager)), p.putPool(team("Others", portalapi.RoleManager))
		ada, bob := p.put(person("ada", leads.ID)), p.put(person("bob", leads.ID, others.ID))
		p.equal("before", p.poolRemovals(leads.ID, time.Hour), portalapi.PoolRemovals{Members: 2})
		p.members("o-Leads", []portalapi.MembershipWrite{{AccountID: ada.ID, IfRevision: ada.Revision}, {AccountID: bob.ID, IfRevision: bob.Revision}},
			portalapi.MembershipDone, portalapi.MembershipDone)
		p.equal("for the pool", p.poolRemovals(leads.ID, time.Hour), portalapi.PoolRemovals{Removed: 2})
		p.equal("for all", p.removals(time.Hour).Removed, 1)

		w := person("bob")
		w.Owner.Revision = 2
		p.put(w)
		p.equal("by a write of the account", p.poolRemovals(others.ID, time.Hour), portalapi.PoolRemovals{Removed: 1})
		p.equal("for all", p.removals(time.Hour).Removed, 2)
		p.Advance(2 * time.Hour)
		p.equal("after the window", p.poolRemovals(leads.ID, time.Hour), portalapi.PoolRemovals{})
	},
	"Removing a membership that no owner granted does not count": func(p *portalTest) {
		p.scimOn()
		leads := p.putPool(team("Leads", portalapi.RoleManager))
		ada := p.put(person("ada"))
		off := p.loginMethods()
		off.SCIM.Enabled = false
		p.saveLoginMethods(off)
		p.manage("PATCH", "/users/"+ada.ID, portalv1.UserPatch{Pools: &[]string{leads.ID}}, nil)
		p.scimOn()
		now := p.accountNow(ada.ID)
		p.members("o-Leads", []portalapi.MembershipWrite{{AccountID: ada.ID, IfRevision: now.Revision}}, portalapi.MembershipDone)
		p.equal("for the pool", p.poolRemovals(leads.ID, time.Hour), portalapi.PoolRemovals{})
		p.equal("for all", p.removals(time.Hour).Removed, 0)
		p.equal("roles", p.user(ada.ID).Roles, []string{portalapi.RoleUser})
	},
}
