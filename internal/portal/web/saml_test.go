// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"encoding/base64"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/sso"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/samlidp"
)

// attack is one hostile response, or one hostile way to deliver a good one.
type attack struct {
	reason  string
	config  func(*samlidp.Config)        // what the provider says and signs
	forge   func(response string) string // changes the signed document
	deliver func(*visitor, url.Values)   // changes the form or the browser
	want    string                       // what the page and the audit say
}

const (
	victim  = "victim@example.test"
	rsaSHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
)

func claims(name string, value any) func(*samlidp.Config) {
	return func(c *samlidp.Config) { c.Claims = map[string]any{name: value} }
}

// TestHostileAssertions: each attack is refused and audited with its reason, and signs no user in.
func TestHostileAssertions(t *testing.T) {
	s := newSite(t)
	s.protocol = "SAML"
	const mallory = "mallory@example.test"
	s.methods(portalapi.LoginMethods{SSO: s.provider(mallory), SCIMEnabled: true})
	s.put("mallory", true)
	s.put("victim", true)

	attempt := func(t *testing.T, a attack) *answer {
		t.Helper()
		config := s.samlConfig(mallory)
		if a.config != nil {
			a.config(&config)
		}
		s.idp.Configure(config)
		v := s.visitor()
		page := v.signInAtProvider("/sso/begin?return=/profile", mallory).mustBe(http.StatusOK)
		form := page.fields()
		if a.forge != nil {
			document, err := base64.StdEncoding.DecodeString(form.Get(sso.SAMLResponseField))
			if err != nil {
				t.Fatal(err)
			}
			forged := a.forge(string(document))
			if forged == string(document) {
				t.Fatal("the attack changes nothing")
			}
			form.Set(sso.SAMLResponseField, base64.StdEncoding.EncodeToString([]byte(forged)))
		}
		if a.deliver != nil {
			a.deliver(v, form)
		}
		got := v.consume(form)
		if a.want != "" {
			v.get("/profile").mustNotSay("Victim Demo", "Mallory Demo")
		}
		return got
	}
	for name, config := range map[string]func(*samlidp.Config){
		"Assertion": nil,
		"Response":  func(c *samlidp.Config) { c.Signs = "response" },
		"Both":      func(c *samlidp.Config) { c.Signs = "both" },
	} {
		t.Run("Good/"+name, func(t *testing.T) {
			attempt(t, attack{config: config}).mustBe(http.StatusOK).mustSay("Mallory Demo", "My profile")
		})
	}
	for name, a := range attacks() {
		t.Run(name, func(t *testing.T) {
			attempt(t, a).mustBe(http.StatusUnauthorized).mustSay(a.want)
			events, err := s.store.AuditEvents(t.Context(), store.AuditFilter{}, 0, 1)
			if err != nil || len(events) != 1 || events[0].Action != "session.start" || !events[0].Refused() || !strings.Contains(events[0].Message, a.want) {
				t.Errorf("%s\naudited %+v (%v), want %q", a.reason, events, err, a.want)
			}
		})
	}
}

