// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"slices"
	"strings"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func team(name string, roles ...string) portalapi.PoolWrite {
	return portalapi.PoolWrite{Owner: portalapi.Owner{UID: "o-" + name, Name: "team-" + strings.ToLower(name), Revision: 1}, Name: name, Description: "Team " + name, Roles: roles}
}

func (p *portalTest) putPool(w portalapi.PoolWrite) *portalapi.Pool {
	p.Helper()
	got, err := p.Client.PutPool(p.Context(), w)
	if err != nil {
		p.Fatalf("put pool %s: %v", w.Name, err)
	}
	return got
}

// poolNow reads the pool as the operator does.
func (p *portalTest) poolNow(id string) portalapi.Pool {
	p.Helper()
	all, err := p.Client.Pools(p.Context())
	p.ok(err)
	at := slices.IndexFunc(all, func(one portalapi.Pool) bool { return one.ID == id })
	if at < 0 {
		p.Fatalf("there is no pool %s", id)
	}
	return all[at]
}

// accountNow reads the account as the operator does.
func (p *portalTest) accountNow(id string) portalapi.Account {
	p.Helper()
	all, _, err := p.Client.Accounts(p.Context(), "", 1000)
	p.ok(err)
	at := slices.IndexFunc(all, func(one portalapi.Account) bool { return one.ID == id })
	if at < 0 {
		p.Fatalf("there is no account %s", id)
	}
	return all[at]
}

func (p *portalTest) putPoolRefused(w portalapi.PoolWrite, code portalapi.Code) {
	p.Helper()
	_, err := p.Client.PutPool(p.Context(), w)
	p.refused(err, code)
}

// releasedPools lists the released pools in pages of this size.
func (p *portalTest) releasedPools(limit int) (all []portalapi.ReleasedPool) {
	p.Helper()
	for after := ""; ; {
		page, next, err := p.Client.ReleasedPools(p.Context(), after, limit)
		p.ok(err)
		if len(page) > limit {
			p.Errorf("a page of %d has %d", limit, len(page))
		}
		if all = append(all, page...); next == "" {
			return all
		}
		after = next
	}
}

// releasedPins fails unless these pins are kept for the owner with this name. nil means that the
// owner is not listed.
func (p *portalTest) releasedPins(owner string, want []portalapi.Pin) {
	p.Helper()
	var got []portalapi.Pin
	for _, o := range p.releasedPools(1000) {
		if o.Name == owner {
			got = o.Pins
		}
	}
	p.equal("the pins of the released pool of "+owner, got, want)
}

