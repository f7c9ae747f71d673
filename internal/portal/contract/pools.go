package contract

import (
	"slices"

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/openapi"
)

func team(name string, roles ...string) portal.PoolWrite {
	return portal.PoolWrite{OwnerUID: "o-" + name, Revision: 1, Name: name, Description: "Team " + name, Roles: &roles}
}

func (p *portalTest) putPool(w portal.PoolWrite) *portal.Pool {
	p.Helper()
	got, err := p.Client.PutPool(p.Context(), w)
	if err != nil {
		p.Fatalf("put pool %s: %v", w.Name, err)
	}
	return got
}

func (p *portalTest) putPoolRefused(w portal.PoolWrite, code portal.Code) {
	p.Helper()
	_, err := p.Client.PutPool(p.Context(), w)
	p.refused(err, code)
}

var poolTests = map[string]func(*portalTest){
	"A pool is created, and the same state again writes nothing": func(p *portalTest) {
		p.scimOn()
		w := team("Payments", portal.RoleManager, portal.RoleIgnoreQuota)
		got := p.putPool(w)
		p.equal("pool", got, &portal.Pool{ID: got.ID, Name: "Payments", Description: "Team Payments", OwnerUID: "o-Payments",
			Roles: []string{portal.RoleIgnoreQuota, portal.RoleManager}, Revision: got.Revision})
		p.audited("an unchanged write", 0, func() { p.equal("again", p.putPool(w), got) })
		all, err := p.Client.Pools(p.Context())
		p.ok(err)
		if len(all) != 2 || !slices.ContainsFunc(all, func(one portal.Pool) bool { return one.ID == got.ID }) {
			p.Errorf("pools: %+v", all)
		}
	},
	"Absent roles leave the portal's own, empty roles are none": func(p *portalTest) {
		p.scimOn()
		own := p.pool("Payments", portal.RoleIgnoreQuota)
		w := team("Payments")
		w.AdoptID, w.Roles = own.ID, nil
		p.equal("absent", p.putPool(w).Roles, []string{portal.RoleIgnoreQuota})
		w.Roles, w.Revision = &[]string{}, 2
		p.equal("empty", p.putPool(w).Roles, []string{})
	},
	"A pool's new roles reach every member at once, and the feed tells of them": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Payments"))
		var ids []string
		for i := range 30 {
			ids = append(ids, p.put(person(number(i), pool.ID)).ID)
		}
		end, err := p.Client.Position(p.Context())
		p.ok(err)
		before := p.user(ids[0]).Revision
		w := team("Payments", portal.RoleIgnoreQuota)
		w.Revision = 2
		p.audited("a change of roles", 1, func() {
			if got := p.putPool(w); got.Members != 30 {
				p.Errorf("%d members, want 30", got.Members)
			}
		})
		changes, _, err := p.Client.Changes(p.Context(), end, 0)
		p.ok(err)
		told := map[string]bool{}
		for _, c := range changes {
			if c.Kind == portal.ChangeAccount {
				p.equal("roles in the feed", c.Account.Roles, []string{portal.RoleIgnoreQuota, portal.RoleUser})
				told[c.ID] = true
			}
		}
		if len(told) != 30 || len(changes) != 31 {
			p.Errorf("the feed tells of %d members in %d changes, want 30 in 31", len(told), len(changes))
		}
		if got := p.user(ids[0]); got.Revision <= before {
			p.Errorf("the member's revision stayed at %d", got.Revision)
		}
	},
	"An older revision is stale, a taken name refused, a rename kept": func(p *portalTest) {
		p.scimOn()
		p.pool("Taken")
		w := team("Payments")
		w.Revision = 5
		first := p.putPool(w)
		w.Name = "TAKEN"
		p.putPoolRefused(w, portal.CodeDuplicatePool)
		w.Name = "Billing"
		if got := p.putPool(w); got.ID != first.ID || got.Name != "Billing" || got.Revision <= first.Revision {
			p.Errorf("renamed: %+v", got)
		}
		w.Revision, w.Name = 4, "Late"
		p.putPoolRefused(w, portal.CodeStaleRevision)
		p.putPoolRefused(team("billing"), portal.CodeDuplicatePool)
	},
	"A pool without an owner can be adopted, one with an owner cannot": func(p *portalTest) {
		p.scimOn()
		own := p.pool("Payments")
		w := team("Payments")
		p.putPoolRefused(w, portal.CodeDuplicatePool)
		w.AdoptID = own.ID
		if got := p.putPool(w); got.ID != own.ID || got.OwnerUID != "o-Payments" {
			p.Errorf("adopted: %+v", got)
		}
		p.audited("the adoption again", 0, func() { p.putPool(w) })
		w.OwnerUID = "o-other"
		p.putPoolRefused(w, portal.CodeStaleRevision)
		w.AdoptID = "no-such-pool"
		p.putPoolRefused(w, portal.CodeNotFound)
	},
	"Unknown roles and the vendor's own are refused": func(p *portalTest) {
		p.scimOn()
		p.putPoolRefused(team("Payments", "ROLE_NOBODY_KNOWS"), portal.CodeUnknownRole)
		p.putPoolRefused(team("Payments", portal.RoleAdmin), portal.CodeRoleNotGrantable)
		p.putPoolRefused(team("Payments", portal.RoleAccountManager), portal.CodeRoleNotGrantable)
		p.putPoolRefused(team(" Payments"), portal.CodeInvalid)
		roles, err := p.Client.Roles(p.Context())
		p.ok(err)
		grantable := map[string]bool{}
		for _, r := range roles {
			grantable[r.Name] = r.Grantable
		}
		p.equal("catalogue", grantable, map[string]bool{portal.RoleUser: true, portal.RoleIgnoreQuota: true, portal.RoleManager: true,
			portal.RoleAdmin: false, portal.RoleAccountManager: false})
	},
	"A release leaves the pool, a removal takes it and what it gave": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Payments", portal.RoleIgnoreQuota))
		ada := p.put(person("ada", pool.ID))
		p.ok(p.Client.ReleasePool(p.Context(), "o-Payments", false))
		p.ok(p.Client.ReleasePool(p.Context(), "o-Payments", true)) // nobody owns it any more
		var left openapi.Pool
		p.manage("GET", "/pools/"+pool.ID, nil, &left)
		if left.OwnerUID != "" || left.ReadOnly || left.MemberCount != 1 {
			p.Errorf("released: %+v", left)
		}
		p.putPoolRefused(team("Payments"), portal.CodeStaleRevision)
		w := team("Payments", portal.RoleIgnoreQuota)
		w.OwnerUID, w.AdoptID = "o-Payments-2", pool.ID
		p.putPool(w)
		p.ok(p.Client.ReleasePool(p.Context(), "o-Payments-2", true))
		p.no(p.http(p.Keys.Manage, "GET", "/pools/"+pool.ID, nil), 404, portal.CodeNotFound)
		p.equal("the member's roles", p.user(ada.ID).Roles, []string{portal.RoleUser})
		p.ok(p.Client.ReleasePool(p.Context(), "o-nobody", true))
	},
	"The default pool keeps its name and stays": func(p *portalTest) {
		p.scimOn()
		def := p.defaultPool()
		w := team("Everyone", portal.RoleIgnoreQuota)
		w.AdoptID = def.ID
		p.putPoolRefused(w, portal.CodeDefaultPool)
		p.no(p.http(p.Keys.Manage, "PATCH", "/pools/"+def.ID, openapi.PoolPatch{Name: ptr("Everyone")}), 409, portal.CodeDefaultPool)
		p.no(p.http(p.Keys.Manage, "DELETE", "/pools/"+def.ID, nil), 409, portal.CodeDefaultPool)
		w.Name = def.Name
		if got := p.putPool(w); !got.Default {
			p.Errorf("adopted default pool: %+v", got)
		}
		p.refused(p.Client.ReleasePool(p.Context(), w.OwnerUID, true), portal.CodeDefaultPool)
		p.ok(p.Client.ReleasePool(p.Context(), w.OwnerUID, false))
		ada := p.put(person("ada"))
		p.equal("roles by the default pool", ada.Roles, []string{portal.RoleIgnoreQuota, portal.RoleUser})
	},
	"A pool that an AgentPool rules is read-only for people": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Payments"))
		p.no(p.http(p.Keys.Manage, "PATCH", "/pools/"+pool.ID, openapi.PoolPatch{Description: ptr("mine")}), 409, portal.CodeReadOnly)
		p.no(p.http(p.Keys.Manage, "DELETE", "/pools/"+pool.ID, nil), 409, portal.CodeReadOnly)
		var got openapi.Pool
		p.manage("GET", "/pools/"+pool.ID, nil, &got)
		if !got.ReadOnly || got.ReadOnlyReason == "" || got.OwnerUID != "o-Payments" {
			p.Errorf("pool: %+v", got)
		}
	},
	"A change that the guard holds is shown until the owner writes": func(p *portalTest) {
		p.scimOn()
		pool := p.putPool(team("Managers", portal.RoleManager))
		hold := portal.PoolHold{OwnerUID: "o-Managers", Revision: 1, What: portal.RemovalManager, At: "managers"}
		shown := func() portal.Pool {
			p.Helper()
			all, err := p.Client.Pools(p.Context())
			p.ok(err)
			return all[slices.IndexFunc(all, func(one portal.Pool) bool { return one.ID == pool.ID })]
		}
		mark := func(what portal.Removal, at string) {
			p.Helper()
			hold.What = what
			p.ok(p.Client.MarkPoolHeld(p.Context(), hold))
			if got := shown(); got.Held != what || got.HeldAt != at {
				p.Errorf("marked %q, it shows %q at %q", what, got.Held, got.HeldAt)
			}
		}
		end, err := p.Client.Position(p.Context())
		p.ok(err)
		p.audited("a mark", 1, func() { mark(portal.RemovalManager, "managers") })
		p.audited("the mark again", 0, func() { mark(portal.RemovalManager, "managers") })
		changes, _, err := p.Client.Changes(p.Context(), end, 0)
		p.ok(err)
		if len(changes) != 1 || changes[0].Pool == nil || changes[0].Pool.Held != portal.RemovalManager {
			p.Errorf("the feed tells of %+v", changes)
		}
		mark("", "")
		mark(portal.RemovalDeletion, "managers")
		w := team("Managers", portal.RoleManager)
		w.Revision = 2
		if got := p.putPool(w); got.Held != "" || got.HeldAt != "" {
			p.Errorf("after a write: %+v", got)
		}
		p.refused(p.Client.MarkPoolHeld(p.Context(), hold), portal.CodeStaleRevision)
		hold.Revision = 2
		mark(portal.RemovalDeletion, "managers")
		p.ok(p.Client.ReleasePool(p.Context(), "o-Managers", false))
		p.ok(p.Client.MarkPoolHeld(p.Context(), hold)) // nobody's any more
		if got := shown(); got.Held != "" || got.HeldAt != "" {
			p.Errorf("after a release: %+v", got)
		}
		hold.What = portal.RemovalDeactivation
		p.refused(p.Client.MarkPoolHeld(p.Context(), hold), portal.CodeInvalid)
	},
	"A pool that makes the last local manager keeps its role": func(p *portalTest) {
		pool := p.pool("Managers", portal.RoleManager)
		boss := p.manager()
		p.local("second", func(c *openapi.UserCreate) { c.Password, c.Pools = "a long enough password", []string{pool.ID} })
		p.manage("PATCH", "/users/"+boss.ID, openapi.UserPatch{DirectRoles: &[]string{}}, nil)
		p.no(p.http(p.Keys.Manage, "PATCH", "/pools/"+pool.ID, openapi.PoolPatch{Roles: &[]string{}}), 409, portal.CodeLastManager)
		p.no(p.http(p.Keys.Manage, "DELETE", "/pools/"+pool.ID, nil), 409, portal.CodeLastManager)
		p.scimOn()
		w := team("Managers")
		w.AdoptID = pool.ID
		p.putPoolRefused(w, portal.CodeLastManager)
	},
}
