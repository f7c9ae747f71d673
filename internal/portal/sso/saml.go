// SPDX-License-Identifier: Apache-2.0

package sso

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/crewjam/saml"
	"golang.org/x/oauth2"
)

const (
	// SAMLMetadataPath serves the portal's metadata. The portal's entity id is the public URL
	// followed by this path.
	SAMLMetadataPath = "/sso/saml/metadata"
	// SAMLConsumerPath is the path to which the provider posts its response (assertion consumer
	// service).
	SAMLConsumerPath = "/sso/saml/acs"

	// SAMLResponseField is the field of the response in the provider's form (SAML bindings §3.5.4).
	SAMLResponseField = "SAMLResponse"
	// RelayStateField is the field with the state that the portal sent.
	RelayStateField = "RelayState"
)

// SAMLSettings identify this portal as a SAML 2.0 service provider, and its identity provider.
type SAMLSettings struct {
	EntityID    string // of the portal: absolute, ends in SAMLMetadataPath
	ConsumerURL string // absolute, ends in SAMLConsumerPath
	MetadataURL string // of the identity provider: https, or http on loopback
	Metadata    string // the identity provider's metadata, if MetadataURL is empty

	IDAttribute       string // the attribute with the user's immutable id; empty: the NameID, and Entra ID's object id
	UserNameAttribute string // the attribute with the user name; empty: the NameID
}

// ServiceProvider runs sign-ins by SAML 2.0 (web browser SSO profile): the request by
// HTTP-Redirect, the response by HTTP-POST. It accepts only responses to its own requests, with one
// assertion, where the assertion or the response is signed with a certificate of the provider's
// metadata. Its methods are safe for concurrent use.
//
// The browser sends no SameSite=Lax cookie with the provider's form. Where Begun is false, the
// caller lets the browser send the same form again from a page of this portal.
type ServiceProvider struct {
	// Insecure omits the Secure attribute of the cookie, for plain http on loopback.
	Insecure bool
	// Client reads the provider's metadata; nil means MetadataClient().
	Client *http.Client
	// Use records that the issuer's assertion is used, and reports whether it was unused. It must
	// decide the same on all replicas.
	Use func(ctx context.Context, issuer, assertionID string, until time.Time) (first bool, err error)
	// Now is the clock for reading the metadata again; nil means time.Now.
	Now func() time.Time

	mu       sync.Mutex
	metadata map[string]*knownMetadata // by URL
}

// SAMLIssuer returns the issuer of the identities that the provider with the entity id asserts. It
// never equals an issuer of OpenID Connect, and it is another one for each attribute with the id: a
// value of one attribute must not sign in as the user with that value of another one.
func SAMLIssuer(entityID, idAttribute string) string {
	issuer := samlScheme + entityID
	if idAttribute != "" {
		issuer += "#" + idAttribute
	}
	return issuer
}

const samlScheme = "saml:"

// Prepare begins a sign-in: it sets the cookie and returns the provider's address. If it returns an
// error, it has set nothing.
func (p *ServiceProvider) Prepare(w http.ResponseWriter, r *http.Request, s SAMLSettings, purpose Purpose) (string, error) {
	metadata, err := p.provider(r.Context(), s, false)
	if err != nil {
		return "", &Refusal{Message: unreachable, Cause: err}
	}
	party := s.party(metadata)
	request, err := party.MakeAuthenticationRequest(party.GetSSOBindingLocation(saml.HTTPRedirectBinding), saml.HTTPRedirectBinding, saml.HTTPPostBinding)
	if err != nil {
		return "", &Refusal{Message: unreachable, Cause: err}
	}
	a := attempt{
		State:    oauth2.GenerateVerifier(),
		Nonce:    request.ID,
		Issuer:   SAMLIssuer(metadata.EntityID, s.IDAttribute),
		ReturnTo: purpose.ReturnTo,
		Link:     purpose.Link,
	}
	target, err := request.Redirect(a.State, party)
	if err != nil {
		return "", &Refusal{Message: unreachable, Cause: err}
	}
	http.SetCookie(w, a.cookie(p.Insecure))
	return target.String(), nil
}

// Begun reports whether the request has the cookie of a sign-in in progress.
func Begun(r *http.Request, insecure bool) bool {
	_, ok := readAttempt(r, insecure)
	return ok
}

