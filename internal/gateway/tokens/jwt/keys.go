// SPDX-License-Identifier: Apache-2.0

package jwt

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	// fresh is the time after which the next token causes a read of the keys. A key that the issuer
	// withdraws is refused after that read. If the issuer is unreachable, it stays valid.
	fresh = time.Hour
	// between is the minimum time between two reads, so that tokens with unknown key ids cause few
	// requests.
	between = 15 * time.Second
	// fetchTime limits one request to the issuer.
	fetchTime = 10 * time.Second
	// maxDocument limits the size of the issuer's documents, in bytes.
	maxDocument = 1 << 20
	// minRSA is the minimum length of an accepted RSA key, in bits (RFC 7518 §3.3).
	minRSA = 2048
)

// keys contains the public keys of one issuer. They are read again in the background if they are an
// hour old, and if a token names an unknown key, because issuers change keys without notice. The
// last keys stay in use while the issuer is unreachable.
type keys struct {
	issuer Issuer
	now    func() time.Time

	used atomic.Int64 // time when a token was last accepted, in seconds since 1970

	mu      sync.Mutex
	byID    map[string]jose.JSONWebKey
	read    time.Time     // when they were read
	tried   time.Time     // when the last read began
	failed  error         // why the last read failed
	reading chan struct{} // closed when the current read ends; nil if there is none
}

func newKeys(i Issuer, now func() time.Time) *keys { return &keys{issuer: i, now: now} }

// find returns the key that a token's header names.
func (k *keys) find(ctx context.Context, h jose.Header) (*jose.JSONWebKey, error) {
	k.mu.Lock()
	key, known := k.pick(h.KeyID)
	now := k.now()
	old := now.Sub(k.read) >= fresh
	if (!known || old) && k.reading == nil && now.Sub(k.tried) >= between {
		k.begin(now)
	}
	reading, have := k.reading, len(k.byID) > 0
	k.mu.Unlock()
	if !known && reading != nil {
		select {
		case <-reading:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
		k.mu.Lock()
		key, known = k.pick(h.KeyID)
		have = len(k.byID) > 0
		k.mu.Unlock()
	}
	switch {
	case known:
		return &key, nil
	case have:
		return nil, errors.New("the JWT is signed with a key that its issuer does not publish")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, k.failed)
}

// pick finds a key. A token without a key id matches the only key, if there is exactly one.
func (k *keys) pick(id string) (jose.JSONWebKey, bool) {
	if id == "" && len(k.byID) == 1 {
		for _, only := range k.byID {
			return only, true
		}
	}
	key, ok := k.byID[id]
	return key, ok
}

// begin reads the keys in the background. The caller has locked the mutex.
func (k *keys) begin(now time.Time) {
	k.tried = now
	done := make(chan struct{})
	k.reading = done
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*fetchTime)
		defer cancel()
		found, err := fetch(ctx, k.issuer)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.failed = err; err == nil {
			k.byID, k.read = found, k.now()
		}
		k.reading = nil
		close(done)
	}()
}

// fetch reads an issuer's discovery document (OpenID Connect Discovery §4), which must name the
// issuer exactly as configured, and the keys at its jwks_uri.
func fetch(ctx context.Context, i Issuer) (map[string]jose.JSONWebKey, error) {
	c, err := client(i)
	if err != nil {
		return nil, err
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, c), i.URL)
	if err != nil {
		return nil, errors.New("its discovery document can't be read, or names a different issuer")
	}
	var document struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil || document.Keys == "" {
		return nil, errors.New("its discovery document has no jwks_uri")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, document.Keys, nil)
	if err != nil {
		return nil, errors.New("its jwks_uri is not a valid URL")
	}
	answer, err := c.Do(r)
	if err != nil {
		return nil, errors.New("its keys can't be read")
	}
	defer answer.Body.Close()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its keys can't be read: %s", answer.Status)
	}
	if err := json.NewDecoder(answer.Body).Decode(&set); err != nil {
		return nil, errors.New("its keys are not a JSON Web Key Set")
	}
	return usable(set.Keys)
}

// usable returns the public keys for signatures. A key of an unknown kind is skipped (RFC 7517 §5).
func usable(raw []json.RawMessage) (map[string]jose.JSONWebKey, error) {
	out := map[string]jose.JSONWebKey{}
	for _, one := range raw {
		var key jose.JSONWebKey
		if json.Unmarshal(one, &key) != nil || !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
			continue
		}
		if rsaKey, ok := key.Key.(*rsa.PublicKey); ok && rsaKey.N.BitLen() < minRSA {
			continue
		}
		out[key.KeyID] = key
	}
	if len(out) == 0 {
		return nil, errors.New("it publishes no public key for signatures")
	}
	return out, nil
}

func transport(bundle []byte) (http.RoundTripper, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableKeepAlives = true // an hour until the next read
	if len(bundle) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(bundle) {
			return nil, errors.New("the caBundle of the issuer contains no PEM certificate")
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return t, nil
}

// bounded refuses responses that are too long.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxDocument)
	}
	return answer, err
}
