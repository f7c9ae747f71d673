// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"os"
	"path/filepath"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	portalserver "lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/test/framework/browser"
	"lightrun.com/scim-operator/test/framework/portaltest"
	"lightrun.com/scim-operator/test/framework/samlidp"
)

// signInThroughSAML: the provider's form comes from another site, so the browser holds back the
// cookies of the portal. Signing in and linking work all the same.
func signInThroughSAML(t *testing.T, p *browser.Page) {
	s := newSiteAt(t, "localhost", portalserver.WebOptions{}, portaltest.Options{})
	s.protocol = "SAML"
	s.methods(portalapi.LoginMethods{SSO: s.provider("ada@example.test", "boss@example.test"), SCIMEnabled: true})
	s.put("ada", true)
	atProvider := func(name string) {
		p.Type("input[name=username]", name)
		p.Type("input[name=password]", samlidp.Password)
		p.Click("button")
	}
	p.Go(s.url + "/profile")
	p.Follow("a.button.primary")
	atProvider("ada@example.test")
	p.Shows("h1", "Ada Demo")
	if at := browser.Ask[string](p, `location.href`); at != s.url+"/profile" {
		t.Errorf("ended at %s", at)
	}
	p.Follow(".who button")
	signInInBrowser(p, s.url+"/profile", portaltest.AdminUser, portaltest.AdminPassword)
	p.Type("form[action='/profile/identity'] input[name=current]", portaltest.AdminPassword)
	p.Follow("form[action='/profile/identity'] button")
	p.Follow("main a.button")
	atProvider("boss@example.test")
	p.Shows("[role=status]", "Your identity at the provider is linked")
}

// setUpSAML follows the guide: choose the protocol, copy what the provider asks for, enter its
// metadata, test and save.
func setUpSAML(t *testing.T, p *browser.Page) {
	s := newSite(t)
	s.protocol = "SAML"
	settings := s.provider("ada@example.test")
	signInInBrowser(p, s.url+methodsPath, portaltest.AdminUser, portaltest.AdminPassword)
	p.Click("#sso")
	visible := func(id string) bool {
		return browser.Ask[bool](p, `document.getElementById("`+id+`").checkVisibility()`)
	}
	if !visible("issuer") || visible("metadataUrl") {
		t.Error("OpenID Connect shows the fields of SAML")
	}
	browser.Ask[bool](p, `(() => { const type = document.getElementById("type"); type.value = "SAML"; return type.dispatchEvent(new Event("input", {bubbles: true})); })()`)
	if visible("issuer") || visible("redirect") || !visible("metadataUrl") || !visible("entityId") || !visible("consumerUrl") {
		t.Error("SAML shows the fields of OpenID Connect")
	}
	for id, want := range map[string]string{"entityId": s.url + "/sso/saml/metadata", "consumerUrl": s.url + "/sso/saml/acs"} {
		if got := browser.Ask[string](p, `document.getElementById("`+id+`").value`); got != want {
			t.Errorf("%s is %s, want %s", id, got, want)
		}
	}
	p.Type("#metadataUrl", settings.MetadataURL)
	p.Follow("button[value=test]")
	p.Shows("[role=status]", "has what the portal needs")
	browser.Ask[bool](p, `document.querySelector("[data-shown-for] details").open = true`)
	for _, l := range looks {
		p.Wide(l.width, l.height, l.dark)
		for _, wrong := range browser.Ask[[]string](p, faults) {
			t.Errorf("at %s: %s", l.name, wrong)
		}
		if to := os.Getenv("PORTAL_SCREENSHOTS"); to != "" {
			if err := os.WriteFile(filepath.Join(to, "login-methods-saml-"+l.name+".png"), p.Screenshot(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.Follow("button[value=save]")
	p.Shows("[role=status]", "The login methods were saved")
	if config, err := s.store.Configuration(t.Context()); err != nil || config.SSO != settings {
		t.Errorf("saved %+v (%v), want %+v", config.SSO, err, settings)
	}
}
