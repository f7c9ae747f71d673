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
	// fresh is how long keys are used without asking the issuer again; one that it takes back is
	// noticed by then.
	fresh = time.Hour
	// between is the least time between two readings, whoever sends what: a token with a made-up
	// key id costs the issuer nothing.
	between = 15 * time.Second
	// fetchTime bounds one request to the issuer.
	fetchTime = 10 * time.Second
	// maxDocument bounds what is read of the issuer's documents, in bytes.
	maxDocument = 1 << 20
	// leastRSA is the shortest RSA key that is accepted, in bits (RFC 7518 §3.3).
	leastRSA = 2048
)

// keys are one issuer's public keys as last read. They are read again when they are an hour old,
// beside the requests, and when a token names one that is not among them, since issuers change keys
// without notice. What was read stays in use while the issuer does not answer.
type keys struct {
	issuer Issuer
	now    func() time.Time

	used atomic.Int64 // when a token was last accepted, in seconds since 1970

	mu      sync.Mutex
	byID    map[string]jose.JSONWebKey
	read    time.Time     // when they were read
	tried   time.Time     // when reading began last
	failed  error         // why the last reading failed
	reading chan struct{} // closed when the reading under way ends; nil for none
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

// pick finds a key. A token without a key id is taken for signed with the only one, if there is
// just one.
func (k *keys) pick(id string) (jose.JSONWebKey, bool) {
	if id == "" && len(k.byID) == 1 {
		for _, only := range k.byID {
			return only, true
		}
	}
	key, ok := k.byID[id]
	return key, ok
}

// begin reads the keys beside the requests. The lock is held.
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
// issuer as we do, and the keys that it points to.
func fetch(ctx context.Context, i Issuer) (map[string]jose.JSONWebKey, error) {
	c, err := client(i)
	if err != nil {
		return nil, err
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, c), i.URL)
	if err != nil {
		return nil, errors.New("its discovery document can't be read, or names another issuer")
	}
	var document struct {
		Keys string `json:"jwks_uri"`
	}
	if err := provider.Claims(&document); err != nil || document.Keys == "" {
		return nil, errors.New("its discovery document has no jwks_uri")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, document.Keys, nil)
	if err != nil {
		return nil, errors.New("its jwks_uri is no address")
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
		return nil, errors.New("its keys are no JSON Web Key Set")
	}
	return usable(set.Keys)
}

// usable keeps the public keys that may sign. One that we do not know the kind of harms no other
// (RFC 7517 §5).
func usable(raw []json.RawMessage) (map[string]jose.JSONWebKey, error) {
	out := map[string]jose.JSONWebKey{}
	for _, one := range raw {
		var key jose.JSONWebKey
		if json.Unmarshal(one, &key) != nil || !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
			continue
		}
		if rsaKey, ok := key.Key.(*rsa.PublicKey); ok && rsaKey.N.BitLen() < leastRSA {
			continue
		}
		out[key.KeyID] = key
	}
	if len(out) == 0 {
		return nil, errors.New("it publishes no public key that may sign")
	}
	return out, nil
}

func transport(bundle []byte) (http.RoundTripper, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableKeepAlives = true // an hour until the next reading
	if len(bundle) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(bundle) {
			return nil, errors.New("the caBundle of the issuer holds no PEM certificate")
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return t, nil
}

// bounded cuts answers that are too long.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxDocument)
	}
	return answer, err
}
