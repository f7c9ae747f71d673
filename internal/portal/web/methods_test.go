// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"crypto/sha256"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/portaltest"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// form returns the values that the page Login methods posts.
func (s *site) form(action string, values ...string) url.Values {
	s.t.Helper()
	config, err := s.store.Configuration(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	form := url.Values{"action": {action}, "revision": {revision(config.Revision)}, "type": {"OIDC"}}
	for i := 0; i < len(values); i += 2 {
		form.Set(values[i], values[i+1])
	}
	return form
}

func TestLoginMethodsWithoutScript(t *testing.T) {
	s := newSite(t)
	boss := s.manager()
	boss.get(methodsPath).mustBe(http.StatusOK).mustSay("Turn on SSO first", "Settings", "Identity and Access Management", "Identity Configuration", s.url+"/sso/callback")
	sso := []string{"sso", "on", "issuer", "https://demo.example.test", "clientId", "portal", "clientSecret", "demo client secret"}
	draft := boss.post(methodsPath, s.form("preview", sso...)).mustBe(http.StatusOK).mustSay("You have changes that are not saved", "Typed; leave empty to use it").mustNotSay("demo client secret")
	if strings.Contains(input(draft.html, "scim"), "disabled") || !strings.Contains(input(draft.html, "existing"), "disabled") {
		t.Error("a previewed SSO must enable the next toggle and no other")
	}
	boss.get(methodsPath).mustNotSay("https://demo.example.test") // nothing applied
	boss.post(methodsPath, s.form("save", sso...)).mustBe(http.StatusOK).mustSay("saved and take effect now", "Leave empty to keep the stored secret").mustNotSay("demo client secret")
	boss.post(methodsPath, s.form("save", "sso", "on", "issuer", "https://demo.example.test", "clientId", "portal", "scim", "on", "existing", "on")).mustBe(http.StatusOK)
	kept, err := s.store.SSO(t.Context())
	if err != nil || kept.ClientSecret != "demo client secret" {
		t.Errorf("an empty client secret did not keep the stored one: %v", err)
	}
	boss.get("/audit").mustSay("Saved the login methods").mustNotSay("demo client secret")
}

// input returns the HTML of the page's input with the id.
func input(html, id string) string {
	_, rest, _ := strings.Cut(html, `id="`+id+`"`)
	text, _, _ := strings.Cut(rest, ">")
	return text
}

func TestLoginMethodsRefusals(t *testing.T) {
	s := newSite(t)
	boss := s.manager()
	sso := []string{"sso", "on", "issuer", "https://demo.example.test", "clientId", "portal"}
	for name, tc := range map[string]struct {
		form url.Values
		want string
	}{
		"SCIMWithoutSSO":      {s.form("save", "scim", "on"), "SCIM needs single sign-on"},
		"ExistingWithoutSCIM": {s.form("save", append(sso, "existing", "on")...), "needs SCIM: turn on SCIM first"},
		"NoIssuer":            {s.form("save", "sso", "on"), "needs the issuer URL and the client id"},
		"TestNothing":         {s.form("test"), "Fill in the issuer URL first"},
		"TestNoServer":        {s.form("test", "issuer", "http://127.0.0.1:1"), "Single sign-on does not work with these settings"},
		"PreviewIsChecked":    {s.form("preview", "scim", "on"), "SCIM needs single sign-on"},
		"NoRevision":          {url.Values{"action": {"save"}}, "does not contain the revision"},
	} {
		t.Run(name, func(t *testing.T) {
			got := boss.post(methodsPath, tc.form).mustSay(tc.want)
			if got.status < 400 {
				t.Errorf("the response is %d", got.status)
			}
		})
	}
	stale := s.form("save", sso...)
	boss.post(methodsPath, stale).mustBe(http.StatusOK)
	boss.post(methodsPath, stale).mustBe(http.StatusPreconditionFailed).mustSay("This was changed by another user")
}

func TestLoginMethodsManagedElsewhere(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	config, err := c.store.Configuration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.PutLoginMethods(t.Context(), operator, config.LoginMethods, "IdentityConfiguration lightrun/default"); err != nil {
		t.Fatal(err)
	}
	page := boss.get(methodsPath).mustBe(http.StatusOK).mustSay("Managed elsewhere.", "IdentityConfiguration lightrun/default manages the login methods", `<fieldset class="switch" disabled>`)
	page.mustNotSay(`value="save"`, `value="test"`)
	boss.post(methodsPath, c.form("save")).mustBe(http.StatusConflict).mustSay("managed by IdentityConfiguration lightrun/default")
}

func TestMigrationPreview(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	form := c.form("preview", existing...)
	waits := boss.post(methodsPath, form).mustBe(http.StatusOK).mustSay("The operator computes what would change")
	_, request, _ := strings.Cut(waits.html, `name="request" value="`)
	request, _, _ = strings.Cut(request, `"`)
	c.plan(adopted(c.carol))
	form.Set("request", request)
	boss.post(methodsPath, form).mustBe(http.StatusOK).mustSay("What Save would migrate", "/users/"+c.carol.ID, "carol@example.test", "Becomes SCIM-managed",
		"ROLE_MANAGER", "1 become SCIM-managed", "1 of them lose the manager role", "http://127.0.0.1:8088/scim/v2")
	if config, err := c.store.Configuration(t.Context()); err != nil || config.ProvisionExistingUsers {
		t.Errorf("the preview applied: %+v, %v", config, err)
	}
}

// existing are the form's values that turn on "Provision existing users with SCIM" in a company.
var existing = []string{"sso", "on", "issuer", "https://demo.example.test", "clientId", "portal", "scim", "on", "existing", "on"}

// adopted is the line of a manager who becomes SCIM-managed and loses the role.
func adopted(a *store.Account) portalapi.MigrationLine {
	return portalapi.MigrationLine{AccountID: a.ID, UserName: a.UserName, Outcome: portalapi.MigrationAdopted, RolesLost: []string{portalapi.RoleManager}}
}

// plan publishes a plan as the operator does. It answers every request.
func (s *site) plan(lines ...portalapi.MigrationLine) {
	s.t.Helper()
	plan := portalapi.MigrationPlan{ID: fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, lines))), Request: 1 << 40, Lines: lines}
	if err := s.store.PutMigrationPlan(s.t.Context(), operator, plan, true, true); err != nil {
		s.t.Fatal(err)
	}
}

