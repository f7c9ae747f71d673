// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/kernel/tokenfile"
	"lightrun.com/scim-operator/test/framework/controlplane"
)

func TestMain(m *testing.M) { controlplane.Main(m) }

// address returns a free address on loopback.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certificate writes tls.crt and tls.key for 127.0.0.1 and returns a client that trusts the
// certificate.
func certificate(t *testing.T, dir string) *http.Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "tls.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestService starts the whole process except for its flags: probes, metrics, TLS, a token that is
// added at run time, and a shutdown that finishes the current request while the process is alive
// and not ready.
func TestService(t *testing.T) {
	cp := controlplane.Get(t)
	namespace := cp.Namespace(t)
	idp := newIssuer(t)
	configure(t, cp, namespace, idp.trusts()...)
	tokenDir, certDir := t.TempDir(), t.TempDir()
	client := certificate(t, certDir)
	o := &options{
		listen: address(t), healthListen: address(t), metricsListen: address(t), namespace: namespace,
		timeouts: defaultTimeouts(), tokenDirs: list{tokenDir}, tlsCertDir: certDir, rate: 1000, burst: 1000,
	}
	s, err := newService(o, cp.Config, nil, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()

	get := func(url, token string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(body)
	}
	until := func(url, token string, status int) string {
		t.Helper()
		deadline := time.After(30 * time.Second)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			have, body := get(url, token)
			if have == status {
				return body
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("%s: %d %s, want %d", url, have, body, status)
			}
		}
	}
	until("http://"+o.healthListen+"/readyz", "", 200)
	until("http://"+o.healthListen+"/healthz", "", 200)
	users := "https://" + o.listen + "/scim/v2/Users"
	until(users, "secret", 401)
	write(t, filepath.Join(tokenDir, "tokens"), tokenfile.Format([]tokenfile.Entry{{Digest: tokenfile.Digest("secret"), Name: "first", Provider: provider.ID{Type: provider.Okta}, Expires: time.Now().Add(time.Hour)}}))
	until(users, "secret", 200)
	until(users, idp.token(t, "okta"), 200)
	if other := until(users, idp.token(t, "entra"), 403); !strings.Contains(other, "EntraID") || !strings.Contains(other, "Okta") {
		t.Errorf("the refusal must name both providers: %s", other)
	}
	metrics := until("http://"+o.metricsListen+"/metrics", "", 200)
	for _, name := range []string{"scim_requests_total", "scim_directory_objects", "scim_directory_lag_seconds", "scim_directory_watched_timestamp_seconds", "scim_jwt_keys_read_timestamp_seconds", "scim_request_duration_seconds_bucket", "scim_tokens 1", "scim_token_expiry_timestamp_seconds", "scim_token_last_used_timestamp_seconds", "go_goroutines"} {
		if !strings.Contains(metrics, name) {
			t.Errorf("/metrics lacks %s", name)
		}
	}

	slow, started := slowPost(t, client, users)
	<-started
	stop()
	if body := until("http://"+o.healthListen+"/readyz", "", 503); body != "stopping\n" {
		t.Errorf("/readyz of a stopping process responds with %q, want stopping", body)
	}
	until("http://"+o.healthListen+"/healthz", "", 200)
	slow <- `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"late@example.test"}`
	if answer := <-slow; answer != "201 Created" {
		t.Errorf("a current request must be finished: %s", answer)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestHealthAddressInUse: a service without its health server ends, so that Kubernetes restarts it.
func TestHealthAddressInUse(t *testing.T) {
	cp := controlplane.Get(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	o := &options{listen: address(t), healthListen: taken.Addr().String(), namespace: cp.Namespace(t), tokenDirs: list{t.TempDir()}, timeouts: defaultTimeouts()}
	s, err := newService(o, cp.Config, nil, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.run(t.Context()); err == nil || !strings.Contains(err.Error(), "listen for health") {
		t.Errorf("got %v, want an error about the health address", err)
	}
}

func configure(t *testing.T, cp *controlplane.ControlPlane, namespace string, trusts ...v1alpha1.JWTIssuer) {
	t.Helper()
	c := &v1alpha1.IdentityConfiguration{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.DefaultName},
		Spec: v1alpha1.IdentityConfigurationSpec{
			Portal:           v1alpha1.Portal{URL: "http://127.0.0.1:1", CredentialsSecretRef: v1alpha1.LocalReference{Name: "portal"}},
			IdentityProvider: v1alpha1.IdentityProvider{Type: v1alpha1.ProviderOkta},
			JWTIssuers:       trusts,
		},
	}
	if err := cp.Client.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	c.Status.Provider = &v1alpha1.BoundProvider{Type: v1alpha1.ProviderOkta}
	c.Status.LoginMethods = &v1alpha1.EffectiveLoginMethods{SSO: true, SCIM: true, ProvisionGroups: true}
	if err := cp.Client.Status().Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// slowPost sends the header of a POST; it sends the body when it is put into the channel, and then
// returns the status through the channel. It closes started when the server requests the body.
func slowPost(t *testing.T, client *http.Client, url string) (body chan string, started chan struct{}) {
	t.Helper()
	body, started = make(chan string), make(chan struct{})
	reader, writer := io.Pipe()
	trace := &httptrace.ClientTrace{Got100Continue: func() { close(started) }}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.WithoutCancel(t.Context()), trace), http.MethodPost, url, reader)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer secret")
	r.Header.Set("Content-Type", "application/scim+json")
	r.Header.Set("Expect", "100-continue") // answered when the handler reads the body
	go func() {
		_, _ = writer.Write([]byte(<-body))
		_ = writer.Close()
	}()
	go func() {
		response, err := client.Do(r)
		if err != nil {
			body <- err.Error()
			return
		}
		defer response.Body.Close()
		body <- response.Status
	}()
	return body, started
}

func TestSetLevel(t *testing.T) {
	for level, ok := range map[string]bool{"debug": true, "info": true, "error": true, "loud": false} {
		o := &options{}
		if err := setLevel(&o.log, level); (err == nil) != ok {
			t.Errorf("%s: %v", level, err)
		}
	}
}
