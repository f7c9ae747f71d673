// SPDX-License-Identifier: Apache-2.0

package web_test

import (
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr/funcr"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	portalserver "lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/internal/portal/web"
	"lightrun.com/scim-operator/test/framework/devoidc"
	"lightrun.com/scim-operator/test/framework/portaltest"
	"lightrun.com/scim-operator/test/framework/samlidp"
)

const methodsPath = "/settings/identity-and-access-management/identity-configuration/login-methods"

var (
	manager  = store.Actor{Kind: store.Person, Name: portaltest.AdminUser, Scopes: []store.Scope{store.ScopeManage}}
	operator = store.Actor{Kind: store.Operator, Name: "operator", Scopes: []store.Scope{store.ScopeProvisioning}}
)

// site is a portal's pages on loopback with their service.
type site struct {
	t      testing.TB
	store  *store.Store
	url    string
	logged *lines // at the default level

	protocol string            // of single sign-on: OIDC or SAML
	provided string            // the address of the identity provider
	idp      *samlidp.Provider // nil for OIDC
}

// lines is what a site logs.
type lines struct {
	mu sync.Mutex
	strings.Builder
}

func (l *lines) add(prefix, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.WriteString(prefix + " " + args + "\n")
}

func newSite(t testing.TB) *site {
	t.Helper()
	return newSiteWith(t, portalserver.WebOptions{}, portaltest.Options{})
}

// newSiteWith returns a site whose pages have the options o, and whose service has the options of.
func newSiteWith(t testing.TB, o portalserver.WebOptions, of portaltest.Options) *site {
	t.Helper()
	return newSiteAt(t, "127.0.0.1", o, of)
}

// newSiteAt is newSiteWith with the host name in the site's URL. For browsers, localhost is another
// site than 127.0.0.1, where the identity providers are.
func newSiteAt(t testing.TB, host string, o portalserver.WebOptions, of portaltest.Options) *site {
	t.Helper()
	s := &site{t: t, store: portaltest.Store(t, of), logged: &lines{}, protocol: "OIDC"}
	server := httptest.NewUnstartedServer(nil)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + net.JoinHostPort(host, port)
	o.Store, o.PublicURL, o.HTTPCookies, o.Log = s.store, s.url, true, funcr.New(s.logged.add, funcr.Options{})
	handler, err := web.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = handler
	server.Start()
	t.Cleanup(server.Close)
	return s
}

// company fills the portal with a small company, with SSO and SCIM on and bound to Okta.
type company struct {
	*site
	ada, grace, bob, carol *store.Account // ada and grace are SCIM-managed; bob is local; carol is local and waits for migration
	payments, support      *store.Pool    // payments is managed by an AgentPool; support is local
}

func newCompany(t testing.TB) *company {
	t.Helper()
	c := &company{site: newSite(t)}
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.store.Bind(ctx, operator, portalapi.Binding{Cluster: "demo-cluster", Namespace: "lightrun", Name: "default", UID: "idconf-1",
		ProviderType: "Okta", SCIMBaseURL: "http://127.0.0.1:8088/scim/v2"})
	check(err)
	c.methods(portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://demo.example.test", ClientID: "portal", ClientSecret: "s"}, SCIMEnabled: true})
	roles := []string{portalapi.RoleIgnoreQuota}
	c.payments, err = c.store.PutPool(ctx, operator, portalapi.PoolWrite{Owner: portalapi.Owner{UID: "pool-1", Name: "payments", Revision: 1}, Name: "Payments", Description: "All who work on payments", Roles: roles})
	check(err)
	c.support, err = c.store.CreatePool(ctx, manager, store.NewPool{Name: "Support", Roles: []string{portalapi.RoleManager}})
	check(err)
	c.ada = c.put("ada", true, c.payments.ID)
	c.grace = c.put("grace", false)
	c.bob, err = c.store.CreateAccount(ctx, manager, store.NewAccount{UserName: "bob@example.test", GivenName: "Bob", FamilyName: "Demo",
		Email: "bob@example.test", Password: "demo user password", Pools: []string{c.support.ID}})
	check(err)
	c.carol, err = c.store.CreateAccount(ctx, manager, store.NewAccount{UserName: "carol@example.test", DisplayName: "Carol Demo", Password: "demo user password",
		DirectRoles: []string{portalapi.RoleManager}})
	check(err)
	check(c.store.MarkWaiting(ctx, operator, c.carol.ID, portalapi.Owner{UID: "carol-uid", Name: "carol-scim", Revision: 1}))
	return c
}

// put provisions a user as the operator does.
func (s *site) put(name string, active bool, pools ...string) *store.Account {
	s.t.Helper()
	userName := name + "@example.test"
	account, err := s.store.PutAccount(s.t.Context(), operator, portalapi.AccountWrite{Owner: portalapi.Owner{UID: name + "-uid", Name: name + "-scim", Revision: 1},
		UserName: userName, DisplayName: strings.ToUpper(name[:1]) + name[1:] + " Demo", Email: userName, ExternalID: "00u-" + name, Active: active, Pools: pools})
	if err != nil {
		s.t.Fatal(err)
	}
	return account
}

func (s *site) methods(m portalapi.LoginMethods) {
	s.t.Helper()
	if _, _, err := s.store.SaveLoginMethods(s.t.Context(), manager, m, nil, false); err != nil {
		s.t.Fatal(err)
	}
}

// provider starts an identity provider that knows the users and has the site as its application.
func (s *site) provider(people ...string) portalapi.SSO {
	s.t.Helper()
	if s.protocol == "SAML" {
		return s.samlProvider(people...)
	}
	server := httptest.NewUnstartedServer(nil)
	config := devoidc.Config{Issuer: "http://" + server.Listener.Addr().String(), ClientID: "portal", ClientSecret: "demo secret",
		RedirectURIs: []string{s.url + "/sso/callback"}}
	for _, name := range people {
		config.Users = append(config.Users, devoidc.User{UserName: name, Password: "demo provider password", Email: name})
	}
	p, err := devoidc.New(config)
	if err != nil {
		s.t.Fatal(err)
	}
	server.Config.Handler = p
	server.Start()
	s.t.Cleanup(server.Close)
	s.provided = config.Issuer
	return portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: config.Issuer, ClientID: config.ClientID, ClientSecret: config.ClientSecret}
}