// TestMigrationSave saves a plan person by person. A plan that has changed is shown again, and what
// the saved plan does not say is refused.
func TestMigrationSave(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	waits := boss.post(methodsPath, c.form("save", existing...)).mustBe(http.StatusOK).mustSay("Nothing is saved yet", "The operator computes what would change", "Continue")
	c.plan(adopted(c.carol))
	summary := boss.post(methodsPath, hidden(waits.html, "save")).mustBe(http.StatusOK).mustSay("Check what changes", "Provision existing users: off → on",
		"1 local user becomes SCIM-managed", "1 of them loses the manager role", "carol@example.test").mustNotSay("has changed since you looked")

	inactive := adopted(c.carol)
	inactive.Becomes = portalapi.StatusDeactivated
	c.plan(inactive)
	again := boss.post(methodsPath, hidden(summary.html, "save")).mustBe(http.StatusOK).mustSay("This has changed since you looked at it",
		"1 of them can no longer sign in: Okta has deactivated the user", "Becomes SCIM-managed and deactivated", "Sign-in")
	if config, err := c.store.Configuration(t.Context()); err != nil || config.ProvisionExistingUsers {
		t.Fatalf("a plan that changed was saved: %+v, %v", config, err)
	}
	c.plan(adopted(c.carol))
	summary = boss.post(methodsPath, hidden(again.html, "save")).mustBe(http.StatusOK).mustSay("This has changed since you looked at it")
	saved := boss.post(methodsPath, hidden(summary.html, "save")).mustBe(http.StatusOK).mustSay("saved and take effect now", "0 of 1 account migrated", "1 account still waits")
	if saved.header.Get("Refresh") == "" || !strings.Contains(saved.html, "<progress") {
		t.Error("the page does not follow the migration")
	}

	adopt := func(active bool) error {
		_, err := c.store.PutAccount(t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "carol-uid", Name: "carol-scim", Revision: 1},
			UserName: c.carol.UserName, Active: active, Adopt: &portalapi.Adopt{ID: c.carol.ID}})
		return err
	}
	if err := adopt(false); portalapi.CodeOf(err) != portalapi.CodePlanChanged {
		t.Errorf("a deactivation that the plan does not have: %v", err)
	}
	if err := adopt(true); err != nil {
		t.Errorf("what the plan says: %v", err)
	}
	complete := boss.get(methodsPath+"/migration").mustBe(http.StatusOK).mustSay("1 of 1 account migrated", "The migration is complete")
	if complete.header.Get("Refresh") != "" {
		t.Error("the page of a complete migration loads again")
	}
	boss.get(methodsPath).mustSay("1 of 1 account migrated")
}

