// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/browser"
	"lightrun.com/scim-operator/test/framework/portaltest"
)

// widths are the window widths that no page may overflow, in pixels.
var widths = []int64{320, 400, 640, 768, 800, 1024, 1280, 1440, 1920, 2560}

// worst fills the company with names that break pages: 200 characters without a place to wrap, and
// imitations of the administrator.
func (c *company) worst() (pages []string) {
	c.t.Helper()
	ctx, long := c.t.Context(), strings.Repeat("W", 200)
	pool, err := c.store.CreatePool(ctx, manager, store.NewPool{Name: long, Description: long, Roles: []string{portalapi.RoleManager}})
	if err != nil {
		c.t.Fatal(err)
	}
	pages = []string{"/users", "/users/new", "/pools", "/pools/" + pool.ID, "/pools/" + pool.ID + "/edit", "/pools/" + pool.ID + "/delete", "/api-keys", "/audit"}
	for _, n := range []store.NewAccount{
		{UserName: long, DisplayName: long + "x", GivenName: long, Email: long, Pools: []string{pool.ID, c.support.ID}},
		{UserName: "аdmin@example.test", DisplayName: "аdmin"},            // the first letter is Cyrillic
		{UserName: "turned@example.test", DisplayName: "\u202enimda"},     // reads admin from right to left
		{UserName: "hidden@example.test", DisplayName: "admi\u200bn"},     // a character without width
		{UserName: "hebrew@example.test", DisplayName: "אדה לאבלייס 123"}, // a name from right to left
	} {
		account, err := c.store.CreateAccount(ctx, manager, n)
		if err != nil {
			c.t.Fatal(err)
		}
		pages = append(pages, "/users/"+account.ID, "/users/"+account.ID+"/edit", "/users/"+account.ID+"/delete")
	}
	key, _, err := c.store.CreateKey(ctx, manager, store.NewKey{Name: long, Scope: store.ScopeRead})
	if err != nil {
		c.t.Fatal(err)
	}
	return append(pages, "/api-keys/"+key.ID+"/rotate")
}

func TestImitatedNames(t *testing.T) {
	c := newCompany(t)
	c.worst()
	boss := c.manager()
	list := boss.get("/users").mustSay("<bdi>аdmin</bdi>", "Latin and Cyrillic letters in one word", `\u202enimda`, `admi\u200bn`, "<bdi>אדה לאבלייס 123</bdi>")
	for _, path := range []string{"/users", "/audit", "/pools"} {
		if text := boss.get(path).html; strings.ContainsAny(text, "\u202e\u200b") {
			t.Errorf("%s contains characters that change or hide text", path)
		}
	}
	if strings.Count(list.html, "letters in one word") != 2 { // the display name and the user name
		t.Error("the list marks other names than that with the Cyrillic letter")
	}
	turned, err := c.store.AccountByName(t.Context(), "turned@example.test")
	if err != nil {
		t.Fatal(err)
	}
	boss.get("/users/" + turned.ID + "/edit").mustSay("value=\"\u202enimda\"") // a form sends back what is stored
}

// worstNames checks that no page scrolls sideways and that nothing is cut off, at every width.
func worstNames(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	pages := c.worst()
	signInInBrowser(p, c.url+"/sign-in", portaltest.AdminUser, portaltest.AdminPassword)
	for i, path := range pages {
		p.Go(c.url + path)
		for _, width := range widths {
			p.Wide(width, 900, false)
			for _, wrong := range browser.Ask[[]string](p, overflows) {
				t.Errorf("%s at %d px: %s", path, width, wrong)
			}
			saveScreenshot(t, p, "worst", i, width)
		}
	}
}

// overflows is a script that lists what makes the page scroll sideways, and text that is cut off.
const overflows = `(() => {
	const found = [];
	const name = e => e.tagName.toLowerCase() + "." + e.className + " “" + (e.innerText || "").slice(0, 30) + "”";
	if (document.scrollingElement.scrollWidth > innerWidth) found.push("scrolls to " + document.scrollingElement.scrollWidth + " px");
	for (const e of document.querySelectorAll("main *")) {
		if (!e.checkVisibility() || e.closest(".visually-hidden, thead, svg, .skip") || e.matches("input, select, option, textarea")) continue;
		const box = e.getBoundingClientRect();
		if (box.right > innerWidth + 1) found.push("sticks out of the window: " + name(e));
		else if (e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline") found.push("is cut off: " + name(e));
	}
	return [...new Set(found)].slice(0, 5);
})()`
