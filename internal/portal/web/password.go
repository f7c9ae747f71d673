// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
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
		session, err = s.store.ChangePassword(v.Context(), v.actor(), v.session, v.PostFormValue("current"), password, sessionLifetime)
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

// newPassword returns the password that a form has twice, as users cannot see what they type.
func (v *visit) newPassword() (string, error) {
	password := v.PostFormValue("password")
	if password != v.PostFormValue("repeated") {
		return "", refusal(http.StatusBadRequest, portalapi.CodeInvalid, "The two new passwords differ. Type the same one in both fields.")
	}
	return password, nil
}
