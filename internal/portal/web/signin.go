// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

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
	attempt := store.PasswordSignIn{UserName: v.PostFormValue("userName"), Password: v.PostFormValue("password"),
		Network: s.network(v.Request), Browser: s.cookieValue(v, "browser"), RequestID: v.id}
	in, err := s.store.SignIn(v.Context(), attempt, sessionLifetime)
	if e := asRefusal(err); e != nil {
		return s.passwordRefused(v, e)
	}
	if err != nil {
		return err
	}
	if in.Pending != "" {
		http.SetCookie(v.w, s.cookie("pending", in.Pending, int(store.PendingFor.Seconds())))
		return v.redirect(link("/sign-in/code", url.Values{"return": {localPath(v.PostFormValue("return"))}}))
	}
	return s.signedInWith(v, in)
}

// signedInWith gives this browser the cookies of its sign-in with a password.
func (s *site) signedInWith(v *visit, in *store.SignedIn) error {
	http.SetCookie(v.w, s.cookie("browser", in.Browser, int(store.KnownBrowserFor.Seconds())))
	return s.enter(v, in.Session, v.PostFormValue("return"))
}

// codeForm is the content of the page that asks for the second factor.
type codeForm struct{ UserName, Return string }

func (s *site) codePage(v *visit) error { return s.askCode(v, http.StatusOK, "") }

func (s *site) askCode(v *visit, status int, problem string) error {
	if s.cookieValue(v, "pending") == "" {
		return v.redirect("/sign-in")
	}
	account, err := s.store.Pending(v.Context(), s.cookieValue(v, "pending"))
	if e := asRefusal(err); e != nil {
		return s.pendingOver(v, e)
	}
	if err != nil {
		return err
	}
	v.session = nil // the page belongs to the sign-in, not to the user who is signed in here
	return s.show(v, status, "code", view{Title: "Sign in", Problem: problem, Body: codeForm{account.UserName, localPath(v.FormValue("return"))}})
}

func (s *site) finishSignIn(v *visit) error {
	in, err := s.store.FinishSignIn(v.Context(), store.CodeSignIn{Pending: s.cookieValue(v, "pending"), Code: v.PostFormValue("code"),
		Recovery: v.PostFormValue("recovery"), Browser: s.cookieValue(v, "browser"), RequestID: v.id}, sessionLifetime)
	e := asRefusal(err)
	switch {
	case e == nil && err != nil:
		return err
	case e != nil && e.Code == portalapi.CodeUnauthenticated:
		return s.pendingOver(v, e)
	case e != nil && e.Code == portalapi.CodeRateLimited:
		if err := s.auditSignIn(v, store.MethodPasswordAndCode, "limited "+s.network(v.Request), limitedAudited, e); err != nil {
			return err
		}
		retryAfter(v.w, e)
		return s.askCode(v, e.Status, sentenceOf(e.Message))
	case e != nil:
		s.logSignIn(v, store.MethodPasswordAndCode, e.Code, e)
		return s.askCode(v, http.StatusUnauthorized, sentenceOf(e.Message))
	}
	http.SetCookie(v.w, s.cookie("pending", "", -1))
	return s.signedInWith(v, in)
}

// pendingOver shows the sign-in page, because the password must be typed again.
func (s *site) pendingOver(v *visit, e *portalapi.Error) error {
	if err := s.auditSignIn(v, store.MethodPasswordAndCode, "pending "+s.network(v.Request), refusalsAudited, e); err != nil {
		return err
	}
	http.SetCookie(v.w, s.cookie("pending", "", -1))
	return s.askSignIn(v, http.StatusUnauthorized, sentenceOf(e.Message))
}

// passwordRefused shows the sign-in page with the reason. The service has audited what it checked;
// what it refused to check is audited here.
func (s *site) passwordRefused(v *visit, e *portalapi.Error) error {
	if e.Code == portalapi.CodeRateLimited || e.Code == portalapi.CodeOverloaded {
		if err := s.auditSignIn(v, store.MethodPassword, "limited "+s.network(v.Request), limitedAudited, e); err != nil {
			return err
		}
	} else {
		s.logSignIn(v, store.MethodPassword, e.Code, e)
	}
	retryAfter(v.w, e)
	return s.askSignIn(v, e.Status, sentenceOf(e.Message))
}

// enter gives this browser the cookie of its new session and redirects to the page that was
// requested. It ends an earlier session of the browser.
func (s *site) enter(v *visit, session, returnTo string) error {
	if old := s.cookieValue(v, "session"); old != "" {
		if err := s.store.EndSession(v.Context(), old); err != nil {
			return err
		}
	}
	http.SetCookie(v.w, s.cookie("session", session, int(sessionLifetime.Seconds())))
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
	session, err := s.store.StartSSOSession(v.Context(), asserted, v.id, sessionLifetime)
	if err != nil {
		return s.ssoRefused(v, err)
	}
	return s.enter(v, session, purpose.ReturnTo)
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
		if err := s.auditSignIn(v, store.MethodSSO, "sso "+s.network(v.Request), refusalsAudited, no); err != nil {
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
	if !s.refusals.count(key, n) {
		s.log.V(1).Info("Sign-in refused, not audited again", "request", v.id, "method", method, "code", no.Code)
		return nil
	}
	s.logSignIn(v, method, no.Code, no)
	return s.store.SignInRefused(v.Context(), v.id, method, v.PostFormValue("userName"), no)
}

// logSignIn logs a refused sign-in. The reason may contain personal data and texts of the provider,
// so it is logged for debugging only.
func (s *site) logSignIn(v *visit, method string, code portalapi.Code, reason error) {
	s.log.Info("Sign-in refused", "request", v.id, "method", method, "code", code)
	s.log.V(1).Info("Reason of the refused sign-in", "request", v.id, "reason", reason.Error())
}
