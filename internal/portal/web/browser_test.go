// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	portalserver "lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/test/framework/axe"
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
		"SignInThroughSAML": signInThroughSAML,
		"SetUpSAML":         setUpSAML,
		"UnsavedChanges":    unsavedChanges,
		"ToggleSSOTwice":    toggleSSOTwice,
		"KeyIsShownOnce":    keyIsShownOnce,
		"CopyWhileGitRules": copyWhileGitRules,
		"PoolKeys":          poolKeysInBrowser,
		"EditLocalUser":     editLocalUser,
		"ResetLink":         resetLinkIsUsed,
		"SecondFactor":      secondFactorInBrowser,
		"EveryPage":         everyPage,
		"KeyboardWalk":      keyboardWalk,
		"KeyboardJourney":   keyboardJourney,
		"WithoutScript":     withoutScript,
		"WorstNames":        worstNames,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journey(t, b.Open(t))
		})
	}
	t.Run("SetUpAsDocumented", func(t *testing.T) { setUpAsDocumented(t, b) })
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
	p.Shows("#scim-why", "Turn on SSO first")
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
	p.Shows("h2", "What Save would migrate")
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

// toggleSSOTwice checks that the toggles that need SSO keep their values while it is off.
func toggleSSOTwice(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	config, err := c.store.Configuration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := config.LoginMethods
	m.ProvisionExistingUsers, m.ProvisionGroups = true, true
	c.methods(m)
	c.plan()
	signInInBrowser(p, c.url+methodsPath, portaltest.AdminUser, portaltest.AdminPassword)
	are := func(when string, checked, disabled bool) {
		t.Helper()
		for _, id := range []string{"scim", "groups", "existing"} {
			if got := browser.Ask[[]bool](p, `(e => [e.checked, e.disabled])(document.getElementById("`+id+`"))`); got[0] != checked || got[1] != disabled {
				t.Errorf("%s: %s has checked and disabled %v", when, id, got)
			}
		}
	}
	are("at first", true, false)
	p.Click("#sso")
	are("SSO off", true, true)
	p.Click("#sso")
	are("SSO on again", true, false)
	p.Shows(".savebar", "All changes are saved")
	p.Click("#sso")
	p.Follow("button[value=preview]")
	are("previewed", true, true)
	p.Click("#sso")
	are("on again after the preview", true, false)
	p.Follow("button[value=save]") // takes nothing away
	p.Shows("[role=status]", "saved and take effect now")
	if after, err := c.store.Configuration(t.Context()); err != nil || after.LoginMethods != m {
		t.Errorf("saved %+v, %v", after.LoginMethods, err)
	}
	p.Click("#sso")
	p.Follow("button[value=save]")
	p.Shows("h1", "Check what changes")
	p.Shows(".effects", "SCIM-managed user can no longer sign in")
	p.Follow("button[value=edit]")
	are("back from the summary", true, true)
	p.Follow("button[value=save]")
	p.Follow("button[value=save]")
	p.Shows("[role=status]", "saved and take effect now")
}

func unsavedChanges(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	signInInBrowser(p, c.url+methodsPath, portaltest.AdminUser, portaltest.AdminPassword)
	p.Shows(".savebar", "All changes are saved")
	p.Click("#groups")
	p.Shows(".savebar [role=status]", "not saved")
	p.Leave(".settings", false)
	p.Shows("h1", "Login methods")
	p.Click("#groups") // back to what is saved
	p.Follow(".settings")
	p.Go(c.url + methodsPath)
	p.Click("#groups")
	p.Follow("button[value=preview]") // a form that is sent is not left
	p.Leave(".settings", true)
	p.Shows("h1", "Settings")
	p.Go(c.url + methodsPath)
	p.Click("#groups")
	p.Follow(".savebar a") // Discard
	p.Shows(".savebar", "All changes are saved")
	p.Click("#groups")
	p.Follow("button[value=save]")
	p.Follow(".settings")
}

