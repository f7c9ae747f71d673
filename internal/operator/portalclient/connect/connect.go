// SPDX-License-Identifier: Apache-2.0

// Package connect makes the client of the portal that an IdentityConfiguration names, with the
// driver that it names.
package connect

import (
	"context"
	"fmt"
	"net/http"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/ledger"
	"lightrun.com/scim-operator/internal/operator/portalclient/rest"
	"lightrun.com/scim-operator/internal/operator/portalclient/scimtarget"
)

// Options are what the program contributes.
type Options struct {
	Idle      int                                       // connections that are kept while they are not in use
	Transport func(http.RoundTripper) http.RoundTripper // wraps the connection, such as with traces; nil if nothing does
	RequestID func(context.Context) string              // id of the request that caused a call; nil if it is not known
	Leader    string                                    // this process; "" for a program that only reads

	// What the driver SCIM stores in the cluster, and reads from it.
	Namespace string
	Cached    client.Reader // reads ScimUsers, many at a time
	Live      client.Reader // reads the ledger, without a cache
	Writer    client.Client
}

// Client returns the client of the portal. key is the value of the Secret's key (Portal.SecretKey).
func Client(p v1alpha1.Portal, key string, o Options) (portalapi.Client, error) {
	dialed, err := rest.HTTPClient(p.CABundle, o.Idle)
	if err != nil {
		return nil, err
	}
	if o.Transport != nil {
		dialed.Transport = o.Transport(dialed.Transport)
	}
	switch p.Driver {
	case "", v1alpha1.PortalDriverContract:
		return rest.New(rest.Options{
			URL: p.URL, Key: func(context.Context) (string, error) { return key, nil }, HTTP: dialed, RequestID: o.RequestID, Leader: o.Leader,
		})
	case v1alpha1.PortalDriverSCIM:
		return target(p, key, dialed, o)
	}
	return nil, fmt.Errorf("spec.portal.driver is %q; use Contract or SCIM", p.Driver)
}

func target(p v1alpha1.Portal, key string, dialed *http.Client, o Options) (portalapi.Client, error) {
	t := p.SCIM
	if t == nil {
		t = &v1alpha1.SCIMTarget{}
	}
	if c := t.OAuth; c != nil {
		dialed.Transport = scimtarget.OAuth(dialed.Transport, scimtarget.ClientCredentials{
			TokenURL: c.TokenURL, ClientID: c.ClientID, Secret: key, Scopes: c.Scopes, Audience: c.Audience,
		})
	} else {
		dialed.Transport = scimtarget.Bearer(dialed.Transport, func() (string, error) { return key, nil })
	}
	return scimtarget.New(scimtarget.Options{
		URL: p.URL, HTTP: dialed, Leader: o.Leader, Concurrency: int(t.Concurrency),
		Roles: t.Roles == nil || *t.Roles, Groups: t.Groups == nil || *t.Groups,
		Ledger:   ledger.New(o.Live, o.Writer, o.Namespace),
		Profiles: ledger.Profiles{Users: o.Cached, Namespace: o.Namespace},
	})
}
