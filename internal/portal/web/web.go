// SPDX-License-Identifier: Apache-2.0

// Package web serves the portal's pages. They are rendered on the server and work without
// JavaScript. The package contains no business rule: every page reads from the service
// (internal/portal/store), every form is one call of it, and the service's refusal is shown
// beside the form. Pages show in advance what can be changed: a record that SCIM or Kubernetes
// manages has a lock, the reason, and no buttons.
//
// A request passes, in this order: security headers and a request id, the refusal of cross-site
// forms, the session, the check that a manager's page is requested by a manager, the page.
package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	portalserver "lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/apidocs"
	"lightrun.com/scim-operator/internal/portal/sso"
	"lightrun.com/scim-operator/internal/portal/store"
)

// maxForm limits the size of a posted form, in bytes.
const maxForm = 256 << 10

// contentPolicy lets pages load only this portal's own style sheet, script and images.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// site contains the pages and their dependencies.
type site struct {
	store    *store.Store
	public   string // the portal's address without a slash at its end
	insecure bool   // cookies over plain http
	log      logr.Logger
	pages    *pages
	docs     *apidocs.Docs
	rp       *sso.RelyingParty
	sp       *sso.ServiceProvider
	refusals *refusals
	proxies  []netip.Prefix
	warn     sync.Once // about a proxy that is not trusted
	mux      *http.ServeMux
}

// New returns the handler of the pages. Mount it at the root.
func New(o portalserver.WebOptions) (http.Handler, error) {
	pages, err := parsePages()
	if err != nil {
		return nil, err
	}
	docs, err := apidocs.Read()
	if err != nil {
		return nil, err
	}
	s := &site{
		docs: docs, store: o.Store, public: strings.TrimSuffix(o.PublicURL, "/"), insecure: o.HTTPCookies, log: o.Log, pages: pages,
		rp: &sso.RelyingParty{Insecure: o.HTTPCookies}, sp: &sso.ServiceProvider{Insecure: o.HTTPCookies, Use: o.Store.UseAssertion},
		refusals: newRefusals(time.Now), proxies: o.TrustedProxies, mux: http.NewServeMux(),
	}
	s.routes()
	guard := http.NewCrossOriginProtection()
	if s.public != "" {
		if err := guard.AddTrustedOrigin(s.public); err != nil {
			return nil, fmt.Errorf("the public URL %q must be scheme://host or scheme://host:port: %w", s.public, err)
		}
	}
	guard.AddInsecureBypassPattern("POST " + sso.SAMLConsumerPath) // the provider's form: InResponseTo and RelayState protect it
	guard.SetDenyHandler(s.open(s.fromAnotherSite))
	return s.protect(guard.Handler(s.mux)), nil
}