// visitor is a browser without JavaScript: forms and links only.
type visitor struct {
	*site
	client *http.Client
	from   string // X-Forwarded-For of its requests; empty sends none
}

func (s *site) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &visitor{site: s, client: &http.Client{Jar: jar}}
}

// manager returns a visitor who has signed in as the first manager.
func (s *site) manager() *visitor {
	s.t.Helper()
	v := s.visitor()
	v.signIn(portaltest.AdminUser, portaltest.AdminPassword).mustBe(http.StatusOK)
	return v
}

func (v *visitor) signIn(name, password string) *answer {
	v.t.Helper()
	return v.post("/sign-in", url.Values{"userName": {name}, "password": {password}, "return": {"/"}})
}

func (v *visitor) get(path string) *answer {
	v.t.Helper()
	return v.send(http.MethodGet, path, "", nil)
}

// post sends a form as a browser does from a page of this site.
func (v *visitor) post(path string, form url.Values) *answer {
	v.t.Helper()
	return v.send(http.MethodPost, path, form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"same-origin"}})
}

func (v *visitor) send(method, path, body string, header http.Header) *answer {
	v.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = v.url + path
	}
	r, err := http.NewRequestWithContext(v.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	if v.from != "" {
		r.Header = r.Header.Clone()
		r.Header.Set("X-Forwarded-For", v.from)
	}
	got, err := v.client.Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return &answer{t: v.t, status: got.StatusCode, path: got.Request.URL.RequestURI(), header: got.Header, html: string(text)}
}

// answer is the response page, after redirects.
type answer struct {
	t      testing.TB
	status int
	path   string
	header http.Header
	html   string
}

var (
	tag   = regexp.MustCompile(`<[^>]*>`)
	space = regexp.MustCompile(`\s+`)
)

// text returns the visible text of the page.
func (a *answer) text() string {
	return unescape(space.ReplaceAllString(tag.ReplaceAllString(a.html, " "), " "))
}

func unescape(s string) string {
	return strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&amp;", "&", "&lt;", "<", "&gt;", ">").Replace(s)
}

func (a *answer) mustBe(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("%s responds with %d, want %d:\n%s", a.path, a.status, status, a.text())
	}
	return a
}

func (a *answer) mustSay(texts ...string) *answer {
	a.t.Helper()
	for _, text := range texts {
		if !strings.Contains(a.text(), text) && !strings.Contains(a.html, text) {
			a.t.Errorf("%s does not say %q:\n%s", a.path, text, a.text())
		}
	}
	return a
}

// all returns the matches of the pattern in the page's source.
func (a *answer) all(pattern string) []string {
	return regexp.MustCompile(pattern).FindAllString(a.html, -1)
}

func (a *answer) mustNotSay(texts ...string) *answer {
	a.t.Helper()
	for _, text := range texts {
		if strings.Contains(a.text(), text) || strings.Contains(a.html, text) {
			a.t.Errorf("%s says %q:\n%s", a.path, text, a.text())
		}
	}
	return a
}

// marked returns the mark of what the guard holds at the object.
func marked(what portalapi.Removal, at string) *portalapi.Mark {
	return &portalapi.Mark{What: what, State: portalapi.MarkHeld, At: at}
}
