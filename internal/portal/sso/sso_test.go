// SPDX-License-Identifier: Apache-2.0

package sso_test

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/portal/sso"
	"lightrun.com/scim-operator/test/framework/devoidc"
)

// walk is one browser between a provider and a portal that has only the sign-in.
type walk struct {
	t        *testing.T
	browser  *http.Client
	portal   *httptest.Server
	settings sso.Settings
	identity sso.Identity
	purpose  sso.Purpose
	err      error
}

func newWalk(t *testing.T) *walk {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &walk{t: t, browser: &http.Client{Jar: jar}}
	party := &sso.RelyingParty{Insecure: true}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sso", func(rw http.ResponseWriter, r *http.Request) {
		if err := party.Begin(rw, r, w.settings, sso.Purpose{ReturnTo: "/users", Link: "a-1"}); err != nil {
			http.Error(rw, err.Error(), http.StatusBadGateway)
		}
	})
	mux.HandleFunc("GET "+sso.CallbackPath, func(_ http.ResponseWriter, r *http.Request) {
		rw := httptest.NewRecorder()
		w.identity, w.purpose, w.err = party.Finish(rw, r, w.settings)
	})
	w.portal = httptest.NewServer(mux)
	t.Cleanup(w.portal.Close)
	issuer := newProvider(t, w.portal.URL+sso.CallbackPath)
	w.settings = sso.Settings{Issuer: issuer, ClientID: "portal", ClientSecret: "dev-secret", RedirectURL: w.portal.URL + sso.CallbackPath}
	return w
}

