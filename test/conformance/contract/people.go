// SPDX-License-Identifier: Apache-2.0

package contract

import (
	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

var peopleTests = map[string]func(*portalTest){
	"A local user is created, edited, deactivated and deleted": func(p *portalTest) {
		pool := p.pool("Quota", portalapi.RoleIgnoreQuota)
		ada := p.local("ada", func(c *portalv1.UserCreate) { c.Pools = []string{pool.ID} })
		if ada.ManagedBy != portalv1.ManagedByLocal || ada.Status != portalv1.StatusActive || ada.ReadOnly || len(ada.Pools) != 2 {
			p.Errorf("created: %+v", ada)
		}
		p.equal("roles", ada.Roles, []string{portalapi.RoleIgnoreQuota, portalapi.RoleUser})
		var edited portalv1.User
		p.manage("PATCH", "/users/"+ada.ID, portalv1.UserPatch{DisplayName: ptr("Other"), Pools: &[]string{}}, &edited)
		if edited.DisplayName != "Other" || edited.UserName != ada.UserName || edited.Revision <= ada.Revision || len(edited.Pools) != 1 {
			p.Errorf("edited: %+v", edited)
		}
		p.audited("the same edit again", 0, func() {
			p.manage("PATCH", "/users/"+ada.ID, portalv1.UserPatch{DisplayName: ptr("Other")}, nil)
		})
		p.manage("PATCH", "/users/"+ada.ID, portalv1.UserPatch{Status: ptr(portalv1.StatusDeactivated)}, &edited)
		if edited.DeactivatedBy != portalv1.ManagedByLocal {
			p.Errorf("deactivated: %+v", edited)
		}
		p.manage("DELETE", "/users/"+ada.ID, nil, nil)
		p.refusedWith(p.http(p.Keys.Manage, "GET", "/users/"+ada.ID, nil), 404, portalapi.CodeNotFound)
		p.refusedWith(p.http(p.Keys.Manage, "DELETE", "/users/"+ada.ID, nil), 404, portalapi.CodeNotFound)
	},
	"User names are unique across local and managed accounts": func(p *portalTest) {
		p.scimOn()
		p.put(person("ada"))
		p.local("bob")
		for _, name := range []string{"ADA@example.test", "Bob@Example.test"} {
			p.refusedWith(p.http(p.Keys.Manage, "POST", "/users", portalv1.UserCreate{UserName: name}), 409, portalapi.CodeDuplicateUser)
		}
	},
	"A SCIM-managed user is read-only while SCIM is on": func(p *portalTest) {
		p.scimOn()
		ada := p.put(person("ada"))
		for _, patch := range []portalv1.UserPatch{
			{DisplayName: ptr("mine")}, {Status: ptr(portalv1.StatusDeactivated)}, {Pools: &[]string{}}, {Password: ptr("a long enough password")},
			{DirectRoles: &[]string{portalapi.RoleManager}}, {UserName: ptr("other@example.test")}, {Email: ptr("other@example.test")},
		} {
			p.refusedWith(p.http(p.Keys.Manage, "PATCH", "/users/"+ada.ID, patch), 409, portalapi.CodeReadOnly)
		}
		p.refusedWith(p.http(p.Keys.Manage, "DELETE", "/users/"+ada.ID, nil), 409, portalapi.CodeReadOnly)
		if got := p.user(ada.ID); got.Revision != ada.Revision || !got.ReadOnly || got.ReadOnlyReason == "" {
			p.Errorf("after the refusals: %+v", got)
		}
	},
	"An edit names its revision": func(p *portalTest) {
		ada := p.local("ada")
		read := p.http(p.Keys.Manage, "GET", "/users/"+ada.ID, nil)
		tag := read.Header.Get("ETag")
		if tag != `"`+itoa(ada.Revision)+`"` {
			p.Errorf("ETag %s at revision %d", tag, ada.Revision)
		}
		first := p.http(p.Keys.Manage, "PATCH", "/users/"+ada.ID, portalv1.UserPatch{DisplayName: ptr("first")}, "If-Match", tag)
		if first.Status != 200 {
			p.Fatalf("first edit: %d %s", first.Status, first.Body)
		}
		p.refusedWith(p.http(p.Keys.Manage, "PATCH", "/users/"+ada.ID, portalv1.UserPatch{DisplayName: ptr("second")}, "If-Match", tag), 412, portalapi.CodeStaleRevision)
		p.refusedWith(p.http(p.Keys.Manage, "DELETE", "/users/"+ada.ID, nil, "If-Match", tag), 412, portalapi.CodeStaleRevision)
		p.refusedWith(p.http(p.Keys.Manage, "DELETE", "/users/"+ada.ID, nil, "If-Match", "x"), 400, portalapi.CodeInvalid)
		if gone := p.http(p.Keys.Manage, "DELETE", "/users/"+ada.ID, nil, "If-Match", first.Header.Get("ETag")); gone.Status != 204 {
			p.Errorf("delete: %d %s", gone.Status, gone.Body)
		}
	},
	"The last local manager with a password stays, with and without SSO": func(p *portalTest) {
		boss := p.manager()
		path := "/users/" + boss.ID
		second := p.local("second", func(c *portalv1.UserCreate) { c.DirectRoles = []string{portalapi.RoleManager} }) // has no password
		if !boss.PasswordSet || second.PasswordSet {
			p.Errorf("who has a password: the first manager %v, the second %v", boss.PasswordSet, second.PasswordSet)
		}
		refused := func() {
			p.Helper()
			for _, patch := range []portalv1.UserPatch{{Status: ptr(portalv1.StatusDeactivated)}, {DirectRoles: &[]string{}}, {HandedOver: ptr(true)}} {
				p.refusedWith(p.http(p.Keys.Manage, "PATCH", path, patch), 409, portalapi.CodeLastManager)
			}
			p.refusedWith(p.http(p.Keys.Manage, "DELETE", path, nil), 409, portalapi.CodeLastManager)
			if got := p.user(boss.ID); got.Revision != boss.Revision {
				p.Errorf("the manager was changed: %+v", got)
			}
		}
		refused()
		p.scimOn()
		refused()
		p.manage("PATCH", "/users/"+second.ID, portalv1.UserPatch{Password: ptr("a long enough password")}, nil)
		p.manage("PATCH", path, portalv1.UserPatch{HandedOver: ptr(true)}, nil)
		p.refusedWith(p.http(p.Keys.Manage, "PATCH", "/users/"+second.ID, portalv1.UserPatch{HandedOver: ptr(true)}), 409, portalapi.CodeLastManager)
		p.manage("DELETE", path, nil, nil)
	},
	"Roles, pools and passwords are checked": func(p *portalTest) {
		for _, c := range []struct {
			create portalv1.UserCreate
			code   portalapi.Code
		}{
			{portalv1.UserCreate{UserName: "ada@example.test", DirectRoles: []string{"ROLE_NOBODY_KNOWS"}}, portalapi.CodeUnknownRole},
			{portalv1.UserCreate{UserName: "ada@example.test", DirectRoles: []string{portalapi.RoleAdmin}}, portalapi.CodeRoleNotGrantable},
			{portalv1.UserCreate{UserName: "ada@example.test", Pools: []string{"no-such-pool"}}, portalapi.CodeUnknownPool},
			{portalv1.UserCreate{UserName: "ada@example.test", Password: "short"}, portalapi.CodeInvalid},
			{portalv1.UserCreate{UserName: " ada@example.test"}, portalapi.CodeInvalid},
		} {
			p.refusedWith(p.http(p.Keys.Manage, "POST", "/users", c.create), 400, c.code)
		}
	},
	"A list can be filtered": func(p *portalTest) {
		p.scimOn()
		pool := p.pool("Quota")
		ada, bob := p.put(person("ada", pool.ID)), p.local("bob_100%")
		find := func(query string) []string {
			var page portalv1.UserPage
			p.manage("GET", "/users?"+query, nil, &page)
			return userIDs(page.Items)
		}
		p.equal("user name", find("userName=ADA@Example.test"), []string{ada.ID})
		p.equal("part of a user name", find("userName=ada"), []string{})
		p.equal("e-mail", find("email=Ada@MAIL.example.test"), []string{ada.ID})
		p.equal("managed by SCIM", find("managedBy=SCIM"), []string{ada.ID})
		p.equal("pool", find("poolId="+pool.ID), []string{ada.ID})
		p.equal("search", find("q=DEMO%20ad"), []string{ada.ID})
		p.equal("search for wildcards", find("q=_100%25"), []string{bob.ID})
		p.equal("wildcards that match nothing", find("q=b%25b"), []string{})
		p.equal("status", find("status=Deactivated"), []string{})
	},
}