func attacks() map[string]attack {
	signed := func(how string) func(*samlidp.Config) { return func(c *samlidp.Config) { c.Signs = how } }
	replace := func(old, replacement string) func(string) string {
		return func(r string) string { return strings.Replace(r, old, replacement, 1) }
	}
	seconds := func(times map[string]int) func(*samlidp.Config) { return claims("seconds", times) }
	all := map[string]attack{
		"Unsigned":     {reason: "Anyone can write a response.", config: signed("none"), want: "neither the response nor the assertion is signed"},
		"OtherKey":     {reason: "A key that is not in the metadata.", config: func(c *samlidp.Config) { c.Signer = samlidp.Foreign }, want: "its certificate is not in the provider's metadata"},
		"OtherKeyLies": {reason: "A signature of another key with the provider's certificate beside it.", config: func(c *samlidp.Config) { c.Signer = samlidp.Foreign }, forge: withCertificate(samlidp.Current), want: "its signature is not valid"},
		"Changed":      {reason: "The signature covers the name.", forge: replace("mallory@example.test</saml:NameID>", victim+"</saml:NameID>"), want: "its signature is not valid"},
		"ChangedResponse": {reason: "The signature covers the response.", config: signed("response"),
			forge: replace("mallory@example.test</saml:NameID>", victim+"</saml:NameID>"), want: "its signature is not valid"},
		"SHA1":             {reason: "Signatures with SHA-1 can be forged.", config: func(c *samlidp.Config) { c.Algorithm = rsaSHA1 }, want: "its signature is not valid"},
		"UnknownAlgorithm": {reason: "An algorithm without a key.", forge: replace("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"), want: "its signature is not valid"},
		"UnknownTransform": {reason: "XSLT and XPath choose what is signed.", forge: replace("http://www.w3.org/2001/10/xml-exc-c14n#\"/></ds:Transforms>", "http://www.w3.org/TR/1999/REC-xslt-19991116\"/></ds:Transforms>"), want: "its signature is not valid"},
		"OtherAudience":    {reason: "An assertion for another application of the company.", config: claims("Audience", "https://other.example.test"), want: "it is for another application"},
		"OtherRecipient":   {reason: "An assertion that was sent elsewhere.", config: claims("Recipient", "https://other.example.test/acs"), want: "it is for another address"},
		"OtherDestination": {reason: "A response that was sent elsewhere.", config: claims("Destination", "https://other.example.test/acs"), want: "it is for another address"},
		"OtherIssuer":      {reason: "Another provider.", config: claims("Issuer", "https://other.example.test"), want: "another provider issued it"},
		"Unsolicited":      {reason: "A sign-in begins at the portal, or another site could sign the browser in.", config: claims("InResponseTo", ""), want: "it answers another sign-in"},
		"OtherRequest":     {reason: "The response to the sign-in of another browser.", config: claims("InResponseTo", "id-0123456789"), want: "it answers another sign-in"},
		"Expired":          {reason: "An old response.", config: seconds(map[string]int{"IssueInstant": -600, "NotBefore": -600, "NotOnOrAfter": -300}), want: "it has expired"},
		"IssuedLongAgo":    {reason: "A provider that gives assertions a long life.", config: seconds(map[string]int{"IssueInstant": -600}), want: "it has expired"},
		"ConditionsOver":   {reason: "The conditions count beside the time of issue.", config: seconds(map[string]int{"NotOnOrAfter": -240}), want: "it has expired"},
		"NotYetValid":      {reason: "A response for later.", config: seconds(map[string]int{"NotBefore": 600}), want: "it is not valid yet"},
		"IssuedLater":      {reason: "A response for later.", config: seconds(map[string]int{"IssueInstant": 600}), want: "it is not valid yet"},
		"Failed":           {reason: "The provider says no.", config: claims("StatusCode", "urn:oasis:names:tc:SAML:2.0:status:Responder"), want: "refused the sign-in (Responder)"},
		"Transient":        {reason: "A name that changes cannot be bound.", config: claims("NameIDFormat", "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"), want: "another one at each sign-in"},
		"NoName":           {reason: "An assertion about no user.", config: claims("NameID", ""), want: "no usable name"},
		"UnknownCondition": {reason: "What the portal does not understand may forbid this.", want: "a condition or a version that the portal does not know",
			config: claims("Condition", `<saml:Condition xmlns:x="urn:x" xsi:type="x:OnlyOnSundays"/>`)},
		"CommentInName": {reason: "Canonical XML has no comments, so the signature remains valid, and a reader may stop at the comment.",
			forge: replace("mallory@example.test</saml:NameID>", "mallory<!---->@example.test</saml:NameID>"), want: "it has a comment"},
		"InstructionInName": {reason: "As a comment.", forge: replace("mallory@example.test</saml:NameID>", "mallory<?x?>@example.test</saml:NameID>"), want: "it has a processing instruction"},
		"DocumentType":      {reason: "Entities can change what is read.", forge: func(r string) string { return `<!DOCTYPE x [<!ENTITY e "` + victim + `">]>` + r }, want: "it has a document type declaration"},
		"UnknownEntity":     {reason: "Nor without a declaration.", forge: replace("mallory@example.test</saml:NameID>", "&e;</saml:NameID>"), want: "it is not well-formed XML"},
		"TwoRoots": {reason: "Two readers may read two documents.", forge: func(r string) string {
			return r + `<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"/>`
		}, want: "it is not one SAML response"},
		"Encrypted":       {reason: "The portal has no key.", forge: func(r string) string { return strings.ReplaceAll(r, "saml:Assertion", "saml:EncryptedAssertion") }, want: "it is encrypted"},
		"SameID":          {reason: "A signature refers to an id, which must be one element.", forge: replace("<saml:Subject>", `<saml:Subject ID="_x" xmlns:y="urn:y" y:Id="_x">`), want: "it has an id twice"},
		"NoAssertion":     {reason: "Nothing.", config: signed("response"), forge: func(r string) string { return assertion.ReplaceAllString(r, "") }, want: "it has no assertion"},
		"NotXML":          {reason: "Nothing.", forge: func(string) string { return "x" }, want: "it has no assertion"},
		"Empty":           {reason: "Nothing.", deliver: func(_ *visitor, f url.Values) { f.Set(sso.SAMLResponseField, "") }, want: "cannot be read"},
		"OtherRelayState": {reason: "The response to another sign-in of this browser.", deliver: func(_ *visitor, f url.Values) { f.Set(sso.RelayStateField, "/users") }, want: "belongs to another sign-in (RelayState)"},
		"OtherBrowser":    {reason: "Another site posts its visitor's response here (login CSRF).", deliver: func(v *visitor, _ url.Values) { v.client.Jar, _ = cookiejar.New(nil) }, want: "was not started in this browser"},
		"Replayed": {reason: "A captured response, with the cookie of its sign-in.", want: "it was used already", deliver: func(v *visitor, f url.Values) {
			home, err := url.Parse(v.url)
			if err != nil {
				v.t.Fatal(err)
			}
			cookies := v.client.Jar.Cookies(home)
			v.consume(f).mustBe(http.StatusOK).mustSay("Mallory Demo")
			v.client.Jar, _ = cookiejar.New(nil)
			v.client.Jar.SetCookies(home, cookies)
		}},
	}
	for name, forge := range wrappings() {
		a := attack{reason: "The signed part is still there, and a reader takes another one.", forge: forge, want: "response was refused"}
		if name == "Wrapping1" || name == "Wrapping2" {
			a.config = signed("response")
		}
		all[name] = a
	}
	return all
}

