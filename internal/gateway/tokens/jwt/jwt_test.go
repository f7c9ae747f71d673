// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lightrun.com/scim-operator/internal/kernel/provider"
)

const audience = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"

// idp is a token issuer like Entra ID: with a path in its name and a trailing slash.
type idp struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	keys     []jose.JSONWebKey // published
	signer   jose.JSONWebKey
	down     bool
	readings int    // of the keys
	claims   string // the issuer in the discovery document; empty for the real one
	padding  int    // bytes by which the key set is too long
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	i := &idp{t: t}
	i.rotate("first")
	i.Server = httptest.NewTLSServer(i)
	t.Cleanup(i.Close)
	return i
}

func (i *idp) url() string { return i.URL + "/tenant/" }

// rotate signs later tokens with a new key, and publishes only that key.
func (i *idp) rotate(id string) {
	i.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.signer = jose.JSONWebKey{Key: private, KeyID: id, Algorithm: "EdDSA", Use: "sig"}
	i.keys = []jose.JSONWebKey{{Key: public, KeyID: id, Algorithm: "EdDSA", Use: "sig"}}
}

func (i *idp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/tenant/.well-known/openid-configuration":
		issuer := i.claims
		if issuer == "" {
			issuer = i.url()
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": issuer, "jwks_uri": i.URL + "/keys"})
	case "/keys":
		i.readings++
		_ = json.NewEncoder(w).Encode(map[string]any{"padding": strings.Repeat("x", i.padding), "keys": i.keys})
	default:
		http.NotFound(w, r)
	}
}

func (i *idp) issuer() Issuer {
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw})
	return Issuer{URL: i.url(), Audiences: []string{"other", audience}, Provider: provider.ID{Type: provider.EntraID}, Required: map[string]string{"appid": "provisioning"}, CABundle: bundle}
}

// clock is a time that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func (i *idp) verifier() (*Verifier, *clock) {
	c := &clock{at: time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)}
	v := New(func() []Issuer { return []Issuer{i.issuer()} })
	v.now = c.now
	return v, c
}

