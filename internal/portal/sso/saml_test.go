// SPDX-License-Identifier: Apache-2.0

package sso_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/portal/sso"
	"lightrun.com/scim-operator/test/framework/samlidp"
)

// samlWalk is one browser between a SAML provider and a portal that has only the sign-in.
type samlWalk struct {
	t        *testing.T
	browser  *http.Client
	portal   *httptest.Server
	idp      *samlidp.Provider
	settings sso.SAMLSettings
	party    *sso.ServiceProvider
	used     map[string]bool
	now      time.Time
}

func newSAMLWalk(t *testing.T, c samlidp.Config) *samlWalk {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &samlWalk{t: t, browser: &http.Client{Jar: jar}, used: map[string]bool{}, now: time.Now()}
	w.party = &sso.ServiceProvider{Insecure: true, Now: func() time.Time { return w.now }, Use: func(_ context.Context, issuer, id string, until time.Time) (bool, error) {
		if id == "" || until.Before(time.Now()) || time.Until(until) > 10*time.Minute {
			t.Errorf("the assertion %q ends %v", id, until)
		}
		first := !w.used[issuer+id]
		w.used[issuer+id] = true
		return first, nil
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+sso.SAMLMetadataPath, func(rw http.ResponseWriter, _ *http.Request) {
		text, err := sso.PortalMetadata(w.settings)
		if err != nil {
			t.Errorf("metadata: %v", err)
		}
		_, _ = rw.Write(text)
	})
	w.portal = httptest.NewServer(mux)
	t.Cleanup(w.portal.Close)
	c.Portal = w.portal.URL + sso.SAMLMetadataPath
	w.settings = sso.SAMLSettings{EntityID: w.portal.URL + sso.SAMLMetadataPath, ConsumerURL: w.portal.URL + sso.SAMLConsumerPath}
	w.idp = samlidp.Start(t, c)
	w.settings.MetadataURL = w.idp.MetadataURL()
	return w
}

func (w *samlWalk) configure(c samlidp.Config) {
	w.t.Helper()
	c.Portal = w.portal.URL + sso.SAMLMetadataPath
	w.idp.Configure(c)
}

var field = regexp.MustCompile(`name="(\w+)" value="([^"]*)"`)

// signIn signs the user in at the provider and returns what the portal reads.
func (w *samlWalk) signIn(name string) (sso.Identity, sso.Purpose, error) {
	w.t.Helper()
	begun := httptest.NewRecorder()
	target, err := w.party.Prepare(begun, httptest.NewRequest(http.MethodGet, "/sso/begin", nil), w.settings, sso.Purpose{ReturnTo: "/users", Link: "a-1"})
	if err != nil {
		return sso.Identity{}, sso.Purpose{}, err
	}
	page := fieldsOf(w.read(w.browser.Get(target)))
	page = fieldsOf(w.read(w.browser.PostForm(w.idp.URL+"/login", url.Values{"id": page["id"], "username": {name}, "password": {samlidp.Password}})))
	r := httptest.NewRequest(http.MethodPost, sso.SAMLConsumerPath, strings.NewReader(page.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, cookie := range begun.Result().Cookies() {
		r.AddCookie(cookie)
	}
	if err := r.ParseForm(); err != nil {
		w.t.Fatal(err)
	}
	return w.party.Finish(httptest.NewRecorder(), r, w.settings)
}

func (w *samlWalk) read(answer *http.Response, err error) string {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		w.t.Fatalf("the provider responds with %d: %s (%v)", answer.StatusCode, body, err)
	}
	return string(body)
}

func fieldsOf(page string) url.Values {
	form := url.Values{}
	for _, f := range field.FindAllStringSubmatch(page, -1) {
		form.Set(f[1], html.UnescapeString(f[2]))
	}
	return form
}

func TestSAMLIdentity(t *testing.T) {
	const name, entra = "ada@example.test", "https://sts.windows.net/tenant/"
	attributes := map[string]any{"uid": "00u1", "mail": "ada@mail.example.test", "groups": []string{"a", "b"}, "empty": "",
		"http://schemas.microsoft.com/identity/claims/objectidentifier": "o-1"}
	for label, c := range map[string]struct {
		reason string
		config samlidp.Config
		change func(*sso.SAMLSettings)
		want   sso.Identity
		id     string
		refuse string
	}{
		"NameID": {reason: "The NameID is the id and the user name.", want: sso.Identity{Issuer: "saml:IDP", Subject: name, UserName: name}, id: name},
		"Attributes": {reason: "Attributes take the place of the NameID, and their ids are not those of NameIDs.",
			change: func(s *sso.SAMLSettings) { s.IDAttribute, s.UserNameAttribute = "uid", "mail" },
			want:   sso.Identity{Issuer: "saml:IDP#uid", Subject: "00u1", UserName: "ada@mail.example.test"}, id: "00u1"},
		"Entra": {reason: "Entra ID's NameID is a name that can change; the object id cannot.", config: samlidp.Config{EntityID: entra},
			want: sso.Identity{Issuer: "saml:" + entra, Subject: name, UserName: name, ObjectID: "o-1"}, id: "o-1"},
		"TransientWithAttribute": {reason: "The NameID does not count if an attribute has the id.", change: func(s *sso.SAMLSettings) { s.IDAttribute, s.UserNameAttribute = "uid", "mail" },
			config: samlidp.Config{Claims: map[string]any{"NameIDFormat": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"}},
			want:   sso.Identity{Issuer: "saml:IDP#uid", Subject: "00u1", UserName: "ada@mail.example.test"}, id: "00u1"},
		"NoAttribute":    {reason: "Without the id there is no identity.", change: func(s *sso.SAMLSettings) { s.IDAttribute = "oid" }, refuse: `sends 0 values of the attribute "oid"`},
		"ManyValues":     {reason: "Which one is the user?", change: func(s *sso.SAMLSettings) { s.UserNameAttribute = "groups" }, refuse: `sends 2 values of the attribute "groups"`},
		"EmptyAttribute": {reason: "An empty id is the same for many users.", change: func(s *sso.SAMLSettings) { s.IDAttribute = "empty" }, refuse: `of the attribute "empty"`},
		"ExpiredKey": {reason: "The company let the certificate end.", config: samlidp.Config{Published: []string{samlidp.Current, samlidp.Expired}, Signer: samlidp.Expired},
			refuse: "its certificate has expired"},
		"LongName": {reason: "The database does not store a book.", config: samlidp.Config{Claims: map[string]any{"NameID": strings.Repeat("a", 1025)}}, refuse: "no usable name"},
	} {
		t.Run(label, func(t *testing.T) {
			c.config.Users = map[string]map[string]any{name: attributes}
			w := newSAMLWalk(t, c.config)
			if c.change != nil {
				c.change(&w.settings)
			}
			got, purpose, err := w.signIn(name)
			if c.refuse != "" {
				if refusal := new(sso.Refusal); !errors.As(err, &refusal) || !strings.Contains(refusal.Message, c.refuse) {
					t.Errorf("%s\nFinish() = %v, want %q", c.reason, err, c.refuse)
				}
				return
			}
			c.want.Issuer = strings.Replace(c.want.Issuer, "IDP", w.idp.MetadataURL(), 1)
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" || got.ID() != c.id {
				t.Errorf("%s\nFinish() = %v with the id %q, -want +got:\n%s", c.reason, err, got.ID(), diff)
			}
			if purpose != (sso.Purpose{ReturnTo: "/users", Link: "a-1"}) {
				t.Errorf("the purpose is %+v", purpose)
			}
		})
	}
}

// TestCertificateRollover: the provider publishes the next certificate beside the current one,
// signs with it, and withdraws the former one. One that changes at once is followed too.
func TestCertificateRollover(t *testing.T) {
	const name = "ada@example.test"
	users := map[string]map[string]any{name: {}}
	w := newSAMLWalk(t, samlidp.Config{Users: users, Published: []string{samlidp.Current, samlidp.Next}})
	step := func(reason string, c samlidp.Config, after time.Duration, want bool) {
		t.Helper()
		c.Users = users
		w.configure(c)
		w.now = w.now.Add(after)
		if _, _, err := w.signIn(name); (err == nil) != want {
			t.Errorf("%s\n%v", reason, err)
		}
	}
	both := []string{samlidp.Current, samlidp.Next}
	step("The current key signs.", samlidp.Config{Published: both}, 0, true)
	step("The next one may sign already.", samlidp.Config{Published: both, Signer: samlidp.Next}, 0, true)
	step("The former one is withdrawn.", samlidp.Config{Published: both[1:], Signer: samlidp.Next}, time.Hour, true)
	step("It is not accepted any more.", samlidp.Config{Published: both[1:], Signer: samlidp.Current}, 0, false)
	step("A key that is changed at once is found when the first signature does not fit,", samlidp.Config{Published: both[:1], Signer: samlidp.Current}, time.Minute, true)
	step("but responses cannot make the portal ask all the time.", samlidp.Config{Published: both[1:], Signer: samlidp.Next}, time.Second, false)
	step("The wait is short.", samlidp.Config{Published: both[1:], Signer: samlidp.Next}, time.Minute, true)
	step("Another provider at the same address is not the one that the sign-in began with.", samlidp.Config{EntityID: "https://other.example.test", Published: both[:1], Signer: samlidp.Current}, time.Minute, false)
}

// TestMetadataOutage: sign-ins continue for a day with the last metadata that was read.
func TestMetadataOutage(t *testing.T) {
	idp := samlidp.Start(t, samlidp.Config{Portal: "http://127.0.0.1:1"})
	answer, err := http.Get(idp.MetadataURL())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	up, asked := true, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; !up {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_, _ = w.Write(text)
	}))
	t.Cleanup(server.Close)
	now := time.Now()
	party := &sso.ServiceProvider{Insecure: true, Now: func() time.Time { return now }}
	s := sso.SAMLSettings{EntityID: "https://portal.example.test", ConsumerURL: "https://portal.example.test/sso/saml/acs", MetadataURL: server.URL}
	for _, c := range []struct {
		reason string
		after  time.Duration
		up     bool
		asked  int
		want   bool
	}{
		{"It is read at the first sign-in,", 0, true, 1, true},
		{"and stays in memory.", 59 * time.Minute, true, 1, true},
		{"It is read again after an hour. A failure does no harm", time.Minute, false, 2, true},
		{"and is not repeated at once.", time.Second, false, 2, true},
		{"A day later, a withdrawn certificate would still be trusted.", 24 * time.Hour, false, 3, false},
		{"The way back is to read it.", time.Minute, true, 4, true},
	} {
		now, up = now.Add(c.after), c.up
		_, err := party.Prepare(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), s, sso.Purpose{})
		if (err == nil) != c.want || asked != c.asked {
			t.Errorf("%s\n%v, asked %d times, want %d", c.reason, err, asked, c.asked)
		}
	}
}