// newProvider serves the development provider and returns its issuer.
func newProvider(t *testing.T, redirect string) string {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String()
	provider, err := devoidc.New(devoidc.Config{
		Issuer: issuer, ClientID: "portal", ClientSecret: "dev-secret", RedirectURIs: []string{redirect}, SharedPassword: "shared",
		Users: []devoidc.User{{Subject: "00u1", UserName: "ada@example.test", Password: "pw", GivenName: "Ada", FamilyName: "Example"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = provider
	server.Start()
	t.Cleanup(server.Close)
	return issuer
}

// begin opens the provider's sign-in page and returns the id of the pending sign-in.
func (w *walk) begin() string {
	w.t.Helper()
	page := w.get(w.portal.URL + "/sso")
	_, rest, found := strings.Cut(page, `name="id" value="`)
	id, _, _ := strings.Cut(rest, `"`)
	if !found {
		w.t.Fatalf("no sign-in page: %s", page)
	}
	return id
}

func (w *walk) submit(id, user, password string) string {
	w.t.Helper()
	return w.read(w.browser.PostForm(w.settings.Issuer+"/login", url.Values{"id": {id}, "username": {user}, "password": {password}}))
}

func (w *walk) get(address string) string {
	w.t.Helper()
	return w.read(w.browser.Get(address))
}

func (w *walk) read(answer *http.Response, err error) string {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(body)
}

func TestSignIn(t *testing.T) {
	w := newWalk(t)
	w.submit(w.begin(), "ada@example.test", "pw")
	want := sso.Identity{Issuer: w.settings.Issuer, Subject: "00u1", UserName: "ada@example.test", Email: "ada@example.test", EmailVerified: true, Name: "Ada Example"}
	if diff := cmp.Diff(want, w.identity); w.err != nil || diff != "" {
		t.Fatalf("Finish() = %v, -want +got:\n%s", w.err, diff)
	}
	if w.purpose != (sso.Purpose{ReturnTo: "/users", Link: "a-1"}) {
		t.Errorf("return to %q, want /users", w.purpose)
	}
}

func TestSharedPassword(t *testing.T) {
	w := newWalk(t)
	id := w.begin()
	if page := w.submit(id, "new@example.test", "pw"); !strings.Contains(page, "User name or password is wrong") {
		t.Fatalf("a wrong password is accepted: %s", page)
	}
	w.submit(id, "new@example.test", "shared")
	if w.err != nil || w.identity.UserName != "new@example.test" {
		t.Fatalf("Finish() = %+v, %v", w.identity, w.err)
	}
}

// TestFinishRefuses answers the callback by hand, with one fault at a time.
func TestFinishRefuses(t *testing.T) {
	cases := map[string]struct {
		reason  string
		prepare func(w *walk, callback url.Values)
		want    string
	}{
		"ForeignState": {
			reason:  "The response to another user's sign-in must not sign this browser in (login CSRF).",
			prepare: func(_ *walk, callback url.Values) { callback.Set("state", "forged") },
			want:    "not started in this browser",
		},
		"NoCookie": {
			reason:  "The callback URL does not work in another browser.",
			prepare: func(w *walk, _ url.Values) { w.browser.Jar, _ = cookiejar.New(nil) },
			want:    "not started in this browser",
		},
		"OtherIssuer": {
			reason:  "RFC 9207: the response names its issuer.",
			prepare: func(_ *walk, callback url.Values) { callback.Set("iss", "https://evil.example.test") },
			want:    "not the configured one",
		},
		"ConfigurationChanged": {
			reason:  "An attempt that began with one provider cannot end with another.",
			prepare: func(w *walk, _ url.Values) { w.settings.Issuer = "https://other.example.test" },
			want:    "not the configured one",
		},
		"ProviderRefuses": {
			reason: "The user sees the provider's error description.",
			prepare: func(_ *walk, callback url.Values) {
				callback.Set("error", "access_denied")
				callback.Set("error_description", "Not assigned to this application")
			},
			want: "refused the sign-in: Not assigned to this application",
		},
		"NoCode":      {prepare: func(_ *walk, callback url.Values) { callback.Del("code") }, want: "contains no code"},
		"WrongCode":   {prepare: func(_ *walk, callback url.Values) { callback.Set("code", "guess") }, want: "could not be verified"},
		"WrongSecret": {prepare: func(w *walk, _ url.Values) { w.settings.ClientSecret = "old" }, want: "could not be verified"},
		"WrongNonce": {
			reason:  "A code of another sign-in, replayed here, carries another nonce.",
			prepare: func(w *walk, _ url.Values) { w.edit(`"n":"`, `"n":"x`) },
			want:    "could not be verified",
		},
		"WrongVerifier": {
			reason:  "PKCE binds the code to the browser that requested it.",
			prepare: func(w *walk, _ url.Values) { w.edit(`"v":"`, `"v":"x`) },
			want:    "could not be verified",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWalk(t)
			callback := w.answer(w.begin())
			tc.prepare(w, callback)
			w.get(w.portal.URL + sso.CallbackPath + "?" + callback.Encode())
			var refusal *sso.Refusal
			if !errors.As(w.err, &refusal) || !strings.Contains(refusal.Message, tc.want) {
				t.Fatalf("%s\nFinish() = %v, want a refusal with %q", tc.reason, w.err, tc.want)
			}
		})
	}
}

// answer signs in at the provider and returns the callback's query without following it.
func (w *walk) answer(id string) url.Values {
	w.t.Helper()
	w.browser.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.Path, sso.CallbackPath) {
			return http.ErrUseLastResponse
		}
		return nil
	}
	defer func() { w.browser.CheckRedirect = nil }()
	answer, err := w.browser.PostForm(w.settings.Issuer+"/login", url.Values{"id": {id}, "username": {"ada@example.test"}, "password": {"pw"}})
	if err != nil {
		w.t.Fatal(err)
	}
	answer.Body.Close()
	target, err := answer.Location()
	if err != nil {
		w.t.Fatal(err)
	}
	return target.Query()
}

// edit replaces a part of the attempt in the browser's cookie.
func (w *walk) edit(old, replacement string) {
	w.t.Helper()
	home, err := url.Parse(w.portal.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, cookie := range w.browser.Jar.Cookies(home) {
		text, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		if err != nil {
			w.t.Fatal(err)
		}
		cookie.Value = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(text), old, replacement, 1)))
		cookie.Path = "/"
		w.browser.Jar.SetCookies(home, []*http.Cookie{cookie})
	}
}

