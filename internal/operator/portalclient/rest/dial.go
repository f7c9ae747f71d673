// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
)

// HTTPClient returns a client for Options.HTTP with at most idle connections that are not in use.
// bundle contains the authorities that may sign the portal's certificate, in PEM. If it is empty,
// the system's authorities apply.
func HTTPClient(bundle []byte, idle int) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = idle
	if len(bundle) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(bundle) {
			return nil, errors.New("spec.portal.caBundle contains no PEM certificate")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport}, nil
}
