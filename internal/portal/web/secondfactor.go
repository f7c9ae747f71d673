// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

const (
	secondFactorPath = "/profile/second-factor"
	// issuerInApps is the name of the portal in the user's authenticator app.
	issuerInApps = "Management Portal"
)

// secondFactorPage is the content of the page about the viewer's second factor.
type secondFactorPage struct {
	UserName string
	Required bool                // the viewer sees no other page until it is set up
	Factor   *store.SecondFactor // nil if there is none: the page sets one up
	Secret   string              // of the one to set up
	Code     qrCode
}

func (s *site) ownSecondFactor(v *visit) error {
	return s.askSecondFactor(v, http.StatusOK, "", store.NewTOTPSecret())
}

// askSecondFactor shows the page. secret is the one that the user may have in the device already.
func (s *site) askSecondFactor(v *visit, status int, problem, secret string) error {
	me := v.session.Account
	if !me.HasPassword() {
		return refusal(http.StatusNotFound, portalapi.CodeNotFound, "Your user has no password. Your identity provider asks for the second factor.")
	}
	factor, err := s.store.SecondFactor(v.Context(), me.ID)
	if err != nil {
		return err
	}
	body := secondFactorPage{UserName: me.UserName, Required: v.session.Unfinished, Factor: factor}
	if factor == nil {
		body.Secret = secret
		if body.Code, err = newQRCode(store.TOTPURL(issuerInApps, me.UserName, secret)); err != nil {
			return err
		}
	}
	return s.show(v, status, "second_factor", view{Title: "Second factor", Section: "profile", Crumbs: way("Second factor", toProfile), Problem: problem, Body: body})
}

func (s *site) addSecondFactor(v *visit) error {
	secret := v.PostFormValue("secret")
	codes, session, err := s.store.AddSecondFactor(v.Context(), v.ownChange(), secret, v.PostFormValue("code"))
	if err != nil {
		return s.secondFactorRefused(v, err, secret)
	}
	return s.showRecoveryCodes(v, codes, session)
}

func (s *site) replaceRecoveryCodes(v *visit) error {
	codes, session, err := s.store.ReplaceRecoveryCodes(v.Context(), v.ownChange())
	if err != nil {
		return s.secondFactorRefused(v, err, "")
	}
	return s.showRecoveryCodes(v, codes, session)
}

func (s *site) removeOwnSecondFactor(v *visit) error {
	session, err := s.store.RemoveOwnSecondFactor(v.Context(), v.ownChange())
	if err != nil {
		return s.secondFactorRefused(v, err, "")
	}
	http.SetCookie(v.w, s.cookie("session", session, int(sessionLifetime.Seconds())))
	return s.done(v, "factor-removed", "/profile")
}

// secondFactorRefused shows the page with the reason, and with the secret that the user has in the
// device already.
func (s *site) secondFactorRefused(v *visit, err error, secret string) error {
	e := asRefusal(err)
	if e == nil {
		return err
	}
	if secret == "" || e.Code == portalapi.CodeNotFound {
		secret = store.NewTOTPSecret()
	}
	retryAfter(v.w, e)
	return s.askSecondFactor(v, e.Status, sentenceOf(e.Message), secret)
}

// recoveryCodes is the content of the page that shows the codes for a lost device once.
type recoveryCodes struct{ Codes []string }

// showRecoveryCodes responds with the codes directly and does not redirect, because they are not
// stored.
func (s *site) showRecoveryCodes(v *visit, codes []string, session string) error {
	http.SetCookie(v.w, s.cookie("session", session, int(sessionLifetime.Seconds())))
	return s.show(v, http.StatusCreated, "recovery_codes", view{Title: "Recovery codes", Section: "profile",
		Crumbs: way("Recovery codes", toProfile, "Second factor|"+secondFactorPath), Body: recoveryCodes{codes}})
}

func (s *site) confirmRemoveSecondFactor(v *visit) error {
	account, err := s.store.Account(v.Context(), v.PathValue("id"))
	if err != nil {
		return err
	}
	path, name := "/users/"+account.ID, displayName(account)
	return s.show(v, http.StatusOK, "confirm", view{Title: "Remove the second factor", Section: "users", Crumbs: way("Second factor", toUsers, name+"|"+path), Body: confirmation{
		Heading: "Remove the second factor of " + name + "?", Submit: "Remove second factor", Action: path + "/second-factor", Back: path,
		Text: []string{account.UserName + " signs in with the password alone until a second factor is set up again, and is signed out everywhere now.",
			"Do this only if " + name + " has lost the device and the recovery codes, and you are sure that the request comes from this person."},
	}})
}

func (s *site) removeSecondFactor(v *visit) error {
	err := s.store.RemoveSecondFactor(v.Context(), v.actor(), v.PathValue("id"))
	if e := asRefusal(err); e != nil && e.Code == portalapi.CodeNotFound {
		return s.showUser(v, e.Status, sentenceOf(e.Message))
	}
	return s.userButton(v, err, "factor-removed", s.userPath(v))
}