func TestBeginWithoutProvider(t *testing.T) {
	w := newWalk(t)
	w.settings.Issuer = "http://127.0.0.1:1"
	if page := w.get(w.portal.URL + "/sso"); !strings.Contains(page, "is not reachable") {
		t.Fatalf("got %q", page)
	}
}

func TestCheck(t *testing.T) {
	documents := http.NewServeMux()
	server := httptest.NewServer(documents)
	t.Cleanup(server.Close)
	at := func(name string, document string) string {
		issuer := server.URL + "/" + name
		documents.HandleFunc("/"+name+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, strings.NewReplacer("ISSUER", issuer, "SERVER", server.URL).Replace(document))
		})
		return issuer
	}
	documents.HandleFunc("/nokeys", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[]}`) })
	documents.HandleFunc("/internal/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "db password: hunter2", http.StatusInternalServerError)
	})
	const endpoints = `"authorization_endpoint":"SERVER/a","token_endpoint":"SERVER/t"`

	cases := map[string]struct{ issuer, want string }{
		"Empty":         {"", "enter the issuer URL"},
		"NotAURL":       {"okta", "is not a URL"},
		"PlainHTTP":     {"http://idp.example.test", "does not use https"},
		"Document":      {"https://idp.example.test/.well-known/openid-configuration", "the issuer is the part before"},
		"Query":         {"https://idp.example.test?x=1", "has a query"},
		"NoServer":      {"http://127.0.0.1:1", "cannot be reached"},
		"NotFound":      {server.URL + "/nothing", "is not a discovery document"},
		"HTML":          {at("html", "<html>"), "is not a discovery document; check the issuer URL"},
		"Internal":      {server.URL + "/internal", "is not a discovery document (the response is 500 Internal Server Error); check the issuer URL"},
		"OtherIssuer":   {at("other", `{"issuer":"https://other.example.test",`+endpoints+`}`), "names a different issuer"},
		"NoEndpoints":   {at("bare", `{"issuer":"ISSUER"}`), "has no usable"},
		"PlainEndpoint": {at("plain", `{"issuer":"ISSUER",`+endpoints+`,"jwks_uri":"http://idp.example.test/keys"}`), "does not use https"},
		"NoCode":        {at("implicit", `{"issuer":"ISSUER",`+endpoints+`,"jwks_uri":"SERVER/nokeys","response_types_supported":["id_token"]}`), "authorization code flow"},
		"NoKeys":        {at("keyless", `{"issuer":"ISSUER",`+endpoints+`,"jwks_uri":"SERVER/nokeys"}`), "contains no signing keys"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := sso.Check(t.Context(), nil, tc.issuer); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Check(%q) = %v, want %q", tc.issuer, err, tc.want)
			}
		})
	}

	issuer := newProvider(t, "http://127.0.0.1:8090/sso/callback")
	if found, err := sso.Check(t.Context(), nil, issuer); err != nil || found.Keys != 1 {
		t.Fatalf("Check(%q) = %+v, %v", issuer, found, err)
	}
}

func TestIdentityID(t *testing.T) {
	for name, c := range map[string]struct {
		identity     sso.Identity
		want, reason string
	}{
		"Entra":        {sso.Identity{Issuer: "https://login.microsoftonline.com/tenant/v2.0", Subject: "s", ObjectID: "o"}, "o", "Entra ID's sub is another one for each application."},
		"EntraWithout": {sso.Identity{Issuer: "https://login.microsoftonline.com/tenant/v2.0", Subject: "s"}, "s", "A token without oid still has a subject."},
		"Other":        {sso.Identity{Issuer: "https://idp.example.test", Subject: "s", ObjectID: "o"}, "s", "Elsewhere oid may be a claim that users can change."},
		"LikeEntra":    {sso.Identity{Issuer: "https://idp.example.test/login.microsoftonline.com", Subject: "s", ObjectID: "o"}, "s", "Only the host counts."},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.identity.ID(); got != c.want {
				t.Errorf("%s\nID() = %q, want %q", c.reason, got, c.want)
			}
		})
	}
}
