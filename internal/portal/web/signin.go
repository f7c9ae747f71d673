// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/sso"
	"lightrun.com/scim-operator/internal/portal/store"
)

// signInForm is the content of the sign-in page.
type signInForm struct {
	SSO      bool
	SSOPath  string
	Return   string
	UserName string
}

func (s *site) signInPage(v *visit) error {
	if v.session != nil {
		return v.redirect(localPath(v.FormValue("return")))
	}
	return s.askSignIn(v, http.StatusOK, "")
}

// askSignIn shows the sign-in page, with the reason of the last failure.
func (s *site) askSignIn(v *visit, status int, problem string) error {
	config, err := s.store.Configuration(v.Context())
	if err != nil {
		return err
	}
	f := signInForm{SSO: config.SSO.Enabled, Return: localPath(v.FormValue("return")), UserName: v.PostFormValue("userName")}
	f.SSOPath = "/sso/begin?" + url.Values{"return": {f.Return}}.Encode()
	return s.show(v, status, "signin", view{Title: "Sign in", Problem: problem, Body: f})
}

func (s *site) signIn(v *visit) error {
	name := v.PostFormValue("userName")
	if wait := s.attempts.wait(v.Request, name); wait > 0 {
		seconds := int(math.Ceil(wait.Seconds()))
		v.w.Header().Set("Retry-After", strconv.Itoa(seconds))
		limited := refusal(http.StatusTooManyRequests, portalapi.CodeRateLimited, "too many attempts failed; wait and try again")
		if err := s.auditSignIn(v, store.MethodPassword, "limited "+nameKey(v.Request, name), 1, limited); err != nil {
			return err
		}
		return s.askSignIn(v, http.StatusTooManyRequests, fmt.Sprintf("Too many attempts failed. Try again in %d minutes.", (seconds+59)/60))
	}
	account, err := s.checkPassword(v, name)
	if e := asRefusal(err); e != nil {
		s.attempts.fail(v.Request, name)
		s.logSignIn(v, store.MethodPassword, e.Code, e)
		return s.askSignIn(v, http.StatusUnauthorized, sentenceOf(e.Message))
	}
	if err != nil {
		return err
	}
	s.attempts.succeed(v.Request, name)
	err = s.start(v, func() (string, error) {
		return s.store.StartSession(v.Context(), account, store.MethodPassword, sessionLifetime)
	}, v.PostFormValue("return"))
	if e := asRefusal(err); e != nil {
		s.logSignIn(v, store.MethodPassword, e.Code, e)
		return s.askSignIn(v, http.StatusUnauthorized, sentenceOf(e.Message))
	}
	return err
}

// checkPassword waits for a free slot, because each check is deliberately expensive.
func (s *site) checkPassword(v *visit, name string) (*store.Account, error) {
	select {
	case s.attempts.turns <- struct{}{}:
		defer func() { <-s.attempts.turns }()
		return s.store.CheckPassword(v.Context(), name, v.PostFormValue("password"))
	case <-v.Context().Done():
		return nil, v.Context().Err()
	}
}

// start starts a session in this browser and redirects to the page that was requested. It ends an
// earlier session of the browser.
func (s *site) start(v *visit, session func() (token string, err error), returnTo string) error {
	if old := s.cookieValue(v, "session"); old != "" {
		if err := s.store.EndSession(v.Context(), old); err != nil {
			return err
		}
	}
	token, err := session()
	if err != nil {
		return err
	}
	http.SetCookie(v.w, s.cookie("session", token, int(sessionLifetime.Seconds())))
	return v.redirect(localPath(returnTo))
}

func (s *site) signOut(v *visit) error {
	if err := s.store.EndSession(v.Context(), s.cookieValue(v, "session")); err != nil {
		return err
	}
	http.SetCookie(v.w, s.cookie("session", "", -1))
	return s.done(v, "signed-out", "/sign-in")
}

// endOwnSessions signs the viewer out of every browser, this one too.
func (s *site) endOwnSessions(v *visit) error {
	if err := s.store.EndSessions(v.Context(), v.actor(), v.session.Account.ID); err != nil {
		return err
	}
	http.SetCookie(v.w, s.cookie("session", "", -1))
	return s.done(v, "signed-out-all", "/sign-in")
}

// endSessions signs a user out of every browser on behalf of a manager.
func (s *site) endSessions(v *visit) error {
	id := v.PathValue("id")
	if id == v.session.Account.ID {
		return s.endOwnSessions(v)
	}
	if err := s.store.EndSessions(v.Context(), v.actor(), id); err != nil {
		return err
	}
	return s.done(v, "user-signed-out", "/users/"+id)
}

// ssoSettings returns the settings of single sign-on with the client secret, if it is on.
func (s *site) ssoSettings(v *visit) (portalapi.SSO, error) {
	c, err := s.store.SSO(v.Context())
	if err == nil && !c.Enabled {
		err = &sso.Refusal{Message: "Single sign-on is off. Sign in with user name and password."}
	}
	return c, err
}

func (s *site) oidc(c portalapi.SSO) sso.Settings {
	return sso.Settings{Issuer: c.Issuer, ClientID: c.ClientID, ClientSecret: c.ClientSecret, RedirectURL: s.redirectURL()}
}

func (s *site) redirectURL() string { return s.public + sso.CallbackPath }

// prepareSSO begins a sign-in by the protocol of the settings, and returns the provider's address.
func (s *site) prepareSSO(v *visit, purpose sso.Purpose) (string, error) {
	c, err := s.ssoSettings(v)
	switch {
	case err != nil:
		return "", err
	case c.Type == "SAML":
		return s.sp.Prepare(v.w, v.Request, s.saml(c), purpose)
	}
	return s.rp.Prepare(v.w, v.Request, s.oidc(c), purpose)
}