// TestSummaryBeforeSave turns SSO off without JavaScript: the page says what that takes away and
// from how many users, and saves only what was confirmed.
func TestSummaryBeforeSave(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	is := func(sso, scim bool) {
		t.Helper()
		if config, err := c.store.Configuration(t.Context()); err != nil || config.SSO.Enabled != sso || config.SCIMEnabled != scim {
			t.Errorf("the login methods are %+v, %v", config.LoginMethods, err)
		}
	}
	off := c.form("save", "issuer", "https://demo.example.test", "clientId", "portal", "scim", "on")
	summary := boss.post(methodsPath, off).mustBe(http.StatusOK).mustSay("Check what changes", "Nothing is saved yet", "SSO: on → off", "SCIM: on → off",
		"1 SCIM-managed user can no longer sign in", "1 SCIM-managed user no longer follows Okta")
	is(true, true)
	draft := boss.post(methodsPath, hidden(summary.html, "edit")).mustBe(http.StatusOK).mustSay("You have changes that are not saved")
	for id, want := range map[string]bool{"sso": false, "scim": true} {
		if strings.Contains(input(draft.html, id), "checked") != want {
			t.Errorf("back in the form, %s is not %t", id, want)
		}
	}
	if !strings.Contains(input(draft.html, "scim"), "disabled") || strings.Contains(input(draft.html, "scim-kept"), "disabled") {
		t.Error("back in the form, SCIM does not keep its value")
	}
	c.put("ivan", true)
	summary = boss.post(methodsPath, hidden(summary.html, "save")).mustBe(http.StatusOK).mustSay("This has changed since you looked at it", "2 SCIM-managed users can no longer sign in")
	is(true, true)
	boss.post(methodsPath, hidden(summary.html, "save")).mustBe(http.StatusOK).mustSay("saved and take effect now")
	is(false, false)
}

