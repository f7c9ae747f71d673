// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/portaltest"
)

func TestOwnPassword(t *testing.T) {
	c := newCompany(t)
	here, there := c.visitor(), c.visitor()
	for _, v := range []*visitor{here, there} {
		v.signIn("bob@example.test", "demo user password").mustSay("User Management")
	}
	here.get("/profile").mustSay(`href="/profile/password"`)
	here.get("/users/" + c.bob.ID + "/edit").mustSay("Change my password").mustNotSay(`name="password"`)
	here.get("/profile/password").mustBe(http.StatusOK).mustSay("Current password", `autocomplete="current-password"`)
	form := func(current, first, second string) url.Values {
		return url.Values{"current": {current}, "password": {first}, "repeated": {second}}
	}
	here.post("/profile/password", form("guess", "new demo password", "new demo password")).mustBe(http.StatusForbidden).mustSay("The current password is wrong.").mustNotSay("new demo password")
	here.post("/profile/password", form("demo user password", "new demo password", "new demo pasword")).mustBe(http.StatusBadRequest).mustSay("The two new passwords differ.")
	here.post("/profile/password", form("demo user password", "short", "short")).mustBe(http.StatusBadRequest).mustSay("A password has 12 to 256 characters")
	here.post("/profile/password", form("demo user password", "new demo password", "new demo password")).mustBe(http.StatusOK).mustSay("Your password was changed, and your other sessions have ended.", "My profile")
	there.get("/users").mustSay("Sign in with password")
	c.visitor().signIn("bob@example.test", "demo user password").mustBe(http.StatusUnauthorized)
	c.visitor().signIn("bob@example.test", "new demo password").mustBe(http.StatusOK)
	c.manager().get("/audit?user="+c.bob.ID).mustSay("Changed the password of bob@example.test", "Tried to change the password of bob@example.test")
	c.visitor().post("/profile/password", form("a", "b", "b")).mustSay("Sign in with password")

	s := newSite(t)
	s.methods(portalapi.LoginMethods{SSO: s.provider("ada@example.test"), SCIMEnabled: true})
	s.put("ada", true)
	ada := s.visitor()
	ada.throughSSO("ada@example.test").mustBe(http.StatusOK)
	ada.get("/profile").mustNotSay("/profile/password")
	ada.get("/profile/password").mustBe(http.StatusNotFound).mustSay("You sign in through your identity provider")
	ada.post("/profile/password", form("", "new demo password", "new demo password")).mustBe(http.StatusNotFound)
}

func TestDeactivateYourself(t *testing.T) {
	s := newSite(t)
	boss := s.manager()
	me, err := s.store.AccountByName(t.Context(), portaltest.AdminUser)
	if err != nil {
		t.Fatal(err)
	}
	path, form := "/users/"+me.ID, url.Values{"status": {"Deactivated"}, "revision": {revision(me.Revision)}}
	boss.get(path).mustSay(path + "/deactivate").mustNotSay(`action="` + path + `/status"`)
	boss.post(path+"/status", form).mustBe(http.StatusOK).mustSay("Deactivate your own account?", "Only another manager can activate the account again", `name="confirmed"`)
	boss.get("/users").mustSay("User Management") // nothing happened
	boss.get(path + "/deactivate").mustBe(http.StatusOK).mustSay("Deactivate your own account?")
	boss.get(path + "/delete").mustSay("This is your own account")
	form.Set("confirmed", "yes")
	boss.post(path+"/status", form).mustBe(http.StatusConflict).mustSay("This leaves no local manager who can sign in with a password")
	other, err := s.store.CreateAccount(t.Context(), manager, store.NewAccount{UserName: "bob@example.test", Password: "demo user password", DirectRoles: []string{portalapi.RoleManager}})
	if err != nil {
		t.Fatal(err)
	}
	if got := boss.get("/users/" + other.ID + "/deactivate").mustBe(http.StatusOK); got.path != "/users/"+other.ID {
		t.Errorf("the page about oneself opens for another user: %s", got.path)
	}
	boss.post(path+"/status", form).mustBe(http.StatusOK).mustSay("Your account was deactivated and is signed out everywhere.", "Sign in")
	boss.signIn(portaltest.AdminUser, portaltest.AdminPassword).mustBe(http.StatusUnauthorized)
}

func TestResetLink(t *testing.T) {
	c := newCompany(t)
	boss, bob := c.manager(), c.visitor()
	bob.signIn("bob@example.test", "demo user password").mustSay("User Management")
	path := "/users/" + c.bob.ID
	boss.get(path).mustSay("Make a reset link", "Signs in with a password")
	boss.get("/users/" + c.ada.ID).mustNotSay("reset link")
	boss.get("/users/" + c.admin(t)).mustNotSay("reset link")
	boss.post("/users/"+c.ada.ID+"/reset", nil).mustBe(http.StatusBadRequest).mustSay("it cannot have a password")
	link := boss.resetLink(path)
	boss.get(path + "/reset").mustBe(http.StatusOK).mustNotSay(link)
	boss.get("/audit").mustSay("Made a reset link for the password of bob@example.test").mustNotSay(link)

	form := url.Values{"password": {"new demo password"}, "repeated": {"new demo password"}}
	stranger := c.visitor()
	for range 2 { // opening the link does not use it up
		stranger.get(link).mustBe(http.StatusOK).mustSay("Set a new password", `value="bob@example.test"`).mustNotSay("Current password")
	}
	boss.get(link).mustBe(http.StatusOK).mustSay("Set a new password").mustNotSay("User Management")
	stranger.post(link, url.Values{"password": {"new demo password"}, "repeated": {"another one, long"}}).mustBe(http.StatusBadRequest).mustSay("The two new passwords differ.")
	stranger.post(link, url.Values{"password": {"short"}, "repeated": {"short"}}).mustBe(http.StatusBadRequest).mustSay("A password has 12 to 256 characters")
	stranger.send(http.MethodPost, link, form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}}).mustBe(http.StatusForbidden)
	stranger.post(link, form).mustBe(http.StatusOK).mustSay("The new password is set. Sign in with it.", "Sign in")
	bob.get("/users").mustSay("Sign in with password")
	stranger.signIn("bob@example.test", "new demo password").mustBe(http.StatusOK)
	c.visitor().signIn("bob@example.test", "demo user password").mustBe(http.StatusUnauthorized)
	for _, used := range []*answer{c.visitor().get(link), c.visitor().post(link, form), c.visitor().get("/reset/unknown")} {
		used.mustBe(http.StatusUnauthorized).mustSay("This link was used, has expired, or was replaced")
	}
	boss.get("/audit?user="+c.bob.ID).mustSay("Set a new password of bob@example.test with a reset link", "Tried to set a new password of bob@example.test with a reset link")
	boss.get("/audit?outcome=refused").mustSay("a visitor who is not signed in", "This link was used, has expired, or was replaced")
}

// resetLink makes a reset link on the user's page and returns it.
func (v *visitor) resetLink(path string) string {
	v.t.Helper()
	page := v.post(path+"/reset", nil).mustBe(http.StatusCreated).mustSay("It is shown only once", "It works once, until")
	_, link, _ := strings.Cut(page.html, `id="link" readonly value="`)
	link, _, found := strings.Cut(link, `"`)
	if !found || !strings.HasPrefix(link, v.url+"/reset/") {
		v.t.Fatalf("the link is %q", link)
	}
	return link
}