func (s *site) beginSSO(v *visit) error {
	target, err := s.prepareSSO(v, sso.Purpose{ReturnTo: localPath(v.FormValue("return"))})
	if err != nil {
		return s.ssoRefused(v, err)
	}
	http.Redirect(v.w, v.Request, target, http.StatusFound)
	return nil
}

// linkIdentity begins the sign-in that links an identity to the viewer's account. It is a POST, so
// that no other site can begin it.
func (s *site) linkIdentity(v *visit) error {
	target, err := s.prepareSSO(v, sso.Purpose{ReturnTo: "/profile", Link: v.session.Account.ID})
	if err != nil {
		return s.ssoRefused(v, err)
	}
	return s.show(v, http.StatusOK, "error", view{Title: "Link my identity", Section: "profile", Body: failure{Heading: "Link my identity",
		Text: "Sign in at your identity provider as yourself. Afterwards that identity signs in as " + v.session.Account.UserName + ".", Path: target, Link: "Continue to the identity provider"}})
}

// finishOIDC handles the response of an OpenID Connect provider.
func (s *site) finishOIDC(v *visit) error {
	c, err := s.ssoSettings(v)
	if err == nil && c.Type == "SAML" {
		err = &sso.Refusal{Message: "The login methods were changed while you signed in. Please sign in again."}
	}
	if err != nil {
		return s.ssoRefused(v, err)
	}
	who, purpose, err := s.rp.Finish(v.w, v.Request, s.oidc(c))
	return s.finishSSO(v, c, who, purpose, err)
}

// finishSSO signs in or links the identity that the provider asserted under the settings.
func (s *site) finishSSO(v *visit, under portalapi.SSO, who sso.Identity, purpose sso.Purpose, err error) error {
	if err != nil {
		return s.ssoRefused(v, err)
	}
	asserted := store.Asserted{Issuer: who.Issuer, Under: under, Subject: who.ID(), UserName: who.UserName}
	if purpose.Link != "" {
		return s.finishLink(v, purpose, asserted)
	}
	return s.ssoRefused(v, s.start(v, func() (string, error) {
		return s.store.StartSSOSession(v.Context(), asserted, v.id, sessionLifetime)
	}, purpose.ReturnTo))
}

// finishLink links the identity to the account for which the link began, if this browser is still
// signed in to it.
func (s *site) finishLink(v *visit, purpose sso.Purpose, who store.Asserted) error {
	if v.session == nil || v.session.Account.ID != purpose.Link {
		return s.ssoRefused(v, &sso.Refusal{Message: "You were signed out meanwhile, so nothing was linked. Sign in and link your identity again."})
	}
	err := s.store.LinkIdentity(v.Context(), v.actor(), who)
	if e := asRefusal(err); e != nil {
		return s.showProfile(v, e.Status, sentenceOf(e.Message))
	}
	if err != nil {
		return err
	}
	return s.done(v, "identity-linked", "/profile")
}

// forgetOwnIdentity removes the viewer's link, which ends all of the viewer's sessions.
func (s *site) forgetOwnIdentity(v *visit) error {
	if err := s.store.ForgetIdentity(v.Context(), v.actor(), v.session.Account.ID); err != nil {
		return err
	}
	http.SetCookie(v.w, s.cookie("session", "", -1))
	return s.done(v, "identity-forgotten", "/sign-in")
}

func (s *site) forgetIdentity(v *visit) error {
	id := v.PathValue("id")
	if id == v.session.Account.ID {
		return s.forgetOwnIdentity(v)
	}
	return s.userButton(v, s.store.ForgetIdentity(v.Context(), v.actor(), id), "identity-forgotten", "/users/"+id)
}

// ssoRefused shows the sign-in page with the reason of a refused sign-in through the provider. It
// returns all other errors. The service has audited its own refusals.
func (s *site) ssoRefused(v *visit, err error) error {
	if e := new(sso.Refusal); errors.As(err, &e) {
		no := refusal(http.StatusUnauthorized, portalapi.CodeUnauthenticated, e.Message)
		if err := s.auditSignIn(v, store.MethodSSO, "sso "+address(v.Request), perAddress, no); err != nil {
			return err
		}
		s.log.V(1).Info("Single sign-on failed", "request", v.id, "cause", fmt.Sprint(e.Cause))
		return s.askSignIn(v, http.StatusUnauthorized, e.Message)
	}
	if code := portalapi.CodeOf(err); code == portalapi.CodeUnauthenticated || code == portalapi.CodeIdentityChanged {
		s.logSignIn(v, store.MethodSSO, code, err)
		return s.askSignIn(v, http.StatusUnauthorized, sentenceOf(asRefusal(err).Message))
	}
	return err
}

// auditSignIn audits and logs a refused sign-in that the service has not seen, n times within the
// window for the same key.
func (s *site) auditSignIn(v *visit, method, key string, n int, no *portalapi.Error) error {
	if !s.attempts.audited(key, n) {
		s.log.V(1).Info("Sign-in refused, not audited again", "request", v.id, "method", method, "code", no.Code)
		return nil
	}
	s.logSignIn(v, method, no.Code, no)
	return s.store.SignInRefused(v.Context(), v.id, method, no)
}

// logSignIn logs a refused sign-in. The reason may contain personal data and texts of the provider,
// so it is logged for debugging only.
func (s *site) logSignIn(v *visit, method string, code portalapi.Code, reason error) {
	s.log.Info("Sign-in refused", "request", v.id, "method", method, "code", code)
	s.log.V(1).Info("Reason of the refused sign-in", "request", v.id, "reason", reason.Error())
}
