// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/test/framework/browser"
	"lightrun.com/scim-operator/test/framework/portaltest"
)

// conflict is the browser's own console message about a response that refuses a form.
const conflict = "Failed to load resource: the server responded with a status of 4"

// TestInBrowser runs user journeys in a real browser. They share only the browser.
func TestInBrowser(t *testing.T) {
	b := browser.Start(t)
	for name, journey := range map[string]func(*testing.T, *browser.Page){
		"SignInByPassword":  signInByPassword,
		"SetUpLoginMethods": setUpLoginMethods,
		"SCIMRowIsReadOnly": scimRowIsReadOnly,
		"HeldRemovals":      heldRemovals,
		"HeldPool":          heldPool,
		"SignInThroughSSO":  signInThroughSSO,
		"KeyIsShownOnce":    keyIsShownOnce,
		"EditLocalUser":     editLocalUser,
		"EveryPage":         everyPage,
		"WorstNames":        worstNames,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journey(t, b.Open(t))
		})
	}
}

// saveScreenshot saves the page in the folder PORTAL_SCREENSHOTS, if it is set.
func saveScreenshot(t *testing.T, p *browser.Page, name ...any) {
	t.Helper()
	folder := os.Getenv("PORTAL_SCREENSHOTS")
	if folder == "" {
		return
	}
	file := strings.ReplaceAll(strings.TrimSpace(fmt.Sprintln(name...)), " ", "-") + ".png"
	if err := os.WriteFile(filepath.Join(folder, file), p.Screenshot(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func signInInBrowser(p *browser.Page, at, name, password string) int {
	p.Go(at)
	p.Type("#userName", name)
	p.Type("#password", password)
	return p.Follow("form button[type=submit]")
}

func signInByPassword(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	p.Allow(conflict)
	signInInBrowser(p, c.url+"/pools", portaltest.AdminUser, "not the password")
	p.Shows("[role=alert]", "The user name or the password is wrong")
	p.Type("#password", portaltest.AdminPassword)
	p.Follow("form button[type=submit]")
	p.Shows("h1", "Agent Pools") // the page that was asked for
	p.Follow(".who button")
	p.Shows("[role=status]", "You are signed out.")
	p.Go(c.url + "/users")
	p.Shows("h1", "Sign in")
}

func setUpLoginMethods(t *testing.T, p *browser.Page) {
	s := newSite(t)
	sso := s.provider("ada@example.test")
	signInInBrowser(p, s.url+methodsPath, portaltest.AdminUser, portaltest.AdminPassword)
	p.Shows(".crumbs", "Identity Configuration")
	p.Shows("#scim-why", "Turn on single sign-on first")
	if !browser.Ask[bool](p, `document.querySelector("#scim").disabled && document.querySelector("#existing").disabled`) {
		t.Error("SCIM can be turned on without SSO")
	}
	p.Click("#sso")
	p.Type("#issuer", sso.Issuer)
	p.Type("#clientId", sso.ClientID)
	p.Type("#clientSecret", sso.ClientSecret)
	p.Follow("button[value=test]")
	p.Shows("[role=status]", "The provider responds")
	p.Click("#scim")
	p.Click("#existing")
	p.Shows(".savebar", "not saved")
	p.Follow("button[value=preview]")
	p.Shows("h3", "What Save would migrate")
	if config, err := s.store.Configuration(t.Context()); err != nil || config.SSO.Enabled {
		t.Fatalf("something applied before Save: %+v, %v", config, err)
	}
	p.Follow("button[value=save]")
	p.Shows("[role=status]", "saved and take effect now")
	config, err := s.store.Configuration(t.Context())
	if err != nil || !config.SSO.Enabled || !config.SCIMEnabled || !config.ProvisionExistingUsers || !config.ClientSecretSet {
		t.Errorf("saved %+v, %v", config, err)
	}
}

func scimRowIsReadOnly(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	signInInBrowser(p, c.url+"/users", portaltest.AdminUser, portaltest.AdminPassword)
	p.Shows("tr.locked summary", "Okta")
	p.Click("tr.locked summary") // the reason on demand
	p.Shows("tr.locked", "Read-only: managed by Okta")
	p.Follow(`a[href="/users/` + c.ada.ID + `"]`)
	p.Shows(".note.scim", "Read-only. Managed by SCIM: change this user in Okta")
	if n := browser.Ask[int](p, `document.querySelectorAll("main form, main a.button").length`); n != 0 {
		t.Errorf("a read-only person's page has %d buttons", n)
	}
}

func heldRemovals(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	if err := c.store.MarkHeld(t.Context(), operator, portalapi.Owner{UID: "ada-uid", Name: "ada-scim", Revision: 1}, marked(portalapi.RemovalDeactivation, "")); err != nil {
		t.Fatal(err)
	}
	signInInBrowser(p, c.url+"/users", portaltest.AdminUser, portaltest.AdminPassword)
	p.Shows(".note.warn", "1 removal is held")
	p.Follow(".note.warn a")
	p.Shows("tr.locked .reason.warn", "Removal held: deactivation")
	if n := browser.Ask[int](p, `document.querySelectorAll("tbody tr").length`); n != 1 {
		t.Errorf("%d people are listed, want the one", n)
	}
	p.Follow(`a[href="/users/` + c.ada.ID + `"]`)
	p.Shows(".note.warn", "Removal held: deactivation.")
}

func heldPool(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	hold := marked(portalapi.RemovalManager, "payments")
	if err := c.store.MarkPoolHeld(t.Context(), operator, portalapi.Owner{UID: "pool-1", Revision: 1}, hold); err != nil {
		t.Fatal(err)
	}
	signInInBrowser(p, c.url+"/pools", portaltest.AdminUser, portaltest.AdminPassword)
	p.Shows(".note.warn", "The change of 1 pool is held")
	p.Shows("tr.locked .reason.warn", "Held: loss of the manager role")
	p.Follow(`a[href="/pools/` + c.payments.ID + `"]`)
	p.Shows(".note.warn", "kubectl scim release payments -n lightrun")
	p.Shows(".note.warn", "kubectl scim drop payments -n lightrun")
	hold = nil
	if err := c.store.MarkPoolHeld(t.Context(), operator, portalapi.Owner{UID: "pool-1", Revision: 1}, hold); err != nil {
		t.Fatal(err)
	}
	p.Go(c.url + "/pools/" + c.payments.ID)
	if n := browser.Ask[int](p, `document.querySelectorAll(".note.warn").length`); n != 0 {
		t.Error("what is not held any more is still shown")
	}
}

func signInThroughSSO(t *testing.T, p *browser.Page) {
	s := newSite(t)
	s.methods(portalapi.LoginMethods{SSO: s.provider("ada@example.test"), SCIMEnabled: true})
	s.put("ada", true)
	p.Go(s.url + "/profile")
	p.Follow("a.button.primary")
	p.Type("input[type=text], input:not([type])", "ada@example.test")
	p.Type("input[type=password]", "demo provider password")
	p.Click("button")
	p.Shows("h1", "Ada Demo")
	p.Shows(".side nav", "My profile")
	if at := browser.Ask[string](p, `location.href`); at != s.url+"/profile" {
		t.Errorf("ended at %s", at)
	}
}

func keyIsShownOnce(t *testing.T, p *browser.Page) {
	s := newSite(t)
	signInInBrowser(p, s.url+"/api-keys?scope=scim", portaltest.AdminUser, portaltest.AdminPassword)
	p.Type("#name", "Okta SCIM")
	browser.Ask[string](p, `document.querySelector("#provider-type").value = "Okta"`)
	p.Follow("form[action='/api-keys'] button[type=submit]")
	p.Shows(".secret", "Copy the secret of “Okta SCIM” now")
	p.Shows("[data-copy=secret]", "Copy")
	secret := browser.Ask[string](p, `document.querySelector("#secret").value`)
	if _, err := s.store.Authenticate(t.Context(), secret); err != nil {
		t.Errorf("the secret on the page does not work: %v", err)
	}
	p.Go(browser.Ask[string](p, `location.href`))
	p.Shows("h2", "Create a key")
	if strings.Contains(browser.Ask[string](p, `document.documentElement.outerHTML`), secret) {
		t.Error("the secret is shown twice")
	}
	if n := browser.Ask[int](p, `[...document.querySelectorAll("td .name")].filter(e => e.innerText === "Okta SCIM").length`); n != 1 {
		t.Errorf("there are %d keys", n)
	}
}

func editLocalUser(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	signInInBrowser(p, c.url+"/users/"+c.bob.ID, portaltest.AdminUser, portaltest.AdminPassword)
	p.Follow(`a[href$="/edit"]`)
	p.Type("#displayName", "Robert <b>Demo</b>")
	p.Follow("main form button[type=submit]")
	p.Shows("h1", "Robert <b>Demo</b>") // as text
	p.Follow(`form[action$="/status"] button`)
	p.Shows("[role=status]", "The user was deactivated")
	p.Follow(`form[action$="/status"] button`)
	p.Follow(`a[href$="/delete"]`)
	p.Follow("main form button[type=submit]")
	p.Shows("[role=status]", "The user was deleted")
}

// looks are the window sizes and color schemes that every page must fit.
var looks = []struct {
	name          string
	width, height int64
	dark          bool
}{
	{"1280-light", 1280, 800, false}, {"1280-dark", 1280, 800, true}, {"400-light", 400, 800, false}, {"400-dark", 400, 800, true},
}

// everyPage checks each page in each window size: nothing overflows, every control has a name, the
// contrast is sufficient. Set PORTAL_SCREENSHOTS to a folder to save screenshots.
func everyPage(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	look := func(page, at string) {
		p.Go(c.url + at)
		for _, l := range looks {
			p.Wide(l.width, l.height, l.dark)
			for _, wrong := range browser.Ask[[]string](p, faults) {
				t.Errorf("%s at %s: %s", page, l.name, wrong)
			}
			saveScreenshot(t, p, page, l.name)
		}
	}
	look("sign-in", "/sign-in")
	signInInBrowser(p, c.url+"/sign-in", portaltest.AdminUser, portaltest.AdminPassword)
	p.Allow(conflict)
	for page, at := range map[string]string{
		"users": "/users", "users-none": "/users?" + url.Values{"q": {"unknown"}}.Encode(), "user-scim": "/users/" + c.ada.ID, "user-local": "/users/" + c.carol.ID,
		"user-edit": "/users/" + c.bob.ID + "/edit", "user-delete": "/users/" + c.bob.ID + "/delete", "pools": "/pools", "pool-ruled": "/pools/" + c.payments.ID,
		"pool-local": "/pools/" + c.support.ID, "pool-edit": "/pools/" + c.support.ID + "/edit", "keys": "/api-keys?scope=scim",
		"login-methods": methodsPath, "audit": "/audit", "profile": "/profile", "not-found": "/nothing",
	} {
		look(page, at)
	}
	if err := c.store.MarkPoolHeld(t.Context(), operator, portalapi.Owner{UID: "pool-1", Revision: 1}, marked(portalapi.RemovalManager, "payments")); err != nil {
		t.Fatal(err)
	}
	if err := c.store.MarkHeld(t.Context(), operator, portalapi.Owner{UID: "ada-uid", Name: "ada-scim", Revision: 1}, marked(portalapi.RemovalDeactivation, "")); err != nil {
		t.Fatal(err)
	}
	for page, at := range map[string]string{
		"pools-held": "/pools", "pool-held": "/pools/" + c.payments.ID, "users-held": "/users", "user-held": "/users/" + c.ada.ID,
	} {
		look(page, at)
	}
}

// faults is a script that lists layout and accessibility errors of a page.
const faults = `(() => {
	const found = [];
	const name = e => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "") + (e.className && e.className.split ? "." + e.className.split(" ").join(".") : "") + " “" + (e.innerText || "").slice(0, 30) + "”";
	if (document.scrollingElement.scrollWidth > innerWidth) {
		const wide = [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1);
		found.push("wider than the window: " + wide.slice(-3).map(name).join(", "));
	}
	for (const e of document.querySelectorAll(".table")) if (e.scrollWidth > e.clientWidth) found.push("a table sticks out of its card");
	for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
		if (e.checkVisibility() && !e.labels.length) found.push("no label: " + name(e));
	for (const e of document.querySelectorAll("a, button"))
		if (e.checkVisibility() && !e.innerText.trim() && !e.getAttribute("aria-label")) found.push("no name: " + e.outerHTML);
	if (document.querySelectorAll("h1").length !== 1) found.push(document.querySelectorAll("h1").length + " first headings");
	const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
	for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push("id twice: " + id);
	const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
	const over = (colour, under) => {
		canvas.fillStyle = "rgb(" + under.join(" ") + ")"; canvas.fillRect(0, 0, 1, 1);
		canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
		return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
	};
	const light = c => { const [r, g, b] = c.map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
	const ground = e => {
		const layers = [];
		for (; e; e = e.parentElement) layers.push(getComputedStyle(e).backgroundColor);
		return layers.reverse().reduce((under, c) => over(c, under), [255, 255, 255]);
	};
	for (const e of document.querySelectorAll("body *")) {
		if (!e.checkVisibility() || e.closest(":disabled, .visually-hidden, .skip") || e.closest(".switch")?.querySelector(":disabled")) continue;
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
		const back = ground(e), text = over(getComputedStyle(e).color, back);
		const [a, b] = [light(back), light(text)].sort((x, y) => y - x);
		const ratio = (a + .05) / (b + .05);
		if (ratio < 4.5) found.push("contrast " + ratio.toFixed(2) + ": " + name(e));
	}
	return [...new Set(found)];
})()`
