// SPDX-License-Identifier: Apache-2.0

package scimtarget

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Bearer returns a transport that adds the token to each request. token is called for each request,
// so that it can be rotated. next is nil for the default transport.
func Bearer(next http.RoundTripper, token func() (string, error)) http.RoundTripper {
	return &oauth2.Transport{Base: next, Source: source(token)}
}

type source func() (string, error)

// Token implements oauth2.TokenSource.
func (s source) Token() (*oauth2.Token, error) {
	t, err := s()
	if err != nil {
		return nil, fmt.Errorf("get the target's token: %w", err)
	}
	return &oauth2.Token{AccessToken: t, TokenType: "Bearer"}, nil
}

// ClientCredentials are the client's part of an OAuth 2.0 client credentials grant (RFC 6749 §4.4).
type ClientCredentials struct {
	TokenURL, ClientID, Secret string
	Scopes                     []string
	Audience                   string // sent as audience; empty sends none
}

// OAuth returns a transport that adds an access token to each request, and gets a new one before it
// expires. The token's URL is called through next too.
func OAuth(next http.RoundTripper, c ClientCredentials) http.RoundTripper {
	config := clientcredentials.Config{TokenURL: c.TokenURL, ClientID: c.ClientID, ClientSecret: c.Secret, Scopes: c.Scopes}
	if c.Audience != "" {
		config.EndpointParams = url.Values{"audience": {c.Audience}}
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: next, Timeout: defaultTimeout})
	return &oauth2.Transport{Base: next, Source: config.TokenSource(ctx)}
}
