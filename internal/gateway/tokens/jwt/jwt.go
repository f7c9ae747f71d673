// SPDX-License-Identifier: Apache-2.0

// Package jwt verifies bearer tokens that are JSON Web Tokens (RFC 7519) of configured issuers,
// such as those that Microsoft Entra ID's provisioning service sends.
//
// An issuer's keys are found by OpenID Connect Discovery and cached (keys.go). A token is accepted
// when
//
//   - it is signed by one of those keys with an asymmetric algorithm of the list in Algorithms:
//     "none" and the HMACs are refused before any other check, so that a token can't be forged with
//     a public key (RFC 8725 §3.1);
//   - iss is exactly the issuer and aud contains one of its audiences (RFC 8725 §3.8, §3.9);
//   - exp exists and is in the future, and nbf and iat, if present, are in the past, all within
//     Skew;
//   - every required claim has the required value.
//
// The signature is checked before the claims, so that only the holder of a real token gets an error
// about its claims.
package jwt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"lightrun.com/scim-operator/internal/kernel/provider"
)

// Skew is the permitted difference between the issuer's clock and the webhook's.
const Skew = time.Minute

// maxToken limits the length of a token, in bytes.
const maxToken = 16 << 10

// Algorithms returns the accepted signature algorithms (RFC 7518 §3.1, RFC 8037).
func Algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}
}

// Issuer is a trusted issuer of tokens.
type Issuer struct {
	URL       string            // iss, and the base of /.well-known/openid-configuration
	Audiences []string          // aud must contain one of them
	Provider  provider.ID       // the identity provider of the tokens
	Required  map[string]string // claims that must have exactly this value
	CABundle  []byte            // authorities that may sign the issuer's certificate, in PEM; empty means the system's
}

// Holder identifies the holder of a token.
type Holder struct {
	Issuer   string
	Provider provider.ID
	// Key identifies issuer and subject: it is the same for each token of one holder.
	Key [sha256.Size]byte
}

// ErrUnavailable means that the issuer's keys are not known and could not be read, so that the
// token can't be verified now.
var ErrUnavailable = errors.New("the keys of the token's issuer can't be read")

// Verifier verifies tokens. It is safe for concurrent use and starts nothing before the first
// token.
type Verifier struct {
	issuers func() []Issuer // returns the issuers that are trusted now; called for each token
	now     func() time.Time

	mu   sync.Mutex
	keys map[string]*keys // by issuer and bundle
}

// New returns a verifier for tokens of the issuers that the function returns. It is called for each
// token.
func New(issuers func() []Issuer) *Verifier {
	return &Verifier{issuers: issuers, now: time.Now, keys: map[string]*keys{}}
}

// Looks reports whether a bearer token has the form of a JWT: three parts of base64url (RFC 7515
// §3.1).
func Looks(token string) bool {
	return strings.Count(token, ".") == 2 && strings.HasPrefix(token, "ey")
}

// Verify returns the holder of a token. The error describes the problem for the administrator of
// the client, and never contains the token. If the issuer's keys can't be read, it is
// ErrUnavailable.
func (v *Verifier) Verify(ctx context.Context, token string) (Holder, error) {
	if len(token) > maxToken {
		return Holder{}, fmt.Errorf("the JWT is longer than %d bytes", maxToken)
	}
	parsed, err := jwt.ParseSigned(token, Algorithms())
	if err != nil {
		return Holder{}, refusedForm(err)
	}
	var unchecked jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&unchecked); err != nil {
		return Holder{}, errors.New("the JWT's claims can't be read")
	}
	issuer, ok := v.trusted(unchecked.Issuer)
	if !ok {
		return Holder{}, errors.New("the JWT's issuer is not in jwtIssuers of the IdentityConfiguration; its iss must match exactly")
	}
	known := v.keysOf(issuer)
	key, err := known.find(ctx, parsed.Headers[0])
	if err != nil {
		return Holder{}, err
	}
	var claims jwt.Claims
	var all map[string]any
	if err := parsed.Claims(key, &claims, &all); err != nil {
		return Holder{}, errors.New("the JWT's signature is not valid for its issuer")
	}
	if err := issuer.judge(claims, all, v.now()); err != nil {
		return Holder{}, err
	}
	known.used.Store(v.now().Unix())
	return Holder{
		Issuer: issuer.URL, Provider: issuer.Provider,
		Key: sha256.Sum256([]byte(issuer.URL + "\x00" + claims.Subject)),
	}, nil
}

// refusedForm explains why a token is not an acceptable JWT.
func refusedForm(err error) error {
	var algorithm *jose.ErrUnexpectedSignatureAlgorithm
	if errors.As(err, &algorithm) {
		return fmt.Errorf("the JWT is signed with %q; only the asymmetric algorithms of RFC 7518 are accepted, such as RS256", short(string(algorithm.Got)))
	}
	return errors.New("the bearer token looks like a JWT but is not valid")
}

func short(s string) string { return s[:min(len(s), 20)] }

// trusted finds the issuer with this name, and drops the keys of issuers that are no longer
// trusted.
func (v *Verifier) trusted(iss string) (found Issuer, ok bool) {
	all := v.issuers()
	v.mu.Lock()
	defer v.mu.Unlock()
	known := make(map[string]bool, len(all))
	for _, i := range all {
		known[i.id()] = true
		if i.URL == iss && !ok {
			found, ok = i, true
		}
	}
	for id := range v.keys {
		if !known[id] {
			delete(v.keys, id)
		}
	}
	return found, ok
}

// id identifies an issuer's keys.
func (i Issuer) id() string { return i.URL + "\x00" + string(i.CABundle) }

func (v *Verifier) keysOf(i Issuer) *keys {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.keys[i.id()]
	if !ok {
		k = newKeys(i, v.now)
		v.keys[i.id()] = k
	}
	return k
}

// judge checks the claims of a token with a valid signature.
func (i Issuer) judge(c jwt.Claims, all map[string]any, now time.Time) error {
	if c.Expiry == nil {
		return errors.New("the JWT has no exp, so it would never expire")
	}
	err := c.ValidateWithLeeway(jwt.Expected{Issuer: i.URL, AnyAudience: i.Audiences, Time: now}, Skew)
	at := func(d *jwt.NumericDate) string { return d.Time().UTC().Format(time.RFC3339) }
	switch {
	case errors.Is(err, jwt.ErrInvalidAudience):
		return errors.New("the JWT is for another audience: its aud is not one of the audiences of jwtIssuers in the IdentityConfiguration")
	case errors.Is(err, jwt.ErrExpired):
		return fmt.Errorf("the JWT expired on %s; get a new one from the issuer, and compare the clocks", at(c.Expiry))
	case errors.Is(err, jwt.ErrNotValidYet):
		return fmt.Errorf("the JWT is not valid before %s; compare the clocks", at(c.NotBefore))
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return fmt.Errorf("the JWT was issued in the future, on %s; compare the clocks", at(c.IssuedAt))
	case err != nil:
		return errors.New("the JWT's claims are not valid")
	case len(i.Audiences) == 0:
		return errors.New("no audience is configured for the JWT's issuer")
	}
	for name, want := range i.Required {
		if have, ok := all[name].(string); !ok || have != want {
			return fmt.Errorf("the JWT's claim %q does not match requiredClaims of the IdentityConfiguration", name)
		}
	}
	return nil
}

// client reads an issuer's documents. It follows no redirects, so that only the issuer's own
// address counts.
func client(i Issuer) (*http.Client, error) {
	transport, err := transport(i.CABundle)
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Transport:     bounded{transport},
		Timeout:       fetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
