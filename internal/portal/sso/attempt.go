// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// attemptLifetime is the maximum time that a user may take to sign in at the provider.
const attemptLifetime = 15 * time.Minute

// attempt is a sign-in in progress, stored in a cookie of the browser that started it. It needs no
// signature: each value only has to equal the value that the provider sends back through the same
// browser.
type attempt struct {
	State    string `json:"s"`           // OIDC's state, SAML's RelayState
	Nonce    string `json:"n"`           // OIDC's nonce, the id of SAML's request
	Verifier string `json:"v,omitempty"` // PKCE, OIDC only
	Issuer   string `json:"i"`
	ReturnTo string `json:"r"`
	Link     string `json:"l,omitempty"`
}

func cookieName(insecure bool) string {
	if insecure {
		return "portal_sso"
	}
	return "__Host-portal_sso" // only this host, over https, can set it (RFC 6265bis §4.1.3.2)
}

func (a attempt) cookie(insecure bool) *http.Cookie {
	text, err := json.Marshal(a)
	if err != nil {
		return spent(insecure) // cannot happen: strings always marshal
	}
	return newCookie(base64.RawURLEncoding.EncodeToString(text), int(attemptLifetime.Seconds()), insecure)
}

// spent returns the cookie that removes the attempt.
func spent(insecure bool) *http.Cookie { return newCookie("", -1, insecure) }

func newCookie(value string, maxAge int, insecure bool) *http.Cookie {
	return &http.Cookie{
		Name: cookieName(insecure), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: !insecure, SameSite: http.SameSiteLaxMode, // Lax: the provider's redirect is a top-level GET
	}
}

func readAttempt(r *http.Request, insecure bool) (attempt, bool) {
	cookie, err := r.Cookie(cookieName(insecure))
	if err != nil {
		return attempt{}, false
	}
	text, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return attempt{}, false
	}
	var a attempt
	if err := json.Unmarshal(text, &a); err != nil || a.State == "" || a.Nonce == "" {
		return attempt{}, false
	}
	return a, true
}

// same compares secrets in constant time.
func same(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// flexBool reads true and "true": some providers send email_verified as a string.
type flexBool bool

// UnmarshalJSON accepts a JSON boolean or its text; any other value is false.
func (b *flexBool) UnmarshalJSON(data []byte) error {
	text := string(data)
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	*b = flexBool(text == "true")
	return nil
}
