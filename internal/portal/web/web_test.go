// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	portalserver "lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/internal/portal/web"
	"lightrun.com/scim-operator/test/framework/portaltest"
)

// managersPages returns the pages that only managers see.
func (c *company) managersPages() []string {
	return []string{"/users", "/users/new", "/users/" + c.ada.ID, "/users/" + c.bob.ID, "/users/" + c.bob.ID + "/edit", "/users/" + c.bob.ID + "/delete",
		"/pools", "/pools/new", "/pools/" + c.payments.ID, "/pools/" + c.support.ID + "/edit", "/pools/" + c.support.ID + "/delete",
		"/pools/" + c.support.ID + "/keys", "/api-keys", methodsPath, "/provisioning", "/audit"}
}

func TestWhoSeesWhat(t *testing.T) {
	c := newCompany(t)
	stranger, boss, dora := c.visitor(), c.manager(), c.visitor()
	if _, err := c.store.CreateAccount(t.Context(), manager, store.NewAccount{UserName: "dora@example.test", Password: "demo user password"}); err != nil {
		t.Fatal(err)
	}
	dora.signIn("dora@example.test", "demo user password").mustBe(http.StatusOK).mustSay("My profile", "Every user has it").mustNotSay("User Management")
	for _, page := range c.managersPages() {
		boss.get(page).mustBe(http.StatusOK)
		dora.get(page).mustBe(http.StatusForbidden).mustSay("This page is for managers")
		got := stranger.get(page).mustBe(http.StatusOK).mustSay("Sign in with SSO")
		if want := "/sign-in?return=" + url.QueryEscape(page); got.path != want {
			t.Errorf("a visitor on %s is redirected to %s, want %s", page, got.path, want)
		}
	}
	dora.post("/users", url.Values{"userName": {"eve@example.test"}}).mustBe(http.StatusForbidden)
	stranger.post("/users", url.Values{"userName": {"eve@example.test"}}).mustSay("Sign in")
	if _, err := c.store.AccountByName(t.Context(), "eve@example.test"); portalapi.CodeOf(err) != portalapi.CodeNotFound {
		t.Errorf("a user without the manager role created a user: %v", err)
	}
	boss.get("/profile").mustBe(http.StatusOK).mustSay(portaltest.AdminUser).mustNotSay("Deactivate", "Hand over to SCIM")
	dora.get("/profile").mustBe(http.StatusOK).mustNotSay("Hand over to SCIM") // only managers may
	boss.get("/users/" + c.bob.ID).mustSay("Hand over to SCIM")
	boss.get("/users/unknown").mustBe(http.StatusNotFound)
	boss.get("/nothing").mustBe(http.StatusNotFound).mustSay("This page does not exist")
}

func TestHeaders(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/sign-in", "/nothing", "/assets/portal.css"} {
		got := s.visitor().get(path)
		for name, want := range map[string]string{"Content-Security-Policy": "script-src 'self'", "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store"} {
			if !strings.Contains(got.header.Get(name), want) {
				t.Errorf("%s has %s: %q, want %q", path, name, got.header.Get(name), want)
			}
		}
	}
	page := s.visitor().get("/sign-in")
	if strings.Contains(page.html, "<style") || strings.Contains(page.html, "style=") || strings.Contains(page.html, "onclick") {
		t.Error("the page contains something that its content policy blocks")
	}
	_, style, _ := strings.Cut(page.html, `href="/assets/portal.css?v=`)
	style, _, _ = strings.Cut(style, `"`)
	if got := s.visitor().get("/assets/portal.css?v=" + style); !strings.Contains(got.header.Get("Cache-Control"), "immutable") {
		t.Errorf("the style sheet is cached as %q", got.header.Get("Cache-Control"))
	}
}

