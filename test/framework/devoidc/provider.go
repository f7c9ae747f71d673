// SPDX-License-Identifier: Apache-2.0

// Package devoidc is a small OpenID Connect provider for development and tests: it replaces the
// company's single sign-on, so that the documented procedure (turn on SSO, then SCIM) works on one
// machine. The protocol implementation is github.com/zitadel/oidc; this package adds users from a
// list, one client, memory for pending sign-ins and one plain sign-in page. It is not an identity
// provider for production.
package devoidc

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"
)

// Config contains the users that the provider knows and the application that may use it.
type Config struct {
	Issuer       string   // http(s) URL without trailing slash; the iss of the tokens
	ClientID     string   // the application's client id
	ClientSecret string   // the application's secret; must not be empty
	RedirectURIs []string // exact redirect URIs of the application; at least one
	Users        []User
	// SharedPassword signs in any user name that is not in Users, under the name that was typed.
	// Empty: only Users can sign in.
	SharedPassword string
}

// Provider serves the OIDC endpoints, the sign-in page, /healthz and /readyz.
type Provider struct {
	http.Handler
	storage *storage
}

// New returns a provider with a new signing key; tokens of an earlier provider no longer verify. An
// incomplete Config is an error that names what is missing.
func New(c Config) (*Provider, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	store, err := newStorage(c)
	if err != nil {
		return nil, err
	}
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, fmt.Errorf("create the token key: %w", err)
	}
	provider, err := op.NewProvider(&op.Config{
		CryptoKey:          key,
		CryptoKeyId:        "dev",
		CodeMethodS256:     true,
		AuthMethodPost:     true,
		SupportedUILocales: []language.Tag{language.English},
		SupportedClaims:    []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "preferred_username", "name", "given_name", "family_name", "email", "email_verified"},
	}, store, op.StaticIssuer(c.Issuer), op.WithAllowInsecure())
	if err != nil {
		return nil, fmt.Errorf("set up the provider: %w", err)
	}
	return &Provider{Handler: routes(provider, store), storage: store}, nil
}

// routes mounts the sign-in page before the protocol's own endpoints.
func routes(provider *op.Provider, store *storage) http.Handler {
	l := &login{storage: store, callback: op.AuthCallbackURL(provider)}
	interceptor := op.NewIssuerInterceptor(provider.IssuerFromRequest)
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }

	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", ok)
	mux.HandleFunc("GET /readyz", ok)
	mux.HandleFunc("GET "+loginPath, l.show)
	mux.Handle("POST "+loginPath, interceptor.HandlerFunc(l.submit))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/.well-known/openid-configuration", http.StatusFound)
	})
	mux.Handle("/", provider)
	return mux
}

func (c Config) validate() error {
	issuer, err := url.Parse(c.Issuer)
	switch {
	case err != nil:
		return fmt.Errorf("issuer %q: %w", c.Issuer, err)
	case issuer.Host == "" || (issuer.Scheme != "http" && issuer.Scheme != "https"):
		return fmt.Errorf("issuer %q is not an http or https URL such as http://127.0.0.1:8099", c.Issuer)
	case c.ClientID == "" || c.ClientSecret == "":
		return errors.New("the client needs an id and a secret")
	case len(c.RedirectURIs) == 0:
		return errors.New("the client needs at least one redirect URI, such as http://127.0.0.1:8090/sso/callback")
	}
	return validateUsers(c.Users)
}
