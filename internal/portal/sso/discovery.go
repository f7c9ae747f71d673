// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	// Timeout limits each request to the provider.
	Timeout = 10 * time.Second
	// maxDocument limits the size of a discovery document or key set, in bytes.
	maxDocument = 1 << 20
)

// Client returns an HTTP client with Timeout. It follows at most three redirects, and never from
// https to http.
func Client() *http.Client {
	return &http.Client{Timeout: Timeout, Transport: limited{http.DefaultTransport}, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) >= 3 {
			return errors.New("more than three redirects")
		}
		return secure(r.URL)
	}}
}

// limited truncates responses at maxDocument, so that no provider can fill the portal's memory.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxDocument), answer.Body}
	return answer, nil
}

// Discovery is the result of Check.
type Discovery struct {
	Issuer                string
	AuthorizationEndpoint string
	TokenEndpoint         string
	Keys                  int // signing keys in the key set, at least one
}

// CheckIssuer validates an issuer without contacting it: it must be an absolute https URL (http is
// allowed on loopback) without query and fragment (OpenID Connect Discovery 1.0 §3).
func CheckIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case issuer == "":
		return errors.New("enter the issuer URL of your identity provider, such as https://example.okta.com")
	case err != nil || u.Host == "":
		return fmt.Errorf("the issuer %q is not a URL such as https://example.okta.com", issuer)
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("the issuer %q has a query, a fragment or credentials; use the plain URL", issuer)
	case strings.HasSuffix(u.Path, "/.well-known/openid-configuration"):
		return fmt.Errorf("this is the address of the discovery document; the issuer is the part before /.well-known/openid-configuration")
	}
	return secure(u)
}

// Check reads the issuer's discovery document and key set. Its error describes the problem in one
// sentence. It needs neither client id nor secret. If client is nil, it uses Client().
func Check(ctx context.Context, client *http.Client, issuer string) (*Discovery, error) {
	if err := CheckIssuer(issuer); err != nil {
		return nil, err
	}
	if client == nil {
		client = Client()
	}
	ctx, cancel := context.WithTimeout(ctx, 2*Timeout)
	defer cancel()
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, client), issuer)
	if err != nil {
		return nil, explain(issuer, err)
	}
	var document struct {
		KeySet        string   `json:"jwks_uri"`
		ResponseTypes []string `json:"response_types_supported"`
	}
	if err := provider.Claims(&document); err != nil {
		return nil, fmt.Errorf("the discovery document of %s cannot be read: %w", issuer, err)
	}
	found := &Discovery{Issuer: issuer, AuthorizationEndpoint: provider.Endpoint().AuthURL, TokenEndpoint: provider.Endpoint().TokenURL}
	if err := checkEndpoints(found, document.KeySet, document.ResponseTypes); err != nil {
		return nil, err
	}
	found.Keys, err = countKeys(ctx, client, document.KeySet)
	return found, err
}

func checkEndpoints(d *Discovery, keySet string, responseTypes []string) error {
	for name, address := range map[string]string{"authorization_endpoint": d.AuthorizationEndpoint, "token_endpoint": d.TokenEndpoint, "jwks_uri": keySet} {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" {
			return fmt.Errorf("the discovery document of %s has no usable %s", d.Issuer, name)
		}
		if err := secure(u); err != nil {
			return fmt.Errorf("the %s of %s: %w", name, d.Issuer, err)
		}
	}
	if len(responseTypes) > 0 && !slices.Contains(responseTypes, "code") {
		return fmt.Errorf("%s does not offer the authorization code flow (response type \"code\")", d.Issuer)
	}
	return nil
}

func countKeys(ctx context.Context, client *http.Client, address string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, fmt.Errorf("the key set at %s: %w", address, err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("the key set cannot be reached: %w", err)
	}
	defer answer.Body.Close()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	err = json.NewDecoder(answer.Body).Decode(&set)
	if answer.StatusCode != http.StatusOK || err != nil || len(set.Keys) == 0 {
		return 0, fmt.Errorf("the key set at %s contains no signing keys (status %d)", address, answer.StatusCode)
	}
	return len(set.Keys), nil
}

// explain converts the library's errors into messages that an administrator can act on.
func explain(issuer string, err error) error {
	var network *net.OpError
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("the host of %s cannot be resolved; check the spelling", issuer)
	case errors.As(err, &network):
		return fmt.Errorf("%s cannot be reached from the portal: %w", issuer, network.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not respond within %d seconds", issuer, int(Timeout.Seconds()))
	case strings.Contains(err.Error(), "did not match the issuer"):
		return fmt.Errorf("the discovery document there names a different issuer than %s; enter the issuer exactly as the provider states it, with or without a trailing slash", issuer)
	}
	return fmt.Errorf("%s/.well-known/openid-configuration is not a discovery document%s; check the issuer URL", strings.TrimSuffix(issuer, "/"), statusOf(err))
}

// statusOf returns the status in the library's error, for the middle of a sentence. The rest of the
// error quotes the response, which can be that of an internal service: it is not shown.
func statusOf(err error) string {
	if status := httpStatus.FindString(err.Error()); status != "" {
		return " (the response is " + strings.TrimSpace(status) + ")"
	}
	return ""
}

// httpStatus is a status at the beginning of an error of the library.
var httpStatus = regexp.MustCompile(`^[1-5][0-9]{2}( [A-Z][A-Za-z-]*)*`)

// shorten limits how much of a provider's text appears in the portal's message.
func shorten(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 160 {
		text = text[:160] + "…"
	}
	return errors.New(strings.ToValidUTF8(text, ""))
}

// secure accepts https, and http on loopback.
func secure(u *url.URL) error {
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || (ip != nil && ip.IsLoopback())
	if u.Scheme == "https" || (u.Scheme == "http" && local) {
		return nil
	}
	return fmt.Errorf("%s does not use https; plain http is accepted only on the loopback address (127.0.0.1)", u.Redacted())
}

// discover returns the provider's endpoints and keys, from memory while they are fresh.
func (p *RelyingParty) discover(ctx context.Context, issuer string) (*oidc.Provider, error) {
	if err := CheckIssuer(issuer); err != nil {
		return nil, err
	}
	p.mu.Lock()
	k, ok := p.providers[issuer]
	p.mu.Unlock()
	if ok && time.Since(k.since) < discoveryLifetime {
		return k.provider, nil
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client()), issuer)
	if err != nil {
		return nil, explain(issuer, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.providers = map[string]known{issuer: {provider: provider, since: time.Now()}}
	return provider, nil
}

func (p *RelyingParty) client() *http.Client {
	if p.Client != nil {
		return p.Client
	}
	return Client()
}
