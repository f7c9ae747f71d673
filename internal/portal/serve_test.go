// SPDX-License-Identifier: Apache-2.0

package portal

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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
)

// writeCertificate writes a certificate for 127.0.0.1 with this serial number, and its key.
func writeCertificate(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "portal"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"tls.crt": {Type: "CERTIFICATE", Bytes: der}, "tls.key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCertificate(t *testing.T) {
	dir, clock, failures := t.TempDir(), time.Now(), 0
	c := &certificate{dir: dir, now: func() time.Time { return clock }, failed: func(error) { failures++ }}
	if _, err := c.get(nil); err == nil {
		t.Error("a folder without a certificate is accepted")
	}
	serves := func(serial int64, reason string) {
		t.Helper()
		pair, err := c.get(nil)
		if err != nil {
			t.Fatalf("%s: %v", reason, err)
		}
		if got := pair.Leaf.SerialNumber.Int64(); got != serial {
			t.Errorf("%s: the certificate is number %d, want %d", reason, got, serial)
		}
	}
	writeCertificate(t, dir, 1)
	serves(1, "The first certificate is read.")
	writeCertificate(t, dir, 2)
	serves(1, "The files are not read for each connection.")
	clock = clock.Add(recheck)
	serves(2, "A renewed certificate is used without a restart.")
	if err := os.WriteFile(filepath.Join(dir, "tls.crt"), []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(recheck)
	serves(2, "The old certificate is used while the new one cannot be read.")
	if failures != 1 {
		t.Errorf("%d failures were logged, want 1", failures)
	}
	writeCertificate(t, dir, 3)
	clock = clock.Add(recheck)
	serves(3, "The next complete certificate is used.")
}

func TestServeTLSAndMetrics(t *testing.T) {
	dir, addresses := t.TempDir(), make(chan string, 2)
	writeCertificate(t, dir, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	log := funcr.New(func(_, args string) {
		if _, address, found := strings.Cut(args, `ddress"="`); found {
			addresses <- strings.TrimSuffix(address, `"`)
		}
	}, funcr.Options{})
	go func() {
		ended <- Run(ctx, Options{Database: filepath.Join(t.TempDir(), "portal.db"), Listen: "127.0.0.1:0", MetricsListen: "127.0.0.1:0", TLSCertDir: dir, Log: log})
	}()
	var portal, metrics string
	for _, address := range []*string{&portal, &metrics} {
		select {
		case *address = <-addresses:
		case err := <-ended:
			t.Fatalf("the portal ended: %v", err)
		}
	}
	root, err := os.ReadFile(filepath.Join(dir, "tls.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(root)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	for _, c := range [][2]string{
		{"https://" + portal + "/readyz", "200 ok"}, {"https://" + portal + "/metrics", "404"}, {"http://" + portal + "/readyz", "400"},
		{"http://" + metrics + "/metrics", "portal_http_requests_total"}, {"http://" + metrics + "/api/v1/users", "404"},
	} {
		url, want := c[0], c[1]
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if got := response.Status[:3] + " " + string(text); err != nil || !strings.Contains(got, want) {
			t.Errorf("%s responds with %.200s (%v), want %s", url, got, err, want)
		}
	}
	client.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("stopped: %v", err)
	}
}

func TestReadDatabaseURL(t *testing.T) {
	const url = "postgres://portal:demo@db.example.test/portal"
	if got, err := ReadDatabaseURL(file(t, url+"\n")); err != nil || got != url {
		t.Errorf("got %q (%v), want %q", got, err, url)
	}
	for _, path := range []string{file(t, "portal.db"), file(t, ""), "", filepath.Join(t.TempDir(), "missing")} {
		if got, err := ReadDatabaseURL(path); err == nil {
			t.Errorf("%q is accepted as %q", path, got)
		}
	}
}
