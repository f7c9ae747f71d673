package contract

import (
	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/openapi"
)

// adopting returns person's write with the adoption of an account.
func adopting(name, accountID, ownerUID string, pools ...string) portal.AccountWrite {
	w := person(name, pools...)
	w.Adopt = &portal.Adopt{ID: accountID, OwnerUID: ownerUID}
	return w
}

// existingOn also turns on "Provision existing users with SCIM".
func (p *portalTest) existingOn() {
	p.Helper()
	m := loginMethods()
	m.SCIM.ProvisionExistingUsers = true
	p.saveLoginMethods(m)
}

var ownerTests = map[string]func(*portalTest){
	"A local account is not adopted because of its name, nor without permission": func(p *portalTest) {
		p.scimOn()
		ada := p.local("ada")
		p.putRefused(person("ada"), portal.CodeLocalAccount)
		p.putRefused(adopting("ada", ada.ID, ""), portal.CodeLocalAccount)
		if got := p.user(ada.ID); got.Revision != ada.Revision || got.ManagedBy != openapi.ManagedByLocal {
			p.Errorf("the local user was changed: %+v", got)
		}
	},
	"Adoption keeps id and history, and replaces pools and direct roles": func(p *portalTest) {
		pool, other := p.pool("Quota", portal.RoleIgnoreQuota), p.pool("Other")
		ada := p.local("ada", func(c *openapi.UserCreate) {
			c.Pools, c.DirectRoles = []string{pool.ID}, []string{portal.RoleManager}
		})
		p.existingOn()
		p.ok(p.Client.MarkWaiting(p.Context(), ada.ID, portal.Owner{UID: "u-ada", Name: "s-ada"}))
		got := p.put(adopting("ada", ada.ID, "", other.ID))
		if got.ID != ada.ID || got.ManagedBy != portal.ManagedBySCIM || got.Owner.UID != "u-ada" || got.WaitingFor != (portal.Owner{}) {
			p.Errorf("adopted: %+v", got)
		}
		p.equal("pools", got.Pools, sorted(other.ID, p.defaultPool().ID))
		p.equal("roles", got.Roles, []string{portal.RoleUser})
		after := p.user(ada.ID)
		if !after.CreatedAt.Equal(ada.CreatedAt) || !after.ReadOnly || after.ReadOnlyReason == "" || len(after.DirectRoles) > 0 {
			p.Errorf("after the adoption: %+v", after)
		}
		var report openapi.MigrationReport
		p.manage("GET", "/identity-configuration/migration-report", nil, &report)
		if report.Migrated != 1 || report.WaitingCount != 0 || report.UnmatchedCount != 1 {
			p.Errorf("report: %+v", report)
		}
		p.audited("the adoption again", 0, func() { p.equal("adopted again", p.put(adopting("ada", ada.ID, "", other.ID)), got) })
	},
	"A local account that was handed over is adopted without the toggle": func(p *portalTest) {
		p.scimOn()
		ada := p.local("ada")
		p.manage("PATCH", "/users/"+ada.ID, openapi.UserPatch{HandedOver: ptr(true)}, nil)
		if got := p.put(adopting("ada", ada.ID, "")); got.ID != ada.ID || got.HandedOver {
			p.Errorf("adopted: %+v", got)
		}
		p.no(p.http(p.Keys.Manage, "PATCH", "/users/"+ada.ID, openapi.UserPatch{HandedOver: ptr(true)}), 409, portal.CodeReadOnly)
	},
	"Adoption is a compare-and-swap, and a late write of the old owner is stale": func(p *portalTest) {
		p.scimOn()
		first := p.put(person("ada"))
		w := adopting("ada", first.ID, "other-owner")
		w.Owner.UID = "u-ada-2"
		p.putRefused(w, portal.CodeStaleRevision)
		w.Adopt.OwnerUID = "u-ada"
		got := p.put(w)
		if got.ID != first.ID || got.Owner.UID != "u-ada-2" {
			p.Errorf("re-keyed: %+v", got)
		}
		late := person("ada")
		late.Owner.Revision = 99
		p.putRefused(late, portal.CodeStaleRevision)
		late.UserName = "ada-elsewhere@example.test"
		p.putRefused(late, portal.CodeStaleRevision)
		p.putRefused(adopting("ada", first.ID, "u-ada-2"), portal.CodeStaleRevision)
		p.ok(p.Client.ReleaseAccount(p.Context(), portal.Owner{UID: "u-ada", Revision: 99}, portal.ReleaseDelete))
		if after := p.user(first.ID); after.Owner.UID != "u-ada-2" || after.Status != openapi.StatusActive {
			p.Errorf("the release of the old owner changed the account: %+v", after)
		}
	},
	"Adopting a deleted account returns NOT_FOUND": func(p *portalTest) {
		p.scimOn()
		p.putRefused(adopting("ada", "no-such-account", ""), portal.CodeNotFound)
	},
	"Release by deactivation keeps the record without memberships; the user can get it back": func(p *portalTest) {
		p.scimOn()
		pool := p.pool("Managers", portal.RoleManager)
		first := p.put(person("ada", pool.ID))
		owner := portal.Owner{UID: "u-ada", Name: "s-ada", Revision: 1}
		p.ok(p.Client.ReleaseAccount(p.Context(), owner, portal.ReleaseDeactivate))
		got := p.user(first.ID)
		if got.Status != openapi.StatusDeactivated || got.DeactivatedBy != openapi.ManagedBySCIM || len(got.Pools) != 0 || got.Owner != nil || got.ManagedBy != openapi.ManagedBySCIM {
			p.Errorf("released: %+v", got)
		}
		p.equal("roles", got.Roles, []string{portal.RoleUser})
		p.audited("a release again", 0, func() { p.ok(p.Client.ReleaseAccount(p.Context(), owner, portal.ReleaseDeactivate)) })
		p.putRefused(person("ada"), portal.CodeStaleRevision)
		w := person("ada")
		w.Owner.UID = "u-ada-2"
		p.putRefused(w, portal.CodeDuplicateUser)
		w.Adopt = &portal.Adopt{ID: first.ID}
		back := p.put(w)
		if back.ID != first.ID || back.Status != portal.StatusActive || back.DeactivatedBy != "" {
			p.Errorf("back: %+v", back)
		}
		p.equal("pools", back.Pools, []string{p.defaultPool().ID})
	},
	"Release by deletion removes the record and frees the name": func(p *portalTest) {
		p.scimOn()
		first := p.put(person("ada"))
		p.refused(p.Client.ReleaseAccount(p.Context(), portal.Owner{UID: "u-ada", Revision: 0}, portal.ReleaseDelete), portal.CodeStaleRevision)
		p.ok(p.Client.ReleaseAccount(p.Context(), portal.Owner{UID: "u-ada", Revision: 1}, portal.ReleaseDelete))
		p.no(p.http(p.Keys.Manage, "GET", "/users/"+first.ID, nil), 404, portal.CodeNotFound)
		var trail openapi.AuditEventPage
		p.manage("GET", "/audit-events?userId="+first.ID, nil, &trail)
		if len(trail.Items) != 3 || trail.Items[0].TargetName != "ada@example.test" {
			p.Errorf("the audit trail did not stay: %+v", trail.Items)
		}
		p.putRefused(person("ada"), portal.CodeStaleRevision)
		w := person("ada")
		w.Owner.UID = "u-ada-2"
		if again := p.put(w); again.ID == first.ID {
			p.Errorf("the new account has the old one's id")
		}
	},
	"Release as an orphan leaves an active local account": func(p *portalTest) {
		p.scimOn()
		pool := p.pool("Quota", portal.RoleIgnoreQuota)
		first := p.put(person("ada", pool.ID))
		off := loginMethods()
		off.SCIM.Enabled = false
		p.saveLoginMethods(off)
		p.ok(p.Client.ReleaseAccount(p.Context(), portal.Owner{UID: "u-ada", Revision: 1}, portal.ReleaseOrphan))
		got := p.user(first.ID)
		if got.Status != openapi.StatusActive || got.ManagedBy != openapi.ManagedByLocal || got.Owner != nil || len(got.Pools) != 2 {
			p.Errorf("orphaned: %+v", got)
		}
		p.equal("roles", got.Roles, []string{portal.RoleIgnoreQuota, portal.RoleUser})
	},
	"Releasing a record without an owner is no error, and refuses a late write": func(p *portalTest) {
		p.scimOn()
		p.audited("a release of nothing", 0, func() {
			p.ok(p.Client.ReleaseAccount(p.Context(), portal.Owner{UID: "u-ada", Revision: 1}, portal.ReleaseDeactivate))
		})
		p.putRefused(person("ada"), portal.CodeStaleRevision)
	},
	"A mark names the owner that waits for a local account, until it is cleared or the owner is released": func(p *portalTest) {
		p.scimOn()
		ada, bob := p.local("ada"), p.local("bob")
		p.audited("a mark", 1, func() {
			p.ok(p.Client.MarkWaiting(p.Context(), ada.ID, portal.Owner{UID: "u-ada", Name: "s-ada"}))
		})
		p.audited("the mark again", 0, func() {
			p.ok(p.Client.MarkWaiting(p.Context(), ada.ID, portal.Owner{UID: "u-ada", Name: "s-ada"}))
		})
		if got := p.user(ada.ID); got.WaitingFor == nil || *got.WaitingFor != (openapi.WaitingFor{UID: "u-ada", Name: "s-ada"}) {
			p.Errorf("marked: %+v", got)
		}
		p.ok(p.Client.MarkWaiting(p.Context(), ada.ID, portal.Owner{}))
		if got := p.user(ada.ID); got.WaitingFor != nil {
			p.Errorf("cleared: %+v", got)
		}
		p.ok(p.Client.MarkWaiting(p.Context(), bob.ID, portal.Owner{UID: "u-bob"}))
		p.ok(p.Client.ReleaseAccount(p.Context(), portal.Owner{UID: "u-bob", Revision: 1}, portal.ReleaseDeactivate))
		if got := p.user(bob.ID); got.WaitingFor != nil || got.Status != openapi.StatusActive {
			p.Errorf("after its owner went: %+v", got)
		}
		p.refused(p.Client.MarkWaiting(p.Context(), "no-such-account", portal.Owner{UID: "u"}), portal.CodeNotFound)
		p.refused(p.Client.MarkWaiting(p.Context(), p.put(person("carl")).ID, portal.Owner{UID: "u"}), portal.CodeStaleRevision)
	},
	"A mark shows a held or dropped removal, until it is cleared, overwritten, or the owner is released": func(p *portalTest) {
		p.scimOn()
		ada := p.put(person("ada"))
		owner := portal.Owner{UID: "u-ada", Name: "s-ada", Revision: 1}
		mark := func(m *portal.Mark) {
			p.Helper()
			p.ok(p.Client.MarkHeld(p.Context(), owner, m))
			p.equal("the mark", p.accountNow(ada.ID).Mark, m)
		}
		held := func(what portal.Removal) *portal.Mark {
			return &portal.Mark{What: what, State: portal.MarkHeld, Decision: "d-1", At: "s-ada"}
		}
		p.audited("a mark", 1, func() { mark(held(portal.RemovalDeactivation)) })
		p.audited("the mark again", 0, func() { mark(held(portal.RemovalDeactivation)) })
		var page openapi.UserPage
		p.manage("GET", "/users?held=true", nil, &page)
		if len(page.Items) != 1 || page.Items[0].ID != ada.ID {
			p.Errorf("held: %+v", page.Items)
		}
		mark(held(portal.RemovalManager))
		mark(nil)
		dropped := held(portal.RemovalDeletion)
		dropped.State = portal.MarkDropped
		mark(dropped)
		page = openapi.UserPage{}
		p.manage("GET", "/users?held=true", nil, &page)
		if len(page.Items) > 0 {
			p.Errorf("a dropped removal is listed as held: %+v", page.Items)
		}
		w := person("ada")
		w.Owner.Revision, w.DisplayName, w.KeepMark = 2, "Renamed", true
		p.equal("after a write that keeps it", p.put(w).Mark, dropped)
		w.KeepMark = false
		p.equal("after a write that does not", p.put(w).Mark, (*portal.Mark)(nil))
		p.refused(p.Client.MarkHeld(p.Context(), owner, held(portal.RemovalDeletion)), portal.CodeStaleRevision)
		owner.Revision = 2
		p.refused(p.Client.MarkHeld(p.Context(), owner, &portal.Mark{What: portal.RemovalDeletion, State: "Undecided"}), portal.CodeInvalid)
		p.refused(p.Client.MarkHeld(p.Context(), owner, held(portal.RemovalMembers)), portal.CodeInvalid)
		mark(held(portal.RemovalDeletion))
		p.ok(p.Client.ReleaseAccount(p.Context(), owner, portal.ReleaseOrphan))
		p.equal("after a release", p.accountNow(ada.ID).Mark, (*portal.Mark)(nil))
		p.ok(p.Client.MarkHeld(p.Context(), owner, held(portal.RemovalDeletion))) // no longer owned
		p.equal("marked without an owner", p.accountNow(ada.ID).Mark, (*portal.Mark)(nil))
	},
	"A dropped removal survives the loss of the cluster": func(p *portalTest) {
		p.scimOn()
		ada, pool := p.put(person("ada")), p.putPool(team("Payments"))
		account := &portal.Mark{What: portal.RemovalDeactivation, State: portal.MarkDropped, Decision: "d-1", At: "s-ada"}
		change := &portal.Mark{What: portal.RemovalDeletion, State: portal.MarkDropped, Decision: "d-2", At: "team-payments"}
		p.ok(p.Client.MarkHeld(p.Context(), ada.Owner, account))
		p.ok(p.Client.MarkPoolHeld(p.Context(), pool.Owner, change))
		w := person("ada")
		w.Owner.UID, w.Adopt = "u-restored", &portal.Adopt{ID: ada.ID, OwnerUID: "u-ada"}
		p.equal("the account of the same name", p.put(w).Mark, account)
		t := team("Payments")
		t.Owner.UID, t.Adopt = "o-restored", &portal.Adopt{ID: pool.ID, OwnerUID: "o-Payments"}
		p.equal("the pool of the same name", p.putPool(t).Mark, change)
		t.Owner = portal.Owner{UID: "o-other", Name: "other", Revision: 1}
		t.Adopt.OwnerUID = "o-restored"
		p.equal("the pool of another name", p.putPool(t).Mark, (*portal.Mark)(nil))
	},
	"A local account keeps the mark of its held adoption until its user is released": func(p *portalTest) {
		p.scimOn()
		ada := p.local("ada")
		owner := portal.Owner{UID: "u-ada", Name: "s-ada", Revision: 1}
		mark := &portal.Mark{What: portal.RemovalManager, State: portal.MarkHeld, At: "s-ada"}
		p.ok(p.Client.MarkHeld(p.Context(), owner, mark)) // no owner waits for it
		if got := p.user(ada.ID); got.Mark != nil {
			p.Errorf("marked without an owner: %+v", got)
		}
		p.ok(p.Client.MarkWaiting(p.Context(), ada.ID, owner))
		p.audited("a mark", 1, func() { p.ok(p.Client.MarkHeld(p.Context(), owner, mark)) })
		if got := p.user(ada.ID); got.Mark == nil || got.Mark.What != openapi.RemovalManagerRole {
			p.Errorf("marked, it shows %+v", got.Mark)
		}
		p.ok(p.Client.ReleaseAccount(p.Context(), owner, portal.ReleaseDeactivate))
		if got := p.user(ada.ID); got.Mark != nil || got.WaitingFor != nil || got.Status != openapi.StatusActive {
			p.Errorf("after its user went: %+v", got)
		}
	},
	"The last local manager who can sign in cannot be adopted": func(p *portalTest) {
		p.existingOn()
		boss := p.manager()
		w := adopting("boss", boss.ID, "")
		w.UserName = boss.UserName
		p.putRefused(w, portal.CodeLastManager)
		if got := p.user(boss.ID); got.Revision != boss.Revision || got.ManagedBy != openapi.ManagedByLocal {
			p.Errorf("the last manager was changed: %+v", got)
		}
		p.local("second", func(c *openapi.UserCreate) { c.DirectRoles = []string{portal.RoleManager} }) // signs in through SSO
		if got := p.put(w); got.ID != boss.ID || got.ManagedBy != portal.ManagedBySCIM {
			p.Errorf("adopted: %+v", got)
		}
	},
}
