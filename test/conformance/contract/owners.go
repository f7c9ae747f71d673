// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"slices"
	"strings"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// adopting returns person's write with the adoption of an account.
func adopting(name, accountID, ownerUID string, pools ...string) portalapi.AccountWrite {
	w := person(name, pools...)
	w.Adopt = &portalapi.Adopt{ID: accountID, OwnerUID: ownerUID}
	return w
}

// existingOn also turns on "Provision existing users with SCIM".
func (p *portalTest) existingOn() {
	p.Helper()
	m := p.loginMethods()
	m.SCIM.ProvisionExistingUsers = true
	p.saveLoginMethods(m)
}

var ownerTests = map[string]func(*portalTest){
	"A local account is not adopted because of its name, nor without permission": func(p *portalTest) {
		p.scimOn()
		ada := p.local("ada")
		p.putRefused(person("ada"), portalapi.CodeLocalAccount)
		p.putRefused(adopting("ada", ada.ID, ""), portalapi.CodeLocalAccount)
		if got := p.user(ada.ID); got.Revision != ada.Revision || got.ManagedBy != portalv1.ManagedByLocal {
			p.Errorf("the local user was changed: %+v", got)
		}
	},
	"Adoption keeps id and history, and replaces pools and direct roles": func(p *portalTest) {
		pool, other := p.pool("Quota", portalapi.RoleIgnoreQuota), p.pool("Other")
		ada := p.local("ada", func(c *portalv1.UserCreate) {
			c.Pools, c.DirectRoles = []string{pool.ID}, []string{portalapi.RoleManager}
		})
		p.existingOn()
		p.ok(p.Client.MarkWaiting(p.Context(), ada.ID, portalapi.Owner{UID: "u-ada", Name: "s-ada"}))
		got := p.put(adopting("ada", ada.ID, "", other.ID))
		if got.ID != ada.ID || got.ManagedBy != portalapi.ManagedBySCIM || got.Owner.UID != "u-ada" || got.WaitingFor != (portalapi.Owner{}) {
			p.Errorf("adopted: %+v", got)
		}
		p.equal("pools", got.Pools, sorted(other.ID, p.defaultPool().ID))
		p.equal("roles", got.Roles, []string{portalapi.RoleUser})
		p.audited("the adoption again", 0, func() { p.equal("adopted again", p.put(adopting("ada", ada.ID, "", other.ID)), got) })
		if !p.has(portalapi.CapabilityREST) {
			return
		}
		after := p.user(ada.ID)
		if !after.CreatedAt.Equal(ada.CreatedAt) || !after.ReadOnly || after.ReadOnlyReason == "" || len(after.DirectRoles) > 0 {
			p.Errorf("after the adoption: %+v", after)
		}
		var report portalv1.MigrationReport
		p.manage("GET", "/identity-configuration/migration-report", nil, &report)
		if report.Migrated != 1 || report.WaitingCount != 0 || report.UnmatchedCount != 1 {
			p.Errorf("report: %+v", report)
		}
	},
	"A local account that was handed over is adopted without the toggle": func(p *portalTest) {
		p.scimOn()
		ada := p.local("ada")
		p.manage("PATCH", "/users/"+ada.ID, portalv1.UserPatch{HandedOver: ptr(true)}, nil)
		if got := p.put(adopting("ada", ada.ID, "")); got.ID != ada.ID || got.HandedOver {
			p.Errorf("adopted: %+v", got)
		}
		p.refusedWith(p.http(p.Keys.Manage, "PATCH", "/users/"+ada.ID, portalv1.UserPatch{HandedOver: ptr(true)}), 409, portalapi.CodeReadOnly)
	},
	"Adoption is a compare-and-swap, and a late write of the old owner is stale": func(p *portalTest) {
		p.scimOn()
		first := p.put(person("ada"))
		w := adopting("ada", first.ID, "other-owner")
		w.Owner.UID = "u-ada-2"
		p.putRefused(w, portalapi.CodeStaleRevision)
		w.Adopt.OwnerUID = "u-ada"
		got := p.put(w)
		if got.ID != first.ID || got.Owner.UID != "u-ada-2" {
			p.Errorf("re-keyed: %+v", got)
		}
		late := person("ada")
		late.Owner.Revision = 99
		p.putRefused(late, portalapi.CodeStaleRevision)
		late.UserName = "ada-elsewhere@example.test"
		p.putRefused(late, portalapi.CodeStaleRevision)
		p.putRefused(adopting("ada", first.ID, "u-ada-2"), portalapi.CodeStaleRevision)
		p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Revision: 99}, portalapi.ReleaseDelete))
		if after := p.user(first.ID); after.Owner.UID != "u-ada-2" || after.Status != portalv1.StatusActive {
			p.Errorf("the release of the old owner changed the account: %+v", after)
		}
	},
	"Adopting a deleted account returns NOT_FOUND": func(p *portalTest) {
		p.scimOn()
		p.putRefused(adopting("ada", "no-such-account", ""), portalapi.CodeNotFound)
	},
	"Release by deactivation keeps the record without memberships; the user can get it back": func(p *portalTest) {
		p.scimOn()
		pool := p.pool("Managers", portalapi.RoleManager)
		first := p.put(person("ada", pool.ID))
		owner := portalapi.Owner{UID: "u-ada", Name: "s-ada", Revision: 1}
		p.ok(p.Client.ReleaseAccount(p.Context(), owner, portalapi.ReleaseDeactivate))
		got := p.user(first.ID)
		if got.Status != portalv1.StatusDeactivated || got.DeactivatedBy != portalv1.ManagedBySCIM || len(got.Pools) != 0 || got.Owner != nil || got.ManagedBy != portalv1.ManagedBySCIM {
			p.Errorf("released: %+v", got)
		}
		p.equal("roles", got.Roles, []string{portalapi.RoleUser})
		p.audited("a release again", 0, func() { p.ok(p.Client.ReleaseAccount(p.Context(), owner, portalapi.ReleaseDeactivate)) })
		p.putRefused(person("ada"), portalapi.CodeStaleRevision)
		w := person("ada")
		w.Owner.UID, w.Owner.Revision = "u-ada-2", 2
		p.putRefused(w, portalapi.CodeDuplicateUser)
		w.Adopt = &portalapi.Adopt{ID: first.ID}
		back := p.put(w)
		if back.ID != first.ID || back.Status != portalapi.StatusActive || back.DeactivatedBy != "" {
			p.Errorf("back: %+v", back)
		}
		p.equal("pools", back.Pools, []string{p.defaultPool().ID})
	},
	"Release by deletion removes the record and frees the name": func(p *portalTest) {
		p.scimOn()
		first := p.put(person("ada"))
		p.refused(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Revision: 0}, portalapi.ReleaseDelete), portalapi.CodeStaleRevision)
		p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Revision: 1}, portalapi.ReleaseDelete))
		p.refusedWith(p.http(p.Keys.Manage, "GET", "/users/"+first.ID, nil), 404, portalapi.CodeNotFound)
		if p.has(portalapi.CapabilityAudit) {
			var trail portalv1.AuditEventPage
			p.manage("GET", "/audit-events?userId="+first.ID, nil, &trail)
			if len(trail.Items) != 3 || trail.Items[0].TargetName != "ada@example.test" {
				p.Errorf("the audit trail did not stay: %+v", trail.Items)
			}
		}
		p.putRefused(person("ada"), portalapi.CodeStaleRevision)
		w := person("ada")
		w.Owner.UID, w.Owner.Revision = "u-ada-2", 2
		if again := p.put(w); again.ID == first.ID {
			p.Errorf("the new account has the old one's id")
		}
	},
	"Release as an orphan leaves an active local account": func(p *portalTest) {
		p.scimOn()
		pool := p.pool("Quota", portalapi.RoleIgnoreQuota)
		first := p.put(person("ada", pool.ID))
		off := p.loginMethods()
		off.SCIM.Enabled = false
		p.saveLoginMethods(off)
		p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Revision: 1}, portalapi.ReleaseOrphan))
		got := p.user(first.ID)
		if got.Status != portalv1.StatusActive || got.ManagedBy != portalv1.ManagedByLocal || got.Owner != nil || len(got.Pools) != 2 {
			p.Errorf("orphaned: %+v", got)
		}
		p.equal("roles", got.Roles, []string{portalapi.RoleIgnoreQuota, portalapi.RoleUser})
	},
	"After a release in any mode, an older object of the owner gets no account until a newer push, or until a person accepts it": func(p *portalTest) {
		p.scimOn()
		for _, mode := range []portalapi.ReleaseMode{portalapi.ReleaseDeactivate, portalapi.ReleaseDelete, portalapi.ReleaseOrphan} {
			name := strings.ToLower(string(mode))
			first := p.put(person(name))
			p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-" + name, Name: "s-" + name, Revision: 5}, mode))
			p.released(name, 5)

			w := person(name)
			w.Owner.UID, w.Owner.Revision = "u-restored-"+name, 5
			switch {
			case mode == portalapi.ReleaseOrphan && !p.has(portalapi.CapabilityHandOver):
				p.existingOn()
			case mode == portalapi.ReleaseOrphan:
				p.manage("PATCH", "/users/"+first.ID, portalv1.UserPatch{HandedOver: ptr(true)}, nil)
			}
			if mode != portalapi.ReleaseDelete {
				w.Adopt = &portalapi.Adopt{ID: first.ID}
			}
			p.putRefused(w, portalapi.CodeReleasedSince)
			w.Accepted = 4 // of another release
			p.putRefused(w, portalapi.CodeReleasedSince)
			p.released(name, 5)
			w.Owner.Revision, w.Accepted = 1, 5
			if back := p.put(w); back.Status != portalapi.StatusActive || back.Owner.Revision != 1 {
				p.Errorf("%s: accepted: %+v", mode, back)
			}
			p.put(w) // a repeat changes nothing
			p.released(name, 0)

			p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: w.Owner.UID, Name: "s-" + name, Revision: 6}, portalapi.ReleaseDelete))
			w = person(name)
			w.Owner.UID, w.Owner.Revision = "u-again-"+name, 6
			w.Accepted = 5
			p.putRefused(w, portalapi.CodeReleasedSince)
			w.Owner.Revision, w.Accepted = 7, 0
			p.put(w)
			p.released(name, 0)
		}
	},
	"The release of a user without an account is remembered; a late one of a former UID is not": func(p *portalTest) {
		p.scimOn()
		p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Name: "s-ada", Revision: 5}, portalapi.ReleaseDeactivate))
		p.released("ada", 5)
		p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Name: "s-ada", Revision: 4}, portalapi.ReleaseDeactivate))
		p.released("ada", 5)
		w := person("ada")
		w.Owner.UID = "u-ada-2"
		p.putRefused(w, portalapi.CodeReleasedSince)
		w.Owner.Revision = 6
		p.put(w)
		p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Name: "s-ada", Revision: 9}, portalapi.ReleaseDelete))
		p.released("ada", 0)
	},
	"A user whose account went to another user is released; the same user under another UID is not": func(p *portalTest) {
		p.scimOn()
		ada := p.put(person("ada"))
		w := adopting("ada", ada.ID, "u-ada") // restored: the same SCIM id and revision
		w.Owner.UID = "u-ada-2"
		p.put(w)
		p.released("ada", 0)
		w = adopting("ada", ada.ID, "u-ada-2") // pushed again under another SCIM id
		w.Owner = portalapi.Owner{UID: "u-new", Name: "s-new", Revision: 1}
		p.put(w)
		p.released("ada", 1)
		w = person("ada")
		w.Owner.UID, w.UserName = "u-ada-3", "former@example.test"
		p.putRefused(w, portalapi.CodeReleasedSince)
	},
	"Released users are listed in pages": func(p *portalTest) {
		p.scimOn()
		var want []portalapi.ReleasedOwner
		for i := range int64(5) {
			o := portalapi.Owner{UID: fmt.Sprint("u-", i), Name: fmt.Sprint("s-", i), Revision: i}
			p.ok(p.Client.ReleaseAccount(p.Context(), o, portalapi.ReleaseDeactivate))
			want = append(want, portalapi.ReleasedOwner{Name: o.Name, Revision: i})
		}
		var got []portalapi.ReleasedOwner
		for after := ""; ; {
			page, next, err := p.Client.Released(p.Context(), after, 2)
			p.ok(err)
			if len(page) > 2 {
				p.Errorf("a page of 2 has %d", len(page))
			}
			for _, o := range page {
				if slices.Contains(want, o) { // a portal of many tests has others
					got = append(got, o)
				}
			}
			if next == "" {
				break
			}
			after = next
		}
		p.equal("released", got, want)
	},
	"Releasing a record without an owner is no error, and refuses a late write": func(p *portalTest) {
		p.scimOn()
		p.audited("a release of nothing", 0, func() {
			p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Revision: 1}, portalapi.ReleaseDeactivate))
		})
		p.putRefused(person("ada"), portalapi.CodeStaleRevision)
	},
	"A mark names the owner that waits for a local account, until it is cleared or the owner is released": func(p *portalTest) {
		p.scimOn()
		ada, bob := p.local("ada"), p.local("bob")
		p.audited("a mark", 1, func() {
			p.ok(p.Client.MarkWaiting(p.Context(), ada.ID, portalapi.Owner{UID: "u-ada", Name: "s-ada"}))
		})
		p.audited("the mark again", 0, func() {
			p.ok(p.Client.MarkWaiting(p.Context(), ada.ID, portalapi.Owner{UID: "u-ada", Name: "s-ada"}))
		})
		if got := p.user(ada.ID); got.WaitingFor == nil || *got.WaitingFor != (portalv1.WaitingFor{UID: "u-ada", Name: "s-ada"}) {
			p.Errorf("marked: %+v", got)
		}
		p.ok(p.Client.MarkWaiting(p.Context(), ada.ID, portalapi.Owner{}))
		if got := p.user(ada.ID); got.WaitingFor != nil {
			p.Errorf("cleared: %+v", got)
		}
		p.ok(p.Client.MarkWaiting(p.Context(), bob.ID, portalapi.Owner{UID: "u-bob"}))
		p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-bob", Revision: 1}, portalapi.ReleaseDeactivate))
		if got := p.user(bob.ID); got.WaitingFor != nil || got.Status != portalv1.StatusActive {
			p.Errorf("after its owner went: %+v", got)
		}
		p.refused(p.Client.MarkWaiting(p.Context(), "no-such-account", portalapi.Owner{UID: "u"}), portalapi.CodeNotFound)
		p.refused(p.Client.MarkWaiting(p.Context(), p.put(person("carl")).ID, portalapi.Owner{UID: "u"}), portalapi.CodeStaleRevision)
	},
	"A mark shows a held or dropped removal, until it is cleared, overwritten, or the owner is released": func(p *portalTest) {
		p.scimOn()
		ada := p.put(person("ada"))
		owner := portalapi.Owner{UID: "u-ada", Name: "s-ada", Revision: 1}
		mark := func(m *portalapi.Mark) {
			p.Helper()
			p.ok(p.Client.MarkAccount(p.Context(), owner, m))
			p.equal("the mark", p.accountNow(ada.ID).Mark, m)
		}
		held := func(what portalapi.Removal) *portalapi.Mark {
			return &portalapi.Mark{What: what, State: portalapi.MarkHeld, Decision: "d-1", At: "s-ada"}
		}
		p.audited("a mark", 1, func() { mark(held(portalapi.RemovalDeactivation)) })
		p.audited("the mark again", 0, func() { mark(held(portalapi.RemovalDeactivation)) })
		listed := func(want ...string) {
			p.Helper()
			if !p.has(portalapi.CapabilityREST) {
				return
			}
			var page portalv1.UserPage
			p.manage("GET", "/users?held=true", nil, &page)
			p.equal("listed as held", userIDs(page.Items), append([]string{}, want...))
		}
		listed(ada.ID)
		mark(held(portalapi.RemovalManager))
		mark(nil)
		dropped := held(portalapi.RemovalDeletion)
		dropped.State = portalapi.MarkDropped
		mark(dropped)
		listed() // a dropped removal is not held
		w := person("ada")
		w.Owner.Revision, w.DisplayName, w.KeepMark = 2, "Renamed", true
		p.equal("after a write that keeps it", p.put(w).Mark, dropped)
		w.KeepMark = false
		p.equal("after a write that does not", p.put(w).Mark, (*portalapi.Mark)(nil))
		p.refused(p.Client.MarkAccount(p.Context(), owner, held(portalapi.RemovalDeletion)), portalapi.CodeStaleRevision)
		owner.Revision = 2
		p.refused(p.Client.MarkAccount(p.Context(), owner, &portalapi.Mark{What: portalapi.RemovalDeletion, State: "Undecided"}), portalapi.CodeInvalid)
		p.refused(p.Client.MarkAccount(p.Context(), owner, held(portalapi.RemovalMembers)), portalapi.CodeInvalid)
		mark(held(portalapi.RemovalDeletion))
		p.ok(p.Client.ReleaseAccount(p.Context(), owner, portalapi.ReleaseOrphan))
		p.equal("after a release", p.accountNow(ada.ID).Mark, (*portalapi.Mark)(nil))
		p.ok(p.Client.MarkAccount(p.Context(), owner, held(portalapi.RemovalDeletion))) // no longer owned
		p.equal("marked without an owner", p.accountNow(ada.ID).Mark, (*portalapi.Mark)(nil))
	},
	"A dropped removal survives the loss of the cluster": func(p *portalTest) {
		p.scimOn()
		ada, pool := p.put(person("ada")), p.putPool(team("Payments"))
		account := &portalapi.Mark{What: portalapi.RemovalDeactivation, State: portalapi.MarkDropped, Decision: "d-1", At: "s-ada"}
		change := &portalapi.Mark{What: portalapi.RemovalDeletion, State: portalapi.MarkDropped, Decision: "d-2", At: "team-payments"}
		p.ok(p.Client.MarkAccount(p.Context(), ada.Owner, account))
		p.ok(p.Client.MarkPool(p.Context(), pool.Owner, change))
		w := person("ada")
		w.Owner.UID, w.Adopt = "u-restored", &portalapi.Adopt{ID: ada.ID, OwnerUID: "u-ada"}
		p.equal("the account of the same name", p.put(w).Mark, account)
		t := team("Payments")
		t.Owner.UID, t.Adopt = "o-restored", &portalapi.Adopt{ID: pool.ID, OwnerUID: "o-Payments"}
		p.equal("the pool of the same name", p.putPool(t).Mark, change)
		t.Owner = portalapi.Owner{UID: "o-other", Name: "other", Revision: 1}
		t.Adopt.OwnerUID = "o-restored"
		p.equal("the pool of another name", p.putPool(t).Mark, (*portalapi.Mark)(nil))
	},
	"A local account keeps the mark of its held adoption until its user is released": func(p *portalTest) {
		p.scimOn()
		ada := p.local("ada")
		owner := portalapi.Owner{UID: "u-ada", Name: "s-ada", Revision: 1}
		mark := &portalapi.Mark{What: portalapi.RemovalManager, State: portalapi.MarkHeld, At: "s-ada"}
		p.ok(p.Client.MarkAccount(p.Context(), owner, mark)) // no owner waits for it
		if got := p.user(ada.ID); got.Mark != nil {
			p.Errorf("marked without an owner: %+v", got)
		}
		p.ok(p.Client.MarkWaiting(p.Context(), ada.ID, owner))
		p.audited("a mark", 1, func() { p.ok(p.Client.MarkAccount(p.Context(), owner, mark)) })
		if got := p.user(ada.ID); got.Mark == nil || got.Mark.What != portalv1.RemovalManagerRole {
			p.Errorf("marked, it shows %+v", got.Mark)
		}
		p.ok(p.Client.ReleaseAccount(p.Context(), owner, portalapi.ReleaseDeactivate))
		if got := p.user(ada.ID); got.Mark != nil || got.WaitingFor != nil || got.Status != portalv1.StatusActive {
			p.Errorf("after its user went: %+v", got)
		}
	},
	"The last local manager who can sign in cannot be adopted": func(p *portalTest) {
		p.existingOn()
		boss := p.manager()
		w := adopting("boss", boss.ID, "")
		w.UserName = boss.UserName
		p.putRefused(w, portalapi.CodeLastManager)
		if got := p.user(boss.ID); got.Revision != boss.Revision || got.ManagedBy != portalv1.ManagedByLocal {
			p.Errorf("the last manager was changed: %+v", got)
		}
		second := p.local("second", func(c *portalv1.UserCreate) { c.DirectRoles = []string{portalapi.RoleManager} }) // has no password
		p.putRefused(w, portalapi.CodeLastManager)
		p.manage("PATCH", "/users/"+second.ID, portalv1.UserPatch{Password: ptr("a long enough password")}, nil)
		if got := p.put(w); got.ID != boss.ID || got.ManagedBy != portalapi.ManagedBySCIM {
			p.Errorf("adopted: %+v", got)
		}
	},
}

// released fails unless the owner s-<name> is listed as released at the revision; 0: not listed.
func (p *portalTest) released(name string, revision int64) {
	p.Helper()
	var got int64
	for after := ""; ; {
		page, next, err := p.Client.Released(p.Context(), after, 1000)
		p.ok(err)
		for _, o := range page {
			if o.Name == "s-"+name {
				got = o.Revision
			}
		}
		if next == "" {
			break
		}
		after = next
	}
	p.equal("the release of "+name, got, revision)
}