var (
	assertion   = regexp.MustCompile(`(?s)<saml:Assertion .*</saml:Assertion>`)
	signature   = regexp.MustCompile(`(?s)<ds:Signature .*</ds:Signature>`)
	ids         = regexp.MustCompile(` ID="_`)
	certificate = regexp.MustCompile(`(?s)<ds:X509Certificate>.*</ds:X509Certificate>`)
)

// withCertificate puts the certificate of another key into the signature.
func withCertificate(name string) func(string) string {
	return func(r string) string {
		return certificate.ReplaceAllString(r, "<ds:X509Certificate>"+samlidp.Certificate(name)+"</ds:X509Certificate>")
	}
}

// wrappings are the eight ways to wrap a signed response or assertion that are known as XSW1 to
// XSW8 (Somorovsky et al., "On Breaking SAML", 2012; numbered as in SAML Raider).
func wrappings() map[string]func(string) string {
	evil := func(part string) string {
		return ids.ReplaceAllString(strings.Replace(part, "mallory@example.test</saml:NameID>", victim+"</saml:NameID>", 1), ` ID="_evil`)
	}
	unsigned := func(part string) string { return signature.ReplaceAllString(part, "") }
	// inside puts a part into the signature of another part, at its end.
	inside := func(part, signed string) string {
		return strings.Replace(signed, "</ds:Signature>", part+"</ds:Signature>", 1)
	}
	onAssertion := func(wrap func(a string) string) func(string) string {
		return func(r string) string {
			return assertion.ReplaceAllStringFunc(r, wrap)
		}
	}
	return map[string]func(string) string{
		"Wrapping1": func(r string) string { return inside(unsigned(r), evil(r)) },
		"Wrapping2": func(r string) string {
			s := signature.FindString(r)
			return strings.Replace(evil(unsigned(r)), "<samlp:Status>", unsigned(r)+s+"<samlp:Status>", 1)
		},
		"Wrapping3": onAssertion(func(a string) string { return evil(unsigned(a)) + a }),
		"Wrapping4": onAssertion(func(a string) string {
			return strings.Replace(evil(unsigned(a)), "</saml:Assertion>", a+"</saml:Assertion>", 1)
		}),
		"Wrapping5": onAssertion(func(a string) string { return evil(a) + unsigned(a) }),
		"Wrapping6": onAssertion(func(a string) string { return inside(unsigned(a), evil(a)) }),
		"Wrapping7": onAssertion(func(a string) string {
			return "<samlp:Extensions>" + evil(unsigned(a)) + "</samlp:Extensions>" + a
		}),
		"Wrapping8": onAssertion(func(a string) string { return inside("<ds:Object>"+unsigned(a)+"</ds:Object>", evil(a)) }),
	}
}

