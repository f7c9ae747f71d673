// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/store"
	"lightrun.com/scim-operator/test/framework/postgres"
)

// TestManual runs the commands of the page about the portal's database, in the order of the page,
// in a folder with the portal.db of a portal and its key files.
func TestManual(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "operations", "portal-storage.md"))
	if err != nil {
		t.Fatal(err)
	}
	server := postgres.Start(t).Database(t)
	t.Chdir(t.TempDir())
	makePortal(t, "portal.db")
	ran := 0
	for _, block := range strings.Split(string(page), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, line := range strings.Split(strings.TrimSpace(block), "\n") {
			args := strings.Fields(strings.ReplaceAll(line, "postgres://portal@db.example.test/portal", server))
			if args[0] != "portal" {
				t.Fatalf("%s: only the program portal runs here", line)
			}
			var out bytes.Buffer
			if err := run(t.Context(), args[1:], portal.Streams{Out: &out, Err: &out}); err != nil {
				t.Fatalf("%s: %v\n%s", line, err, &out)
			}
			t.Logf("$ %s\n%s", line, &out)
			ran++
		}
	}
	if ran < 6 {
		t.Errorf("the page has %d commands", ran)
	}
	for _, database := range []string{"restored.db", server, "moved-back.db"} {
		s := openPortal(t, database)
		if sso, err := s.SSO(t.Context()); err != nil || sso.ClientSecret != "demo-client-secret" {
			t.Errorf("%s has the client secret %q (%v)", database, sso.ClientSecret, err)
		}
	}
}

// makePortal makes a portal with one manager and encrypted secrets.
func makePortal(t *testing.T, database string) {
	t.Helper()
	for i, name := range []string{"secret-keys", "audit-keys"} {
		key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(i)}, 32))
		if err := os.WriteFile(name, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := openPortal(t, database)
	actor := store.SystemActor("test")
	if err := s.EnsureManager(t.Context(), actor, "admin@example.test", "demo admin password"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.SaveLoginMethods(t.Context(), actor, portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test",
		ClientID: "portal", ClientSecret: "demo-client-secret"}}, nil, false); err != nil {
		t.Fatal(err)
	}
}

func openPortal(t *testing.T, database string) *store.Store {
	t.Helper()
	ring := func(file string) *store.Keyring {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := store.ParseKeyring(string(text))
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	s, err := store.Open(t.Context(), store.Options{Database: database, SecretKeys: ring("secret-keys"), AuditKeys: ring("audit-keys")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
