package rest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
)

// HTTPClient makes a client for Options.HTTP that keeps that many idle connections at most. bundle
// is PEM of the authorities that sign the portal's certificate; empty: the system's.
func HTTPClient(bundle []byte, idle int) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = idle
	if len(bundle) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(bundle) {
			return nil, errors.New("spec.portal.caBundle holds no PEM certificate")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport}, nil
}
