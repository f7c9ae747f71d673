// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// sessionLifetime is the time after which a session ends.
const sessionLifetime = 12 * time.Hour

// cookie creates a cookie for this host only. maxAge 0 keeps it until the browser closes; a
// negative maxAge removes it.
func (s *site) cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: s.cookieName(name), Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: !s.insecure, SameSite: http.SameSiteLaxMode}
}

func (s *site) cookieName(name string) string {
	if s.insecure {
		return "portal_" + name
	}
	return "__Host-portal_" + name // only this host, over https, can set it (RFC 6265bis §4.1.3.2)
}

func (s *site) cookieValue(v *visit, name string) string {
	c, err := v.Cookie(s.cookieName(name))
	if err != nil {
		return ""
	}
	return c.Value
}

// readSession reads the visit's session, if it has a valid one.
func (s *site) readSession(v *visit) error {
	token := s.cookieValue(v, "session")
	if token == "" {
		return nil
	}
	session, err := s.store.Session(v.Context(), token)
	switch {
	case portalapi.CodeOf(err) == portalapi.CodeUnauthenticated, portalapi.CodeOf(err) == portalapi.CodeNotFound:
		http.SetCookie(v.w, s.cookie("session", "", -1))
		return nil
	case err != nil:
		return err
	}
	v.session = session
	return nil
}

// notices are the messages that pages show after an action.
var notices = map[string]string{
	"user-created":       "The user was created.",
	"user-saved":         "The user was saved.",
	"user-deleted":       "The user was deleted. The audit keeps its history.",
	"user-erased":        "The user was erased. The audit keeps its events with the id of the account.",
	"user-activated":     "The user is active again.",
	"user-deactivated":   "The user was deactivated and is signed out everywhere.",
	"handed-over":        "The user is handed over to SCIM: the identity provider can take it over now.",
	"taken-back":         "The user remains local.",
	"pool-handed-over":   "The agent pool is handed over: the AgentPool object with its name takes it over.",
	"pool-taken-back":    "The agent pool remains managed in the portal.",
	"pool-created":       "The agent pool was created.",
	"pool-saved":         "The agent pool was saved.",
	"pool-deleted":       "The agent pool was deleted.",
	"pool-key-reverted":  "The former key is active again.",
	"pool-key-revoked":   "The key was revoked and no longer works.",
	"key-deleted":        "The API key was deleted and no longer works.",
	"methods-saved":      "The login methods were saved and take effect now.",
	"identity-linked":    "Your identity at the provider is linked: you can sign in with SSO now.",
	"identity-forgotten": "The identity is forgotten and its sessions have ended.",
	"signed-out":         "You are signed out.",
	"signed-out-all":     "You are signed out in every browser.",
	"password-changed":   "Your password was changed, and your other sessions have ended.",
	"factor-removed":     "The second factor was removed, and the other sessions have ended.",
	"password-set":       "The new password is set. Sign in with it.",
	"self-deactivated":   "Your account was deactivated and is signed out everywhere.",
	"user-signed-out":    "The user is signed out in every browser.",
}

// done redirects to path, which shows the notice once.
func (s *site) done(v *visit, notice, path string) error {
	http.SetCookie(v.w, s.cookie("notice", notice, 60))
	return v.redirect(path)
}

func (s *site) takeNotice(v *visit) string {
	notice := notices[s.cookieValue(v, "notice")]
	if notice != "" {
		http.SetCookie(v.w, s.cookie("notice", "", -1))
	}
	return notice
}

// localPath returns path if it is a path of this portal, and the home page otherwise.
func localPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}
