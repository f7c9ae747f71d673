// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/gateway/tokens"
)

// issuer serves the keys of an issuer at each of the paths, and signs tokens as that issuer.
type issuer struct {
	*httptest.Server
	key jose.JSONWebKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: jose.JSONWebKey{Key: private, KeyID: "k"}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{name}/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.name(r.PathValue("name")), "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "k", Use: "sig"}}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) name(path string) string { return i.URL + "/" + path }

func (i *issuer) token(t *testing.T, path string) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: i.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(map[string]any{"iss": i.name(path), "aud": "scim", "sub": "service", "exp": time.Now().Add(time.Hour).Unix()}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// trusts returns an IdentityConfiguration that trusts the issuer, under each path for another
// provider.
func (i *issuer) trusts() []v1alpha1.JWTIssuer {
	return []v1alpha1.JWTIssuer{
		{Issuer: i.name("okta"), Provider: v1alpha1.ProviderOkta, Audiences: []string{"scim"}},
		{Issuer: i.name("entra"), Provider: v1alpha1.ProviderEntraID, Audiences: []string{"scim"}},
	}
}

func TestBearer(t *testing.T) {
	i := newIssuer(t)
	trusts, known := i.trusts(), false
	b := newBearer(tokens.NewSet(), func() ([]v1alpha1.JWTIssuer, bool) { return trusts, known })
	token := i.token(t, "entra")
	if _, err := b.Authenticate(t.Context(), token); !errors.Is(err, server.ErrUndecided) {
		t.Errorf("before the trusted issuers are known, a token can't be verified: %v", err)
	}
	known = true
	id, err := b.Authenticate(t.Context(), token)
	if err != nil || id.Provider.Type != "EntraID" || id.Name != "jwt:"+i.name("entra") {
		t.Errorf("%+v %v", id, err)
	}
	i.Close()
	if _, err := b.Authenticate(t.Context(), i.token(t, "okta")); !errors.Is(err, server.ErrUndecided) {
		t.Errorf("before the keys are read, a token can't be refused: %v", err)
	}
	trusts = nil
	if _, err := b.Authenticate(t.Context(), token); err == nil || errors.Is(err, server.ErrUndecided) {
		t.Errorf("without trusted issuers a JWT is an unknown token: %v", err)
	}
}