func (s *site) routes() {
	s.mux.Handle("GET /assets/{name}", s.pages.assets)
	for pattern, page := range map[string]page{
		"GET /{$}":                     s.home,
		"GET /sign-in":                 s.signInPage,
		"POST /sign-in":                s.signIn,
		"GET /sign-in/code":            s.codePage,
		"POST /sign-in/code":           s.finishSignIn,
		"POST /sign-out":               s.signOut,
		"GET /reset/{token}":           s.resetPage,
		"POST /reset/{token}":          s.resetPassword,
		"GET /sso/begin":               s.beginSSO,
		"GET " + sso.CallbackPath:      s.finishOIDC,
		"GET " + sso.SAMLMetadataPath:  s.samlMetadata,
		"POST " + sso.SAMLConsumerPath: s.finishSAML,
		"/":                            s.nothingHere,
	} {
		s.mux.Handle(pattern, s.open(page))
	}
	s.mux.Handle("GET "+portalserver.APIDocsPath, s.signedIn(s.apiDocs))
	s.mux.Handle("GET /profile", s.signedIn(s.profile))
	s.mux.Handle("POST /profile/identity", s.signedIn(s.withPassword("identity.link", s.linkIdentity)))
	s.mux.Handle("POST /profile/identity/forget", s.signedIn(s.forgetOwnIdentity))
	s.mux.Handle("POST /profile/sign-out", s.signedIn(s.endOwnSessions))
	s.mux.Handle("GET /profile/password", s.signedIn(s.ownPassword))
	s.mux.Handle("POST /profile/password", s.signedIn(s.changeOwnPassword))
	s.mux.Handle("GET "+secondFactorPath, s.signedIn(s.ownSecondFactor))
	s.mux.Handle("POST "+secondFactorPath, s.signedIn(s.addSecondFactor))
	s.mux.Handle("POST "+secondFactorPath+"/codes", s.signedIn(s.replaceRecoveryCodes))
	s.mux.Handle("POST "+secondFactorPath+"/remove", s.signedIn(s.removeOwnSecondFactor))
	for pattern, page := range map[string]page{
		"GET /users":                         s.users,
		"POST /users":                        s.createUser,
		"GET /users/new":                     s.newUser,
		"GET /users/{id}":                    s.user,
		"POST /users/{id}":                   s.updateUser,
		"GET /users/{id}/edit":               s.editUser,
		"POST /users/{id}/status":            s.setUserStatus,
		"GET /users/{id}/deactivate":         s.confirmDeactivateSelf,
		"POST /users/{id}/hand-over":         s.handOver,
		"POST /users/{id}/sign-out":          s.endSessions,
		"POST /users/{id}/identity":          s.forgetIdentity,
		"GET /users/{id}/reset":              s.toUser,
		"POST /users/{id}/reset":             s.createReset,
		"GET /users/{id}/second-factor":      s.confirmRemoveSecondFactor,
		"POST /users/{id}/second-factor":     s.removeSecondFactor,
		"GET /users/{id}/delete":             s.confirmDeleteUser,
		"POST /users/{id}/delete":            s.deleteUser,
		"GET /users/{id}/erase":              s.confirmEraseUser,
		"POST /users/{id}/erase":             s.eraseUser,
		"GET /pools":                         s.pools,
		"POST /pools":                        s.createPool,
		"GET /pools/new":                     s.newPool,
		"GET /pools/{id}":                    s.pool,
		"POST /pools/{id}":                   s.updatePool,
		"GET /pools/{id}/edit":               s.editPool,
		"POST /pools/{id}/hand-over":         s.handOverPool,
		"GET /pools/{id}/delete":             s.confirmDeletePool,
		"POST /pools/{id}/delete":            s.deletePool,
		"GET /api-keys":                      s.keys,
		"POST /api-keys":                     s.createKey,
		"GET /api-keys/{id}/delete":          s.confirmDeleteKey,
		"POST /api-keys/{id}/delete":         s.deleteKey,
		"GET /api-keys/{id}/rotate":          s.askRotateKey,
		"POST /api-keys/{id}/rotate":         s.rotateKey,
		"GET " + loginMethodsPath:            s.loginMethods,
		"POST " + loginMethodsPath:           s.submitLoginMethods,
		"GET /audit":                         s.audit,
		"GET /audit.csv":                     s.exportAudit,
		"GET " + settingsPath:                s.settingsOverview,
		"GET " + iamPath:                     s.accessManagement,
		"GET " + configurationPath:           s.identityConfiguration,
		"GET " + migrationPath:               s.followMigration,
		"GET /pools/{id}/keys":               s.poolKeys,
		"POST /pools/{id}/keys":              s.rotatePoolKey,
		"POST /pools/{id}/keys/{key}/revert": s.revertPoolKey,
		"GET /pools/{id}/keys/{key}/revoke":  s.confirmRevokePoolKey,
		"POST /pools/{id}/keys/{key}/revoke": s.revokePoolKey,
		"GET /provisioning":                  s.provisioning,
	} {
		s.mux.Handle(pattern, s.managers(page))
	}
}

// fromAnotherSite refuses a form of another website.
func (s *site) fromAnotherSite(v *visit) error {
	no := refusal(http.StatusForbidden, portalapi.CodeForbidden, "This form came from another website and was not accepted. Open the page here and send it again.")
	if v.URL.Path == "/sign-in" || v.URL.Path == "/sign-in/code" {
		if err := s.auditSignIn(v, store.MethodPassword, "cross-site "+s.network(v.Request), refusalsAudited, no); err != nil {
			return err
		}
	}
	if strings.HasPrefix(v.URL.Path, "/reset/") {
		return s.resetRefused(v, no)
	}
	return no
}

// page serves one request, or returns the error to show.
type page func(v *visit) error

// visit is one request in progress.
type visit struct {
	*http.Request
	w       http.ResponseWriter
	id      string
	session *store.Session // nil if the visitor is not signed in
}

// actor returns the signed-in user. Call it only on pages that need a session.
func (v *visit) actor() store.Actor { return store.ActorOf(v.session.Account, v.id) }

