// SPDX-License-Identifier: Apache-2.0

// Package sso lets users sign in to the portal through their company's identity provider. It is an
// OpenID Connect relying party (RelyingParty: authorization code flow with PKCE, state and nonce;
// OpenID Connect Core 1.0 §3.1, RFC 7636, RFC 9207) and a SAML 2.0 service provider
// (ServiceProvider: web browser SSO profile). It does not use accounts: Finish returns the identity
// that the provider asserts, and the caller finds the account for it. The state between Begin and
// Finish is stored in a short-lived cookie of the browser, so that any replica can finish an
// attempt that another replica began.
package sso

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// CallbackPath is the path to which the provider sends the browser back. The redirect URI to
// register is the public URL followed by this path.
const CallbackPath = "/sso/callback"

// Settings identify this portal at the provider.
type Settings struct {
	Issuer       string // https, or http on loopback
	ClientID     string
	ClientSecret string
	RedirectURL  string // absolute, ends in CallbackPath
}

// Identity is the identity that the provider asserts. Only Issuer and Subject are always set.
type Identity struct {
	Issuer        string // of SAML: SAMLIssuer
	Subject       string
	ObjectID      string // Entra ID's oid: the immutable id of the user
	UserName      string // preferred_username, or upn
	Email         string
	EmailVerified bool // false if the provider does not assert it
	Name          string
}

// ID returns the immutable id of the user at the issuer: oid for Entra ID, whose sub is another one
// for each application, and sub for all others.
func (i Identity) ID() string {
	if i.ObjectID != "" && fromEntra(i.Issuer) {
		return i.ObjectID
	}
	return i.Subject
}

// fromEntra reports whether the issuer is Entra ID.
func fromEntra(issuer string) bool {
	u, err := url.Parse(strings.TrimPrefix(issuer, samlScheme))
	return err == nil && slices.Contains(entraHosts, u.Hostname())
}

// entraHosts are the hosts of Entra ID's issuers, by cloud and by version of the tokens.
var entraHosts = []string{"login.microsoftonline.com", "sts.windows.net", "login.microsoftonline.us", "login.partner.microsoftonline.cn", "sts.chinacloudapi.cn"}

// Purpose is what the caller of Begin wants to do with the identity.
type Purpose struct {
	ReturnTo string // a path of this portal to show afterwards; the caller has validated it
	Link     string // the account to link the identity to; empty: sign in
}

// Refusal is an error whose message may be shown to the user who tried to sign in.
type Refusal struct {
	Message string
	Cause   error
}

// Error implements error.
func (e *Refusal) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + " (" + e.Cause.Error() + ")"
}

// Unwrap returns the cause, which is logged and not shown to the user.
func (e *Refusal) Unwrap() error { return e.Cause }

// RelyingParty runs sign-ins. Its methods are safe for concurrent use.
type RelyingParty struct {
	// Insecure omits the Secure attribute of the cookie, for plain http on loopback.
	Insecure bool
	// Client sends requests to the provider; nil means Client().
	Client *http.Client

	mu        sync.Mutex
	providers map[string]known
}

type known struct {
	provider *oidc.Provider
	since    time.Time
}

// discoveryLifetime is the time after which a discovery document is read again.
const discoveryLifetime = 10 * time.Minute

// Begin redirects the browser to the provider. If it returns an error, it has written nothing to w.
func (p *RelyingParty) Begin(w http.ResponseWriter, r *http.Request, s Settings, purpose Purpose) error {
	target, err := p.Prepare(w, r, s, purpose)
	if err == nil {
		http.Redirect(w, r, target, http.StatusFound)
	}
	return err
}

// Prepare is Begin for an answer to a form: it sets the cookie and returns the provider's address.
// The content policy form-action blocks a redirect to another site.
func (p *RelyingParty) Prepare(w http.ResponseWriter, r *http.Request, s Settings, purpose Purpose) (string, error) {
	provider, err := p.discover(r.Context(), s.Issuer)
	if err != nil {
		return "", &Refusal{Message: unreachable, Cause: err}
	}
	a := attempt{
		State:    oauth2.GenerateVerifier(),
		Nonce:    oauth2.GenerateVerifier(),
		Verifier: oauth2.GenerateVerifier(),
		Issuer:   s.Issuer,
		ReturnTo: purpose.ReturnTo,
		Link:     purpose.Link,
	}
	http.SetCookie(w, a.cookie(p.Insecure))
	return config(provider, s).AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), nil
}

// Finish handles the provider's response at CallbackPath. It returns the identity that the provider
// asserts, and the purpose of Begin. Every error is a *Refusal. Finish uses up the attempt, also
// when it fails.
func (p *RelyingParty) Finish(w http.ResponseWriter, r *http.Request, s Settings) (Identity, Purpose, error) {
	a, ok := readAttempt(r, p.Insecure)
	http.SetCookie(w, spent(p.Insecure))
	query := r.URL.Query()
	switch {
	case !ok || a.Verifier == "" || !same(query.Get("state"), a.State):
		return Identity{}, Purpose{}, &Refusal{Message: "This sign-in was not started in this browser, or has expired. Please sign in again."}
	case a.Issuer != s.Issuer, query.Get("iss") != "" && query.Get("iss") != s.Issuer:
		return Identity{}, Purpose{}, &Refusal{Message: "The response came from an identity provider that is not the configured one. Please sign in again."}
	case query.Get("error") != "":
		return Identity{}, Purpose{}, refusedByProvider(query.Get("error"), query.Get("error_description"))
	case query.Get("code") == "":
		return Identity{}, Purpose{}, &Refusal{Message: "The identity provider's response contains no code. Please sign in again."}
	}
	identity, err := p.exchange(r.Context(), s, a, query.Get("code"))
	if err != nil {
		return Identity{}, Purpose{}, &Refusal{Message: "The identity provider's response could not be verified. Try again. If the error persists, ask your administrator to check the client id and secret.", Cause: err}
	}
	return identity, Purpose{ReturnTo: a.ReturnTo, Link: a.Link}, nil
}

// exchange exchanges the code for verified claims.
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
		return Identity{}, errors.New("the token response has no id_token")
	}
	idToken, err := provider.Verifier(&oidc.Config{ClientID: s.ClientID}).Verify(ctx, raw)
	if err != nil {
		return Identity{}, fmt.Errorf("verify the id token: %w", err)
	}
	if !same(idToken.Nonce, a.Nonce) {
		return Identity{}, errors.New("the id token belongs to another sign-in (nonce)")
	}
	return identify(ctx, provider, idToken, token)
}

// claims are the fields that the portal reads from an id token or a userinfo response.
type claims struct {
	Subject       string   `json:"sub"`
	ObjectID      string   `json:"oid"`
	UserName      string   `json:"preferred_username"`
	UPN           string   `json:"upn"`
	Email         string   `json:"email"`
	EmailVerified flexBool `json:"email_verified"`
	Name          string   `json:"name"`
}

// identify reads the id token and, if it has neither a user name nor an e-mail address, the
// userinfo endpoint (OpenID Connect Core §5.3).
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
			return Identity{}, errors.New("userinfo and the id token name different subjects")
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

// withoutBody drops the provider's raw response, which may contain data that must not be logged.
func withoutBody(err error) error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		return err
	}
	if answer.ErrorCode == "" {
		return fmt.Errorf("the token endpoint responded with %s", answer.Response.Status)
	}
	return fmt.Errorf("the token endpoint responded with %s: %s", answer.ErrorCode, answer.ErrorDescription)
}
