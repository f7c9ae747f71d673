package web

import (
	"net/http"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/portal"
)

// sessionLifetime is how long a sign-in lasts.
const sessionLifetime = 12 * time.Hour

// cookie makes a cookie of this host alone. maxAge 0 keeps it until the browser closes; below 0 removes it.
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

// readSession finds the visit's session, if it has one that still holds.
func (s *site) readSession(v *visit) error {
	token := s.cookieValue(v, "session")
	if token == "" {
		return nil
	}
	session, err := s.store.Session(v.Context(), token)
	switch {
	case portal.CodeOf(err) == portal.CodeUnauthenticated, portal.CodeOf(err) == portal.CodeNotFound:
		http.SetCookie(v.w, s.cookie("session", "", -1))
		return nil
	case err != nil:
		return err
	}
	v.session = session
	return nil
}

// notices are the sentences shown on the page after something was done.
var notices = map[string]string{
	"user-created":     "The user was created.",
	"user-saved":       "The user was saved.",
	"user-deleted":     "The user was deleted. The audit keeps its history.",
	"user-activated":   "The user is active again.",
	"user-deactivated": "The user was deactivated and is signed out everywhere.",
	"handed-over":      "The user is handed over to SCIM and can be taken over now.",
	"taken-back":       "The user stays local.",
	"pool-handed-over": "The agent pool is handed over: the AgentPool object of its name takes it over.",
	"pool-taken-back":  "The agent pool stays the portal's.",
	"pool-created":     "The agent pool was created.",
	"pool-saved":       "The agent pool was saved.",
	"pool-deleted":     "The agent pool was deleted.",
	"key-deleted":      "The API key was deleted and does not work any more.",
	"methods-saved":    "The login methods were saved and are in force.",
	"signed-out":       "You are signed out.",
}

// done redirects to path, which will show the notice once.
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

// localPath returns path if it is one of this portal's, and the first page's otherwise.
func localPath(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}
