// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	portalserver "lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/portaltest"
)

// device shows codes as an authenticator app does (RFC 6238).
type device struct {
	t      testing.TB
	secret string // as the page shows it
	used   string // the code of the enrolment
}

// code returns the code that the device shows, periods after now.
func (d device) code(periods int64) string {
	d.t.Helper()
	key, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(d.secret, " ", ""))
	if err != nil {
		d.t.Fatal(err)
	}
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, time.Now().Unix()/30+periods)
	sum := mac.Sum(nil)
	at := sum[19] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff)%1000000)
}

var (
	shownSecret = regexp.MustCompile(`<code class="spaced">([A-Z2-7 ]{39})</code>`)
	shownCode   = regexp.MustCompile(`<li><code>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</code></li>`)
)

// enrol sets up a second factor of the visitor, and returns the device and the recovery codes.
func (v *visitor) enrol(password string) (device, []string) {
	v.t.Helper()
	page := v.get("/profile/second-factor").mustBe(http.StatusOK).mustSay("Scan the QR code", `<svg class="qr"`)
	found := shownSecret.FindStringSubmatch(page.html)
	if found == nil {
		v.t.Fatalf("the page has no secret:\n%s", page.html)
	}
	d := device{t: v.t, secret: found[1]}
	secret := strings.ReplaceAll(d.secret, " ", "")
	form := url.Values{"secret": {secret}, "code": {"000000x"}, "current": {password}}
	v.post("/profile/second-factor", form).mustBe(http.StatusBadRequest).mustSay("The code does not fit the secret", d.secret)
	d.used = d.code(0)
	form.Set("code", d.used)
	form.Set("current", "guess")
	v.post("/profile/second-factor", form).mustBe(http.StatusForbidden).mustSay("The current password is wrong", d.secret)
	form.Set("current", password)
	page = v.post("/profile/second-factor", form).mustBe(http.StatusCreated).mustSay("Save these codes now")
	var codes []string
	for _, code := range shownCode.FindAllStringSubmatch(page.html, -1) {
		codes = append(codes, code[1])
	}
	if len(codes) != 10 {
		v.t.Fatalf("%d recovery codes are shown", len(codes))
	}
	v.get("/profile/second-factor").mustBe(http.StatusOK).mustSay("10 recovery codes are left").mustNotSay(codes[0], d.secret, secret)
	return d, codes
}

func (v *visitor) finish(field, code string) *answer {
	v.t.Helper()
	return v.post("/sign-in/code", url.Values{field: {code}, "return": {"/pools"}})
}

func TestSecondFactor(t *testing.T) {
	c := newCompany(t)
	const name, password = "bob@example.test", "demo user password"
	bob := c.visitor()
	bob.signIn(name, password).mustBe(http.StatusOK)
	bob.get("/profile").mustSay("Set up a second factor")
	device, codes := bob.enrol(password)
	bob.get("/profile").mustSay("asks for a code from your device", "Password and code (this browser)")

	there := c.visitor()
	asks := there.post("/sign-in", url.Values{"userName": {name}, "password": {password}, "return": {"/pools"}}).mustBe(http.StatusOK).mustSay("Signing in as", name, "I do not have my device", `value="/pools"`)
	if !strings.HasPrefix(asks.path, "/sign-in/code") {
		t.Errorf("the password alone leads to %s", asks.path)
	}
	there.get("/users").mustSay("Sign in with password")
	there.finish("code", "wrong").mustBe(http.StatusUnauthorized).mustSay("The code is wrong")
	there.finish("code", device.used).mustBe(http.StatusUnauthorized).mustSay("was used")
	next := device.code(1)
	if got := there.finish("code", next).mustBe(http.StatusOK); got.path != "/pools" {
		t.Errorf("the sign-in leads to %s, want the page that was asked for", got.path)
	}
	again := c.visitor()
	again.signIn(name, password).mustSay("Signing in as")
	again.finish("code", next).mustBe(http.StatusUnauthorized).mustSay("was used")
	again.finish("recovery", codes[0]).mustBe(http.StatusOK).mustSay("Agent Pools")
	again.get("/profile").mustSay("9 recovery codes are left")
	for _, code := range codes[1:9] {
		v := c.visitor()
		v.signIn(name, password).mustSay("Signing in as")
		v.finish("recovery", code).mustBe(http.StatusOK)
	}
	for _, path := range []string{"/profile", "/profile/second-factor"} {
		again.get(path).mustSay("1 recovery code is left").mustNotSay("1 recovery codes")
	}
	c.visitor().finish("code", next).mustBe(http.StatusUnauthorized).mustSay("sign in again")
	if got := c.visitor().get("/sign-in/code").mustBe(http.StatusOK); got.path != "/sign-in" {
		t.Errorf("a visitor without a password sees %s", got.path)
	}

	again.post("/profile/second-factor/codes", url.Values{"current": {"guess"}}).mustBe(http.StatusForbidden).mustSay("The current password is wrong")
	again.post("/profile/second-factor/codes", url.Values{"current": {password}}).mustBe(http.StatusCreated).mustSay("Save these codes now").mustNotSay(codes[1])
	again.post("/profile/second-factor/remove", url.Values{"current": {"guess"}}).mustBe(http.StatusForbidden).mustSay("The current password is wrong")
	again.post("/profile/second-factor/remove", url.Values{"current": {password}}).mustBe(http.StatusOK).mustSay("The second factor was removed", "Set up a second factor")
	c.visitor().signIn(name, password).mustBe(http.StatusOK).mustSay("User Management")
	c.manager().get("/audit?user="+c.bob.ID).mustSay("Set up a second factor of bob@example.test", "Made new recovery codes of bob@example.test", "Removed the second factor of bob@example.test",
		"Tried to sign in as bob@example.test", "By: password and code").mustNotSay(device.secret, codes[0])
}

