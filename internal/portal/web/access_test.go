// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/browser"
	"lightrun.com/scim-operator/test/framework/portaltest"
)

// paths are the managers' pages of a company.
func (c *company) paths(t *testing.T) []string {
	t.Helper()
	support, bob := "/pools/"+c.support.ID, "/users/"+c.bob.ID
	return []string{
		"/users", "/users/new", "/users/" + c.ada.ID, bob, bob + "/edit", bob + "/delete", "/users/" + c.admin(t) + "/deactivate", "/pools", "/pools/new", "/pools/" + c.payments.ID, support, support + "/edit",
		support + "/delete", support + "/keys", "/api-keys", "/api/docs", "/api-keys/" + c.key(t) + "/delete", "/provisioning", "/audit", "/settings", "/settings/identity-and-access-management",
		"/settings/identity-and-access-management/identity-configuration", methodsPath, methodsPath + "/migration", "/profile", "/profile/password", "/profile/second-factor", "/nothing",
	}
}

// stops is a script that starts to record which controls get the focus, and returns how many of
// them the Tab key must reach, in their order, from where the focus is.
const stops = `(() => {
	const group = e => [...document.getElementsByName(e.name)].filter(r => r.type === "radio");
	const reached = e => e.checkVisibility() && !e.matches(":disabled, [type=hidden], [tabindex='-1']") &&
		(e.type !== "radio" || e === (group(e).find(r => r.checked) ?? group(e)[0]));
	const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary")].filter(reached);
	const rest = all.slice(all.indexOf(document.activeElement) + 1);
	window.walk = [];
	addEventListener("focusin", e => {
		const style = getComputedStyle(e.target);
		const place = rest.indexOf(e.target), what = e.target.outerHTML.slice(0, 80);
		if (place !== walk.length) walk.push("stop " + walk.length + " is " + what + " in place of " + rest[walk.length]?.outerHTML.slice(0, 80));
		else if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) walk.push("the focus is not visible: " + what);
		else walk.push("");
	});
	return rest.length;
})()`

// keyboardWalk moves the focus through each page with the Tab key: it reaches every control, in the
// order of the page, and is visible.
func keyboardWalk(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	p.Allow(conflict)
	p.Wide(1024, 700, false)
	walk := func(path string) {
		t.Helper()
		p.Go(c.url + path)
		n := browser.Ask[int](p, stops)
		if n == 0 {
			t.Errorf("%s: nothing to reach", path)
		}
		// The Tab key stops at day, month, year and calendar of a date, which are one control.
		dates := browser.Ask[int](p, `document.querySelectorAll("input[type=date]").length`)
		p.Press(strings.Repeat(kb.Tab, n+3*dates))
		walked := browser.Ask[[]string](p, "window.walk")
		if len(walked) != n {
			t.Errorf("%s: the Tab key reaches %d of %d controls", path, len(walked), n)
		}
		for _, wrong := range walked {
			if wrong != "" {
				t.Errorf("%s: %s", path, wrong)
			}
		}
	}
	walk("/sign-in")
	signInInBrowser(p, c.url+"/sign-in", portaltest.AdminUser, portaltest.AdminPassword)
	for _, path := range c.paths(t) {
		walk(path)
	}
}

// tabTo presses Tab until the focus is at the element of the selector.
func tabTo(t *testing.T, p *browser.Page, selector string) {
	t.Helper()
	script := fmt.Sprintf("document.activeElement.matches(%q)", selector)
	for range 80 {
		if browser.Ask[bool](p, script) {
			return
		}
		p.Press(kb.Tab)
	}
	t.Fatalf("the Tab key does not reach %s", selector)
}

// keyboardJourney does a manager's work with the keyboard alone.
func keyboardJourney(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	p.Go(c.url + "/pools")
	tabTo(t, p, "#userName")
	p.Press(portaltest.AdminUser + kb.Tab + portaltest.AdminPassword)
	p.Enter()
	p.Press(kb.Tab)
	if !browser.Ask[bool](p, `document.activeElement.matches(".skip")`) {
		t.Error("the first stop is not the link that skips the navigation")
	}
	p.Press(kb.Enter)
	p.Press(kb.Tab)
	if !browser.Ask[bool](p, `document.querySelector("main").contains(document.activeElement)`) {
		t.Error("the link does not skip the navigation")
	}
	tabTo(t, p, `a[href="/pools/new"]`)
	p.Enter()
	tabTo(t, p, "#name")
	p.Press("Keys only")
	tabTo(t, p, `[value=ROLE_MANAGER]`)
	p.Press(" ")
	tabTo(t, p, "main form button[type=submit]")
	p.Enter()
	p.Shows("[role=status]", "The agent pool was created.")
	p.Shows("main", "ROLE_MANAGER")
	tabTo(t, p, `a[href$="/delete"]`)
	p.Enter()
	tabTo(t, p, "main form button[type=submit]")
	p.Enter()
	p.Shows("[role=status]", "The agent pool was deleted.")
	p.Go(c.url + methodsPath)
	tabTo(t, p, "#groups")
	p.Press(" ")
	p.Shows(".savebar", "not saved")
	tabTo(t, p, "button[value=save]")
	p.Enter()
	p.Shows("[role=status]", "saved and take effect now")
	if config, err := c.store.Configuration(t.Context()); err != nil || !config.ProvisionGroups {
		t.Errorf("the toggle has no effect: %+v, %v", config, err)
	}
	tabTo(t, p, ".who button")
	p.Enter()
	p.Shows("[role=status]", "You are signed out.")
}

