// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// passwordForm is the content of the page on which a user chooses a password.
type passwordForm struct {
	Heading, Action, Back string
	UserName              string // for the browser's list of passwords
	Current               bool   // asks for the current password
}

func (s *site) ownPassword(v *visit) error { return s.askOwnPassword(v, http.StatusOK, "") }

func (s *site) askOwnPassword(v *visit, status int, problem string) error {
	me := v.session.Account
	if !me.HasPassword() {
		return refusal(http.StatusNotFound, portalapi.CodeNotFound, "Your user has no password. You sign in through your identity provider.")
	}
	return s.show(v, status, "password", view{Title: "Change my password", Section: "profile", Crumbs: way("Password", toProfile), Problem: problem,
		Body: passwordForm{Heading: "Change my password", Action: "/profile/password", Back: "/profile", UserName: me.UserName, Current: true}})
}

func (s *site) changeOwnPassword(v *visit) error {
	password, err := v.newPassword()
	var session string
	if err == nil {
		session, err = s.store.ChangePassword(v.Context(), v.ownChange(), password)
	}
	if e := asRefusal(err); e != nil {
		retryAfter(v.w, e)
		return s.askOwnPassword(v, e.Status, sentenceOf(e.Message))
	}
	if err != nil {
		return err
	}
	http.SetCookie(v.w, s.cookie("session", session, int(sessionLifetime.Seconds())))
	return s.done(v, "password-changed", "/profile")
}

// ownChange is a change of how the viewer signs in, with the password that the form asks for.
func (v *visit) ownChange() store.OwnChange {
	return store.OwnChange{Actor: v.actor(), Session: v.session, Password: v.PostFormValue("current"), TTL: sessionLifetime}
}

// withPassword serves a page that begins a change of how the viewer signs in, if the form has the
// current password.
func (s *site) withPassword(action string, p page) page {
	return func(v *visit) error {
		err := s.store.ConfirmPassword(v.Context(), v.actor(), action, v.PostFormValue("current"))
		if e := asRefusal(err); e != nil {
			retryAfter(v.w, e)
			return s.showProfile(v, e.Status, sentenceOf(e.Message))
		}
		if err != nil {
			return err
		}
		return p(v)
	}
}

// newPassword returns the password that a form has twice, as users cannot see what they type.
func (v *visit) newPassword() (string, error) {
	password := v.PostFormValue("password")
	if password != v.PostFormValue("repeated") {
		return "", refusal(http.StatusBadRequest, portalapi.CodeInvalid, "The two new passwords differ. Type the same one in both fields.")
	}
	return password, nil
}

// resetLink is the content of the page that shows a reset link once.
type resetLink struct {
	User    *store.Account
	Link    string
	Expires time.Time
}

// createReset responds with the link directly and does not redirect, because it is not stored.
func (s *site) createReset(v *visit) error {
	account, err := s.store.Account(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	token, expires, err := s.store.CreateReset(v.Context(), v.actor(), account.ID)
	if e := asRefusal(err); e != nil && e.Code != portalapi.CodeNotFound {
		return s.showUser(v, e.Status, sentenceOf(e.Message))
	}
	if err != nil {
		return err
	}
	name := displayName(account)
	return s.show(v, http.StatusCreated, "reset_link", view{Title: "Reset link", Section: "users", Crumbs: way("Reset link", toUsers, name+"|/users/"+account.ID),
		Body: resetLink{User: account, Link: s.public + "/reset/" + token, Expires: expires}})
}

// toUser redirects a page that was shown once to the page of its user.
func (s *site) toUser(v *visit) error { return v.redirect(s.userPath(v)) }

// resetPage is where a reset link leads. Opening it changes nothing: mail programs open links too.
func (s *site) resetPage(v *visit) error { return s.askReset(v, http.StatusOK, "") }

func (s *site) askReset(v *visit, status int, problem string) error {
	account, err := s.store.Reset(v.Context(), v.PathValue("token"))
	if err != nil {
		return s.resetRefused(v, err)
	}
	v.session = nil // the page belongs to the link, not to the user who is signed in here
	return s.show(v, status, "password", view{Title: "Set a new password", Problem: problem,
		Body: passwordForm{Heading: "Set a new password", Action: v.URL.EscapedPath(), UserName: account.UserName}})
}

func (s *site) resetPassword(v *visit) error {
	password, err := v.newPassword()
	var browser string
	if err == nil {
		browser, err = s.store.ResetPassword(v.Context(), v.id, v.PathValue("token"), password)
	}
	e := asRefusal(err)
	switch {
	case e != nil && e.Code != portalapi.CodeUnauthenticated:
		retryAfter(v.w, e)
		return s.askReset(v, e.Status, sentenceOf(e.Message))
	case err != nil:
		return s.resetRefused(v, err)
	}
	http.SetCookie(v.w, s.cookie("browser", browser, int(store.KnownBrowserFor.Seconds())))
	return s.done(v, "password-set", "/sign-in")
}

// resetRefused audits a link that does not work.
func (s *site) resetRefused(v *visit, err error) error {
	e := asRefusal(err)
	if e == nil {
		return err
	}
	s.log.Info("Reset link refused", "request", v.id, "code", e.Code)
	if s.refusals.count("reset "+s.network(v.Request), refusalsAudited) {
		if err := s.store.VisitorRefused(v.Context(), v.id, "password.reset", e); err != nil {
			return err
		}
	}
	return e
}
