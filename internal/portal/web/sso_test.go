// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/sso"
	"lightrun.com/scim-operator/test/framework/samlidp"
)

// eachProtocol runs the test of signing in with both protocols.
func eachProtocol(t *testing.T, test func(*testing.T, *site)) {
	for _, protocol := range []string{"OIDC", "SAML"} {
		t.Run(protocol, func(t *testing.T) {
			s := newSite(t)
			s.protocol = protocol
			test(t, s)
		})
	}
}

// samlProvider starts a SAML provider with the users.
func (s *site) samlProvider(people ...string) portalapi.SSO {
	s.t.Helper()
	s.idp = samlidp.Start(s.t, s.samlConfig(people...))
	s.provided = s.idp.URL
	return portalapi.SSO{Enabled: true, Type: "SAML", MetadataURL: s.idp.MetadataURL()}
}

func (s *site) samlConfig(people ...string) samlidp.Config {
	c := samlidp.Config{Portal: s.url + sso.SAMLMetadataPath, Users: map[string]map[string]any{}}
	for _, name := range people {
		c.Users[name] = map[string]any{"email": name}
	}
	return c
}

// issuerOf returns the issuer of the identities under the settings.
func issuerOf(c portalapi.SSO) string {
	if c.Type == "SAML" {
		return sso.SAMLIssuer(c.MetadataURL, c.IDAttribute) // the provider's entity id is its address
	}
	return c.Issuer
}

// notStarted sends a response of the provider for which no sign-in began.
func (v *visitor) notStarted() *answer {
	v.t.Helper()
	if v.protocol == "SAML" {
		return v.consume(url.Values{sso.SAMLResponseField: {"typed secret"}, sso.RelayStateField: {"x"}})
	}
	return v.get("/sso/callback?state=x&code=typed+secret")
}

// atProvider signs in on the page of the provider to which the path leads.
func (v *visitor) atProvider(path, name string) *answer {
	v.t.Helper()
	page := v.signInAtProvider(path, name)
	if v.protocol == "SAML" {
		return v.consume(page.fields())
	}
	return page
}

// signInAtProvider returns the provider's response to the right password.
func (v *visitor) signInAtProvider(path, name string) *answer {
	v.t.Helper()
	page := v.get(path).mustBe(http.StatusOK)
	return v.post(v.provided+"/login", url.Values{"id": {page.fields().Get("id")}, "username": {name}, "password": {samlidp.Password}})
}

// consume posts the provider's form to the portal as a browser does: from another site without
// cookies, and then from the portal's own page with the cookies.
func (v *visitor) consume(form url.Values) *answer {
	v.t.Helper()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://idp.example.test"}}
	page := v.visitor().send(http.MethodPost, sso.SAMLConsumerPath, form.Encode(), header)
	if page.status != http.StatusOK {
		return page
	}
	page.mustSay("Your identity provider has signed you in", "data-submit")
	again := page.fields()
	if again.Get(sso.SAMLResponseField) != form.Get(sso.SAMLResponseField) || again.Get("again") != "1" {
		v.t.Errorf("the portal's page changes the form: %v", again)
	}
	return v.post(sso.SAMLConsumerPath, again)
}

var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)

// fields returns the hidden fields of the page.
func (a *answer) fields() url.Values {
	form := url.Values{}
	for _, field := range hiddenField.FindAllStringSubmatch(a.html, -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	return form
}