// open serves a page to every visitor. It reads the session if there is one.
func (s *site) open(p page) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Request: r, w: w, id: w.Header().Get(requestIDHeader)}
		err := s.readSession(v)
		if err == nil {
			err = readForm(v)
		}
		if err == nil {
			err = p(v)
		}
		if err != nil {
			s.failed(v, err)
		}
	})
}

// signedIn serves a page to signed-in users and redirects other visitors to the sign-in page. Users
// who must set up a second factor see that page only.
func (s *site) signedIn(p page) http.Handler {
	return s.open(func(v *visit) error {
		if v.session == nil {
			target := "/sign-in"
			if v.Method == http.MethodGet {
				target += "?" + url.Values{"return": {v.URL.RequestURI()}}.Encode()
			}
			return v.redirect(target)
		}
		if v.session.Unfinished && v.URL.Path != secondFactorPath {
			return v.redirect(secondFactorPath)
		}
		return p(v)
	})
}

// managers serves a page to managers only.
func (s *site) managers(p page) http.Handler {
	return s.signedIn(func(v *visit) error {
		if !v.session.Account.IsManager() {
			no := refusal(http.StatusForbidden, portalapi.CodeForbidden, "This page is for managers. If you need access, ask a manager of your company.")
			s.log.Info("Page refused", "request", v.id, "route", v.Pattern, "code", no.Code)
			if err := s.store.RecordPageRefusal(v.Context(), v.actor(), v.Pattern, no); err != nil {
				return err
			}
			return no
		}
		return p(v)
	})
}

// readForm parses a posted form within its bound.
func readForm(v *visit) error {
	if v.Method != http.MethodPost {
		return nil
	}
	v.Body = http.MaxBytesReader(v.w, v.Body, maxForm)
	err := v.ParseForm()
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		return refusal(http.StatusRequestEntityTooLarge, portalapi.CodeInvalid, "The form is too large.")
	}
	if err != nil {
		return refusal(http.StatusBadRequest, portalapi.CodeInvalid, "The form cannot be read. Go back, reload the page and try again.")
	}
	return nil
}

// redirect sends the browser to path with a GET.
func (v *visit) redirect(path string) error {
	http.Redirect(v.w, v.Request, path, http.StatusSeeOther)
	return nil
}

const requestIDHeader = "X-Request-Id"

// protect sets the headers of every response, and recovers from a panic in a page.
func (s *site) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, began := uuid.NewString(), time.Now()
		h := w.Header()
		h.Set(requestIDHeader, id)
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if strings.HasPrefix(s.public, "https://") {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		defer func() {
			if p := recover(); p != nil {
				s.panicked(w, r, id, p)
			}
			s.log.V(1).Info("Page served", "request", id, "route", r.Pattern, "took", time.Since(began).String())
		}()
		next.ServeHTTP(w, r)
	})
}

// panicked responds for a page that panicked. An export that ended early breaks the connection, so
// that the browser reports an incomplete file.
func (s *site) panicked(w http.ResponseWriter, r *http.Request, id string, p any) {
	if p == http.ErrAbortHandler { //nolint:errorlint // the value that net/http compares
		panic(p)
	}
	s.log.Error(fmt.Errorf("panic: %v", p), "Page panicked", "request", id, "route", r.Pattern, "stack", string(debug.Stack()))
	http.Error(w, "The portal could not show this page; its log has the reason under the request id "+id+".", http.StatusInternalServerError)
}

// home shows managers the user list, and other users their profile.
func (s *site) home(v *visit) error {
	switch {
	case v.session == nil:
		return v.redirect("/sign-in")
	case v.session.Account.IsManager():
		return v.redirect("/users")
	}
	return v.redirect("/profile")
}

// apiDocs shows the API's operations and objects, to every signed-in user.
func (s *site) apiDocs(v *visit) error {
	w := view{Title: "API documentation", Section: "keys", Body: s.docs}
	if v.session.Account.IsManager() {
		w.Crumbs = way("API documentation", toIAM, toKeys)
	}
	return s.show(v, http.StatusOK, "api_docs", w)
}

func (s *site) nothingHere(*visit) error {
	return refusal(http.StatusNotFound, portalapi.CodeNotFound, "This page does not exist. It may have been deleted, or the link is incomplete.")
}

func refusal(status int, code portalapi.Code, message string) *portalapi.Error {
	return &portalapi.Error{Status: status, Code: code, Message: message}
}