// claims are those of a valid token at now.
func (i *idp) good(now time.Time) map[string]any {
	return map[string]any{
		"iss": i.url(), "aud": audience, "sub": "service", "appid": "provisioning",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

func (i *idp) sign(claims map[string]any) string {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	return sign(i.t, jose.EdDSA, i.signer, claims)
}

func sign(t *testing.T, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// unsigned returns a token with the algorithm none, or with any other header.
func unsigned(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(header) + "." + part(claims) + "."
}

func TestVerify(t *testing.T) {
	i := newIDP(t)
	v, c := i.verifier()
	holder, err := v.Verify(t.Context(), i.sign(i.good(c.now())))
	if err != nil || holder.Provider.Type != "EntraID" || holder.Issuer != i.url() {
		t.Fatalf("a good token: %+v %v", holder, err)
	}
	other := i.good(c.now())
	other["aud"], other["jti"] = []string{"x", audience}, "another token"
	again, err := v.Verify(t.Context(), i.sign(other))
	if err != nil || again.Key != holder.Key {
		t.Errorf("another token of the same holder must have the same key: %v", err)
	}
	if n := testutil.CollectAndCount(v); n != 2 {
		t.Errorf("%d metrics", n)
	}
}

func TestHostileAndStaleTokens(t *testing.T) {
	i := newIDP(t)
	v, c := i.verifier()
	now := c.now()
	edit := func(name string, value any) string {
		claims := i.good(now)
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return i.sign(claims)
	}
	public := i.keys[0].Key.(ed25519.PublicKey)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cut := i.sign(i.good(now))
	cases := map[string]struct{ token, says string }{
		"None":              {unsigned(t, map[string]any{"alg": "none"}, i.good(now)), `signed with "none"`},
		"NoneInDisguise":    {unsigned(t, map[string]any{"alg": "nOnE", "kid": "first"}, i.good(now)), `signed with "nOnE"`},
		"HMACWithPublicKey": {sign(t, jose.HS256, []byte(public), i.good(now)), `signed with "HS256"`},
		"KeyInHeader":       {embedded(t, i.good(now)), "signature"},
		"StrangersKey":      {sign(t, jose.RS256, jose.JSONWebKey{Key: weak, KeyID: "first"}, i.good(now)), "signature"},
		"UnknownKey":        {sign(t, jose.RS256, jose.JSONWebKey{Key: weak, KeyID: "unknown"}, i.good(now)), "does not publish"},
		"Changed":           {swapped(t, cut, i.good(now.Add(time.Hour))), "signature"},
		"Cut":               {cut[:len(cut)-8], "signature"},
		"NoJWT":             {"eyJ.eyJ.x", "is not valid"},
		"Long":              {"ey" + strings.Repeat("x", maxToken) + "..", "longer"},
		"OtherIssuer":       {edit("iss", "https://evil.example.test/"), "issuer is not in jwtIssuers"},
		"AlmostTheIssuer":   {edit("iss", strings.TrimSuffix(i.url(), "/")), "must match exactly"},
		"NoIssuer":          {edit("iss", nil), "issuer is not in jwtIssuers"},
		"OtherAudience":     {edit("aud", "someone else"), "another audience"},
		"NoAudience":        {edit("aud", nil), "another audience"},
		"Expired":           {edit("exp", now.Add(-Skew-time.Second).Unix()), "expired on 2027-01-01T11:58:59Z"},
		"NoExpiry":          {edit("exp", nil), "has no exp"},
		"NotYet":            {edit("nbf", now.Add(Skew+time.Second).Unix()), "not valid before 2027-01-01T12:01:01Z"},
		"FromTheFuture":     {edit("iat", now.Add(Skew+time.Second).Unix()), "issued in the future"},
		"OtherClient":       {edit("appid", "some other app"), `claim "appid"`},
		"NoClient":          {edit("appid", nil), `claim "appid"`},
		"ClientAsList":      {edit("appid", []string{"provisioning"}), `claim "appid"`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := v.Verify(t.Context(), tc.token)
			if err == nil || !strings.Contains(err.Error(), tc.says) || errors.Is(err, ErrUnavailable) {
				t.Errorf("it must say %q, not: %v", tc.says, err)
			}
			if err != nil && len(tc.token) > 20 && strings.Contains(err.Error(), tc.token[:20]) {
				t.Error("the error must not contain the token")
			}
		})
	}
	for name, token := range map[string]string{"exp": edit("exp", now.Add(-Skew+time.Second).Unix()), "nbf": edit("nbf", now.Add(Skew-time.Second).Unix())} {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Errorf("%s within the skew: %v", name, err)
		}
	}
}

// embedded returns a token that contains the key to verify it (RFC 7515 §4.1.3).
func embedded(t *testing.T, claims map[string]any) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// swapped returns a token with other claims and the old signature.
func swapped(t *testing.T, token string, claims map[string]any) string {
	t.Helper()
	parts := strings.Split(token, ".")
	return parts[0] + "." + strings.Split(unsigned(t, nil, claims), ".")[1] + "." + parts[2]
}

// TestRotationAndOutage: a new key is found without a restart, an unreachable issuer does not fail
// known keys, and unknown key ids cause no extra requests.
func TestRotationAndOutage(t *testing.T) {
	i := newIDP(t)
	v, c := i.verifier()
	verify := func() error {
		_, err := v.Verify(t.Context(), i.sign(i.good(c.now())))
		return err
	}
	i.set(func() { i.down = true })
	if err := verify(); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("before the keys are read, the token can't be verified: %v", err)
	}
	i.set(func() { i.down = false })
	if err := verify(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the issuer must be read at most once per %s: %v", between, err)
	}
	c.pass(between)
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	c.pass(between)
	i.rotate("second")
	if err := verify(); err != nil {
		t.Errorf("a new key must be found at once: %v", err)
	}
	before := i.count()
	made := jose.JSONWebKey{Key: stranger(t), KeyID: "made-up"}
	for range 50 {
		if _, err := v.Verify(t.Context(), sign(t, jose.EdDSA, made, i.good(c.now()))); err == nil {
			t.Fatal("an unknown key must be refused")
		}
	}
	if have := i.count(); have != before {
		t.Errorf("unknown key ids caused %d reads of the keys", have-before)
	}
	i.set(func() { i.down = true })
	for range 3 {
		c.pass(fresh)
		if err := verify(); err != nil {
			t.Errorf("an unreachable issuer must not fail a known key: %v", err)
		}
	}
}

// TestHostileIssuer: an issuer's documents are limited in size, and must name the issuer.
func TestHostileIssuer(t *testing.T) {
	secret := []byte("a shared secret of the length of a key")
	cases := map[string]struct {
		change func(*idp)
		says   string
	}{
		"AnotherName": {func(i *idp) { i.claims = "https://elsewhere.example.test/" }, "names a different issuer"},
		"Endless":     {func(i *idp) { i.padding = maxDocument }, "not a JSON Web Key Set"},
		"NoKeys":      {func(i *idp) { i.keys = nil }, "no public key"},
		"SharedSecret": {func(i *idp) {
			i.keys = []jose.JSONWebKey{{Key: secret, KeyID: "first", Use: "sig"}}
		}, "no public key"},
		"ForEncryption": {func(i *idp) { i.keys[0].Use = "enc" }, "no public key"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			i := newIDP(t)
			i.set(func() { tc.change(i) })
			v, c := i.verifier()
			_, err := v.Verify(t.Context(), i.sign(i.good(c.now())))
			if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("it must say %q, not: %v", tc.says, err)
			}
		})
	}
}

// TestForgets: an issuer that is no longer trusted is forgotten immediately.
func TestForgets(t *testing.T) {
	i := newIDP(t)
	_, c := i.verifier()
	trusted := []Issuer{i.issuer()}
	v := New(func() []Issuer { return trusted })
	v.now = c.now
	token := i.sign(i.good(c.now()))
	if _, err := v.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	trusted = nil
	if _, err := v.Verify(t.Context(), token); err == nil || len(v.keys) != 0 {
		t.Errorf("%d issuers are known, %v", len(v.keys), err)
	}
}

func (i *idp) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *idp) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.readings
}

func stranger(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func FuzzVerify(f *testing.F) {
	v := New(func() []Issuer { return nil })
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Verify(t.Context(), token); err == nil {
			t.Error("without an issuer nothing is accepted")
		}
	})
}
