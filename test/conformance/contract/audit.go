// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

func (p *portalTest) removals(window time.Duration) portalapi.Removals {
	p.Helper()
	r, err := p.Client.Removals(p.Context(), window)
	p.ok(err)
	r.Pools = nil
	r.Removed -= p.Past.Removed
	r.Managed -= p.Past.Removed // they count as managed within the window
	return r
}

// poolRemovals returns the counts of one pool.
func (p *portalTest) poolRemovals(id string, window time.Duration) portalapi.PoolRemovals {
	p.Helper()
	r, err := p.Client.Removals(p.Context(), window)
	p.ok(err)
	return r.Pools[id]
}

var auditTests = map[string]func(*portalTest){
	"Each change and each refusal is one event": func(p *portalTest) {
		p.audited("turning SCIM on", 1, p.scimOn)
		p.audited("a new account", 1, func() { p.put(person("ada")) })
		p.audited("an update", 1, func() {
			w := person("ada")
			w.Owner.Revision, w.DisplayName = 2, "Other"
			p.put(w)
		})
		p.audited("a stale write", 1, func() { p.putRefused(person("ada"), portalapi.CodeStaleRevision) })
		p.audited("an unknown pool", 1, func() { p.putRefused(person("bob", "no-such-pool"), portalapi.CodeUnknownPool) })
		p.audited("a release", 1, func() {
			p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Revision: 2}, portalapi.ReleaseDeactivate))
		})
		p.audited("a pool", 1, func() { p.putPool(team("Payments")) })
		p.audited("a binding", 1, func() { p.ok(p.bind(binding("one"))) })
		p.audited("a refused binding", 1, func() { p.refused(p.bind(binding("two")), portalapi.CodeOperatorBound) })
		p.audited("a local user", 1, func() { p.local("carl") })
		p.audited("a refused local user", 1, func() {
			p.http(p.Keys.Manage, "POST", "/users", portalv1.UserCreate{UserName: "carl@example.test"})
		})
		p.audited("reading", 0, func() {
			p.end()
			p.manager()
		})
	},
	"Events name actor, action and target, newest first": func(p *portalTest) {
		p.scimOn()
		ada := p.put(person("ada"))
		w := person("ada")
		w.DisplayName = "Other"
		p.put(w)
		p.refusedWith(p.http(p.Keys.Manage, "DELETE", "/users/"+ada.ID, nil, "X-Request-Id", "try-1"), 409, portalapi.CodeReadOnly)
		var page portalv1.AuditEventPage
		p.manage("GET", "/audit-events?userId="+ada.ID, nil, &page)
		if len(page.Items) != 3 {
			p.Fatalf("%d events, want 3", len(page.Items))
		}
		refused, updated := page.Items[0], page.Items[1]
		if refused.Outcome != "Refused" || refused.Code != string(portalapi.CodeReadOnly) || refused.RequestID != "try-1" || refused.TargetName != "ada@example.test" {
			p.Errorf("refused: %+v", refused)
		}
		p.equal("changes", updated.Changes, []portalv1.AuditChange{{Field: "displayName", From: "Demo ada", To: "Other"}})
		if updated.Outcome != "Done" || updated.ActorKind != "Operator" || updated.TargetKind != "User" {
			p.Errorf("updated: %+v", updated)
		}
		p.manage("GET", "/audit-events?actor="+refused.Actor+"&limit=1", nil, &page)
		if len(page.Items) != 1 || page.Items[0].ID != refused.ID || page.Next == "" {
			p.Errorf("the manager's newest: %+v", page)
		}
		p.manage("GET", "/audit-events?actor="+refused.Actor+"&after="+page.Next, nil, &page)
		if len(page.Items) == 0 || page.Items[0].ID >= refused.ID {
			p.Errorf("the page after: %+v", page)
		}
	},
	"Events have a cause, and are found by it": func(p *portalTest) {
		p.scimOn()
		pushed := portalapi.WithCause(p.Context(), portalapi.CauseProvider)
		ada, err := p.Client.PutAccount(pushed, person("ada"))
		p.ok(err)
		w := person("ada")
		w.DisplayName = "Repaired"
		p.put(w)
		p.manage("PATCH", "/users/"+p.local("carl").ID, portalv1.UserPatch{DisplayName: ptr("Carl")}, nil)
		for cause, want := range map[string]string{"Provider": "user.create", "Operator": "user.provision"} {
			var page portalv1.AuditEventPage
			p.manage("GET", "/audit-events?userId="+ada.ID+"&cause="+cause, nil, &page)
			if len(page.Items) != 1 || page.Items[0].Action != want || page.Items[0].Cause != cause {
				p.Errorf("events with the cause %s: %+v", cause, page.Items)
			}
		}
		var page portalv1.AuditEventPage
		p.manage("GET", "/audit-events?cause=Key&limit=1", nil, &page)
		if len(page.Items) != 1 || page.Items[0].Action != "user.update" {
			p.Errorf("the newest event of a key: %+v", page.Items)
		}
		p.manage("GET", "/audit-events?to=2001-01-01T00:00:00Z", nil, &page)
		p.equal("events before the portal was made", len(page.Items), 0)
	},
	"The audit's head grows with each event, and an older head stays": func(p *portalTest) {
		head := func(sequence int64) portalapi.AuditHead {
			p.Helper()
			h, err := p.Client.AuditHead(p.Context(), sequence)
			p.ok(err)
			return h
		}
		first := head(0)
		p.scimOn()
		p.put(person("ada"))
		if second := head(0); second.Sequence <= first.Sequence || second.MAC == first.MAC && second.MAC != "" {
			p.Errorf("the head is %+v after %+v", second, first)
		}
		p.equal("the older head", head(first.Sequence), first)
		_, err := p.Client.AuditHead(p.Context(), 1<<40)
		p.refused(err, portalapi.CodeNotFound)
	},
	"A user who left is erased, and the events stay by id": func(p *portalTest) {
		p.scimOn()
		ada := p.put(person("ada"))
		erase := "/users/" + ada.ID + "/erase"
		p.refusedWith(p.http(p.Keys.Manage, "POST", erase, nil), 400, portalapi.CodeInvalid)
		p.ok(p.Client.ReleaseAccount(p.Context(), ada.Owner, portalapi.ReleaseDeactivate))
		p.manage("POST", erase, nil, nil)
		p.refusedWith(p.http(p.Keys.Manage, "GET", "/users/"+ada.ID, nil), 404, portalapi.CodeNotFound)
		a := p.http(p.Keys.Manage, "GET", "/audit-events?userId="+ada.ID, nil)
		var page portalv1.AuditEventPage
		p.ok(json.Unmarshal(a.Body, &page))
		if len(page.Items) < 3 || page.Items[0].Action != "user.erase" || bytes.Contains(a.Body, []byte(ada.UserName)) || bytes.Contains(a.Body, []byte(ada.DisplayName)) {
			p.Errorf("the audit of an erased user: %s", a.Body)
		}
	},
	"Removals counts distinct users within the window": func(p *portalTest) {
		if p.noClock() {
			return
		}
		managers := p.pool("Managers", portalapi.RoleManager)
		p.scimOn()
		p.equal("at first", p.removals(time.Hour), portalapi.Removals{})
		for _, name := range []string{"ada", "bob", "carl", "dora", "emil"} {
			p.put(person(name, managers.ID))
		}
		p.equal("after arrivals", p.removals(time.Hour), portalapi.Removals{Managed: 5})

		w := person("ada", managers.ID)
		w.Owner.Revision, w.Active = 2, false
		p.put(w)
		p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-ada", Revision: 2}, portalapi.ReleaseDelete)) // the same person
		p.put(person("bob"))                                                                                            // loses ROLE_MANAGER
		p.ok(p.Client.ReleaseAccount(p.Context(), portalapi.Owner{UID: "u-carl", Revision: 1}, portalapi.ReleaseDeactivate))
		p.equal("after three", p.removals(time.Hour), portalapi.Removals{Removed: 3, Managed: 3 + 3})

		p.Advance(2 * time.Hour)
		p.equal("two hours later", p.removals(time.Hour), portalapi.Removals{Managed: 3})
		p.equal("in the longer window", p.removals(24*time.Hour), portalapi.Removals{Removed: 3, Managed: 6})
		w = person("dora", managers.ID)
		w.Owner.Revision, w.DisplayName = 2, "Renamed"
		p.put(w)
		p.equal("after a rename, which is no removal", p.removals(time.Hour), portalapi.Removals{Managed: 3})
	},
	"An adoption that takes ROLE_MANAGER is a removal": func(p *portalTest) {
		p.existingOn()
		managers := p.pool("Managers", portalapi.RoleManager)
		direct := func(u *portalv1.UserCreate) { u.DirectRoles = []string{portalapi.RoleManager} }
		for _, one := range []struct {
			local portalv1.User
			write portalapi.AccountWrite
			count int
		}{{p.local("ada"), person("ada"), 0}, {p.local("bob", direct), person("bob", managers.ID), 0}, {p.local("carl", direct), person("carl"), 1}} {
			one.write.Adopt = &portalapi.Adopt{ID: one.local.ID}
			p.put(one.write)
			p.equal("removed after "+one.write.UserName, p.removals(time.Hour).Removed, one.count)
		}
	},
	"A pool that loses ROLE_MANAGER removes it from the members that have it from no other pool": func(p *portalTest) {
		other := p.pool("Other managers", portalapi.RoleManager)
		p.scimOn()
		pool := p.putPool(team("Managers", portalapi.RoleManager))
		p.put(person("ada", pool.ID))
		p.put(person("bob", pool.ID))
		p.put(person("carl", pool.ID, other.ID))
		w := team("Managers")
		w.Owner.Revision = 2
		p.putPool(w)
		p.equal("after the pool's change", p.removals(time.Hour), portalapi.Removals{Removed: 2, Managed: 5})
	},
	"Changes that people make do not count for the guard": func(p *portalTest) {
		p.scimOn()
		ada := p.put(person("ada"))
		off := p.loginMethods()
		off.SCIM.Enabled = false
		p.saveLoginMethods(off)
		p.manage("PATCH", "/users/"+ada.ID, portalv1.UserPatch{Status: ptr(portalv1.StatusDeactivated)}, nil)
		p.equal("removals", p.removals(time.Hour), portalapi.Removals{})
	},
}