// copyWhileGitRules checks that the values for the identity provider can be copied while Git rules
// the login methods, and nothing else on the page works.
func copyWhileGitRules(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	config, err := c.store.Configuration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	methods := config.LoginMethods
	for _, protocol := range []string{"OIDC", "SAML"} {
		if methods.SSO.Type = protocol; protocol == "SAML" {
			methods.SSO = portalapi.SSO{Enabled: true, Type: "SAML", Metadata: "<EntityDescriptor/>"}
		}
		if _, err := c.store.PutLoginMethods(t.Context(), operator, methods, "IdentityConfiguration lightrun/default"); err != nil {
			t.Fatal(err)
		}
		if protocol == "OIDC" {
			signInInBrowser(p, c.url+methodsPath, portaltest.AdminUser, portaltest.AdminPassword)
		}
		p.Go(c.url + methodsPath)
		p.Shows(".note.scim", "Managed elsewhere.")
		copied := browser.Ask[[]string](p, `[...document.querySelectorAll("[data-copy]")].filter(e => e.checkVisibility()).map(e => e.dataset.copy)`)
		if want := map[string]string{"OIDC": "redirect baseurl", "SAML": "entityId consumerUrl baseurl"}[protocol]; strings.Join(copied, " ") != want {
			t.Errorf("%s: the buttons copy %v, want %s", protocol, copied, want)
		}
		for _, id := range copied {
			p.Click("[data-copy=" + id + "]")
			p.Shows("[data-copy="+id+"]", "Copied")
		}
		if n := browser.Ask[int](p, `document.querySelectorAll("#login-methods :is(input, select, textarea, button):enabled:not([type=hidden], [readonly], [data-copy])").length`); n != 0 {
			t.Errorf("%s: %d controls work though Git rules the page", protocol, n)
		}
	}
}