var poolTests = map[string]func(*portalTest){
	"A pool is created; repeating the write changes nothing": func(p *portalTest) {
		p.scimOn()
		w := team("Payments", portalapi.RoleManager, portalapi.RoleIgnoreQuota)
		got := p.putPool(w)
		p.equal("pool", got, &portalapi.Pool{ID: got.ID, Name: "Payments", Description: "Team Payments",
			Owner: portalapi.Owner{UID: "o-Payments", Name: "team-payments", Revision: 1}, Created: true, Roles: []string{portalapi.RoleIgnoreQuota, portalapi.RoleManager}, Revision: got.Revision})
		p.audited("an unchanged write", 0, func() { p.equal("again", p.putPool(w), got) })
		all, err := p.Client.Pools(p.Context())
		p.ok(err)
		if len(all) != 2 || !slices.ContainsFunc(all, func(one portalapi.Pool) bool { return one.ID == got.ID }) {
			p.Errorf("pools: %+v", all)
		}
	},
	"Which groups fill a pool is kept for its owner, also for the next one of the name": func(p *portalTest) {
		p.scimOn()
		w := team("Payments")
		w.Pins = []portalapi.Pin{{Line: "displayName Payments", ID: "g1"}, {Line: "externalId x", ID: "g2", Deleted: true}}
		got := p.putPool(w)
		p.equal("pins", got.Pins, w.Pins)
		p.audited("an unchanged write", 0, func() { p.equal("again", p.putPool(w), got) })
		p.equal("listed", p.poolNow(got.ID).Pins, w.Pins)
		end, err := p.Client.Position(p.Context())
		p.ok(err)
		w.Pins = w.Pins[:1]
		p.audited("another set of groups", 1, func() { p.equal("changed", p.putPool(w).Pins, w.Pins) })
		changes, _, err := p.Client.Changes(p.Context(), end, 0)
		p.ok(err)
		if len(changes) != 1 || changes[0].Pool == nil || !slices.Equal(changes[0].Pool.Pins, w.Pins) {
			p.Errorf("the feed has %+v", changes)
		}
		heir := w
		heir.Owner.UID, heir.Adopt = "o-again", &portalapi.Adopt{ID: got.ID, OwnerUID: w.Owner.UID}
		p.equal("adopted", p.putPool(heir).Pins, w.Pins)
		p.ok(p.Client.ReleasePool(p.Context(), heir.Owner.UID, false))
		if left := p.poolNow(got.ID).Pins; left != nil {
			p.Errorf("a pool without an owner keeps %v", left)
		}
	},
	"What the lines of a released pool meant is kept by the name of its owner, until an owner with the name has a pool": func(p *portalTest) {
		p.scimOn()
		for _, remove := range []bool{true, false} {
			w := team(fmt.Sprint("Payments ", remove))
			w.Pins = []portalapi.Pin{{Line: "displayName Payments", ID: "g1", Revision: 7}, {Line: "id g2", ID: "g2"}, {Line: "userName ada@example.test", ID: "u1", Deleted: true}}
			got := p.putPool(w)
			p.releasedPins(w.Owner.Name, nil)
			kept := []portalapi.Pin{{Line: portalapi.LineDigest("displayName Payments"), ID: "g1"}, {Line: portalapi.LineDigest("userName ada@example.test"), ID: "u1", Deleted: true}}
			for range 2 {
				p.ok(p.Client.ReleasePool(p.Context(), w.Owner.UID, remove))
				p.releasedPins(w.Owner.Name, kept)
			}
			other := team(fmt.Sprint("Other ", remove))
			p.putPool(other)
			p.releasedPins(w.Owner.Name, kept)

			w.Owner.UID, w.Pins = w.Owner.UID+"-again", nil
			if !remove {
				w.Adopt = &portalapi.Adopt{ID: got.ID}
			}
			p.putPool(w)
			p.releasedPins(w.Owner.Name, nil)
			p.ok(p.Client.ReleasePool(p.Context(), w.Owner.UID, remove))
			p.releasedPins(w.Owner.Name, nil) // it had no pins
		}
	},
	"What the lines of a pool meant is kept if another owner takes it over; not if its owner was restored": func(p *portalTest) {
		p.scimOn()
		w := team("Payments")
		w.Pins = []portalapi.Pin{{Line: "externalId x", ID: "g1"}}
		got := p.putPool(w)
		w.Owner.UID, w.Adopt = "o-restored", &portalapi.Adopt{ID: got.ID, OwnerUID: w.Owner.UID}
		p.putPool(w)
		p.releasedPins(w.Owner.Name, nil)
		heir := team("Heir")
		heir.Adopt = &portalapi.Adopt{ID: got.ID, OwnerUID: "o-restored"}
		p.putPool(heir)
		p.releasedPins(heir.Owner.Name, nil)
		p.releasedPins(w.Owner.Name, []portalapi.Pin{{Line: portalapi.LineDigest("externalId x"), ID: "g1"}})
	},
	"Released pools are listed in pages": func(p *portalTest) {
		p.scimOn()
		var want []string
		for i := range 5 {
			w := team(fmt.Sprint(i))
			w.Pins = []portalapi.Pin{{Line: "externalId x", ID: "g1"}}
			p.putPool(w)
			p.ok(p.Client.ReleasePool(p.Context(), w.Owner.UID, true))
			want = append(want, w.Owner.Name)
		}
		var got []string
		for _, o := range p.releasedPools(2) {
			if slices.Contains(want, o.Name) { // a portal of many tests has others
				got = append(got, o.Name)
			}
		}
		p.equal("released pools", got, want)
	},
	"Absent roles mean no roles": func(p *portalTest) {
		p.scimOn()
		own := p.pool("Payments", portalapi.RoleIgnoreQuota)
		w := team("Payments")
		w.Adopt = &portalapi.Adopt{ID: own.ID}
		p.equal("adopted without roles", p.putPool(w).Roles, []string{})
		w.Owner.Revision, w.Roles = 2, []string{portalapi.RoleManager}
		p.equal("given", p.putPool(w).Roles, []string{portalapi.RoleManager})
		w.Owner.Revision, w.Roles = 3, nil
		p.equal("absent again", p.putPool(w).Roles, []string{})
		if p.has(portalapi.CapabilityREST) {
			body := map[string]any{"ownerName": "team-payments", "revision": 4, "name": "Payments"}
			p.refusedWith(p.http(p.Keys.Provisioning, "PUT", "/provisioning/pools/o-Payments", body), 400, portalapi.CodeInvalid)
		}
	},
	"A pool's new roles apply to every member immediately, and the feed has the members": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Payments"))
		var ids []string
		for i := range 30 {
			ids = append(ids, p.put(person(number(i), pool.ID)).ID)
		}
		end, err := p.Client.Position(p.Context())
		p.ok(err)
		before := p.user(ids[0]).Revision
		w := team("Payments", portalapi.RoleIgnoreQuota)
		w.Owner.Revision = 2
		p.audited("a change of roles", 1, func() {
			if got := p.putPool(w); got.Members != 30 {
				p.Errorf("%d members, want 30", got.Members)
			}
		})
		changes, _, err := p.Client.Changes(p.Context(), end, 0)
		p.ok(err)
		inFeed := map[string]bool{}
		for _, c := range changes {
			if c.Kind == portalapi.ChangeAccount {
				p.equal("roles in the feed", c.Account.Roles, []string{portalapi.RoleIgnoreQuota, portalapi.RoleUser})
				inFeed[c.ID] = true
			}
		}
		if len(inFeed) != 30 || len(changes) != 31 {
			p.Errorf("the feed has %d members in %d changes, want 30 in 31", len(inFeed), len(changes))
		}
		if got := p.user(ids[0]); got.Revision <= before {
			p.Errorf("the member's revision stayed at %d", got.Revision)
		}
	},
	"An older revision is stale, a taken name is refused, a rename is kept": func(p *portalTest) {
		p.scimOn()
		p.pool("Taken")
		w := team("Payments")
		w.Owner.Revision = 5
		first := p.putPool(w)
		w.Name = "TAKEN"
		p.putPoolRefused(w, portalapi.CodeDuplicatePool)
		w.Name = "Billing"
		if got := p.putPool(w); got.ID != first.ID || got.Name != "Billing" || got.Revision <= first.Revision {
			p.Errorf("renamed: %+v", got)
		}
		w.Owner.Revision, w.Name = 4, "Late"
		p.putPoolRefused(w, portalapi.CodeStaleRevision)
		p.putPoolRefused(team("billing"), portalapi.CodeDuplicatePool)
	},
	"A pool is adopted by compare-and-swap on its owner, and a late write of the old owner is stale": func(p *portalTest) {
		p.scimOn()
		own := p.pool("Payments")
		w := team("Payments")
		p.putPoolRefused(w, portalapi.CodeDuplicatePool)
		w.Adopt = &portalapi.Adopt{ID: own.ID, OwnerUID: "o-before"}
		p.putPoolRefused(w, portalapi.CodeStaleRevision)
		w.Adopt.OwnerUID = ""
		if got := p.putPool(w); got.ID != own.ID || got.Owner != w.Owner || got.Created {
			p.Errorf("adopted: %+v", got)
		}
		p.audited("the adoption again", 0, func() { p.putPool(w) })

		restored := w
		restored.Owner.UID = "o-restored"
		p.putPoolRefused(restored, portalapi.CodeStaleRevision)
		restored.Adopt = &portalapi.Adopt{ID: own.ID, OwnerUID: w.Owner.UID}
		if got := p.putPool(restored); got.ID != own.ID || got.Owner != restored.Owner {
			p.Errorf("adopted by the same name: %+v", got)
		}
		w.Owner.Revision = 99
		p.putPoolRefused(w, portalapi.CodeStaleRevision)
		p.ok(p.Client.ReleasePool(p.Context(), w.Owner.UID, true))
		if got := p.poolNow(own.ID); got.Owner != restored.Owner {
			p.Errorf("the release of the old owner changed the pool: %+v", got)
		}
		restored.Adopt.ID = "no-such-pool"
		restored.Owner.UID = "o-third"
		p.putPoolRefused(restored, portalapi.CodeNotFound)
	},
	"The portal keeps the highest revision that the owner has seen of each group": func(p *portalTest) {
		p.scimOn()
		w := team("Payments")
		w.Pins = []portalapi.Pin{{Line: "displayName A", ID: "a", Revision: 5}, {Line: "displayName B", ID: "b"}}
		own := p.putPool(w)
		see := func(a, b int64) {
			seen := []portalapi.GroupRevision{{Group: "a", Revision: a}, {Group: "b", Revision: b}, {Group: "unpinned", Revision: 9}}
			if _, err := p.Client.PutMemberships(p.Context(), w.Owner.UID, nil, seen); err != nil {
				p.Error(err)
			}
		}
		pins := func(a, b int64) []portalapi.Pin {
			return []portalapi.Pin{{Line: "displayName A", ID: "a", Revision: a}, {Line: "displayName B", ID: "b", Revision: b}}
		}
		p.audited("seeing a group", 0, func() { see(7, 6) })
		p.equal("seen", p.poolNow(own.ID).Pins, pins(7, 6))
		see(4, 8)
		p.equal("never lower", p.poolNow(own.ID).Pins, pins(7, 8))
		w.Owner.Revision, w.Description = 2, "Other"
		p.equal("a write without them", p.putPool(w).Pins, pins(7, 8))
		w.Pins = pins(10, 1)
		p.audited("a write with one higher alone", 0, func() { p.equal("its answer", p.putPool(w).Pins, pins(10, 8)) })
		p.equal("read again", p.poolNow(own.ID).Pins, pins(10, 8))
		w.Owner.UID, w.Adopt, w.Pins = "o-restored", &portalapi.Adopt{ID: own.ID, OwnerUID: w.Owner.UID}, []portalapi.Pin{{Line: "id a", ID: "a"}}
		p.equal("an adoption with another line", p.putPool(w).Pins, []portalapi.Pin{{Line: "id a", ID: "a", Revision: 10}})
	},
	"An adopted pool keeps its members": func(p *portalTest) {
		p.scimOn()
		own := p.pool("Leads")
		ada := p.put(person("ada", own.ID))
		p.local("carl", func(c *portalv1.UserCreate) { c.Pools = []string{own.ID} })
		w := team("Leads", portalapi.RoleManager)
		w.Adopt = &portalapi.Adopt{ID: own.ID}
		p.audited("the adoption", 1, func() { p.equal("members", p.putPool(w).Members, 2) })
		p.equal("the roles of a member", p.user(ada.ID).Roles, []string{portalapi.RoleManager, portalapi.RoleUser})
	},
	"An owner with the same name and one that inherits count as the creator of the pool, others do not": func(p *portalTest) {
		p.scimOn()
		made := p.putPool(team("Payments"))
		w := team("Payments")
		w.Owner.UID, w.Adopt = "o-restored", &portalapi.Adopt{ID: made.ID, OwnerUID: "o-Payments"}
		if got := p.putPool(w); !got.Created {
			p.Errorf("restored: %+v", got)
		}
		w.Owner = portalapi.Owner{UID: "o-other", Name: "other", Revision: 1}
		w.Adopt.OwnerUID = "o-restored"
		w.Adopt.Inherit = true
		if got := p.putPool(w); !got.Created {
			p.Errorf("one that inherits: %+v", got)
		}
		w.Owner = portalapi.Owner{UID: "o-third", Name: "third", Revision: 1}
		w.Adopt = &portalapi.Adopt{ID: made.ID, OwnerUID: "o-other"}
		if got := p.putPool(w); got.Created {
			p.Errorf("another's: %+v", got)
		}
	},
	"A pool made in the portal can be handed over until it has an owner": func(p *portalTest) {
		p.scimOn()
		own := p.pool("Payments", portalapi.RoleIgnoreQuota)
		end, err := p.Client.Position(p.Context())
		p.ok(err)
		var got portalv1.Pool
		p.audited("handing over", 1, func() {
			p.manage("PATCH", "/pools/"+own.ID, portalv1.PoolPatch{HandedOver: ptr(true)}, &got)
		})
		changes, _, err := p.Client.Changes(p.Context(), end, 0)
		p.ok(err)
		if !got.HandedOver || len(changes) != 1 || changes[0].Pool == nil || !changes[0].Pool.HandedOver {
			p.Errorf("handed over: %+v, the feed: %+v", got, changes)
		}
		w := team("Payments")
		w.Adopt = &portalapi.Adopt{ID: own.ID}
		if adopted := p.putPool(w); adopted.HandedOver || adopted.Created {
			p.Errorf("adopted: %+v", adopted)
		}
		p.refusedWith(p.http(p.Keys.Manage, "PATCH", "/pools/"+own.ID, portalv1.PoolPatch{HandedOver: ptr(true)}), 409, portalapi.CodeReadOnly)
		p.refusedWith(p.http(p.Keys.Manage, "PATCH", "/pools/"+p.defaultPool().ID, portalv1.PoolPatch{HandedOver: ptr(true)}), 400, portalapi.CodeInvalid)
	},
	"Ungranted memberships and roles are shown, and a write of the owner removes them": func(p *portalTest) {
		p.scimOn()
		pool, other := p.putPool(team("Payments", portalapi.RoleIgnoreQuota)), p.putPool(team("Other"))
		ada := p.put(person("ada", pool.ID))
		if pool.Ungranted != nil || ada.Ungranted != nil || ada.DirectRoles != nil {
			p.Errorf("granted by the owners: %+v, %+v", pool, ada)
		}
		off := p.loginMethods()
		off.SCIM.Enabled = false
		p.saveLoginMethods(off)
		p.manage("PATCH", "/pools/"+pool.ID, portalv1.PoolPatch{Roles: &[]string{portalapi.RoleIgnoreQuota, portalapi.RoleManager}}, nil)
		p.manage("PATCH", "/users/"+ada.ID, portalv1.UserPatch{Pools: &[]string{pool.ID, other.ID}, DirectRoles: &[]string{portalapi.RoleManager}}, nil)
		p.scimOn()

		p.equal("the pool's", p.poolNow(pool.ID).Ungranted, []string{portalapi.RoleManager})
		seen := p.accountNow(ada.ID)
		p.equal("the user's pools", seen.Ungranted, []string{other.ID})
		p.equal("the user's roles", seen.DirectRoles, []string{portalapi.RoleManager})
		w := person("ada", pool.ID, other.ID)
		w.Owner.Revision = 2
		healed := p.put(w)
		if healed.Ungranted != nil || healed.DirectRoles != nil || healed.Revision <= seen.Revision {
			p.Errorf("after the owner's write: %+v", healed)
		}
		t := team("Payments", portalapi.RoleIgnoreQuota)
		t.Owner.Revision = 2
		if got := p.putPool(t); got.Ungranted != nil || slices.Contains(got.Roles, portalapi.RoleManager) {
			p.Errorf("after the owner's write: %+v", got)
		}
		p.equal("removals", p.removals(time.Hour).Removed, 0)
	},
	"The owner's next write grants a wanted membership or role that was ungranted": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Payments"))
		ada := p.put(person("ada"))
		off := p.loginMethods()
		off.SCIM.Enabled = false
		p.saveLoginMethods(off)
		p.manage("PATCH", "/pools/"+pool.ID, portalv1.PoolPatch{Roles: &[]string{portalapi.RoleManager}}, nil)
		p.manage("PATCH", "/users/"+ada.ID, portalv1.UserPatch{Pools: &[]string{pool.ID}}, nil)
		p.scimOn()
		p.equal("not granted", p.accountNow(ada.ID).Ungranted, []string{pool.ID})
		p.equal("granted to the user", p.put(person("ada", pool.ID)).Ungranted, []string(nil))
		p.equal("granted to the pool", p.putPool(team("Payments", portalapi.RoleManager)).Ungranted, []string(nil))
		w := person("ada")
		w.Owner.Revision = 2
		p.put(w)
		p.equal("removing it now is a removal", p.removals(time.Hour).Removed, 1)
	},
	"Unknown roles and the vendor's own are refused": func(p *portalTest) {
		p.scimOn()
		p.putPoolRefused(team("Payments", "ROLE_NOBODY_KNOWS"), portalapi.CodeUnknownRole)
		p.putPoolRefused(team("Payments", portalapi.RoleAdmin), portalapi.CodeRoleNotGrantable)
		p.putPoolRefused(team("Payments", portalapi.RoleAccountManager), portalapi.CodeRoleNotGrantable)
		p.putPoolRefused(team(" Payments"), portalapi.CodeInvalid)
		roles, err := p.Client.Roles(p.Context())
		p.ok(err)
		grantable := map[string]bool{}
		for _, r := range roles {
			grantable[r.Name] = r.Grantable
		}
		p.equal("catalogue", grantable, map[string]bool{portalapi.RoleUser: true, portalapi.RoleIgnoreQuota: true, portalapi.RoleManager: true,
			portalapi.RoleAdmin: false, portalapi.RoleAccountManager: false})
	},
	"A release keeps the pool; a removal deletes it and its roles": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Payments", portalapi.RoleIgnoreQuota))
		ada := p.put(person("ada", pool.ID))
		p.ok(p.Client.ReleasePool(p.Context(), "o-Payments", false))
		p.ok(p.Client.ReleasePool(p.Context(), "o-Payments", true)) // it no longer has an owner
		var left portalv1.Pool
		p.manage("GET", "/pools/"+pool.ID, nil, &left)
		if left.Owner != nil || left.ReadOnly || left.MemberCount != 1 || left.Created {
			p.Errorf("released: %+v", left)
		}
		p.putPoolRefused(team("Payments"), portalapi.CodeStaleRevision)
		w := team("Payments", portalapi.RoleIgnoreQuota)
		w.Owner.UID, w.Adopt = "o-Payments-2", &portalapi.Adopt{ID: pool.ID}
		p.putPool(w)
		p.ok(p.Client.ReleasePool(p.Context(), "o-Payments-2", true))
		if left := p.poolNow(pool.ID); left.Owner.UID != "" || len(left.Roles) > 0 || left.Members != 1 {
			p.Errorf("an adopted pool stays, without the roles that its owner granted: %+v", left)
		}
		made := p.putPool(team("Billing", portalapi.RoleIgnoreQuota))
		bob := p.put(person("bob", made.ID))
		p.ok(p.Client.ReleasePool(p.Context(), "o-Billing", true))
		p.refusedWith(p.http(p.Keys.Manage, "GET", "/pools/"+made.ID, nil), 404, portalapi.CodeNotFound)
		p.equal("the members' roles", slices.Concat(p.user(ada.ID).Roles, p.user(bob.ID).Roles), []string{portalapi.RoleUser, portalapi.RoleUser})
		p.ok(p.Client.ReleasePool(p.Context(), "o-no-such-owner", true))
	},
	"The default pool keeps its name and cannot be deleted": func(p *portalTest) {
		p.scimOn()
		def := p.defaultPool()
		if p.has(portalapi.CapabilityREST) {
			p.refusedWith(p.http(p.Keys.Manage, "PATCH", "/pools/"+def.ID, portalv1.PoolPatch{Name: ptr("Everyone")}), 409, portalapi.CodeDefaultPool)
			p.refusedWith(p.http(p.Keys.Manage, "DELETE", "/pools/"+def.ID, nil), 409, portalapi.CodeDefaultPool)
			p.manage("PATCH", "/pools/"+def.ID, portalv1.PoolPatch{Description: ptr("all of us")}, nil)
		}
		p.putPoolRefused(team("DEFAULT", portalapi.RoleManager), portalapi.CodeDuplicatePool)
		ada := p.put(person("ada"))

		w := team("Everyone", portalapi.RoleIgnoreQuota)
		w.Adopt = &portalapi.Adopt{ID: def.ID}
		p.putPoolRefused(w, portalapi.CodeDefaultPool) // no other owner can write it, under any name
		w.Name = def.Name
		p.putPoolRefused(w, portalapi.CodeDefaultPool)
		w.Default, w.Name = true, "Everyone"
		if got := p.putPool(w); !got.Default || got.Name != def.Name || got.Created {
			p.Errorf("the default pool of its owner: %+v", got)
		}
		p.equal("roles by the default pool", p.user(ada.ID).Roles, []string{portalapi.RoleIgnoreQuota, portalapi.RoleUser})
		other := team("Other")
		other.Default = true
		p.putPoolRefused(other, portalapi.CodeDefaultPool)
		w.Default = false
		p.putPoolRefused(w, portalapi.CodeDefaultPool)

		p.ok(p.Client.ReleasePool(p.Context(), w.Owner.UID, true))
		if got := p.poolNow(def.ID); got.Owner.UID != "" || len(got.Roles) > 0 || got.Members != 2 {
			p.Errorf("released: %+v", got)
		}
		p.equal("roles after the release", p.user(ada.ID).Roles, []string{portalapi.RoleUser})
	},
	"A pool that an AgentPool manages is read-only for people": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Payments"))
		p.refusedWith(p.http(p.Keys.Manage, "PATCH", "/pools/"+pool.ID, portalv1.PoolPatch{Description: ptr("mine")}), 409, portalapi.CodeReadOnly)
		p.refusedWith(p.http(p.Keys.Manage, "DELETE", "/pools/"+pool.ID, nil), 409, portalapi.CodeReadOnly)
		var got portalv1.Pool
		p.manage("GET", "/pools/"+pool.ID, nil, &got)
		if !got.ReadOnly || got.ReadOnlyReason == "" || got.Owner == nil || got.Owner.UID != "o-Payments" {
			p.Errorf("pool: %+v", got)
		}
	},
	"A held change is shown until the owner writes": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Managers", portalapi.RoleManager))
		owner := pool.Owner
		mark := func(m *portalapi.Mark) {
			p.Helper()
			p.ok(p.Client.MarkPool(p.Context(), owner, m))
			p.equal("the mark", p.poolNow(pool.ID).Mark, m)
		}
		held := func(what portalapi.Removal) *portalapi.Mark {
			return &portalapi.Mark{What: what, State: portalapi.MarkHeld, Decision: "d-1", At: "managers"}
		}
		end, err := p.Client.Position(p.Context())
		p.ok(err)
		p.audited("a mark", 1, func() { mark(held(portalapi.RemovalManager)) })
		p.audited("the mark again", 0, func() { mark(held(portalapi.RemovalManager)) })
		changes, _, err := p.Client.Changes(p.Context(), end, 0)
		p.ok(err)
		if len(changes) != 1 || changes[0].Pool == nil || changes[0].Pool.Mark.Held() != portalapi.RemovalManager {
			p.Errorf("the feed has %+v", changes)
		}
		mark(nil)
		mark(held(portalapi.RemovalMembers))
		w := team("Managers", portalapi.RoleManager)
		w.Owner.Revision, w.Description, w.KeepMark = 2, "Other", true
		p.equal("after a write that keeps it", p.putPool(w).Mark, held(portalapi.RemovalMembers))
		w.KeepMark = false
		p.equal("after a write that does not", p.putPool(w).Mark, (*portalapi.Mark)(nil))
		p.refused(p.Client.MarkPool(p.Context(), owner, held(portalapi.RemovalDeletion)), portalapi.CodeStaleRevision)
		owner.Revision = 2
		mark(held(portalapi.RemovalDeletion))
		p.ok(p.Client.ReleasePool(p.Context(), "o-Managers", false))
		p.ok(p.Client.MarkPool(p.Context(), owner, held(portalapi.RemovalDeletion))) // no longer owned
		p.equal("after a release", p.poolNow(pool.ID).Mark, (*portalapi.Mark)(nil))
		p.refused(p.Client.MarkPool(p.Context(), owner, held(portalapi.RemovalDeactivation)), portalapi.CodeInvalid)
	},
	"A pool that grants the last local manager the role keeps it": func(p *portalTest) {
		pool := p.pool("Managers", portalapi.RoleManager)
		boss := p.manager()
		p.local("second", func(c *portalv1.UserCreate) { c.Password, c.Pools = "a long enough password", []string{pool.ID} })
		p.manage("PATCH", "/users/"+boss.ID, portalv1.UserPatch{DirectRoles: &[]string{}}, nil)
		p.refusedWith(p.http(p.Keys.Manage, "PATCH", "/pools/"+pool.ID, portalv1.PoolPatch{Roles: &[]string{}}), 409, portalapi.CodeLastManager)
		p.refusedWith(p.http(p.Keys.Manage, "DELETE", "/pools/"+pool.ID, nil), 409, portalapi.CodeLastManager)
		p.scimOn()
		w := team("Managers")
		w.Adopt = &portalapi.Adopt{ID: pool.ID}
		p.putPoolRefused(w, portalapi.CodeLastManager)
	},
}