func TestUseFails(t *testing.T) {
	w := newSAMLWalk(t, samlidp.Config{Users: map[string]map[string]any{"ada": {}}})
	full := errors.New("the disk is full")
	w.party.Use = func(context.Context, string, string, time.Time) (bool, error) { return false, full }
	if _, _, err := w.signIn("ada"); !errors.Is(err, full) || errors.As(err, new(*sso.Refusal)) {
		t.Errorf("a failure of the portal is %v", err)
	}
}

func TestCheckSAML(t *testing.T) {
	idp := samlidp.Start(t, samlidp.Config{Portal: "http://127.0.0.1:1", Published: []string{samlidp.Current, samlidp.Next}})
	good := fmt.Sprintf(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://idp.example.test">
		<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
		<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>%s</X509Certificate></X509Data></KeyInfo></KeyDescriptor>
		<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example.test/sso"/>
		</IDPSSODescriptor></EntityDescriptor>`, samlidp.Certificate(samlidp.Current))
	with := func(old, replacement string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the metadata has no %s", old)
		}
		return strings.Replace(good, old, replacement, 1)
	}
	for name, c := range map[string]struct{ metadata, want string }{
		"Good":          {good, ""},
		"AnyUse":        {with(` use="signing"`, ""), ""},
		"WithDocument":  {`<?xml version="1.0" encoding="UTF-8"?><!-- made by hand -->` + good, ""},
		"NotXML":        {"hello", "not XML"},
		"HTML":          {"<html>", "does not begin with EntityDescriptor"},
		"Federation":    {`<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata"/>`, "not the metadata of one provider"},
		"DocumentType":  {`<!DOCTYPE x>` + good, "document type declaration"},
		"Cut":           {good[:200], "not well-formed"},
		"NoEntityID":    {with("https://idp.example.test\"", "\""), "no entity id"},
		"OfAPortal":     {strings.ReplaceAll(good, "IDPSSODescriptor", "SPSSODescriptor"), "not that of an identity provider"},
		"Expired":       {with("entityID=", `validUntil="2020-01-01T00:00:00Z" entityID=`), "valid until 2020-01-01"},
		"WantsSigned":   {with("<IDPSSODescriptor ", `<IDPSSODescriptor WantAuthnRequestsSigned="true" `), "wants signed requests"},
		"NoRedirect":    {with("HTTP-Redirect", "HTTP-POST"), "no single sign-on service with the binding HTTP-Redirect"},
		"PlainHTTP":     {with("https://idp.example.test/sso", "http://idp.example.test/sso"), "does not use https"},
		"NoCertificate": {with(`use="signing"`, `use="encryption"`), "no certificate for signatures"},
		"BadBase64":     {with(samlidp.Certificate(samlidp.Current), "!"), "cannot be read"},
		"NoRealOne":     {with(samlidp.Certificate(samlidp.Current), "AAAA"), "cannot be read"},
		"TooOld":        {with(samlidp.Certificate(samlidp.Current), samlidp.Certificate(samlidp.Expired)), "no certificate in the metadata is valid now"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := sso.CheckSAML(t.Context(), nil, sso.SAMLSettings{Metadata: c.metadata})
			if c.want == "" && (err != nil || found.EntityID != "https://idp.example.test" || len(found.Certificates) != 1) {
				t.Errorf("CheckSAML() = %+v, %v", found, err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("CheckSAML() = %v, want %q", err, c.want)
			}
		})
	}

	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.Handle("/elsewhere", http.RedirectHandler(idp.MetadataURL(), http.StatusFound))
	mux.Handle("/here", http.RedirectHandler("/metadata", http.StatusFound))
	mux.HandleFunc("/metadata", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, good) })
	mux.HandleFunc("/secret", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "an internal service's answer") })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<EntityDescriptor>")
		for range 64 {
			if _, err := w.Write(bytes.Repeat([]byte("<a></a>"), 1<<14)); err != nil {
				return
			}
		}
	})
	for name, c := range map[string]struct{ address, want string }{
		"Published":  {idp.MetadataURL(), ""},
		"Redirect":   {server.URL + "/here", ""},
		"Elsewhere":  {server.URL + "/elsewhere", "redirects to another address"},
		"NotFound":   {server.URL + "/nothing", "responds with 404"},
		"Endless":    {server.URL + "/endless", "not well-formed"},
		"NotXML":     {server.URL + "/secret", "not XML"},
		"NoServer":   {"http://127.0.0.1:1/metadata", "cannot be reached"},
		"Plain":      {"http://idp.example.test/metadata", "does not use https"},
		"Password":   {"https://user:password@idp.example.test/metadata", "is not a URL such as"},
		"File":       {"file:///etc/passwd", "is not a URL such as"},
		"NoProtocol": {"idp.example.test", "is not a URL such as"},
	} {
		t.Run("URL/"+name, func(t *testing.T) {
			_, err := sso.CheckSAML(t.Context(), nil, sso.SAMLSettings{MetadataURL: c.address})
			if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "internal")) {
				t.Errorf("CheckSAML() = %v, want %q", err, c.want)
			}
		})
	}
	if found, err := sso.CheckSAML(t.Context(), nil, sso.SAMLSettings{MetadataURL: idp.MetadataURL()}); err != nil || len(found.Certificates) != 2 || found.EntityID != idp.MetadataURL() {
		t.Errorf("CheckSAML() = %+v, %v", found, err)
	}
}

// TestSAMLIssuer: an id of one kind never signs in as an id of another kind.
func TestSAMLIssuer(t *testing.T) {
	const same = "https://idp.example.test/realms/one" // Keycloak's issuer is its entity id
	issuers := map[string]bool{same: true, sso.SAMLIssuer(same, ""): true, sso.SAMLIssuer(same, "uid"): true, sso.SAMLIssuer(same, "mail"): true}
	if len(issuers) != 4 {
		t.Errorf("two kinds of ids have one issuer: %v", issuers)
	}
}
