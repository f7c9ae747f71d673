// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/crewjam/saml"
)

const (
	// metadataLifetime is the time after which a provider's metadata is read again.
	metadataLifetime = time.Hour
	// metadataRetry is the time between two attempts to read it: after a failure, and when a
	// signature does not fit.
	metadataRetry = 30 * time.Second
	// metadataPatience is the time for which metadata is used if it cannot be read again.
	metadataPatience = 24 * time.Hour
)

// knownMetadata is what a metadata URL published.
type knownMetadata struct {
	metadata *saml.EntityDescriptor // nil if it was never read
	since    time.Time              // when metadata was read
	tried    time.Time              // when it was last asked for
	err      error                  // of the last attempt
}

// SAMLProvider is the result of CheckSAML.
type SAMLProvider struct {
	EntityID     string
	Certificates []*x509.Certificate // that may sign, at least one
}

// MetadataClient returns an HTTP client with Timeout, which follows redirects only within the host
// of the first request, and truncates responses.
func MetadataClient() *http.Client {
	return &http.Client{Timeout: Timeout, Transport: limited{http.DefaultTransport}, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		first := via[0].URL
		if len(via) >= 3 || r.URL.Scheme != first.Scheme || r.URL.Host != first.Host {
			return errElsewhere
		}
		return nil
	}}
}

var errElsewhere = errors.New("it redirects to another address; enter that address if you trust it")

// CheckSAML reads the provider's metadata and returns an error, in one sentence, if users could not
// sign in with it. If client is nil, it uses MetadataClient().
func CheckSAML(ctx context.Context, client *http.Client, s SAMLSettings) (*SAMLProvider, error) {
	var metadata *saml.EntityDescriptor
	var err error
	if s.MetadataURL != "" {
		metadata, err = readMetadata(ctx, client, s.MetadataURL)
	} else {
		metadata, err = parseMetadata([]byte(s.Metadata))
	}
	if err != nil {
		return nil, err
	}
	return checkMetadata(metadata, time.Now())
}

// checkMetadata returns an error if users could not sign in with the metadata.
func checkMetadata(m *saml.EntityDescriptor, now time.Time) (*SAMLProvider, error) {
	certificates, err := signingCertificates(m)
	switch {
	case err != nil:
		return nil, err
	case m.EntityID == "" || len(m.EntityID) > maxIdentity:
		return nil, errors.New("the metadata has no entity id")
	case len(m.IDPSSODescriptors) == 0:
		return nil, errors.New("the metadata is not that of an identity provider; it has no IDPSSODescriptor")
	case !m.ValidUntil.IsZero() && !now.Before(m.ValidUntil):
		return nil, fmt.Errorf("the metadata was valid until %s; download it again", m.ValidUntil.UTC().Format(time.DateOnly))
	case len(certificates) == 0:
		return nil, errors.New("the metadata has no certificate for signatures")
	}
	for _, role := range m.IDPSSODescriptors {
		if role.WantAuthnRequestsSigned != nil && *role.WantAuthnRequestsSigned {
			return nil, fmt.Errorf("the provider %s wants signed requests, which the portal does not send; switch that off at the provider", m.EntityID)
		}
	}
	party := saml.ServiceProvider{IDPMetadata: m}
	address, err := url.Parse(party.GetSSOBindingLocation(saml.HTTPRedirectBinding))
	if err != nil || address.Host == "" {
		return nil, errors.New("the metadata has no single sign-on service with the binding HTTP-Redirect")
	}
	if err := secure(address); err != nil {
		return nil, fmt.Errorf("the single sign-on service: %w", err)
	}
	for _, c := range certificates {
		if !now.Before(c.NotBefore) && now.Before(c.NotAfter) {
			return &SAMLProvider{EntityID: m.EntityID, Certificates: certificates}, nil
		}
	}
	return nil, errors.New("no certificate in the metadata is valid now; renew it at the provider")
}