func TestManagerRemovesSecondFactor(t *testing.T) {
	c := newCompany(t)
	bob, boss := c.visitor(), c.manager()
	bob.signIn("bob@example.test", "demo user password").mustBe(http.StatusOK)
	path := "/users/" + c.bob.ID
	boss.get(path).mustSay("without a second factor").mustNotSay(path + "/second-factor")
	boss.post(path+"/second-factor", nil).mustBe(http.StatusNotFound).mustSay("has no second factor")
	bob.enrol("demo user password")
	boss.get(path).mustSay("a password and a second factor", path+"/second-factor")
	bob.post(path+"/second-factor", nil).mustBe(http.StatusForbidden).mustSay("on My profile")
	boss.get(path+"/second-factor").mustBe(http.StatusOK).mustSay("Remove the second factor of Bob Demo?", "signs in with the password alone")
	boss.post(path+"/second-factor", nil).mustBe(http.StatusOK).mustSay("The second factor was removed", "Removed the second factor of bob@example.test")
	bob.get("/users").mustSay("Sign in with password")
	bob.signIn("bob@example.test", "demo user password").mustBe(http.StatusOK).mustSay("User Management")
}

func TestRequiredSecondFactor(t *testing.T) {
	s := newSiteWith(t, portalserver.WebOptions{}, portaltest.Options{RequireSecondFactor: true})
	if _, err := s.store.CreateAccount(t.Context(), manager, store.NewAccount{UserName: "dora@example.test", Password: "demo user password"}); err != nil {
		t.Fatal(err)
	}
	dora := s.visitor()
	dora.signIn("dora@example.test", "demo user password").mustBe(http.StatusOK).mustSay("My profile").mustNotSay("need a second factor")
	boss := s.visitor()
	got := boss.signIn(portaltest.AdminUser, portaltest.AdminPassword).mustBe(http.StatusOK).mustSay("This portal requires a second factor for managers", "Scan the QR code")
	if got.path != "/profile/second-factor" {
		t.Errorf("the sign-in leads to %s", got.path)
	}
	for _, page := range []string{"/", "/users", "/users/new", "/pools", "/api-keys", methodsPath, "/audit", "/profile", "/profile/password"} {
		if got := boss.get(page); got.path != "/profile/second-factor" {
			t.Errorf("%s opens without a second factor", page)
		}
	}
	boss.post("/users", url.Values{"userName": {"eve@example.test"}}).mustSay("This portal requires a second factor for managers")
	if n, err := s.store.CountAccounts(t.Context(), store.AccountFilter{}); err != nil || n != 2 {
		t.Errorf("a form works without a second factor: %d accounts (%v)", n, err)
	}
	boss.enrol(portaltest.AdminPassword)
	boss.get("/users").mustBe(http.StatusOK).mustSay("User Management", "dora@example.test")
	boss.post("/profile/second-factor/remove", url.Values{"current": {portaltest.AdminPassword}}).mustSay("This portal requires a second factor for managers")
	boss.post("/sign-out", nil).mustSay("You are signed out.")
}
