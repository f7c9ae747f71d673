// SPDX-License-Identifier: Apache-2.0

// Package samlidp starts a SAML identity provider for tests. It shares no SAML code with the
// portal: it is a program for Node on the package samlify. `make test-programs` installs Node and
// the package; the tests never skip. What the provider's responses say, and which key signs them,
// is part of its configuration, so that tests can make it say wrong things.
package samlidp

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// The names of the provider's keys. Foreign is the key of another provider; the certificate of
// Expired has ended.
const (
	Current = "current"
	Next    = "next"
	Foreign = "foreign"
	Expired = "expired"
)

// Password is the password of all users at the provider.
const Password = "demo provider password"

// Config is what the provider does. The zero value of a field means the right thing.
type Config struct {
	EntityID  string                    `json:"entityID,omitempty"` // default: the URL of the metadata
	Portal    string                    `json:"portal"`             // the URL of the portal's metadata
	Users     map[string]map[string]any `json:"users"`              // attributes by user name: strings or lists
	Published []string                  `json:"published"`          // names of the keys in the metadata; default: Current
	Signer    string                    `json:"signer"`             // name of a key; default: Current
	Signs     string                    `json:"signs,omitempty"`    // assertion (default), response, both or none
	Algorithm string                    `json:"algorithm,omitempty"`
	Claims    map[string]any            `json:"claims,omitempty"` // see idp.js; seconds is a map of times from now

	Password string         `json:"password"`
	Keys     map[string]key `json:"keys"`
}

type key struct {
	Key  string `json:"key"`
	Cert string `json:"cert"`
}

// Provider is a running provider.
type Provider struct {
	URL    string
	t      testing.TB
	stdin  io.Writer
	stdout *bufio.Scanner
}

// MetadataURL returns the address of the provider's metadata, which is its entity id.
func (p *Provider) MetadataURL() string { return p.URL + "/metadata" }

// Start starts a provider, which ends with the test.
func Start(t testing.TB, c Config) *Provider {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	here := filepath.Dir(file)
	modules := filepath.Join(here, "..", "..", "..", "bin", "samlidp", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "samlify")); err != nil {
		t.Fatalf("the SAML provider is not installed; run make test-programs (%v)", err)
	}
	command := exec.CommandContext(context.Background(), "node", filepath.Join(here, "idp.js")) // the cleanup ends it
	command.Env = append(os.Environ(), "NODE_PATH="+modules)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatalf("start the SAML provider: %v", err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // it ends
		_ = command.Wait()
	})
	p := &Provider{t: t, stdin: stdin, stdout: bufio.NewScanner(stdout)}
	p.URL = "http://127.0.0.1:" + p.line()
	p.Configure(c)
	return p
}

// Certificate returns the certificate of a key, in base64.
func Certificate(name string) string {
	block, _ := pem.Decode([]byte(keys()[name].Cert))
	return base64.StdEncoding.EncodeToString(block.Bytes)
}

// Configure replaces the provider's configuration.
func (p *Provider) Configure(c Config) {
	p.t.Helper()
	if c.Signer == "" {
		c.Signer = Current
	}
	if c.Published == nil {
		c.Published = []string{Current}
	}
	c.Password, c.Keys = Password, keys()
	text, err := json.Marshal(c)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.stdin.Write(append(text, '\n')); err != nil {
		p.t.Fatal(err)
	}
	if got := p.line(); got != "configured" {
		p.t.Fatalf("the SAML provider says %q", got)
	}
}

func (p *Provider) line() string {
	p.t.Helper()
	if !p.stdout.Scan() {
		p.t.Fatalf("the SAML provider ended: %v", p.stdout.Err())
	}
	return strings.TrimSpace(p.stdout.Text())
}

// keys makes the keys once for all tests of a process.
var keys = sync.OnceValue(func() map[string]key {
	all := map[string]key{}
	for i, name := range []string{Current, Next, Foreign, Expired} {
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name + ".example.test"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
		if name == Expired {
			template.NotAfter = time.Now().Add(-time.Minute)
		}
		certificate, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
		if err != nil {
			panic(err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			panic(err)
		}
		all[name] = key{Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
			Cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))}
	}
	return all
})
