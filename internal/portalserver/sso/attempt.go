package sso

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// attemptLifetime is how long a person may take at the provider.
const attemptLifetime = 15 * time.Minute

// attempt is one sign-in under way, kept in the browser that began it. It needs no signature: each value only has to
// equal what comes back through the same browser.
type attempt struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
	Issuer   string `json:"i"`
	ReturnTo string `json:"r"`
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
		return spent(insecure) // cannot be: strings only
	}
	return newCookie(base64.RawURLEncoding.EncodeToString(text), int(attemptLifetime.Seconds()), insecure)
}

// spent is the cookie that removes the attempt.
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
	if err := json.Unmarshal(text, &a); err != nil || a.State == "" || a.Nonce == "" || a.Verifier == "" {
		return attempt{}, false
	}
	return a, true
}

// same compares secrets without telling how much of them is equal.
func same(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// flexBool reads true and "true": some providers send email_verified as a string.
type flexBool bool

// UnmarshalJSON accepts a JSON boolean or its text; anything else is false.
func (b *flexBool) UnmarshalJSON(data []byte) error {
	text := string(data)
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	*b = flexBool(text == "true")
	return nil
}
