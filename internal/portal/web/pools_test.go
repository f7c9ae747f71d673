// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// field returns the value of the form's field on the page.
func (a *answer) field(name string) string {
	a.t.Helper()
	found := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(a.html)
	if found == nil {
		a.t.Fatalf("%s has no field %s:\n%s", a.path, name, a.html)
	}
	return found[1]
}

// next returns the link to the next page of a list, and "" on the last page.
func (a *answer) next() string {
	found := regexp.MustCompile(`rel="next" href="([^"]*)"`).FindStringSubmatch(a.html)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

// TestPoolPages checks that the pages of a list contain every pool, and those of a pool every
// member, exactly once.
func TestPoolPages(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	for i := range 120 {
		if _, err := c.store.CreatePool(t.Context(), manager, store.NewPool{Name: fmt.Sprintf("Team %03d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		c.put(fmt.Sprintf("person%03d", i), true, c.payments.ID)
	}
	for path, want := range map[string]struct {
		of, pattern string
		rows, pages int
	}{
		"/pools":                     {"pools", `<a class="name" href="(/pools/[^"]*)"`, 123, 3},
		"/pools?q=team":              {"pools found", `<a class="name" href="(/pools/[^"]*)"`, 120, 3},
		"/pools/" + c.payments.ID:    {"members", `<a class="name" href="(/users/[^"]*)"`, 51, 3},
		"/pools?q=" + "team%200":     {"pools found by two words", `<a class="name" href="(/pools/[^"]*)"`, 100, 2},
		"/pools/" + c.defaultPool(t): {"members of the default pool", `<a class="name" href="(/users/[^"]*)"`, 55, 3},
	} {
		var rows []string
		pages := 0
		for at := path; at != ""; pages++ {
			page := boss.get(at).mustBe(http.StatusOK)
			for _, row := range regexp.MustCompile(want.pattern).FindAllStringSubmatch(page.html, -1) {
				rows = append(rows, row[1])
			}
			if (pages > 0) != strings.Contains(page.html, ">First page</a>") {
				t.Errorf("page %d of %s: wrong link to the first page", pages+1, path)
			}
			at = page.next()
		}
		distinct := slices.Compact(slices.Sorted(slices.Values(rows)))
		if len(rows) != want.rows || len(distinct) != want.rows || pages != want.pages {
			t.Errorf("%s: %d rows, %d of them distinct, on %d pages; want %d on %d", want.of, len(rows), len(distinct), pages, want.rows, want.pages)
		}
	}
}

func (s *site) defaultPool(t *testing.T) string {
	t.Helper()
	all, err := s.store.Pools(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all[slices.IndexFunc(all, func(p store.Pool) bool { return p.Default })].ID
}

func TestMembersOrigin(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	boss.get("/pools/"+c.support.ID).mustSay("Bob Demo", "A manager")
	boss.get("/pools/"+c.payments.ID).mustSay("Ada Demo", "The AgentPool")
	boss.get("/pools/"+c.defaultPool(t)).mustSay("Ada Demo", "Bob Demo", "The portal: all active users")
	c.payments = c.pin(portalapi.Pin{Line: "displayName: Payments team", ID: "5f8f", Revision: 1})
	boss.get("/pools/"+c.payments.ID).mustSay("Filled by", "displayName: Payments team", "SCIM id 5f8f")
}

// pin writes the pool payments with a line that means a group.
func (c *company) pin(pins ...portalapi.Pin) *store.Pool {
	c.t.Helper()
	pool, err := c.store.PutPool(c.t.Context(), operator, portalapi.PoolWrite{Owner: portalapi.Owner{UID: "pool-1", Name: "payments", Revision: 2}, Name: "Payments", Pins: pins})
	if err != nil {
		c.t.Fatal(err)
	}
	return pool
}

// TestPoolChangeIsShownFirst checks that a change that gives or takes roles is saved only after its
// effect was shown.
func TestPoolChangeIsShownFirst(t *testing.T) {
	c := newCompany(t)
	boss, path := c.manager(), "/pools/"+c.support.ID
	form := url.Values{"revision": {revision(c.support.Revision)}, "name": {"Support"}, "description": {"<b>new</b>"}, "roles": {portalapi.RoleIgnoreQuota}}
	summary := boss.post(path, form).mustBe(http.StatusOK).mustSay("Nothing is saved yet", "user loses ROLE_MANAGER", "user gains ROLE_IGNORE_QUOTA", "Bob Demo")
	boss.get(path).mustSay(portalapi.RoleManager).mustNotSay(portalapi.RoleIgnoreQuota)
	back := url.Values{"action": {"edit"}}
	for name, values := range form {
		back[name] = values
	}
	boss.post(path, back).mustSay("Edit Support", "&lt;b&gt;new&lt;/b&gt;", `value="`+portalapi.RoleIgnoreQuota+`" checked`)
	form.Set("seen", summary.field("seen"))
	if _, err := c.store.CreateAccount(t.Context(), manager, store.NewAccount{UserName: "dora@example.test", Pools: []string{c.support.ID}}); err != nil {
		t.Fatal(err)
	}
	again := boss.post(path, form).mustBe(http.StatusOK).mustSay("This has changed since you looked at it", "users lose ROLE_MANAGER", "dora@example.test")
	form.Set("seen", again.field("seen"))
	boss.post(path, form).mustBe(http.StatusOK).mustSay("The agent pool was saved.", portalapi.RoleIgnoreQuota).mustNotSay(portalapi.RoleManager)
	renamed := url.Values{"revision": {revision(c.support.Revision + 1)}, "name": {"Help"}, "roles": {portalapi.RoleIgnoreQuota}}
	boss.post(path, renamed).mustSay("The agent pool was saved.") // a name gives and takes nothing

	deletion := boss.get(path+"/delete").mustBe(http.StatusOK).mustSay("users leave the pool", "users lose ROLE_IGNORE_QUOTA", "dora@example.test")
	gone := url.Values{"revision": {deletion.field("revision")}, "seen": {deletion.field("seen")}}
	bob, err := c.store.Account(t.Context(), c.bob.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.UpdateAccount(t.Context(), manager, bob.ID, nil, store.AccountPatch{Pools: &[]string{}}); err != nil {
		t.Fatal(err)
	}
	fewer := boss.post(path+"/delete", gone).mustBe(http.StatusConflict).mustSay("This has changed since you looked at it", "user leaves the pool")
	gone.Set("seen", fewer.field("seen"))
	boss.post(path+"/delete", gone).mustBe(http.StatusOK).mustSay("The agent pool was deleted.")
	boss.get("/pools/" + c.defaultPool(t) + "/delete").mustBe(http.StatusConflict).mustSay("The default pool cannot be deleted")
	boss.get("/pools/" + c.payments.ID + "/delete").mustBe(http.StatusConflict).mustSay("Managed by an AgentPool object")
}

// TestHeldPoolCommand checks that the page of a pool shows the commands about exactly the removal
// that is held.
func TestHeldPoolCommand(t *testing.T) {
	c := newCompany(t)
	boss := c.manager()
	mark := marked(portalapi.RemovalMembers, "payments")
	mark.Decision = "mwxpemhe-ecf183e4ba2e"
	if err := c.store.MarkPool(t.Context(), operator, portalapi.Owner{UID: "pool-1", Revision: 1}, mark); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/pools", "/pools/" + c.payments.ID} {
		boss.get(path).mustSay("kubectl scim release agentpool/payments --id mwxpemhe-ecf183e4ba2e -n lightrun", "kubectl scim drop agentpool/payments --id mwxpemhe-ecf183e4ba2e -n lightrun")
	}
}

// TestPoolKeyPages follows a pool's keys on the pages: the first, rotation, reversal, revocation.
func TestPoolKeyPages(t *testing.T) {
	c := newCompany(t)
	boss, path := c.manager(), "/pools/"+c.payments.ID+"/keys" // managed by an AgentPool: keys are the portal's
	boss.get("/pools/"+c.payments.ID).mustSay("Agents cannot join this pool until it has a key", "Make a key")
	secretOf := func(a *answer) string {
		t.Helper()
		found := regexp.MustCompile(`lra_[A-Za-z0-9_-]{43}`).FindString(a.html)
		if found == "" || a.header.Get("Content-Encoding") != "" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("the secret is %q, with the headers %v", found, a.header)
		}
		return found
	}
	joins := func(secret string, want bool) {
		t.Helper()
		if _, _, err := c.store.AgentPool(t.Context(), secret); (err == nil) != want {
			t.Errorf("an agent with the key: %v, want that it joins: %v", err, want)
		}
	}
	empty := boss.get(path).mustSay("No key yet", "Make the first key")
	made := boss.post(path, url.Values{"active": {empty.field("active")}}).mustBe(http.StatusCreated).mustSay("Copy the new key now", "Active")
	one := secretOf(made)
	joins(one, true)
	page := boss.get(path).mustNotSay(one).mustSay("Rotate the key", "…"+one[len(one)-4:])
	boss.post(path, url.Values{"active": {""}, "days": {"7"}}).mustBe(http.StatusConflict).mustSay("The keys of this pool have changed")
	boss.post(path, url.Values{"active": {page.field("active")}, "days": {"x"}}).mustBe(http.StatusBadRequest).mustSay("Choose for how many days")
	made = boss.post(path, url.Values{"active": {page.field("active")}, "days": {"7"}}).mustBe(http.StatusCreated).mustSay("Deprecated",
		"Works until", time.Now().AddDate(0, 0, 7).UTC().Format("2 Jan 2006"))
	two := secretOf(made)
	joins(one, true)
	joins(two, true)
	page = boss.get(path).mustSay("The deprecated key still works. Revoke it")
	links := regexp.MustCompile(`/pools/[^"]*/keys/[^"]*/re(vert|voke)`).FindAllString(page.html, -1) // the active key's, then the deprecated key's two
	if len(links) != 3 {
		t.Fatalf("the page has %v", links)
	}
	boss.post(links[1], nil).mustBe(http.StatusOK).mustSay("The former key is active again")
	boss.post(links[1], nil).mustBe(http.StatusConflict).mustSay("The keys of this pool have changed")
	boss.get(links[2]).mustSay("Revoke the key that ends in "+one[len(one)-4:], "This is the active key of the pool")
	boss.get(links[0]).mustSay("Revoke the key that ends in " + two[len(two)-4:]).mustNotSay("active key")
	boss.post(links[0], nil).mustSay("The key was revoked")
	joins(two, false)
	joins(one, true)
	boss.get(links[0]).mustBe(http.StatusNotFound)
	boss.get("/audit").mustSay("Made a new key of the agent pool Payments", "Made the former key of the agent pool Payments active again", "Revoked a key of the agent pool Payments").mustNotSay(one, two)
	bob := c.visitor()
	bob.signIn("bob@example.test", "demo user password")
	if _, err := c.store.UpdatePool(t.Context(), manager, c.support.ID, nil, store.PoolPatch{Roles: &[]string{}}); err != nil {
		t.Fatal(err)
	}
	bob.post(path, url.Values{"active": {""}}).mustBe(http.StatusForbidden)
}
