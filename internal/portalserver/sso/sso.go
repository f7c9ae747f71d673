// Package sso lets people sign in to the portal through their company's identity provider. It is an OpenID Connect
// relying party: authorization code flow with PKCE, state and nonce (OpenID Connect Core 1.0 §3.1, RFC 7636,
// RFC 9207). It knows nothing of accounts: Finish says who the provider vouches for, and the caller decides which
// account, if any, that is. What lies between Begin and Finish is kept in a short-lived cookie of that browser, so
// that any replica can finish what another began.
package sso

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// CallbackPath is where the provider sends people back to; the redirect URI to register is the public URL and this path.
const CallbackPath = "/sso/callback"

// Settings identify this portal at the provider.
type Settings struct {
	Issuer       string // https, or http on loopback
	ClientID     string
	ClientSecret string
	RedirectURL  string // absolute, ends in CallbackPath
}

// Identity is whom the provider vouches for. Only Issuer and Subject are always set.
type Identity struct {
	Issuer        string
	Subject       string
	ObjectID      string // Entra ID's oid: its immutable id of the person
	UserName      string // preferred_username, or upn
	Email         string
	EmailVerified bool // false when the provider says nothing
	Name          string
}

// Refusal is an error with a sentence that may be shown to the person who tried to sign in.
type Refusal struct {
	Message string
	Cause   error
}

func (e *Refusal) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + " (" + e.Cause.Error() + ")"
}

func (e *Refusal) Unwrap() error { return e.Cause }

// RelyingParty runs sign-ins. Its methods may be called at the same time.
type RelyingParty struct {
	// Insecure leaves the Secure attribute off the cookie, for plain http on loopback.
	Insecure bool
	// Client reaches the provider; nil means Client().
	Client *http.Client

	mu        sync.Mutex
	providers map[string]known
}

type known struct {
	provider *oidc.Provider
	since    time.Time
}

// discoveryLifetime is how long a discovery document is trusted without being read again.
const discoveryLifetime = 10 * time.Minute

// Begin sends the browser to the provider. returnTo is a path of this portal to show afterwards; the caller has
// checked that it is one. An error means that nothing was written to w.
func (p *RelyingParty) Begin(w http.ResponseWriter, r *http.Request, s Settings, returnTo string) error {
	provider, err := p.discover(r.Context(), s.Issuer)
	if err != nil {
		return &Refusal{Message: "Single sign-on is not reachable now. Try again in a minute, or ask your administrator to check the login methods.", Cause: err}
	}
	a := attempt{
		State:    oauth2.GenerateVerifier(),
		Nonce:    oauth2.GenerateVerifier(),
		Verifier: oauth2.GenerateVerifier(),
		Issuer:   s.Issuer,
		ReturnTo: returnTo,
	}
	http.SetCookie(w, a.cookie(p.Insecure))
	target := config(provider, s).AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier))
	http.Redirect(w, r, target, http.StatusFound)
	return nil
}

// Finish handles the provider's answer at CallbackPath and returns whom it vouches for, and Begin's returnTo. Every
// error is a *Refusal. The attempt is used up in either case.
func (p *RelyingParty) Finish(w http.ResponseWriter, r *http.Request, s Settings) (Identity, string, error) {
	a, ok := readAttempt(r, p.Insecure)
	http.SetCookie(w, spent(p.Insecure))
	query := r.URL.Query()
	switch {
	case !ok || !same(query.Get("state"), a.State):
		return Identity{}, "", &Refusal{Message: "This sign-in was not started in this browser, or has expired. Please sign in again."}
	case a.Issuer != s.Issuer, query.Get("iss") != "" && query.Get("iss") != s.Issuer:
		return Identity{}, "", &Refusal{Message: "The answer came from another identity provider than the configured one. Please sign in again."}
	case query.Get("error") != "":
		return Identity{}, "", refusedByProvider(query.Get("error"), query.Get("error_description"))
	case query.Get("code") == "":
		return Identity{}, "", &Refusal{Message: "The identity provider's answer holds no code. Please sign in again."}
	}
	identity, err := p.exchange(r.Context(), s, a, query.Get("code"))
	if err != nil {
		return Identity{}, "", &Refusal{Message: "The identity provider's answer could not be verified. Try again; if it stays so, ask your administrator to check the client id and secret.", Cause: err}
	}
	return identity, a.ReturnTo, nil
}