// signingCertificates returns the certificates that may sign responses.
func signingCertificates(m *saml.EntityDescriptor) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for _, role := range m.IDPSSODescriptors {
		for _, key := range role.KeyDescriptors {
			if key.Use != "" && key.Use != "signing" {
				continue
			}
			for _, text := range key.KeyInfo.X509Data.X509Certificates {
				der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text.Data), ""))
				if err != nil {
					return nil, fmt.Errorf("a certificate in the metadata cannot be read: %w", err)
				}
				certificate, err := x509.ParseCertificate(der)
				if err != nil {
					return nil, fmt.Errorf("a certificate in the metadata cannot be read: %w", err)
				}
				all = append(all, certificate)
			}
		}
	}
	return all, nil
}

// provider returns the provider's metadata. From a URL, it is read again after metadataLifetime, or
// if fresh, but not more often than every metadataRetry.
func (p *ServiceProvider) provider(ctx context.Context, s SAMLSettings, fresh bool) (*saml.EntityDescriptor, error) {
	if s.MetadataURL == "" {
		return usableMetadata(parseMetadata([]byte(s.Metadata)))
	}
	p.mu.Lock() // one request at a time asks the provider
	defer p.mu.Unlock()
	now := time.Now()
	if p.Now != nil {
		now = p.Now()
	}
	known := p.metadata[s.MetadataURL]
	if known == nil {
		known = &knownMetadata{}
		p.metadata = map[string]*knownMetadata{s.MetadataURL: known}
	}
	if (fresh || known.metadata == nil || now.Sub(known.since) >= metadataLifetime) && now.Sub(known.tried) >= metadataRetry {
		known.tried = now
		var read *saml.EntityDescriptor
		if read, known.err = usableMetadata(readMetadata(context.WithoutCancel(ctx), p.Client, s.MetadataURL)); known.err == nil {
			known.metadata, known.since = read, now
		}
	}
	if known.metadata == nil || known.err != nil && now.Sub(known.since) >= metadataPatience {
		return nil, known.err
	}
	return known.metadata, nil
}

func usableMetadata(m *saml.EntityDescriptor, err error) (*saml.EntityDescriptor, error) {
	if err == nil {
		_, err = checkMetadata(m, time.Now())
	}
	return m, err
}

// readMetadata reads the document at the address. Its errors never have a part of the response.
func readMetadata(ctx context.Context, client *http.Client, address string) (*saml.EntityDescriptor, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("the metadata URL %q is not a URL such as https://example.okta.com/app/…/sso/saml/metadata", address)
	}
	if err := secure(u); err != nil {
		return nil, err
	}
	if client == nil {
		client = MetadataClient()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("the metadata at %s: %w", address, err)
	}
	answer, err := client.Do(request)
	if err != nil {
		if errors.Is(err, errElsewhere) {
			return nil, fmt.Errorf("the metadata at %s: %w", address, errElsewhere)
		}
		return nil, fmt.Errorf("%s cannot be reached from the portal within %d seconds", address, int(Timeout.Seconds()))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s responds with %d instead of metadata", address, answer.StatusCode)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("%s stopped in the middle of the metadata", address)
	}
	return parseMetadata(text)
}

// parseMetadata parses an EntityDescriptor.
func parseMetadata(text []byte) (*saml.EntityDescriptor, error) {
	decoder := xml.NewDecoder(bytes.NewReader(text))
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil, errors.New("this is not SAML metadata: it is not XML with an EntityDescriptor")
		}
		switch t := token.(type) {
		case xml.Directive:
			return nil, errors.New("the metadata has a document type declaration, which the portal refuses")
		case xml.StartElement:
			if t.Name.Local != "EntityDescriptor" {
				return nil, errors.New("this is not the metadata of one provider: it does not begin with EntityDescriptor")
			}
			var m saml.EntityDescriptor
			if err := xml.Unmarshal(text, &m); err != nil {
				return nil, errors.New("the metadata is not well-formed")
			}
			return &m, nil
		}
	}
}
