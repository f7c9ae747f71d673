// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/test/framework/devoidc"
	"lightrun.com/scim-operator/test/framework/poll"
	"lightrun.com/scim-operator/test/framework/postgres"
)

const (
	manageKey       = "demo-manage-key-0123456789"
	provisioningKey = "demo-provisioning-key-0123456789"
)

// TestShippedPortal builds portal-conformance and the portal of this repository, and runs the one
// against the other, on SQLite and on PostgreSQL.
func TestShippedPortal(t *testing.T) {
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin, "../portal", ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	issuer := startIssuer(t)
	for name, database := range map[string]string{"SQLite": filepath.Join(t.TempDir(), "portal.db"), "PostgreSQL": postgres.Start(t).Database(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := startPortal(t, bin, database)
			code, out := conformance(t, bin, "--issuer", issuer, "--provisioning-key", provisioningKey, url, manageKey)
			tests, notApplicable := passed(out), strings.Count(out, "not applicable: ")
			// 4 tests need the portal's clock, 2 its feed and 1 a SAML provider.
			if code != 0 || tests < 100 || notApplicable > 7 {
				t.Errorf("exit status %d, %d tests passed and %d were not applicable:\n%s", code, tests, notApplicable, out)
			}
			t.Logf("%d tests passed, %d were not applicable", tests, notApplicable)
			if code, out := conformance(t, bin, "--issuer", issuer, "--run", "Accounts/A_rename", "--provisioning-key", provisioningKey, url, manageKey); code != 0 || passed(out) != 1 {
				t.Errorf("a single test, on the portal that the first run cleaned up: exit status %d:\n%s", code, out)
			}
			addUser(t, url)
			if code, out := conformance(t, bin, "--issuer", issuer, "--provisioning-key", provisioningKey, url, manageKey); code != 2 || !strings.Contains(out, "it must have no user but one local manager") {
				t.Errorf("on a portal in use: exit status %d:\n%s", code, out)
			}
		})
	}
}

// TestWrongUse checks that the program says what is wrong with its arguments, and with a server
// that cannot be tested.
func TestWrongUse(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no URL":      {nil, "name the URL of the portal"},
		"no issuer":   {[]string{"http://127.0.0.1:1", "key"}, "--issuer is required"},
		"half SAML":   {[]string{"--issuer", "x", "--saml-metadata-url", "x", "http://127.0.0.1:1", "key"}, "need each other"},
		"unreachable": {[]string{"--issuer", "x", "http://127.0.0.1:1", "key"}, "connection refused"},
		"no portal":   {[]string{"--issuer", "x", serve(t, http.StatusOK, "<html>"), "key"}, "is this URL a portal?"},
		"wrong key":   {[]string{"--issuer", "x", serve(t, http.StatusUnauthorized, `{"code":"UNAUTHENTICATED","message":"unknown"}`), "key"}, "answers 401"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(c.args, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func serve(t *testing.T, status int, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func startIssuer(t *testing.T) string {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String()
	p, err := devoidc.New(devoidc.Config{Issuer: issuer, ClientID: "portal", ClientSecret: "demo secret", RedirectURIs: []string{issuer + "/callback"}})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = p
	server.Start()
	t.Cleanup(server.Close)
	return issuer
}

// startPortal starts the built portal on the database and returns its URL.
func startPortal(t *testing.T, bin, database string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	portal := exec.CommandContext(context.Background(), filepath.Join(bin, "portal"), "--listen", address, "--database", database, //nolint:gosec // the program that the test built
		"--bootstrap-admin-user", "admin@example.test", "--bootstrap-admin-password-file", file("password", "demo admin password"),
		"--bootstrap-key", "manage="+file("manage", manageKey), "--bootstrap-key", "provisioning="+file("provisioning", provisioningKey))
	portal.Stderr = os.Stderr
	if err := portal.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = portal.Process.Signal(os.Interrupt)
		_ = portal.Wait()
	})
	url := "http://" + address
	poll.For(t, "the portal is ready", time.Minute, 50*time.Millisecond, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
		if err != nil {
			return err
		}
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer got.Body.Close()
		if got.StatusCode != http.StatusOK {
			return errors.New(got.Status)
		}
		return nil
	})
	return url
}

// addUser creates a user in the portal.
func addUser(t *testing.T, url string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/api/v1/users", strings.NewReader(`{"userName":"ada@example.test"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+manageKey)
	r.Header.Set("Content-Type", "application/json")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusCreated {
		t.Fatalf("create a user: %s", got.Status)
	}
}

func conformance(t *testing.T, bin string, args ...string) (code int, out string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(bin, "portal-conformance"), args...) //nolint:gosec // the program that the test built
	text, err := command.CombinedOutput()
	if err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(text)
}

// passed counts the tests that passed, without the parts that contain them.
func passed(out string) int {
	return len(regexp.MustCompile(`(?m)^ *--- PASS: [^/\s]+/[^/\s]+/`).FindAllString(out, -1))
}