func TestCookies(t *testing.T) {
	s := newSite(t)
	handler, err := web.New(portalserver.WebOptions{Store: s.store, PublicURL: "https://portal.example.test", Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	w := newRecorder()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://portal.example.test/sign-in",
		strings.NewReader(url.Values{"userName": {portaltest.AdminUser}, "password": {portaltest.AdminPassword}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://portal.example.test")
	handler.ServeHTTP(w, r)
	cookies := w.Header().Values("Set-Cookie")
	for _, name := range []string{"__Host-portal_session=", "__Host-portal_browser="} {
		at := slices.IndexFunc(cookies, func(c string) bool { return strings.HasPrefix(c, name) })
		if at < 0 {
			t.Errorf("the cookies are %q, without %s", cookies, name)
			continue
		}
		for _, want := range []string{"HttpOnly", "Secure", "SameSite=Lax", "Path=/"} {
			if !strings.Contains(cookies[at], want) {
				t.Errorf("the cookie is %q, without %s", cookies[at], want)
			}
		}
	}
	if w.Header().Get("Strict-Transport-Security") == "" {
		t.Error("an https portal sends no Strict-Transport-Security")
	}
}

func TestFormsOfOtherSites(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	form := url.Values{"userName": {"eve@example.test"}}.Encode()
	for name, header := range map[string]http.Header{
		"Browser":    {"Sec-Fetch-Site": {"cross-site"}},
		"SameSite":   {"Sec-Fetch-Site": {"same-site"}},
		"OldBrowser": {"Origin": {"https://evil.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			header.Set("Content-Type", "application/x-www-form-urlencoded")
			boss.send(http.MethodPost, "/users", form, header).mustBe(http.StatusForbidden).mustSay("This form came from another website")
		})
	}
	if _, err := c.store.AccountByName(t.Context(), "eve@example.test"); portalapi.CodeOf(err) != portalapi.CodeNotFound {
		t.Errorf("another site created a user: %v", err)
	}
	boss.post("/users", url.Values{"userName": {strings.Repeat("x", 300<<10)}}).mustBe(http.StatusRequestEntityTooLarge)
}

func TestSignIn(t *testing.T) {
	c := newCompany(t)
	t.Run("ReturnsHere", func(t *testing.T) {
		for to, want := range map[string]string{"/pools": "/pools", "//evil.example/": "/users", "https://evil.example": "/users", `/\evil.example`: "/users", "": "/users"} {
			got := c.visitor().post("/sign-in", url.Values{"userName": {portaltest.AdminUser}, "password": {portaltest.AdminPassword}, "return": {to}})
			if got.path != want {
				t.Errorf("return=%q leads to %s, want %s", to, got.path, want)
			}
		}
	})
	t.Run("WrongPassword", func(t *testing.T) {
		v := c.visitor()
		v.signIn(portaltest.AdminUser, "not the password").mustBe(http.StatusUnauthorized).mustSay("The user name or the password is wrong", `value="`+portaltest.AdminUser+`"`)
		v.signIn("unknown@example.test", "not the password").mustBe(http.StatusUnauthorized).mustSay("The user name or the password is wrong")
	})
	t.Run("SignOut", func(t *testing.T) {
		v := c.manager()
		v.post("/sign-out", nil).mustSay("You are signed out.")
		v.get("/users").mustSay("Sign in")
	})
	t.Run("DeactivationEndsTheSession", func(t *testing.T) {
		v, boss := c.visitor(), c.manager()
		v.signIn("bob@example.test", "demo user password").mustSay("User Management")
		form := url.Values{"status": {"Deactivated"}, "revision": {revision(c.bob.Revision)}}
		boss.post("/users/"+c.bob.ID+"/status", form).mustBe(http.StatusOK).mustSay("The user was deactivated")
		v.get("/users").mustSay("Sign in with password")
		v.signIn("bob@example.test", "demo user password").mustBe(http.StatusUnauthorized)
	})
	t.Run("ActivationBringsNoSessionBack", func(t *testing.T) {
		boss := c.manager()
		now := func() string {
			bob, err := c.store.Account(t.Context(), c.bob.ID)
			if err != nil {
				t.Fatal(err)
			}
			return revision(bob.Revision)
		}
		set := func(status string) {
			boss.post("/users/"+c.bob.ID+"/status", url.Values{"status": {status}, "revision": {now()}}).mustBe(http.StatusOK)
		}
		set("Active")
		v := c.visitor()
		v.signIn("bob@example.test", "demo user password").mustSay("User Management")
		set("Deactivated")
		set("Active")
		v.get("/users").mustSay("Sign in with password")
	})
	t.Run("SignOutEverywhere", func(t *testing.T) {
		here, there := c.visitor(), c.visitor()
		for _, v := range []*visitor{here, there} {
			v.signIn("bob@example.test", "demo user password").mustSay("User Management")
		}
		here.get("/profile").mustSay("Password (this browser)", "Since", "Sign out everywhere")
		here.post("/profile/sign-out", nil).mustSay("You are signed out in every browser.")
		there.get("/users").mustSay("Sign in with password")
		there.signIn("bob@example.test", "demo user password").mustSay("User Management")
		boss := c.manager()
		boss.post("/users/"+c.bob.ID+"/sign-out", nil).mustBe(http.StatusOK).mustSay("The user is signed out in every browser.", "Not signed in anywhere.", "Signed bob@example.test out in every browser")
		there.get("/users").mustSay("Sign in with password")
		ada := c.visitor()
		ada.post("/users/"+c.bob.ID+"/sign-out", nil).mustSay("Sign in with password")
	})
	t.Run("TooManyAttempts", func(t *testing.T) {
		v := c.visitor()
		for range 10 {
			v.signIn("carol@example.test", "guess").mustBe(http.StatusUnauthorized)
		}
		got := v.signIn("carol@example.test", "demo user password").mustBe(http.StatusTooManyRequests).mustSay("Too many attempts failed; try again in")
		if after, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || after < 1 || after > 90 {
			t.Errorf("Retry-After is %q, want at most 90 seconds", got.header.Get("Retry-After"))
		}
		c.manager() // other people still sign in
		c.manager().get("/users/"+c.carol.ID).mustSay("Tried to sign in as carol@example.test", "Too many attempts failed")
	})
}

// TestGuessing lets an attacker guess passwords while other people sign in.
func TestGuessing(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	guess := func(v *visitor, n int) (codes map[int]int) {
		codes = map[int]int{}
		var together sync.WaitGroup
		var mu sync.Mutex
		for range n {
			together.Go(func() {
				got := v.signIn(portaltest.AdminUser, "guess")
				mu.Lock()
				defer mu.Unlock()
				codes[got.status]++
			})
		}
		together.Wait()
		return codes
	}
	t.Run("AtTheSameTime", func(t *testing.T) {
		s := newSite(t)
		if codes := guess(s.visitor(), 60); codes[http.StatusUnauthorized] != 10 || codes[http.StatusTooManyRequests]+codes[http.StatusServiceUnavailable] != 50 {
			t.Errorf("60 guesses at the same time: %v, want 10 that were checked", codes)
		}
	})
	t.Run("BehindAProxy", func(t *testing.T) {
		s := newSiteWith(t, portalserver.WebOptions{TrustedProxies: proxies}, portaltest.Options{})
		attacker, owner := s.visitor(), s.visitor()
		attacker.from, owner.from = "192.0.2.1", "198.51.100.7"
		for range 12 {
			attacker.signIn(portaltest.AdminUser, "guess")
		}
		attacker.signIn(portaltest.AdminUser, "guess").mustBe(http.StatusTooManyRequests)
		owner.signIn(portaltest.AdminUser, portaltest.AdminPassword).mustBe(http.StatusOK).mustSay("User Management")
	})
	t.Run("SpoofedThroughTheProxy", func(t *testing.T) {
		s := newSiteWith(t, portalserver.WebOptions{TrustedProxies: proxies}, portaltest.Options{})
		attacker := s.visitor()
		for i := range 12 {
			attacker.from = fmt.Sprintf("203.0.113.%d, 192.0.2.1", i)
			attacker.signIn(portaltest.AdminUser, "guess")
		}
		attacker.signIn(portaltest.AdminUser, "guess").mustBe(http.StatusTooManyRequests)
	})
	t.Run("SpoofedWithoutAProxy", func(t *testing.T) {
		s := newSite(t)
		attacker := s.visitor()
		for i := range 12 {
			attacker.from = fmt.Sprintf("203.0.113.%d", i)
			attacker.signIn(portaltest.AdminUser, "guess")
		}
		attacker.signIn(portaltest.AdminUser, "guess").mustBe(http.StatusTooManyRequests)
		if n := strings.Count(s.logged.String(), "set --trusted-proxy"); n != 1 {
			t.Errorf("the log names the flag %d times, want once", n)
		}
	})
	t.Run("KnownBrowser", func(t *testing.T) {
		s := newSite(t)
		owner := s.manager()
		owner.post("/sign-out", nil).mustSay("You are signed out.")
		attacker := s.visitor()
		for range 12 {
			attacker.signIn(portaltest.AdminUser, "guess")
		}
		s.visitor().signIn(portaltest.AdminUser, portaltest.AdminPassword).mustBe(http.StatusTooManyRequests)
		owner.signIn(portaltest.AdminUser, portaltest.AdminPassword).mustBe(http.StatusOK).mustSay("User Management")
	})
}

func TestReadOnlyRecords(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	const person, pool = "Managed by SCIM: change this user in Okta", "Managed by an AgentPool object: change it in Kubernetes"
	boss.get("/users").mustBe(http.StatusOK).mustSay("Read-only: managed by Okta", `class="locked"`, person)
	boss.get("/pools").mustBe(http.StatusOK).mustSay("Read-only: managed by AgentPool payments")
	user, ruled := "/users/"+c.ada.ID, "/pools/"+c.payments.ID
	boss.get(user).mustSay(person).mustNotSay(user+"/edit", user+"/delete", user+"/status")
	boss.get(ruled).mustSay(pool).mustNotSay(ruled+"/edit", ruled+"/delete")
	edit := url.Values{"userName": {"ada@example.test"}, "name": {"Payments"}}
	for path, want := range map[string]string{user: person, user + "/status": person, user + "/hand-over": person, user + "/delete": person, ruled: pool, ruled + "/delete": pool} {
		edit.Set("revision", revision(c.ada.Revision))
		boss.post(path, edit).mustBe(http.StatusConflict).mustSay(want)
	}
	for path, want := range map[string]string{user + "/edit": person, user + "/delete": person, ruled + "/edit": pool, ruled + "/delete": pool} {
		boss.get(path).mustBe(http.StatusConflict).mustSay(want)
	}
	after, err := c.store.Account(t.Context(), c.ada.ID)
	if err != nil || after.Revision != c.ada.Revision {
		t.Errorf("the read-only account was changed: %+v, %v", after, err)
	}
	boss.get("/audit?outcome=refused").mustSay("Refused", person)
	c.methods(portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://demo.example.test", ClientID: "portal"}}) // SCIM off
	boss.get(user).mustSay(user + "/edit").mustNotSay("Read-only.")
}

func TestUsers(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	form := url.Values{"userName": {" Dora@example.test "}, "displayName": {"<script>alert(1)</script>"}, "password": {"demo user password"}, "pools": {c.support.ID}}
	got := boss.post("/users", form).mustBe(http.StatusOK).mustSay("The user was created.", "&lt;script&gt;", "From Support")
	if strings.Contains(got.html, "<script>alert") {
		t.Error("user input is not escaped on the page")
	}
	path := got.path
	boss.get(path).mustNotSay("The user was created.") // shown once
	boss.post("/users", form).mustBe(http.StatusConflict).mustSay("already belongs to the user", `value="Dora@example.test"`)
	boss.post("/users", url.Values{"userName": {"short@example.test"}, "password": {"short"}}).mustBe(http.StatusBadRequest).mustSay("A password has 12 to 256 characters")
	boss.post("/users", url.Values{"userName": {"x@example.test"}, "directRoles": {portalapi.RoleAdmin}}).mustBe(http.StatusBadRequest).mustSay("cannot be granted here")

	edit := url.Values{"userName": {"dora@example.test"}, "givenName": {"Dora"}, "familyName": {"Demo"}}
	boss.post(path, edit).mustBe(http.StatusBadRequest).mustSay("does not contain the revision")
	edit.Set("revision", "1")
	boss.post(path, edit).mustBe(http.StatusOK).mustSay("The user was saved.", "Dora Demo").mustNotSay("From Support")
	boss.post(path, edit).mustBe(http.StatusPreconditionFailed).mustSay("This was changed by another user")
	boss.post(path+"/hand-over", url.Values{"handedOver": {"true"}, "revision": {"2"}}).mustBe(http.StatusOK).mustSay("is handed over to SCIM", "Take it back")
	boss.post(path+"/delete", url.Values{"revision": {"3"}}).mustBe(http.StatusOK).mustSay("The user was deleted")
	boss.post(path+"/delete", url.Values{"revision": {"3"}}).mustBe(http.StatusNotFound)
}

func TestPoolHandOver(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	path := "/pools/" + c.support.ID
	boss.get(path).mustSay("Hand over to Kubernetes", "Managers in this portal")
	form := url.Values{"handedOver": {"true"}, "revision": {revision(c.support.Revision)}}
	boss.post(path+"/hand-over", form).mustBe(http.StatusOK).mustSay("The agent pool is handed over", "Take it back")
	boss.get("/pools").mustSay("Handed over")
	boss.post(path+"/hand-over", form).mustBe(http.StatusPreconditionFailed).mustSay("This was changed by another user")
	ruled := "/pools/" + c.payments.ID
	boss.get(ruled).mustSay("AgentPool payments").mustNotSay("Hand over to Kubernetes")
	boss.post(ruled+"/hand-over", url.Values{"handedOver": {"true"}, "revision": {revision(c.payments.Revision)}}).mustBe(http.StatusConflict).mustSay("Managed by an AgentPool object")
}

func TestLastManager(t *testing.T) {
	s := newSite(t)
	boss := s.manager()
	admin, err := s.store.AccountByName(t.Context(), portaltest.AdminUser)
	if err != nil {
		t.Fatal(err)
	}
	path, at := "/users/"+admin.ID, revision(admin.Revision)
	boss.post(path+"/status", url.Values{"status": {"Deactivated"}, "revision": {at}, "confirmed": {"yes"}}).mustBe(http.StatusConflict).mustSay("This leaves no local manager who can sign in with a password")
	boss.post(path+"/delete", url.Values{"revision": {at}}).mustBe(http.StatusConflict).mustSay("This leaves no local manager who can sign in with a password")
	boss.post(path, url.Values{"userName": {portaltest.AdminUser}, "revision": {at}}).mustBe(http.StatusConflict).mustSay("This leaves no local manager who can sign in with a password")
}

func TestUserList(t *testing.T) {
	s := newSite(t)
	boss := s.manager()
	for i := range 120 {
		if _, err := s.store.CreateAccount(t.Context(), manager, store.NewAccount{UserName: fmt.Sprintf("user%03d@example.test", i)}); err != nil {
			t.Fatal(err)
		}
	}
	var seen []string
	for at := "/users?q=user"; at != ""; {
		page := boss.get(at).mustBe(http.StatusOK)
		if strings.Contains(at, "example.test") {
			t.Errorf("the URL %s contains user names", at)
		}
		for _, part := range strings.Split(page.html, `<span class="sub"><bdi>`)[1:] {
			name, _, _ := strings.Cut(part, "<")
			seen = append(seen, name)
		}
		_, rest, found := strings.Cut(page.html, `rel="next" href="`)
		at, _, _ = strings.Cut(rest, `"`)
		at = unescape(at)
		if !found {
			at = ""
		}
	}
	if len(seen) != 120 || !slices.IsSorted(seen) {
		t.Errorf("paging shows %d users, sorted: %v", len(seen), slices.IsSorted(seen))
	}
	boss.get("/users?q=user007").mustSay("user007@example.test").mustNotSay("user008@example.test")
	boss.get("/users?q=%25").mustSay("No user matches")
	boss.get("/users?managedBy=SCIM").mustSay("No user matches")
	boss.get("/users?status=Deactivated").mustSay("No user matches")
	boss.get("/users?pool=none").mustBe(http.StatusNotFound)
	boss.get("/users?after=gone").mustSay("admin@example.test")
}

func TestHeldRemovals(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	boss.get("/users").mustNotSay("held")
	for name, what := range map[string]portalapi.Removal{"ada": portalapi.RemovalDeactivation, "grace": portalapi.RemovalManager} {
		if err := c.store.MarkAccount(t.Context(), operator, portalapi.Owner{UID: name + "-uid", Name: name + "-scim", Revision: 1}, marked(what, "")); err != nil {
			t.Fatal(err)
		}
	}
	boss.get("/users").mustSay("2 removals are held").mustSay("Removal held: deactivation").mustSay("Removal held: loss of the manager role")
	boss.get("/users?held=true").mustSay("ada@example.test").mustSay("grace@example.test").mustNotSay("carol@example.test")
	boss.get("/users/" + c.ada.ID).mustSay("Removal held: deactivation.").mustSay("The removal of the user ada@example.test is held")
	c.put("ada", true)
	boss.get("/users").mustSay("1 removal is held")
	boss.get("/users/" + c.ada.ID).mustNotSay("guard holds it")
}

func TestHeldPools(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	boss.get("/pools").mustNotSay("held", "Held")
	boss.get("/pools/"+c.payments.ID).mustNotSay("held", "kubectl")
	hold := marked(portalapi.RemovalManager, "payments")
	mark := func() {
		t.Helper()
		if err := c.store.MarkPool(t.Context(), operator, portalapi.Owner{UID: "pool-1", Revision: 1}, hold); err != nil {
			t.Fatal(err)
		}
	}
	mark()
	boss.get("/pools").mustSay("The change of 1 pool is held", "Held: loss of the manager role", "AgentPool payments",
		"kubectl scim release payments -n lightrun", "kubectl scim drop payments -n lightrun")
	boss.get("/pools/"+c.payments.ID).mustSay("Change held: loss of the manager role.", "kubectl scim release payments -n lightrun", "kubectl scim drop payments -n lightrun")
	boss.get("/pools/"+c.support.ID).mustNotSay("held", "kubectl")
	boss.get("/audit").mustSay("A change of the agent pool Payments is held")
	hold = marked(portalapi.RemovalDeletion, "payments")
	mark()
	if _, err := c.store.PutPool(t.Context(), operator, portalapi.PoolWrite{Owner: portalapi.Owner{UID: "pool-2", Revision: 1}, Name: "Leads"}); err != nil {
		t.Fatal(err)
	}
	if err := c.store.MarkPool(t.Context(), operator, portalapi.Owner{UID: "pool-2", Revision: 1}, marked(portalapi.RemovalManager, "leads")); err != nil {
		t.Fatal(err)
	}
	boss.get("/pools").mustSay("The changes of 2 pools are held", "kubectl scim release NAME -n lightrun", "NAME is the AgentPool in the pool's row", "AgentPool leads")
	boss.get("/pools/" + c.payments.ID).mustSay("Change held: deletion.")
	hold = nil
	mark()
	boss.get("/pools").mustSay("The change of 1 pool is held").mustNotSay("Held: deletion", "NAME")
	boss.get("/audit").mustSay("The change of the agent pool Payments is no longer held")
	hold = marked(portalapi.RemovalMembers, "payments")
	mark()
	boss.get("/pools/" + c.payments.ID).mustSay("Change held: loss of members.")
	hold.State = portalapi.MarkDropped
	mark()
	boss.get("/pools/"+c.payments.ID).mustNotSay("Change held", "kubectl")
	boss.get("/audit").mustSay("A held removal of Payments was dropped")
}

func TestPools(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	form := url.Values{"name": {"Analytics"}, "description": {"Numbers"}, "roles": {portalapi.RoleIgnoreQuota}}
	got := boss.post("/pools", form).mustBe(http.StatusOK).mustSay("The agent pool was created.", "Analytics", portalapi.RoleIgnoreQuota)
	path := got.path
	boss.post("/pools", form).mustBe(http.StatusConflict).mustSay(`value="Analytics"`)
	boss.post("/pools", url.Values{"name": {"X"}, "roles": {portalapi.RoleAdmin}}).mustBe(http.StatusBadRequest).mustSay("cannot be granted here")
	boss.post(path, url.Values{"name": {"Analysts"}, "revision": {"1"}}).mustBe(http.StatusOK).mustSay("The agent pool was saved.", "Analysts")
	boss.post(path, url.Values{"name": {"Late"}, "revision": {"1"}}).mustBe(http.StatusPreconditionFailed).mustSay("This was changed by another user", `value="Analysts"`)
	seen := boss.get(path + "/delete").mustSay("takes nothing away").field("seen")
	boss.post(path+"/delete", url.Values{"revision": {"2"}, "seen": {seen}}).mustBe(http.StatusOK).mustSay("The agent pool was deleted.").mustNotSay("Analysts")
	all, err := c.store.Pools(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	def := all[slices.IndexFunc(all, func(p store.Pool) bool { return p.Default })]
	boss.post("/pools/"+def.ID+"/delete", url.Values{"revision": {revision(def.Revision)}}).mustBe(http.StatusConflict).mustSay("default pool")
	boss.get("/pools/"+c.support.ID).mustSay("1 in User Management", "Bob Demo")
}

func TestAudit(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	boss.get("/audit").mustSay("Created the user bob@example.test", "Saved the login methods", "SSO: off → on", "waits for migration")
	boss.get("/audit?user=" + c.bob.ID).mustSay("Created the user bob@example.test").mustNotSay("Created the user ada@example.test")
	boss.get("/audit?actor=operator").mustSay("Created the user ada@example.test").mustNotSay("Created the user bob@example.test")
	boss.get("/audit?actor=unknown").mustSay("No event matches")
	for range 60 {
		boss.post("/users/"+c.ada.ID+"/delete", url.Values{"revision": {"1"}})
	}
	first := boss.get("/audit?outcome=refused").mustSay("Next page")
	_, next, _ := strings.Cut(first.html, `rel="next" href="`)
	next, _, _ = strings.Cut(next, `"`)
	boss.get(unescape(next)).mustBe(http.StatusOK).mustSay("First page", "Last page")
}

func revision(n int64) string { return strconv.FormatInt(n, 10) }
