// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"slices"
	"strings"
	"sync"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

var accountTests = map[string]func(*portalTest){
	"A new owner gets an active account in the default pool with the user role": func(p *portalTest) {
		p.scimOn()
		got := p.put(person("ada"))
		if got.ID == "" || got.Revision < 1 {
			p.Errorf("account has id %q and revision %d", got.ID, got.Revision)
		}
		want := &portalapi.Account{
			ID: got.ID, UserName: "ada@example.test", DisplayName: "Demo ada", GivenName: "Demo", FamilyName: "ada", Email: "ada@mail.example.test",
			ExternalID: "x-ada", Status: portalapi.StatusActive, ManagedBy: portalapi.ManagedBySCIM,
			Owner: portalapi.Owner{UID: "u-ada", Name: "s-ada", Revision: 1},
			Pools: []string{p.defaultPool().ID}, Roles: []string{portalapi.RoleUser}, Revision: got.Revision,
		}
		p.equal("account", got, want)
		page, next, err := p.Client.Accounts(p.Context(), "", 1000)
		p.ok(err)
		if next != "" || len(page) != 2 || !slices.ContainsFunc(page, func(a portalapi.Account) bool { return a.ID == got.ID }) {
			p.Errorf("the list has %d accounts and continues at %q, want the manager and ada", len(page), next)
		}
	},
	"Roles are the union of the pools' roles, and leaving a pool removes the roles that only it granted": func(p *portalTest) {
		p.scimOn()
		quota, manager := p.pool("Quota", portalapi.RoleIgnoreQuota), p.pool("Managers", portalapi.RoleManager, portalapi.RoleIgnoreQuota)
		got := p.put(person("ada", quota.ID, manager.ID))
		p.equal("roles in both", got.Roles, []string{portalapi.RoleIgnoreQuota, portalapi.RoleManager, portalapi.RoleUser})
		p.equal("pools", got.Pools, sorted(quota.ID, manager.ID, p.defaultPool().ID))
		got = p.put(person("ada", quota.ID))
		p.equal("roles in one", got.Roles, []string{portalapi.RoleIgnoreQuota, portalapi.RoleUser})
		got = p.put(person("ada"))
		p.equal("roles in the default pool", got.Roles, []string{portalapi.RoleUser})
	},
	"Repeating a write changes nothing and returns the same revision": func(p *portalTest) {
		p.scimOn()
		pool := p.pool("Quota", portalapi.RoleIgnoreQuota)
		first := p.put(person("ada", pool.ID))
		end, err := p.Client.Position(p.Context())
		p.ok(err)
		p.audited("an unchanged write", 0, func() {
			again := person("ada", pool.ID, p.defaultPool().ID, pool.ID)
			p.equal("account", p.put(again), first)
		})
		after, err := p.Client.Position(p.Context())
		p.ok(err)
		p.equal("position", after, end)
	},
	"A change advances the revision, a deactivation names who deactivated": func(p *portalTest) {
		p.scimOn()
		first := p.put(person("ada"))
		w := person("ada")
		w.Owner.Revision, w.Active, w.DisplayName = 2, false, "Other"
		second := p.put(w)
		if second.ID != first.ID || second.Revision <= first.Revision {
			p.Errorf("second write: id %s revision %d after id %s revision %d", second.ID, second.Revision, first.ID, first.Revision)
		}
		if second.Status != portalapi.StatusDeactivated || second.DeactivatedBy != portalapi.ManagedBySCIM || second.DisplayName != "Other" {
			p.Errorf("second write: %+v", second)
		}
		w.Owner.Revision, w.Active = 3, true
		if third := p.put(w); third.Status != portalapi.StatusActive || third.DeactivatedBy != "" {
			p.Errorf("third write: %+v", third)
		}
	},
	"An older revision is stale, also after a newer one that changed nothing": func(p *portalTest) {
		p.scimOn()
		w := person("ada")
		w.Owner.Revision = 5
		p.put(w)
		w.Owner.Revision = 7
		p.put(w)
		w.Owner.Revision, w.DisplayName = 6, "Late"
		p.putRefused(w, portalapi.CodeStaleRevision)
	},
	"A rename keeps the account; a taken name is refused": func(p *portalTest) {
		p.scimOn()
		first := p.put(person("ada"))
		p.put(person("bob"))
		p.local("carl")
		w := person("ada")
		w.UserName = "Ada.New@example.test"
		if got := p.put(w); got.ID != first.ID || got.UserName != w.UserName {
			p.Errorf("after the rename: %+v", got)
		}
		w.UserName = "BOB@example.test"
		p.putRefused(w, portalapi.CodeDuplicateUser)
		w.UserName = "Carl@Example.test"
		p.putRefused(w, portalapi.CodeLocalAccount)
		p.put(person("ada")) // the first name is free again
	},
	"Names are equal regardless of case and Unicode composition": func(p *portalTest) {
		p.scimOn()
		w := person("ada")
		w.UserName = "J\u00fcrgen@example.test"
		p.put(w)
		for i, name := range []string{"JU\u0308RGEN@example.test", "j\u00fcrgen@EXAMPLE.test"} {
			w := person(number(i))
			w.UserName = name
			p.putRefused(w, portalapi.CodeDuplicateUser)
		}
	},
	"Invalid input is refused and changes nothing": func(p *portalTest) {
		p.scimOn()
		p.putRefused(person("ada", "no-such-pool"), portalapi.CodeUnknownPool)
		for _, name := range []string{" outer@example.test", "bell\u0007@example.test", strings.Repeat("x", 257)} {
			w := person("ada")
			w.UserName = name
			p.putRefused(w, portalapi.CodeInvalid)
		}
		w := person("ada")
		w.DisplayName = strings.Repeat("x", 1025)
		p.putRefused(w, portalapi.CodeInvalid)
		if page, _, err := p.Client.Accounts(p.Context(), "", 10); err != nil || len(page) != 1 {
			p.Errorf("%d accounts, want only the manager (%v)", len(page), err)
		}
	},
	"While SCIM is off provisioning is refused and accounts can be edited": func(p *portalTest) {
		p.scimOn()
		ada := p.put(person("ada"))
		off := p.loginMethods()
		off.SCIM.Enabled = false
		p.saveLoginMethods(off)
		p.putRefused(person("ada"), portalapi.CodeSCIMRequired)
		p.putRefused(person("bob"), portalapi.CodeSCIMRequired)
		_, err := p.Client.PutPool(p.Context(), portalapi.PoolWrite{Owner: portalapi.Owner{UID: "pu"}, Name: "Pool"})
		p.refused(err, portalapi.CodeSCIMRequired)
		p.refused(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Revision: 1}, portalapi.ReleaseDelete), portalapi.CodeSCIMRequired)
		p.refused(p.Client.MarkWaiting(p.Context(), p.local("carl").ID, portalapi.Owner{UID: "u-carl"}), portalapi.CodeSCIMRequired)
		var edited portalv1.User
		p.manage("PATCH", "/users/"+ada.ID, portalv1.UserPatch{Status: ptr(portalv1.StatusDeactivated)}, &edited)
		if p.has(portalapi.CapabilityPeople) && (edited.ReadOnly || edited.DeactivatedBy != portalv1.ManagedByLocal || edited.ManagedBy != portalv1.ManagedBySCIM) {
			p.Errorf("after the edit: %+v", edited)
		}
		p.scimOn()
		if got := p.put(person("ada")); got.Status != portalapi.StatusActive || got.ID != ada.ID {
			p.Errorf("after SCIM is on again: %+v", got)
		}
	},
	"If many owners race for one name, exactly one wins": func(p *portalTest) {
		p.scimOn()
		const n = 16
		errs := make([]error, n)
		var wait sync.WaitGroup
		for i := range n {
			wait.Go(func() {
				w := person(number(i))
				w.UserName = "same@example.test"
				_, errs[i] = p.Client.PutAccount(p.Context(), w)
			})
		}
		wait.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				p.refused(err, portalapi.CodeDuplicateUser)
			}
		}
		if won != 1 {
			p.Errorf("%d writers won, want 1", won)
		}
	},
	"Racing writes of one owner end at the newest revision": func(p *portalTest) {
		p.scimOn()
		const n = 16
		var wait sync.WaitGroup
		for i := range n {
			wait.Go(func() {
				w := person("ada")
				w.Owner.Revision, w.DisplayName = int64(i+1), number(i+1)
				if _, err := p.Client.PutAccount(p.Context(), w); err != nil && portalapi.CodeOf(err) != portalapi.CodeStaleRevision {
					p.Errorf("revision %d: %v", i+1, err)
				}
			})
		}
		wait.Wait()
		all, _, err := p.Client.Accounts(p.Context(), "", 100)
		p.ok(err)
		i := slices.IndexFunc(all, func(a portalapi.Account) bool { return a.Owner.UID == person("ada").Owner.UID })
		if i < 0 || all[i].Owner.Revision != n || all[i].DisplayName != number(n) {
			p.Fatalf("after the race there are %+v, want revision %d", all, n)
		}
		w := person("ada")
		w.Owner.Revision, w.DisplayName = n, number(n)
		first := p.put(w)
		if again := p.put(w); again.Revision != first.Revision || again.DisplayName != number(n) {
			p.Errorf("ended at %+v", again)
		}
		w.Owner.Revision = n - 1
		p.putRefused(w, portalapi.CodeStaleRevision)
	},
	"Pages return each account once, in the order of ids": func(p *portalTest) {
		p.scimOn()
		const n, limit = 2500, 700
		want := map[string]bool{p.manager().ID: true}
		for i := range n {
			want[p.put(person(number(i))).ID] = true
		}
		after, pages, last := "", 0, ""
		for {
			page, next, err := p.Client.Accounts(p.Context(), after, limit)
			p.ok(err)
			pages++
			for _, a := range page {
				if a.ID <= last || !want[a.ID] {
					p.Fatalf("page %d: id %q after %q, wanted %v", pages, a.ID, last, want[a.ID])
				}
				last = a.ID
				delete(want, a.ID)
			}
			if next == "" {
				break
			}
			after = next
		}
		if len(want) > 0 || pages != 4 {
			p.Errorf("%d accounts are missing in %d pages, want none missing in 4 pages", len(want), pages)
		}
	},
}

func sorted(values ...string) []string {
	slices.Sort(values)
	return values
}
