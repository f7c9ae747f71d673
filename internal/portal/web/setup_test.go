// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/browser"
	"lightrun.com/scim-operator/test/framework/portaltest"
)

// guide is what a setup guide tells a manager to do on the portal's pages.
type guide struct {
	way      []string // the pages from Settings to the login methods
	signOn   string   // "On that page of the portal, …"
	scim     string   // the section about SCIM in the portal
	existing string   // the section about existing accounts
}

var (
	pagesWay = regexp.MustCompile(`\*(Settings ›[^*]+)\*`)
	bold     = regexp.MustCompile(`\*\*([^*]+)\*\*`)
)

func readGuide(t *testing.T, path string) guide {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := space.ReplaceAllString(string(raw), " ")
	between := func(from, to string) string {
		_, after, found := strings.Cut(text, from)
		part, _, ends := strings.Cut(after, to)
		if !found || !ends {
			t.Fatalf("%s has no text between %q and %q", path, from, to)
		}
		return part
	}
	way := pagesWay.FindStringSubmatch(text)
	if way == nil || !strings.Contains(text, "**Settings** is at the top right") {
		t.Fatalf("%s does not say where the login methods are", path)
	}
	return guide{way: strings.Split(way[1], " › "), signOn: between("On that page of the portal,", "Sign in once"),
		scim: between("## 2. SCIM in the portal", "## 3."), existing: between("## 5. Existing accounts", "## Troubleshooting")}
}

// setUpAsDocumented follows each setup guide on the portal's pages: it uses every control that the
// guide prints in bold.
func setUpAsDocumented(t *testing.T, b *browser.Browser) {
	guides, err := filepath.Glob("../../../docs/setup/*.md")
	guides = slices.DeleteFunc(guides, func(path string) bool { return filepath.Base(path) == "scim-target.md" }) // of another portal
	if err != nil || len(guides) < 2 {
		t.Fatalf("found the setup guides %v: %v", guides, err)
	}
	for _, path := range guides {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			g, s, p := readGuide(t, path), newSite(t), b.Open(t)
			p.Wide(1440, 900, false)
			if _, err := s.store.Bind(t.Context(), operator, portalapi.Binding{Cluster: "c", Namespace: "lightrun", Name: "default", UID: "u",
				ProviderType: "Okta", SCIMBaseURL: "https://scim.example.test/scim/v2"}); err != nil {
				t.Fatal(err)
			}
			sso := s.provider("ada@example.test")
			r := reader{t: t, p: p, values: map[string]string{"Issuer URL": sso.Issuer, "Client ID": sso.ClientID, "Client secret": sso.ClientSecret, "Name": "Provider SCIM"}}
			signInInBrowser(p, s.url+"/sign-in", portaltest.AdminUser, portaltest.AdminPassword)

			r.act(g.way[0])
			if !r.atTopRight {
				t.Errorf("%s is not at the top right", g.way[0])
			}
			last := len(g.way) - 1
			for _, name := range g.way[1:last] {
				r.act(name)
			}
			p.Shows("h1", g.way[last])

			r.follow(g.signOn)
			p.Shows("[role=status]", "saved and take effect now")
			r.follow(g.scim)
			p.Shows(".secret", "It is shown only once")
			config, err := s.store.Configuration(t.Context())
			if err != nil || !config.SSO.Enabled || !config.SCIMEnabled || config.ProvisionExistingUsers {
				t.Fatalf("the first two steps saved %+v, %v", config, err)
			}

			local, err := s.store.CreateAccount(t.Context(), manager, store.NewAccount{UserName: "bob@example.test"})
			if err != nil {
				t.Fatal(err)
			}
			s.plan(adopted(local))
			for _, name := range g.way[:last] {
				r.act(name)
			}
			r.follow(g.existing)
			p.Shows("[role=status]", "saved and take effect now")
			p.Shows("h1", "Migration")
			if config, err = s.store.Configuration(t.Context()); err != nil || !config.ProvisionExistingUsers {
				t.Errorf("the last step saved %+v, %v", config, err)
			}
		})
	}
}

// reader does on the pages what a text says.
type reader struct {
	t          *testing.T
	p          *browser.Page
	values     map[string]string // of text fields, by label
	steps      int
	atTopRight bool // whether the last control was at the top right of the page
}

// follow acts on each bold word of the text. A sentence that begins with Leave is only checked.
func (r *reader) follow(text string) {
	r.t.Helper()
	for sentence := range strings.SplitSeq(text, ". ") {
		for _, found := range bold.FindAllStringSubmatch(sentence, -1) {
			if strings.HasPrefix(strings.TrimSpace(sentence), "Leave ") {
				r.isOff(found[1])
				continue
			}
			r.act(found[1])
		}
	}
}

// named is a script that finds the one control with a label or text, sets data-step on it, and
// returns its kind and state.
const named = `((name, step) => {
	const is = e => e.checkVisibility() && e.innerText.trim() === name;
	const all = s => [...document.querySelectorAll(s)];
	const first = [
		all("button").filter(is),
		all("label").filter(is).map(e => e.control),
		all("input[type=radio]").filter(e => e.value === name),
		all("option").filter(e => e.text === name).map(e => e.parentElement),
		all("main a, .top a").filter(is),
		all("a").filter(is),
	].find(found => found.length) || [];
	if (first.length !== 1) return {kind: first.length + " things"};
	const e = first[0], at = e.getBoundingClientRect();
	e.dataset.step = step;
	const kind = e.matches("[role=switch]") ? "switch" : e.matches("a, [type=submit]") ? "page" : e.matches("select") ? "select" : e.matches("[readonly]") ? "copy" : e.matches("[type=radio]") ? "click" : "field";
	return {kind, disabled: !!e.disabled, checked: !!e.checked, topRight: at.top < innerHeight / 8 && at.right > innerWidth * 7 / 8 && at.left > innerWidth / 2};
})(%q, "%d")`

type thing struct {
	Kind                        string
	Disabled, Checked, TopRight bool
}

func (r *reader) find(name string) (thing, string) {
	r.t.Helper()
	r.steps++
	return browser.Ask[thing](r.p, fmt.Sprintf(named, name, r.steps)), fmt.Sprintf(`[data-step="%d"]`, r.steps)
}

func (r *reader) isOff(name string) {
	r.t.Helper()
	if found, _ := r.find(name); found.Kind != "switch" || found.Checked {
		r.t.Errorf("%q is not a toggle that is off: %+v", name, found)
	}
}

func (r *reader) act(name string) {
	r.t.Helper()
	found, selector := r.find(name)
	r.atTopRight = found.TopRight
	if found.Disabled {
		r.t.Fatalf("%q is disabled", name)
	}
	switch found.Kind {
	case "switch", "click":
		r.p.Click(selector)
	case "page":
		if status := r.p.Follow(selector); status != 200 && status != 201 {
			r.t.Fatalf("%q leads to a page with status %d", name, status)
		}
	case "select":
		browser.Ask[string](r.p, fmt.Sprintf(`(e => e.value = [...e.options].find(o => o.text === %q).value)(document.querySelector(%q))`, name, selector))
	case "field":
		if r.values[name] == "" {
			r.t.Fatalf("the test has no value for %q", name)
		}
		r.p.Type(selector, r.values[name])
	case "copy":
		r.p.Click(`.copy:has(` + selector + `) button`)
	default:
		r.t.Fatalf("the page has %s with the name %q", found.Kind, name)
	}
}