// withoutScript does a manager's work in a browser that runs no script.
func withoutScript(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	p.WithoutScript()
	p.Wide(1024, 480, false) // the navigation is higher than the window
	signInInBrowser(p, c.url+"/users", portaltest.AdminUser, portaltest.AdminPassword)
	if browser.Ask[int](p, `document.querySelectorAll("[data-copy]:not([hidden])").length`) != 0 {
		t.Error("a button that needs a script is shown")
	}
	p.Type("#q", "bob")
	p.Follow(".filters button[type=submit]")
	p.Follow(`a[href="/users/` + c.bob.ID + `"]`)
	p.Follow(`a[href$="/edit"]`)
	p.Type("#displayName", "Robert")
	p.Follow("main form button[type=submit]")
	p.Shows("h1", "Robert")
	p.Go(c.url + "/users/new")
	p.Type("#userName", "dora@example.test")
	p.Follow("main form button[type=submit]")
	p.Shows("[role=status]", "The user was created.")
	p.Go(c.url + "/pools/" + c.support.ID + "/edit")
	p.Click("[value=ROLE_MANAGER]")
	p.Follow("main form button[type=submit]")
	p.Shows("h1", "Check what changes")
	p.Follow("button[value=save]")
	p.Shows("[role=status]", "The agent pool was saved.")
	p.Follow(`a[href$="/keys"]`)
	p.Follow("form.card button[type=submit]")
	p.Shows(".secret", "It is shown only once")
	p.Go(c.url + "/api-keys")
	p.Type("#name", "Reader")
	p.Click("[name=scope][value=read]")
	p.Follow("form[action='/api-keys'] button[type=submit]")
	p.Shows(".secret", "Copy the secret of “Reader” now")
	p.Go(c.url + methodsPath)
	p.Click("#scim") // turning it off takes something away
	p.Follow("button[value=save]")
	p.Shows("h1", "Check what changes")
	p.Follow("button[value=save]")
	p.Shows("[role=status]", "saved and take effect now")
	if config, err := c.store.Configuration(t.Context()); err != nil || config.SCIMEnabled || !config.SSO.Enabled {
		t.Errorf("saved without a script: %+v, %v", config, err)
	}
	p.Click("#scim")
	p.Follow("button[value=save]")
	p.Shows("[role=status]", "saved and take effect now")
	if config, err := c.store.Configuration(t.Context()); err != nil || !config.SCIMEnabled {
		t.Errorf("on again without a script: %+v, %v", config, err)
	}
	p.Go(c.url + "/profile/password")
	p.Shows("h1", "Change my password")
	p.Follow(".who button")
	p.Shows("[role=status]", "You are signed out.")
}

// firstPaint is the maximum of what a browser loads before it shows a page, in bytes.
const firstPaint = 60 << 10

// TestFirstPaint checks what comes over the wire for each page with full lists, to a browser that
// has nothing of the portal: the page and the files that it names, compressed, with their headers.
func TestFirstPaint(t *testing.T) {
	c := newCompany(t)
	for i := range 60 {
		name := fmt.Sprintf("person%03d", i)
		c.put(name, true, c.payments.ID)
		pool, err := c.store.CreatePool(t.Context(), manager, store.NewPool{Name: "Pool " + name, Description: strings.Repeat("All about "+name+". ", 4), Roles: []string{portalapi.RoleManager}})
		if err == nil {
			_, err = c.store.CreateAccount(t.Context(), manager, store.NewAccount{UserName: "local-" + name, Pools: []string{pool.ID, c.support.ID}})
		}
		if err == nil {
			_, _, err = c.store.CreateKey(t.Context(), manager, store.NewKey{Name: "Key of " + name, Scope: store.ScopeRead})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	boss, least, most := c.manager(), firstPaint, 0
	for _, path := range append(c.paths(t), "/users?sort=-created", "/audit?outcome=refused") {
		files := regexp.MustCompile(`(?:href|src)="(/assets/[^"]*)"`).FindAllStringSubmatch(boss.get(path).html, -1)
		total := boss.wire(path)
		for _, file := range files {
			total += boss.wire(file[1])
		}
		if len(files) < 3 || total > firstPaint {
			t.Errorf("%s: %d bytes over the wire with %d files, want at most %d", path, total, len(files), firstPaint)
		}
		least, most = min(least, total), max(most, total)
	}
	t.Logf("%d to %d bytes", least, most)
	if least < 4<<10 {
		t.Errorf("a page with its files has only %d bytes: something is not counted", least)
	}
}

// wire returns the length of the response as a browser receives it.
func (v *visitor) wire(path string) int {
	v.t.Helper()
	a := v.send(http.MethodGet, path, "", http.Header{"Accept-Encoding": {"gzip, deflate, br"}})
	n := len(a.html)
	for name, values := range a.header {
		for _, value := range values {
			n += len(name) + len(value) + 4
		}
	}
	return n
}