// Finish handles the provider's response at SAMLConsumerPath. It returns the identity that the
// provider asserts, and the purpose of Prepare. A *Refusal may be shown; other errors are failures
// of the portal. Finish uses up the attempt, also when it fails, and a valid assertion.
func (p *ServiceProvider) Finish(w http.ResponseWriter, r *http.Request, s SAMLSettings) (Identity, Purpose, error) {
	a, ok := readAttempt(r, p.Insecure)
	http.SetCookie(w, spent(p.Insecure))
	if !ok {
		return Identity{}, Purpose{}, &Refusal{Message: "This sign-in was not started in this browser, or has expired. Start at the portal: click Sign in with SSO here, not the portal's tile at the identity provider."}
	}
	if !same(r.PostForm.Get(RelayStateField), a.State) {
		return Identity{}, Purpose{}, &Refusal{Message: "The identity provider's response belongs to another sign-in (RelayState). Please sign in again."}
	}
	metadata, err := p.provider(r.Context(), s, false)
	if err != nil {
		return Identity{}, Purpose{}, &Refusal{Message: unreachable, Cause: err}
	}
	if a.Issuer != SAMLIssuer(metadata.EntityID, s.IDAttribute) {
		return Identity{}, Purpose{}, &Refusal{Message: "The response came from an identity provider that is not the configured one. Please sign in again."}
	}
	assertion, err := p.verify(r.Context(), s, metadata, r.PostForm.Get(SAMLResponseField), a.Nonce)
	if err != nil {
		return Identity{}, Purpose{}, err
	}
	identity, err := s.identify(metadata.EntityID, assertion)
	if err != nil {
		return Identity{}, Purpose{}, err
	}
	return identity, Purpose{ReturnTo: a.ReturnTo, Link: a.Link}, nil
}

const unreachable = "The identity provider is not reachable. Try again in a minute, or ask your administrator to check the login methods."

// verify returns the assertion of the response if it is valid and unused. If no certificate of
// the metadata made the signature, it reads the metadata again: the provider may have a new one.
func (p *ServiceProvider) verify(ctx context.Context, s SAMLSettings, metadata *saml.EntityDescriptor, encoded, requestID string) (*saml.Assertion, error) {
	document, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(document) == 0 {
		return nil, &Refusal{Message: "The identity provider's response cannot be read. Please sign in again.", Cause: err}
	}
	if err := checkShape(document); err != nil {
		return nil, &Refusal{Message: "The identity provider's response was refused: " + err.Error() + "."}
	}
	replay := &replays{ctx: ctx, issuer: SAMLIssuer(metadata.EntityID, s.IDAttribute), use: p.Use}
	parse := func(m *saml.EntityDescriptor) (*saml.Assertion, error) {
		party := s.party(m)
		party.ReplayCache = replay
		return party.ParseXMLResponse(document, []string{requestID}, party.AcsURL)
	}
	assertion, err := parse(metadata)
	if errors.Is(err, saml.ErrInvalidSignature) && s.MetadataURL != "" {
		if newer, refreshErr := p.provider(ctx, s, true); refreshErr == nil && newer != metadata && newer.EntityID == metadata.EntityID {
			assertion, err = parse(newer)
		}
	}
	switch {
	case replay.failed != nil:
		return nil, replay.failed
	case err != nil:
		return nil, refusedResponse(err)
	}
	return assertion, nil
}

// replays adapts Use to the library, for one response.
type replays struct {
	ctx    context.Context
	issuer string
	use    func(ctx context.Context, issuer, assertionID string, until time.Time) (bool, error)
	failed error // a failure of the portal
}

// Consume implements saml.AssertionReplayCache.
func (r *replays) Consume(id string, until time.Time) error {
	first, err := r.use(r.ctx, r.issuer, id, until)
	switch {
	case err != nil:
		r.failed = fmt.Errorf("record the assertion as used: %w", err)
		return err
	case !first:
		return saml.ErrAssertionReplayed
	}
	return nil
}

// party returns the library's service provider, with its strict options.
func (s SAMLSettings) party(metadata *saml.EntityDescriptor) *saml.ServiceProvider {
	consumer, err := url.Parse(s.ConsumerURL)
	if err != nil {
		consumer = &url.URL{} // equals no recipient
	}
	return &saml.ServiceProvider{
		EntityID:    s.EntityID,
		AcsURL:      *consumer,
		IDPMetadata: metadata,

		AuthnNameIDFormat:                saml.UnspecifiedNameIDFormat, // the provider's setting decides
		AssertionConsumerServiceBindings: []string{saml.HTTPPostBinding},
		MetadataOmitValidUntil:           true,
		RejectExpiredIDPMetadata:         true,
		RejectSHA1Signatures:             true,
		RejectUnknownConditions:          true,
		LimitRelayStateLength:            true,
	}
}

