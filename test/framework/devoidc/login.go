// SPDX-License-Identifier: Apache-2.0

package devoidc

import (
	"context"
	_ "embed"
	"html/template"
	"net/http"
	"strings"
)

const (
	loginPath = "/login"
	requestID = "authRequestID" // the query parameter with the id of the pending sign-in
)

//go:embed login.html
var loginHTML string

// login is the page with user name and password.
type login struct {
	storage  *storage
	callback func(context.Context, string) string
}

type loginPage struct {
	ID, UserName, Error string
}

func (l *login) show(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get(requestID)
	request, ok := l.storage.open(id)
	if !ok {
		l.render(w, http.StatusBadRequest, loginPage{Error: "This sign-in has ended. Go back to the application and start again."})
		return
	}
	l.render(w, http.StatusOK, loginPage{ID: id, UserName: request.loginHint})
}

func (l *login) submit(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	id, userName := r.PostFormValue("id"), strings.TrimSpace(r.PostFormValue("username"))
	if !l.storage.authenticate(id, userName, r.PostFormValue("password")) {
		l.render(w, http.StatusUnauthorized, loginPage{ID: id, UserName: userName, Error: "User name or password is wrong."})
		return
	}
	http.Redirect(w, r, l.callback(r.Context(), id), http.StatusFound)
}

func (l *login) render(w http.ResponseWriter, status int, page loginPage) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_ = template.Must(template.New("login").Parse(loginHTML)).Execute(w, page)
}