// hidden returns the hidden fields of the main form of a page, with an action.
func hidden(page, action string) url.Values {
	form := url.Values{"action": {action}}
	_, page, _ = strings.Cut(page, "<main")
	for _, field := range regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`).FindAllStringSubmatch(page, -1) {
		form.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	return form
}

func TestSSO(t *testing.T) { eachProtocol(t, testSSO) }

func testSSO(t *testing.T, s *site) {
	s.visitor().get("/sso/begin").mustBe(http.StatusUnauthorized).mustSay("Single sign-on is off")
	s.methods(portalapi.LoginMethods{SSO: s.provider("ada@example.test", "unknown@example.test", "grace@example.test"), SCIMEnabled: true})
	s.put("ada", true)
	s.put("grace", false)

	v := s.visitor()
	v.throughSSO("ada@example.test").mustBe(http.StatusOK).mustSay("Ada Demo", "My profile", "Managed by SCIM")
	v.get("/users").mustBe(http.StatusForbidden)
	s.visitor().throughSSO("unknown@example.test").mustBe(http.StatusUnauthorized).mustSay("the portal has no user for you")
	s.visitor().throughSSO("grace@example.test").mustBe(http.StatusUnauthorized).mustSay("is deactivated")
	s.visitor().notStarted().mustBe(http.StatusUnauthorized).mustSay("was not started in this browser")
	s.manager() // the sign-in that always works

	account, err := s.store.AccountByName(t.Context(), "ada@example.test")
	if err != nil || account.LastSignInAt.IsZero() {
		t.Errorf("the sign-in was not recorded: %+v, %v", account, err)
	}
	events, err := s.store.AuditEvents(t.Context(), store.AuditFilter{TargetID: account.ID}, 0, 1)
	if err != nil || len(events) != 1 || events[0].Changes[0].To != store.MethodSSO {
		t.Errorf("the audit has %+v, %v", events, err)
	}
}

// TestRefusedSignIns checks that each refused sign-in has an audit event and a log line, and that
// neither the log nor the audit has a secret.
func TestRefusedSignIns(t *testing.T) { eachProtocol(t, testRefusedSignIns) }

func testRefusedSignIns(t *testing.T, s *site) {
	s.methods(portalapi.LoginMethods{SSO: s.provider("unknown@example.test", "grace@example.test", portaltest.AdminUser), SCIMEnabled: true})
	s.put("grace", false)
	if _, err := s.store.CreateAccount(t.Context(), manager, store.NewAccount{UserName: "dora@example.test", Password: "demo user password"}); err != nil {
		t.Fatal(err)
	}
	dora := s.visitor()
	dora.signIn("dora@example.test", "demo user password").mustBe(http.StatusOK)
	form := url.Values{"userName": {portaltest.AdminUser}, "password": {"typed secret"}}
	for _, c := range []struct {
		name  string
		act   func()
		actor store.ActorKind
		code  portalapi.Code
	}{
		{"WrongPassword", func() { s.visitor().signIn(portaltest.AdminUser, "typed secret") }, store.Person, portalapi.CodeUnauthenticated},
		{"UnknownName", func() { s.visitor().signIn("typed secret", "typed secret") }, store.Visitor, portalapi.CodeUnauthenticated},
		{"OtherSite", func() {
			s.visitor().send(http.MethodPost, "/sign-in", form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}})
		}, store.Visitor, portalapi.CodeForbidden},
		{"OtherSiteWithACode", func() {
			s.visitor().send(http.MethodPost, "/sign-in/code", "code=typed+secret", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}})
		}, store.Visitor, portalapi.CodeForbidden},
		{"OtherSiteWithALink", func() {
			s.visitor().send(http.MethodPost, "/reset/typed+secret", form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}})
		}, store.Visitor, portalapi.CodeForbidden},
		{"UnknownLink", func() { s.visitor().get("/reset/typed+secret") }, store.Visitor, portalapi.CodeUnauthenticated},
		{"CodeWithoutPassword", func() {
			s.visitor().post("/sign-in/code", url.Values{"code": {"typed secret"}})
		}, store.Visitor, portalapi.CodeUnauthenticated},
		{"UnknownAtThePortal", func() { s.visitor().throughSSO("unknown@example.test") }, store.Visitor, portalapi.CodeUnauthenticated},
		{"Deactivated", func() { s.visitor().throughSSO("grace@example.test") }, store.Visitor, portalapi.CodeUnauthenticated},
		{"LocalUser", func() { s.visitor().throughSSO(portaltest.AdminUser) }, store.Visitor, portalapi.CodeUnauthenticated},
		{"NotStartedHere", func() { s.visitor().notStarted() }, store.Visitor, portalapi.CodeUnauthenticated},
		{"NotAManager", func() { dora.get("/users").mustBe(http.StatusForbidden) }, store.Person, portalapi.CodeForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.logged.Reset()
			before, err := s.store.AuditEvents(t.Context(), store.AuditFilter{}, 0, 1)
			if err != nil {
				t.Fatal(err)
			}
			c.act()
			after, err := s.store.AuditEvents(t.Context(), store.AuditFilter{}, 0, 2)
			if err != nil || after[1].ID != before[0].ID || after[0].ActorKind != c.actor || after[0].Code != c.code {
				t.Errorf("audited %+v (%v), want one event of a %s with %s", after, err, c.actor, c.code)
			}
			lines := s.logged.String()
			if !strings.Contains(lines, "refused") || !strings.Contains(lines, string(c.code)) {
				t.Errorf("logged %q, want the refusal with %s", lines, c.code)
			}
			for _, secret := range []string{"typed secret", "example.test", "demo"} {
				if strings.Contains(lines, secret) || strings.Contains(fmt.Sprint(after[0]), "typed secret") {
					t.Errorf("the log has %q: %s", secret, lines)
				}
			}
		})
	}
	t.Run("Limited", func(t *testing.T) {
		v := s.visitor()
		for range 25 {
			v.signIn("dora@example.test", "typed secret")
		}
		events, err := s.store.AuditEvents(t.Context(), store.AuditFilter{Refused: true}, 0, 50)
		if err != nil {
			t.Fatal(err)
		}
		limited := 0
		for _, e := range events {
			if e.Code == portalapi.CodeRateLimited {
				limited++
			}
		}
		if limited != 10 {
			t.Errorf("a limited guesser is audited %d times, want the first 10", limited)
		}
	})
	s.manager().get("/audit?outcome=refused").mustSay("Tried to sign in", "a visitor who is not signed in", "Tried to open the page GET /users")
}

func TestLinkIdentity(t *testing.T) { eachProtocol(t, testLinkIdentity) }

func testLinkIdentity(t *testing.T, s *site) {
	s.methods(portalapi.LoginMethods{SSO: s.provider(portaltest.AdminUser, "boss@example.test"), SCIMEnabled: true})
	s.visitor().throughSSO(portaltest.AdminUser).mustBe(http.StatusUnauthorized).mustSay("sign in with its password, then link your identity")

	boss := s.manager()
	boss.get("/profile").mustSay("Link my identity")
	link := func() string {
		page := boss.post("/profile/identity", url.Values{"current": {portaltest.AdminPassword}}).mustBe(http.StatusOK).mustSay("Continue to the identity provider")
		_, target, _ := strings.Cut(page.html, `href="`+s.provided)
		target, _, _ = strings.Cut(target, `"`)
		return s.provided + html.UnescapeString(target)
	}
	for _, guess := range []string{"", "guess"} { // a session is not enough
		boss.post("/profile/identity", url.Values{"current": {guess}}).mustBe(http.StatusForbidden).mustSay("The current password is wrong", "Link my identity")
	}
	boss.get("/audit?outcome=refused").mustSay("Tried to link an identity at the provider to " + portaltest.AdminUser)
	boss.atProvider(link(), "boss@example.test").mustBe(http.StatusOK).mustSay("is linked: you can sign in with SSO now", "Forget this identity")
	s.visitor().throughSSO("boss@example.test").mustBe(http.StatusOK).mustSay("My profile", portaltest.AdminUser)
	s.visitor().throughSSO(portaltest.AdminUser).mustBe(http.StatusUnauthorized)

	t.Log("a link needs the session in which it began")
	boss.post("/profile/identity/forget", nil).mustBe(http.StatusOK).mustSay("The identity is forgotten")
	boss.signIn(portaltest.AdminUser, portaltest.AdminPassword).mustBe(http.StatusOK)
	target := link()
	boss.post("/sign-out", nil).mustBe(http.StatusOK)
	boss.atProvider(target, "boss@example.test").mustBe(http.StatusUnauthorized).mustSay("nothing was linked")
	s.visitor().throughSSO("boss@example.test").mustBe(http.StatusUnauthorized)

	t.Log("another site cannot begin it")
	boss.signIn(portaltest.AdminUser, portaltest.AdminPassword).mustBe(http.StatusOK)
	boss.send(http.MethodPost, "/profile/identity", "", http.Header{"Sec-Fetch-Site": {"cross-site"}}).mustBe(http.StatusForbidden)
	boss.get("/profile/identity").mustBe(http.StatusNotFound)
}