// PortalMetadata returns the portal's own metadata, for providers that read it.
func PortalMetadata(s SAMLSettings) ([]byte, error) {
	text, err := xml.MarshalIndent(s.party(nil).Metadata(), "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the portal's SAML metadata: %w", err)
	}
	return append([]byte(xml.Header), text...), nil
}

// entraObjectID is the attribute with the immutable id of a user of Entra ID.
const entraObjectID = "http://schemas.microsoft.com/identity/claims/objectidentifier"

// maxIdentity limits the length of an id or a user name, in bytes.
const maxIdentity = 1024

// identify reads the identity from a verified assertion.
func (s SAMLSettings) identify(entityID string, a *saml.Assertion) (Identity, error) {
	i := Identity{Issuer: SAMLIssuer(entityID, s.IDAttribute), Subject: a.Subject.NameID.Value, UserName: a.Subject.NameID.Value}
	var err error
	switch {
	case s.IDAttribute != "":
		i.Subject, err = attribute(a, s.IDAttribute)
	case saml.NameIDFormat(a.Subject.NameID.Format) == saml.TransientNameIDFormat:
		err = &Refusal{Message: "The identity provider sends a name that is another one at each sign-in (a transient NameID). Ask your administrator to choose another NameID format there."}
	case fromEntra(i.Issuer):
		i.ObjectID, _ = attribute(a, entraObjectID)
	}
	if err == nil && s.UserNameAttribute != "" {
		i.UserName, err = attribute(a, s.UserNameAttribute)
	}
	if err != nil {
		return Identity{}, err
	}
	if i.Subject == "" || len(i.Subject) > maxIdentity || len(i.UserName) > maxIdentity {
		return Identity{}, &Refusal{Message: "The identity provider sends no usable name of the user. Ask your administrator to check the NameID and the attributes there."}
	}
	return i, nil
}

// attribute returns the one value of the attribute with the name.
func attribute(a *saml.Assertion, name string) (string, error) {
	var values []string
	for _, statement := range a.AttributeStatements {
		for _, attribute := range statement.Attributes {
			if attribute.Name != name {
				continue
			}
			for _, v := range attribute.Values {
				values = append(values, v.Value)
			}
		}
	}
	if len(values) != 1 || values[0] == "" {
		return "", &Refusal{Message: fmt.Sprintf("The identity provider sends %d values of the attribute %q, and the portal needs one. Ask your administrator to check the attributes there and the login methods here.", len(values), name)}
	}
	return values[0], nil
}

// refusedResponse converts the library's errors into refusals.
func refusedResponse(err error) *Refusal {
	cause := err
	if e := new(saml.InvalidResponseError); errors.As(err, &e) {
		cause = e.PrivateErr
	}
	var status saml.ErrBadStatus
	if errors.As(err, &status) {
		return &Refusal{Message: "The identity provider refused the sign-in (" + shorten(errors.New(status.Status[strings.LastIndex(status.Status, ":")+1:])).Error() + ")."}
	}
	for _, known := range []struct {
		err  error
		text string
	}{
		{saml.ErrAssertionReplayed, "it was used already. Please sign in again"},
		{saml.ErrUntrustedCertificate, "its certificate is not in the provider's metadata. Ask your administrator to check the metadata in the login methods"},
		{saml.ErrCertificateNotValidNow, "its certificate has expired or is not valid yet. Ask your administrator to renew it at the provider"},
		{saml.ErrInvalidSignature, "its signature is not valid"},
		{saml.ErrAudienceMismatch, "it is for another application (audience)"},
		{saml.ErrDestinationMismatch, "it is for another address (recipient)"},
		{saml.ErrRequestIDMismatch, "it answers another sign-in (InResponseTo). Please sign in again"},
		{saml.ErrIssuerMismatch, "another provider issued it"},
		{saml.ErrExpired, "it has expired. Try again; if the error persists, the clocks of the provider and the portal differ"},
		{saml.ErrNotYetValid, "it is not valid yet: the clocks of the provider and the portal differ"},
		{saml.ErrMissingElement, "a required part is missing"},
		{saml.ErrUnsupported, "it has a condition or a version that the portal does not know"},
	} {
		if errors.Is(err, known.err) {
			return &Refusal{Message: "The identity provider's response was refused: " + known.text + ".", Cause: cause}
		}
	}
	return &Refusal{Message: "The identity provider's response could not be verified. Please sign in again.", Cause: cause}
}
