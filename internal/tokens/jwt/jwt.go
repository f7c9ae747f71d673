// Package jwt checks bearer tokens that are JSON Web Tokens (RFC 7519) of issuers that somebody
// trusts by name, such as those that Microsoft Entra ID's provisioning service sends.
//
// An issuer's keys are found by OpenID Connect Discovery and kept (keys.go). A token is accepted
// when
//
//   - it is signed by one of those keys with an asymmetric algorithm of the list in Algorithms:
//     "none" and the HMACs are refused before anything else is looked at, so that nobody makes a
//     token with a public key (RFC 8725 §3.1);
//   - iss is exactly the issuer and aud holds one of its audiences (RFC 8725 §3.8, §3.9);
//   - exp is there and has not passed, and nbf and iat, where they are, have, all within Skew;
//   - every required claim has the required value.
//
// The signature is checked before the claims are judged, so that only who holds a token of the
// issuer is told what is wrong with it.
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

	"lightrun.com/scim-operator/internal/provider"
)

// Skew is by how much the issuer's clock and ours may differ.
const Skew = time.Minute

// maxToken bounds a token, in bytes.
const maxToken = 16 << 10

// Algorithms are the signatures that are accepted (RFC 7518 §3.1, RFC 8037).
func Algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}
}

// Issuer is whose tokens are accepted, and for whom.
type Issuer struct {
	URL       string            // iss, and where /.well-known/openid-configuration is found
	Audiences []string          // aud must hold one of them
	Provider  provider.ID       // the identity provider that the tokens are of
	Required  map[string]string // claims that must have just this value
	CABundle  []byte            // PEM of the authorities that sign the issuer's certificate; empty for the system's
}

// Holder is whose token it is.
type Holder struct {
	Issuer   string
	Provider provider.ID
	// Key stands for issuer and subject: the same for each token of the same holder.
	Key [sha256.Size]byte
}

// ErrUnavailable says that the issuer's keys are not known and could not be read, so that nothing
// can be said about the token.
var ErrUnavailable = errors.New("the keys of the token's issuer can't be read")

// Verifier checks tokens. It is safe for concurrent use and starts nothing before the first token
// comes.
type Verifier struct {
	issuers func() []Issuer // trusted now; asked for each token
	now     func() time.Time

	mu   sync.Mutex
	keys map[string]*keys // by issuer and bundle
}

// New makes a verifier of tokens of the issuers that the function names at the time.
func New(issuers func() []Issuer) *Verifier {
	return &Verifier{issuers: issuers, now: time.Now, keys: map[string]*keys{}}
}

// Looks says whether a bearer token has the form of a JWT: three parts of base64url (RFC 7515
// §3.1).
func Looks(token string) bool {
	return strings.Count(token, ".") == 2 && strings.HasPrefix(token, "ey")
}

// Verify says whose token it is. The error says what is wrong with it, in words for the person who
// runs the client; it never holds the token. When the issuer's keys can't be read, it is
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
		return Holder{}, errors.New("the JWT's issuer is not among jwtIssuers of the IdentityConfiguration; compare its iss with them, letter by letter")
	}
	known := v.keysOf(issuer)
	key, err := known.find(ctx, parsed.Headers[0])
	if err != nil {
		return Holder{}, err
	}
	var claims jwt.Claims
	var all map[string]any
	if err := parsed.Claims(key, &claims, &all); err != nil {
		return Holder{}, errors.New("the JWT's signature is not one of its issuer's")
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

// refusedForm explains why a token is no JWT that is taken.
func refusedForm(err error) error {
	var algorithm *jose.ErrUnexpectedSignatureAlgorithm
	if errors.As(err, &algorithm) {
		return fmt.Errorf("the JWT is signed with %q; accepted are the asymmetric algorithms of RFC 7518, such as RS256", short(string(algorithm.Got)))
	}
	return errors.New("the bearer token looks like a JWT but is none")
}

func short(s string) string { return s[:min(len(s), 20)] }

// trusted finds the issuer of that name, and forgets the keys of those that are trusted no more.
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

// id tells an issuer's keys from others'.
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

// judge checks the claims of a token whose signature is right.
func (i Issuer) judge(c jwt.Claims, all map[string]any, now time.Time) error {
	if c.Expiry == nil {
		return errors.New("the JWT has no exp: it would never end")
	}
	err := c.ValidateWithLeeway(jwt.Expected{Issuer: i.URL, AnyAudience: i.Audiences, Time: now}, Skew)
	at := func(d *jwt.NumericDate) string { return d.Time().UTC().Format(time.RFC3339) }
	switch {
	case errors.Is(err, jwt.ErrInvalidAudience):
		return errors.New("the JWT is for another audience: its aud is none of the audiences of jwtIssuers in the IdentityConfiguration")
	case errors.Is(err, jwt.ErrExpired):
		return fmt.Errorf("the JWT expired on %s; get a new one from the issuer, and compare the clocks", at(c.Expiry))
	case errors.Is(err, jwt.ErrNotValidYet):
		return fmt.Errorf("the JWT is not valid before %s; compare the clocks", at(c.NotBefore))
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return fmt.Errorf("the JWT was issued in the future, on %s; compare the clocks", at(c.IssuedAt))
	case err != nil:
		return errors.New("the JWT's claims are not as they must be")
	case len(i.Audiences) == 0:
		return errors.New("no audience is configured for the JWT's issuer")
	}
	for name, want := range i.Required {
		if have, ok := all[name].(string); !ok || have != want {
			return fmt.Errorf("the JWT's claim %q is not what requiredClaims of the IdentityConfiguration says", name)
		}
	}
	return nil
}

// client reads an issuer's documents: it follows no redirect, so that only what the issuer's own
// address says counts.
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