// exchange turns the code into verified claims.
func (p *RelyingParty) exchange(ctx context.Context, s Settings, a attempt, code string) (Identity, error) {
	ctx = oidc.ClientContext(ctx, p.client())
	provider, err := p.discover(ctx, s.Issuer)
	if err != nil {
		return Identity{}, err
	}
	token, err := config(provider, s).Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return Identity{}, fmt.Errorf("exchange the code: %w", withoutBody(err))
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Identity{}, errors.New("the token answer has no id_token")
	}
	idToken, err := provider.Verifier(&oidc.Config{ClientID: s.ClientID}).Verify(ctx, raw)
	if err != nil {
		return Identity{}, fmt.Errorf("verify the id token: %w", err)
	}
	if !same(idToken.Nonce, a.Nonce) {
		return Identity{}, errors.New("the id token answers another sign-in (nonce)")
	}
	return identify(ctx, provider, idToken, token)
}

// claims are what this portal reads of an id token or userinfo answer.
type claims struct {
	Subject       string   `json:"sub"`
	ObjectID      string   `json:"oid"`
	UserName      string   `json:"preferred_username"`
	UPN           string   `json:"upn"`
	Email         string   `json:"email"`
	EmailVerified flexBool `json:"email_verified"`
	Name          string   `json:"name"`
}

// identify reads the id token and, where it names nobody, the userinfo endpoint (OpenID Connect Core §5.3).
func identify(ctx context.Context, provider *oidc.Provider, idToken *oidc.IDToken, token *oauth2.Token) (Identity, error) {
	var c claims
	if err := idToken.Claims(&c); err != nil {
		return Identity{}, fmt.Errorf("read the id token's claims: %w", err)
	}
	if c.UserName == "" && c.UPN == "" && c.Email == "" && provider.UserInfoEndpoint() != "" {
		info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return Identity{}, fmt.Errorf("read userinfo: %w", err)
		}
		if info.Subject != idToken.Subject {
			return Identity{}, errors.New("userinfo speaks of another subject than the id token")
		}
		if err := info.Claims(&c); err != nil {
			return Identity{}, fmt.Errorf("read userinfo's claims: %w", err)
		}
	}
	i := Identity{
		Issuer: idToken.Issuer, Subject: idToken.Subject, ObjectID: c.ObjectID,
		UserName: c.UserName, Email: c.Email, EmailVerified: bool(c.EmailVerified), Name: c.Name,
	}
	if i.UserName == "" {
		i.UserName = c.UPN
	}
	return i, nil
}

func config(provider *oidc.Provider, s Settings) *oauth2.Config {
	return &oauth2.Config{
		ClientID:     s.ClientID,
		ClientSecret: s.ClientSecret,
		Endpoint:     provider.Endpoint(),
		RedirectURL:  s.RedirectURL,
		Scopes:       []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail},
	}
}

func refusedByProvider(code, description string) *Refusal {
	text := description
	if text == "" {
		text = code
	}
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return &Refusal{Message: "The identity provider refused the sign-in: " + text}
}

// withoutBody drops the provider's raw answer, which may hold more than a log should.
func withoutBody(err error) error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		return err
	}
	if answer.ErrorCode == "" {
		return fmt.Errorf("the token endpoint answered %s", answer.Response.Status)
	}
	return fmt.Errorf("the token endpoint answered %s: %s", answer.ErrorCode, answer.ErrorDescription)
}