// poolKeysInBrowser rotates the key of a pool and copies it.
func poolKeysInBrowser(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	signInInBrowser(p, c.url+"/pools/"+c.support.ID, portaltest.AdminUser, portaltest.AdminPassword)
	p.Follow(`a[href$="/keys"]`)
	p.Follow("form.card button[type=submit]")
	p.Shows(".secret", "It is shown only once")
	p.Click("[data-copy=secret]")
	p.Shows("[data-copy=secret]", "Copied")
	first := browser.Ask[string](p, `document.querySelector("#secret").value`)
	p.Go(browser.Ask[string](p, `location.href`)) // a reload makes no other key
	p.Shows("td .status", "Active")
	p.Follow("form.card button[type=submit]")
	second := browser.Ask[string](p, `document.querySelector("#secret").value`)
	p.Follow(".secret a.button")
	p.Shows(".status.off", "Deprecated")
	for _, secret := range []string{first, second} {
		if _, _, err := c.store.AgentPool(t.Context(), secret); err != nil || first == second {
			t.Errorf("an agent with a key from the page: %v", err)
		}
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
	if err := c.store.MarkAccount(t.Context(), operator, portalapi.Owner{UID: "ada-uid", Name: "ada-scim", Revision: 1}, marked(portalapi.RemovalDeactivation, "")); err != nil {
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
	if err := c.store.MarkPool(t.Context(), operator, portalapi.Owner{UID: "pool-1", Revision: 1}, hold); err != nil {
		t.Fatal(err)
	}
	signInInBrowser(p, c.url+"/pools", portaltest.AdminUser, portaltest.AdminPassword)
	p.Shows(".note.warn", "The change of 1 pool is held")
	p.Shows("tr.locked .reason.warn", "Held: loss of the manager role")
	p.Follow(`a[href="/pools/` + c.payments.ID + `"]`)
	p.Shows(".note.warn", "kubectl scim release payments -n lightrun")
	p.Shows(".note.warn", "kubectl scim drop payments -n lightrun")
	hold = nil
	if err := c.store.MarkPool(t.Context(), operator, portalapi.Owner{UID: "pool-1", Revision: 1}, hold); err != nil {
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

// turnOnSecondFactor sets up a second factor on the page that asks for it.
func turnOnSecondFactor(t *testing.T, p *browser.Page, password string) device {
	t.Helper()
	p.Go(browser.Ask[string](p, `location.origin`) + "/profile/second-factor")
	d := device{t: t, secret: browser.Ask[string](p, `document.querySelector("code.spaced").innerText`)}
	p.Type("#code", d.code(0))
	p.Type("#current", password)
	p.Follow("main form button[type=submit]")
	p.Shows(".secret", "Save these codes now")
	return d
}

func secondFactorInBrowser(t *testing.T, p *browser.Page) {
	s := newSiteWith(t, portalserver.WebOptions{}, portaltest.Options{RequireSecondFactor: true})
	signInInBrowser(p, s.url+"/pools", portaltest.AdminUser, portaltest.AdminPassword)
	p.Shows(".note.warn", "This portal requires a second factor for managers.")
	d := turnOnSecondFactor(t, p, portaltest.AdminPassword)
	recovery := browser.Ask[string](p, `document.querySelector(".codes code").innerText`)
	p.Go(browser.Ask[string](p, `location.href`)) // a reload does not show the codes again
	p.Shows("h2", "On since")
	for _, code := range []struct{ field, code string }{{"#code", d.code(1)}, {"#recovery", recovery}} {
		p.Follow(".who button")
		signInInBrowser(p, s.url+"/pools", portaltest.AdminUser, portaltest.AdminPassword)
		p.Shows("main", "Signing in as "+portaltest.AdminUser)
		if code.field == "#recovery" {
			p.Click("summary")
		}
		p.Type(code.field, code.code)
		p.Follow("form button[type=submit]")
		p.Shows("h1", "Agent Pools") // the page that was asked for
	}
}

func resetLinkIsUsed(t *testing.T, p *browser.Page) {
	c := newCompany(t)
	signInInBrowser(p, c.url+"/users/"+c.bob.ID, portaltest.AdminUser, portaltest.AdminPassword)
	p.Follow(`form[action$="/reset"] button`)
	p.Shows(".secret", "It works once")
	p.Shows("[data-copy=link]", "Copy")
	link := browser.Ask[string](p, `document.querySelector("#link").value`)
	p.Go(browser.Ask[string](p, `location.href`)) // a reload shows the user
	p.Shows("h1", "Bob Demo")
	p.Follow(".who button")
	p.Go(link)
	p.Shows("h1", "Set a new password")
	p.Type("#password", "new demo password")
	p.Type("#repeated", "new demo password")
	p.Follow("main form button[type=submit]")
	p.Shows("[role=status]", "The new password is set")
	p.Type("#userName", "bob@example.test")
	p.Type("#password", "new demo password")
	p.Follow("main form button[type=submit]")
	p.Shows("h1", "User Management")
}

// looks are the window sizes and color schemes that every page must fit. axe-core checks those that
// differ in color or in structure: on a phone, tables become cards.
var looks = []struct {
	name          string
	width, height int64
	dark, axe     bool
}{
	{"1440-light", 1440, 900, false, true}, {"1440-dark", 1440, 900, true, true}, {"800-light", 800, 900, false, false}, {"400-light", 400, 800, false, true}, {"400-dark", 400, 800, true, false},
}

// everyPage checks each page in each window size: nothing overflows or covers the focus, every
// control has a name, the contrast is sufficient. Set PORTAL_SCREENSHOTS to a folder to save
// screenshots.
func everyPage(t *testing.T, p *browser.Page) {
	c, checks := newCompany(t), axe.Load(t)
	var seen []string
	see := func(page string) {
		seen = append(seen, browser.Ask[string](p, `stop(), location.pathname`)) // a page that loads again by itself stays
		for _, l := range looks {
			p.Wide(l.width, l.height, l.dark)
			var findings []string
			if l.axe {
				var passed int
				if findings, passed = checks.Findings(p); passed < 10 {
					t.Errorf("%s at %s: only %d rules of axe-core were checked", page, l.name, passed)
				}
			}
			for _, wrong := range slices.Concat(findings, browser.Ask[[]string](p, faults), browser.Ask[[]string](p, covered)) {
				t.Errorf("%s at %s: %s", page, l.name, wrong)
			}
			saveScreenshot(t, p, page, l.name)
		}
	}
	look := func(page, at string) {
		p.Go(c.url + at)
		see(page)
	}
	look("sign-in", "/sign-in")
	reset, _, err := c.store.CreateReset(t.Context(), manager, c.bob.ID)
	if err != nil {
		t.Fatal(err)
	}
	look("reset", "/reset/"+reset)
	p.Allow(conflict)
	second := c.visitor()
	second.signIn("bob@example.test", "demo user password").mustBe(http.StatusOK)
	second.enrol("demo user password")
	signInInBrowser(p, c.url+"/sign-in", "bob@example.test", "demo user password")
	see("code")
	p.Click("summary")
	see("code-recovery")
	signInInBrowser(p, c.url+"/sign-in", portaltest.AdminUser, portaltest.AdminPassword)
	p.Allow(conflict)
	lea, key := c.leaver()
	for page, at := range map[string]string{
		"user-left": "/users/" + lea, "user-erase": "/users/" + lea + "/erase", "key-rotate": "/api-keys/" + key + "/rotate", "audit-filtered": "/audit?cause=Provider&from=2026-01-31&to=2036-01-31",
		"users": "/users", "users-none": "/users?" + url.Values{"q": {"unknown"}}.Encode(), "user-scim": "/users/" + c.ada.ID, "user-local": "/users/" + c.carol.ID,
		"user-edit": "/users/" + c.bob.ID + "/edit", "user-delete": "/users/" + c.bob.ID + "/delete", "pools": "/pools", "pool-ruled": "/pools/" + c.payments.ID,
		"pool-local": "/pools/" + c.support.ID, "pool-delete": "/pools/" + c.support.ID + "/delete", "pool-keys": "/pools/" + c.support.ID + "/keys", "pool-edit": "/pools/" + c.support.ID + "/edit", "keys": "/api-keys?scope=scim",
		"user-new": "/users/new", "pool-new": "/pools/new", "key-delete": "/api-keys/" + c.key(t) + "/delete", "api-docs": "/api/docs", "iam": "/settings/identity-and-access-management",
		"identity-configuration": "/settings/identity-and-access-management/identity-configuration", "login-methods": methodsPath, "settings": "/settings", "provisioning": "/provisioning", "audit": "/audit", "profile": "/profile", "not-found": "/nothing",
		"password": "/profile/password", "second-factor": "/profile/second-factor", "second-factor-remove": "/users/" + c.bob.ID + "/second-factor", "deactivate-self": "/users/" + c.admin(t) + "/deactivate",
	} {
		look(page, at)
	}
	p.Go(c.url + "/pools/" + c.support.ID + "/edit")
	p.Click("[value=ROLE_MANAGER]")
	p.Follow("main form button[type=submit]")
	see("pool-summary")
	for _, look := range []string{"pool-key-first", "pool-key-rotated"} {
		p.Go(c.url + "/pools/" + c.support.ID + "/keys")
		p.Follow("form.card button[type=submit]")
		see(look)
	}
	p.Follow(`a[href$="/revoke"]`)
	see("pool-key-revoke")
	p.Go(c.url + "/users/" + c.bob.ID)
	see("user-second-factor")
	p.Follow(`form[action$="/reset"] button`)
	see("reset-link")
	turnOnSecondFactor(t, p, portaltest.AdminPassword)
	see("recovery-codes")
	look("second-factor-on", "/profile/second-factor")
	look("profile-second-factor", "/profile")
	if err := c.store.MarkPool(t.Context(), operator, portalapi.Owner{UID: "pool-1", Revision: 1}, marked(portalapi.RemovalManager, "payments")); err != nil {
		t.Fatal(err)
	}
	if err := c.store.MarkAccount(t.Context(), operator, portalapi.Owner{UID: "ada-uid", Name: "ada-scim", Revision: 1}, marked(portalapi.RemovalDeactivation, "")); err != nil {
		t.Fatal(err)
	}
	p.Go(c.url + methodsPath)
	p.Click("#sso")
	p.Follow("button[value=save]")
	see("login-methods-summary")
	lines := []portalapi.MigrationLine{adopted(c.carol), {AccountID: c.bob.ID, UserName: c.bob.UserName, Outcome: portalapi.MigrationSameAddress,
		Message: "ScimUser 4a6c2e9b (robert@example.test) has the same address under another user name: nothing is changed"}}
	lines[0].Becomes, lines[0].PoolsLost, lines[0].PoolsGained = portalapi.StatusDeactivated, []string{"Support"}, []string{"Payments"}
	c.plan(lines...)
	p.Go(c.url + methodsPath)
	p.Click("#existing")
	p.Follow("button[value=preview]")
	see("login-methods-preview")
	p.Follow("button[value=save]")
	see("login-methods-plan")
	p.Follow("button[value=save]")
	see("migration")
	for page, at := range map[string]string{
		"pools-held": "/pools", "provisioning-held": "/provisioning", "pool-held": "/pools/" + c.payments.ID, "users-held": "/users", "user-held": "/users/" + c.ada.ID,
	} {
		look(page, at)
	}
	for _, route := range unseen(t, append(seen, "/audit.csv")) { // a file
		t.Errorf("no look at %s", route)
	}
}

// unseen returns the pages of the site that none of these paths is, from the routes in the source.
func unseen(t *testing.T, paths []string) (missing []string) {
	t.Helper()
	source, err := os.ReadFile("web.go")
	if err != nil {
		t.Fatal(err)
	}
	routes := regexp.MustCompile(`"GET (/[^"]*)"`).FindAllStringSubmatch(string(source), -1)
	if len(routes) < 20 {
		t.Fatalf("the source has only the routes %v", routes)
	}
	for _, route := range routes {
		if slices.Contains([]string{"/{$}", "/assets/{name}", "/sso/begin", "/users/{id}/reset"}, route[1]) {
			continue // no pages: a redirect, or a file
		}
		pattern := regexp.MustCompile("^" + regexp.MustCompile(`\\{[a-z]+\\}`).ReplaceAllString(regexp.QuoteMeta(route[1]), "[^/]+") + "$")
		if !slices.ContainsFunc(paths, pattern.MatchString) {
			missing = append(missing, route[1])
		}
	}
	return missing
}

// key returns the id of an API key.
func (s *site) key(t *testing.T) string {
	t.Helper()
	all, err := s.store.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all[0].ID
}

// admin returns the id of the first manager.
func (s *site) admin(t *testing.T) string {
	t.Helper()
	account, err := s.store.AccountByName(t.Context(), portaltest.AdminUser)
	if err != nil {
		t.Fatal(err)
	}
	return account.ID
}

// covered is a script that moves the focus through a page and lists the controls that are then
// outside the window, or that another element covers (WCAG 2.2, 2.4.11).
const covered = `(() => {
	const found = [];
	for (const e of document.querySelectorAll("a[href], button, input, select, textarea, summary")) {
		if (!e.checkVisibility() || e.matches(":disabled, [type=hidden]")) continue;
		e.focus();
		if (document.activeElement !== e) { found.push("cannot be focused: " + e.outerHTML.slice(0, 80)); continue; }
		for (const r of e.getClientRects()) {
			for (const [x, y] of [[.5, .5], [.1, .1], [.9, .1], [.1, .9], [.9, .9]]) {
				const at = document.elementFromPoint(r.left + r.width * x, r.top + r.height * y);
				if (at && (e.contains(at) || at.contains(e) || at.control === e)) continue;
				found.push((at ? "covered by " + at.outerHTML.slice(0, 40) : "not in the window") + " when it has the focus: " + e.outerHTML.slice(0, 80));
				break;
			}
		}
	}
	document.activeElement.blur();
	scrollTo(0, 0);
	return found;
})()`

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
		if (!e.checkVisibility() || e.closest(":disabled, .visually-hidden, .skip") || e.closest(".switch")?.querySelector("[role=switch]:disabled")) continue;
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
		const back = ground(e), text = over(getComputedStyle(e).color, back);
		const [a, b] = [light(back), light(text)].sort((x, y) => y - x);
		const ratio = (a + .05) / (b + .05);
		if (ratio < 4.5) found.push("contrast " + ratio.toFixed(2) + ": " + name(e));
	}
	return [...new Set(found)];
})()`