// TestSAMLMetadata: the portal's own metadata has what the provider needs, before SAML is on.
func TestSAMLMetadata(t *testing.T) {
	s := newSite(t)
	page := s.visitor().get(sso.SAMLMetadataPath).mustBe(http.StatusOK)
	page.mustSay(`entityID="`+s.url+sso.SAMLMetadataPath+`"`, `WantAssertionsSigned="true"`, `Location="`+s.url+sso.SAMLConsumerPath+`"`, "HTTP-POST").mustNotSay("Artifact", "validUntil")
	if got := page.header.Get("Content-Type"); got != "application/samlmetadata+xml" {
		t.Errorf("the type is %s", got)
	}
	s.visitor().consume(url.Values{}).mustBe(http.StatusUnauthorized).mustSay("Single sign-on is off")
	s.methods(portalapi.LoginMethods{SSO: s.provider()})
	s.visitor().consume(url.Values{}).mustBe(http.StatusUnauthorized).mustSay("by SAML is off")
	s.protocol = "SAML"
	s.methods(portalapi.LoginMethods{SSO: s.provider()})
	s.visitor().get("/sso/callback?state=x&code=y").mustBe(http.StatusUnauthorized).mustSay("login methods were changed")
}

// TestSAMLForm sets SAML up without JavaScript.
func TestSAMLForm(t *testing.T) {
	s := newSite(t)
	s.protocol = "SAML"
	settings := s.provider("ada@example.test")
	boss := s.manager()
	published := s.visitor().get(settings.MetadataURL).mustBe(http.StatusOK).html
	for name, c := range map[string]struct {
		form []string
		want string
	}{
		"Neither":    {[]string{"save", "sso", "on", "type", "SAML"}, "needs either the metadata URL of the identity provider or its metadata"},
		"Both":       {[]string{"save", "sso", "on", "type", "SAML", "metadataUrl", settings.MetadataURL, "metadata", published}, "and not both"},
		"TestNot":    {[]string{"test", "type", "SAML"}, "Fill in the metadata URL or the metadata first"},
		"TestNoIDP":  {[]string{"test", "type", "SAML", "metadataUrl", s.url + sso.SAMLMetadataPath}, "not that of an identity provider"},
		"TestNoFile": {[]string{"test", "type", "SAML", "metadata", "hello"}, "not SAML metadata"},
		"TestURL":    {[]string{"test", "type", "SAML", "metadataUrl", settings.MetadataURL}, "metadata at " + settings.MetadataURL + " has what the portal needs"},
		"TestFile":   {[]string{"test", "type", "SAML", "metadata", published}, "metadata has what the portal needs"},
	} {
		t.Run(name, func(t *testing.T) {
			page := boss.post(methodsPath, s.form(c.form[0], c.form[1:]...)).mustSay(c.want)
			if good := strings.HasSuffix(c.want, "has what the portal needs"); good != (page.status == http.StatusOK) {
				t.Errorf("the response is %d", page.status)
			}
		})
	}
	boss.post(methodsPath, s.form("save", "sso", "on", "type", "SAML", "metadata", published, "idAttribute", "email", "scim", "on")).mustBe(http.StatusOK).mustSay("The login methods were saved")
	boss.get(methodsPath).mustSay("SAML 2.0", s.url+sso.SAMLConsumerPath, `value="email"`, "IDPSSODescriptor")
	boss.get("/audit").mustSay("Metadata: set (", "Attribute with the id: email").mustNotSay("IDPSSODescriptor")
	s.put("ada", true)
	s.visitor().throughSSO("ada@example.test").mustBe(http.StatusOK).mustSay("Ada Demo")
}
