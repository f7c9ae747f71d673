// Package web is the portal's face for people: pages rendered on the server, which work without JavaScript. It holds no
// rule of its own. Every page asks the service (internal/portalserver/store), every form is one call of it, and what
// the service refuses is shown in the service's words beside the form. What can be changed is said before anybody
// tries: records that SCIM or Kubernetes rules carry a lock, the reason, and no buttons.
//
// A request passes, in this order: security headers and a request id, the refusal of forms that another site posts, the
// session, the question whether the page is for managers only, the page.
package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portalserver"
	"lightrun.com/scim-operator/internal/portalserver/sso"
	"lightrun.com/scim-operator/internal/portalserver/store"
)

// maxForm bounds a posted form.
const maxForm = 256 << 10

// contentPolicy lets pages load this portal's own style sheet, script and images, and nothing else.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// site is the pages and what they stand on.
type site struct {
	store    *store.Store
	public   string // the portal's address without a slash at its end
	insecure bool   // cookies over plain http
	log      logr.Logger
	pages    *pages
	rp       *sso.RelyingParty
	attempts *attempts
	mux      *http.ServeMux
}

// New returns the handler of the pages. Mount it at the root.
func New(o portalserver.WebOptions) (http.Handler, error) {
	pages, err := parsePages()
	if err != nil {
		return nil, err
	}
	s := &site{
		store: o.Store, public: strings.TrimSuffix(o.PublicURL, "/"), insecure: o.HTTPCookies, log: o.Log, pages: pages,
		rp: &sso.RelyingParty{Insecure: o.HTTPCookies}, attempts: newAttempts(time.Now), mux: http.NewServeMux(),
	}
	s.routes()
	guard := http.NewCrossOriginProtection()
	if s.public != "" {
		if err := guard.AddTrustedOrigin(s.public); err != nil {
			return nil, fmt.Errorf("the public URL %q must be scheme://host or scheme://host:port: %w", s.public, err)
		}
	}
	guard.SetDenyHandler(s.open(func(*visit) error {
		return refusal(http.StatusForbidden, portal.CodeForbidden, "This form came from another website and was not accepted. Open the page here and send it again.")
	}))
	return s.protect(guard.Handler(s.mux)), nil
}

func (s *site) routes() {
	s.mux.Handle("GET /assets/{name}", s.pages.assets)
	for pattern, page := range map[string]page{
		"GET /{$}":                s.home,
		"GET /sign-in":            s.signInPage,
		"POST /sign-in":           s.signIn,
		"POST /sign-out":          s.signOut,
		"GET /sso/begin":          s.beginSSO,
		"GET " + sso.CallbackPath: s.finishSSO,
		"/":                       s.nothingHere,
	} {
		s.mux.Handle(pattern, s.open(page))
	}
	s.mux.Handle("GET /profile", s.signedIn(s.profile))
	for pattern, page := range map[string]page{
		"GET /users":                 s.users,
		"POST /users":                s.createUser,
		"GET /users/new":             s.newUser,
		"GET /users/{id}":            s.user,
		"POST /users/{id}":           s.updateUser,
		"GET /users/{id}/edit":       s.editUser,
		"POST /users/{id}/status":    s.setUserStatus,
		"POST /users/{id}/hand-over": s.handOver,
		"GET /users/{id}/delete":     s.confirmDeleteUser,
		"POST /users/{id}/delete":    s.deleteUser,
		"GET /pools":                 s.pools,
		"POST /pools":                s.createPool,
		"GET /pools/new":             s.newPool,
		"GET /pools/{id}":            s.pool,
		"POST /pools/{id}":           s.updatePool,
		"GET /pools/{id}/edit":       s.editPool,
		"POST /pools/{id}/hand-over": s.handOverPool,
		"GET /pools/{id}/delete":     s.confirmDeletePool,
		"POST /pools/{id}/delete":    s.deletePool,
		"GET /api-keys":              s.keys,
		"POST /api-keys":             s.createKey,
		"GET /api-keys/{id}/delete":  s.confirmDeleteKey,
		"POST /api-keys/{id}/delete": s.deleteKey,
		"GET " + loginMethodsPath:    s.loginMethods,
		"POST " + loginMethodsPath:   s.submitLoginMethods,
		"GET /audit":                 s.audit,
	} {
		s.mux.Handle(pattern, s.managers(page))
	}
}

// page answers one request, or says why it cannot.
type page func(v *visit) error

// visit is one request on its way through a page.
type visit struct {
	*http.Request
	w       http.ResponseWriter
	id      string
	session *store.Session // nil: nobody is signed in
}

// actor is who acts; call it on pages behind a session alone.
func (v *visit) actor() store.Actor { return store.ActorOf(v.session.Account, v.id) }

// open serves a page to everybody. A session is read where there is one.
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

// signedIn serves a page to people with a session and sends everybody else to sign in.
func (s *site) signedIn(p page) http.Handler {
	return s.open(func(v *visit) error {
		if v.session == nil {
			target := "/sign-in"
			if v.Method == http.MethodGet {
				target += "?" + url.Values{"return": {v.URL.RequestURI()}}.Encode()
			}
			return v.redirect(target)
		}
		return p(v)
	})
}

// managers serves a page to managers alone.
func (s *site) managers(p page) http.Handler {
	return s.signedIn(func(v *visit) error {
		if !v.session.Account.IsManager() {
			return refusal(http.StatusForbidden, portal.CodeForbidden, "This page is for managers. Ask one of your company's managers if you need what it does.")
		}
		return p(v)
	})
}

// readForm takes in a posted form within its bound.
func readForm(v *visit) error {
	if v.Method != http.MethodPost {
		return nil
	}
	v.Body = http.MaxBytesReader(v.w, v.Body, maxForm)
	err := v.ParseForm()
	if tooLong := new(http.MaxBytesError); errors.As(err, &tooLong) {
		return refusal(http.StatusRequestEntityTooLarge, portal.CodeInvalid, "The form is larger than any that this portal has.")
	}
	if err != nil {
		return refusal(http.StatusBadRequest, portal.CodeInvalid, "The form cannot be read. Go back, load the page again and repeat it.")
	}
	return nil
}

// redirect sends the browser on with a GET.
func (v *visit) redirect(path string) error {
	http.Redirect(v.w, v.Request, path, http.StatusSeeOther)
	return nil
}

const requestIDHeader = "X-Request-Id"

// protect sets the headers that every answer has, and survives a panic in a page.
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
				s.log.Error(fmt.Errorf("panic: %v", p), "Page broke", "request", id, "route", r.Pattern, "stack", string(debug.Stack()))
				http.Error(w, "The portal could not show this page; its log tells why under the request id "+id+".", http.StatusInternalServerError)
			}
			s.log.V(1).Info("Page served", "request", id, "route", r.Pattern, "took", time.Since(began).String())
		}()
		next.ServeHTTP(w, r)
	})
}

// home shows managers the users, and everybody else themselves.
func (s *site) home(v *visit) error {
	switch {
	case v.session == nil:
		return v.redirect("/sign-in")
	case v.session.Account.IsManager():
		return v.redirect("/users")
	}
	return v.redirect("/profile")
}

func (s *site) nothingHere(*visit) error {
	return refusal(http.StatusNotFound, portal.CodeNotFound, "There is nothing at this address. It may have been deleted, or the link is incomplete.")
}

func refusal(status int, code portal.Code, message string) *portal.Error {
	return &portal.Error{Status: status, Code: code, Message: message}
}