func TestChangedIdentity(t *testing.T) { eachProtocol(t, testChangedIdentity) }

func testChangedIdentity(t *testing.T, s *site) {
	sso := s.provider("ada@example.test")
	s.methods(portalapi.LoginMethods{SSO: sso, SCIMEnabled: true})
	ada := s.put("ada", true)
	former := store.Asserted{Issuer: issuerOf(sso), Under: sso, Subject: "former", UserName: "ada@example.test"}
	if _, err := s.store.StartSSOSession(t.Context(), former, "", time.Hour); err != nil {
		t.Fatal(err)
	}
	s.visitor().throughSSO("ada@example.test").mustBe(http.StatusUnauthorized).mustSay("ask a manager to check this")
	boss, path := s.manager(), "/users/"+ada.ID
	boss.get(path).mustSay("Another identity tried to sign in as this user", "former", "Tried to sign in as ada@example.test")
	boss.post(path+"/identity", nil).mustBe(http.StatusOK).mustSay("The identity is forgotten").mustNotSay("Another identity tried", "Forget this identity")
	s.visitor().throughSSO("ada@example.test").mustBe(http.StatusOK).mustSay("Ada Demo")
	boss.post(path+"/identity", nil).mustBe(http.StatusOK)
	boss.post(path+"/identity", nil).mustBe(http.StatusNotFound)
}

// throughSSO signs in at the provider and returns the resulting page.
func (v *visitor) throughSSO(name string) *answer {
	v.t.Helper()
	return v.atProvider("/sso/begin?return=/profile", name)
}

func TestSCIMUsersSignInWithSSO(t *testing.T) {
	c := newCompany(t)
	c.visitor().signIn("ada@example.test", "").mustBe(http.StatusUnauthorized)
	c.visitor().signIn(portaltest.AdminUser, portaltest.AdminPassword).mustBe(http.StatusOK)
}
