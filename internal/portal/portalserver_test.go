// SPDX-License-Identifier: Apache-2.0

package portal

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// start runs a portal. It returns its URL, a function that stops it, and a channel with its result.
func start(t *testing.T, o Options) (url string, stop func() error) {
	t.Helper()
	ready := make(chan string, 1)
	o.Listen = "127.0.0.1:0"
	o.Log = funcr.New(func(_, args string) {
		if _, address, found := strings.Cut(args, `"address"="`); found {
			ready <- strings.TrimSuffix(address, `"`)
		}
	}, funcr.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, o) }()
	stop = func() error {
		cancel()
		return <-ended
	}
	select {
	case address := <-ready:
		return "http://" + address, stop
	case err := <-ended:
		cancel()
		t.Fatalf("the portal ended: %v", err)
		return "", nil
	}
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func status(t *testing.T, url, key string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func body(t *testing.T, url, key string) (page portalv1.ChangePage) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&page); err != nil {
		t.Fatal(err)
	}
	return page
}

func TestRunTwiceOnOneDatabase(t *testing.T) {
	key, err := ParseBootstrapKey("manage=" + file(t, " demo-manage-key-0123456789\n"))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Database: filepath.Join(t.TempDir(), "portal.db"), AdminUser: "admin@example.test", AdminPassword: file(t, "demo admin password\n"), Keys: []BootstrapKey{key}}
	for range 2 {
		url, stop := start(t, o)
		if got := status(t, url+"/api/v1/users", "demo-manage-key-0123456789"); got != http.StatusOK {
			t.Errorf("the bootstrapped key: %d", got)
		}
		if got := status(t, url+"/healthz", ""); got != http.StatusOK {
			t.Errorf("/healthz: %d", got)
		}
		if err := stop(); err != nil {
			t.Errorf("stopped: %v", err)
		}
		o.NewFeedEpoch = true
	}
}

func TestStopEndsWaitingReaders(t *testing.T) {
	key, err := ParseBootstrapKey("read=" + file(t, "demo-read-key-0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	url, stop := start(t, Options{Database: filepath.Join(t.TempDir(), "portal.db"), Keys: []BootstrapKey{key}})
	position := body(t, url+"/api/v1/changes", "demo-read-key-0123456789")
	sent, answered := make(chan struct{}), make(chan struct{})
	var once sync.Once // the transport writes a request again if the connection is lost
	trace := &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { once.Do(func() { close(sent) }) }}
	go func() {
		defer close(answered)
		ask := url + "/api/v1/changes?waitSeconds=30&epoch=" + position.Epoch + "&after=" + strconv.FormatInt(position.Position, 10)
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), http.MethodGet, ask, nil)
		if err != nil {
			return
		}
		r.Header.Set("Authorization", "Bearer demo-read-key-0123456789")
		if answer, err := http.DefaultClient.Do(r); err == nil {
			_ = answer.Body.Close()
		}
	}()
	<-sent
	began := time.Now()
	if err := stop(); err != nil {
		t.Errorf("stopped: %v", err)
	}
	<-answered
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

func TestStartErrors(t *testing.T) {
	database := filepath.Join(t.TempDir(), "portal.db")
	for want, o := range map[string]Options{
		"no database: set":    {},
		"listen for the port": {Database: database, Listen: "127.0.0.1:notaport"},
	} {
		err := Run(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
	for _, text := range []string{"", "30", "59s", "13h", "-1h"} {
		if _, err := ParseSessionIdle(text); err == nil {
			t.Errorf("%q is accepted as the idle time-out", text)
		}
	}
	if idle, err := ParseSessionIdle("30m"); err != nil || idle != 30*time.Minute {
		t.Errorf("30m is %v (%v)", idle, err)
	}
	for _, text := range []string{"", "proxy", "10.0.0.0/33", "0.0.0.0/0", "::/0", "fe80::1%eth0"} {
		if _, err := ParseTrustedProxy(text); err == nil {
			t.Errorf("%q is accepted as a range of proxies", text)
		}
	}
	for text, want := range map[string]string{"10.1.2.3": "10.1.2.3/32", "10.1.2.3/8": "10.0.0.0/8", "::ffff:10.1.2.3": "10.1.2.3/32", "fd00::1": "fd00::1/128"} {
		if got, err := ParseTrustedProxy(text); err != nil || got.String() != want {
			t.Errorf("%s is %v (%v), want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "manage", "=file", "manage=", "root=file"} {
		if _, err := ParseBootstrapKey(text); err == nil {
			t.Errorf("%q is accepted as scope=file", text)
		}
	}
}

// TestStartFlagsConverge starts the portal with flags that do not fit the records or have no file.
func TestStartFlagsConverge(t *testing.T) {
	const name, password = "admin@example.test", "demo admin password"
	secret := "demo-manage-key-0123456789"
	system := store.SystemActor("test")
	for label, c := range map[string]struct {
		reason  string
		prepare func(t *testing.T, s *store.Store) error
		options Options
		signsIn bool
	}{
		"NoManager": {reason: "The first start creates the manager.", options: Options{AdminUser: name, AdminPassword: file(t, password)}, signsIn: true},
		"Deactivated": {
			reason: "The user exists and cannot sign in. This is the way back in for a company that is shut out.",
			prepare: func(t *testing.T, s *store.Store) error {
				_, err := s.CreateAccount(t.Context(), system, store.NewAccount{UserName: name, Inactive: true})
				return err
			},
			options: Options{AdminUser: "ADMIN@example.test", AdminPassword: file(t, password)}, signsIn: true,
		},
		"ManagedBySCIM": {
			reason: "A SCIM-managed user gets no password, and the portal starts.",
			prepare: func(t *testing.T, s *store.Store) error {
				m := portalapi.LoginMethods{SCIMEnabled: true, SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal"}}
				if _, _, err := s.SaveLoginMethods(t.Context(), system, m, nil, false); err != nil {
					return err
				}
				actor := store.Actor{Kind: store.Operator, Name: "operator", Scopes: []store.Scope{store.ScopeProvisioning}}
				_, err := s.PutAccount(t.Context(), actor, portalapi.AccountWrite{Owner: portalapi.Owner{UID: "u", Revision: 1}, UserName: name, Active: true})
				return err
			},
			options: Options{AdminUser: name, AdminPassword: file(t, password)},
		},
		"OtherManager": {
			reason: "Another manager can sign in: the flags have nothing to do, and their file may be gone.",
			prepare: func(t *testing.T, s *store.Store) error {
				return s.EnsureManager(t.Context(), system, "other@example.test", password)
			},
			options: Options{AdminUser: name, AdminPassword: "no such file"},
		},
		"NoFile":         {reason: "A missing file is logged.", options: Options{AdminUser: name}},
		"ShortPassword":  {reason: "A password that is too short is logged.", options: Options{AdminUser: name, AdminPassword: file(t, "short")}},
		"KeyWithoutFile": {reason: "The other keys still work.", options: Options{Keys: []BootstrapKey{{Scope: "read", File: "no such file"}}}},
		"ShortKey":       {reason: "The other keys still work.", options: Options{Keys: []BootstrapKey{{Scope: "read", File: file(t, "short")}}}},
		"NoSecondFactor": {reason: "A second factor that does not exist is logged.", options: Options{RemoveSecondFactor: name}},
		"SecretTaken":    {reason: "One secret for two scopes is logged.", options: Options{Keys: []BootstrapKey{{Scope: "read", File: file(t, secret)}}}},
	} {
		t.Run(label, func(t *testing.T) {
			o := c.options
			o.Database = filepath.Join(t.TempDir(), "portal.db")
			o.Keys = append([]BootstrapKey{{Scope: "manage", File: file(t, secret)}}, o.Keys...)
			open := func(f func(*store.Store) error) {
				s, err := store.Open(t.Context(), store.Options{Database: o.Database})
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(f(s), s.Close()); err != nil {
					t.Fatal(err)
				}
			}
			if c.prepare != nil {
				open(func(s *store.Store) error { return c.prepare(t, s) })
			}
			for range 2 {
				url, stop := start(t, o)
				if got := status(t, url+"/api/v1/users", secret); got != http.StatusOK {
					t.Errorf("%s\nthe API key answers %d", c.reason, got)
				}
				if err := stop(); err != nil {
					t.Errorf("%s\nstopped: %v", c.reason, err)
				}
			}
			open(func(s *store.Store) error {
				account, err := s.CheckPassword(t.Context(), name, password)
				if signsIn := err == nil && account.IsManager(); signsIn != c.signsIn {
					t.Errorf("%s\nthe manager signs in: %v (%v)", c.reason, signsIn, err)
				}
				return nil
			})
		})
	}
}

func TestHandlerDivides(t *testing.T) {
	named := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(name)) })
	}
	h := Handler(named("api"), named("web"))
	for path, want := range map[string]string{"/": "web", "/users": "web", "/api/v1/users": "api", "/healthz": "api", "/readyz": "api", "/metrics": "web", "/api/docs": "web"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.Body.String() != want {
			t.Errorf("%s goes to %s, want %s", path, w.Body, want)
		}
	}
}

func TestFilesArePrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	_, stop := start(t, Options{Database: path})
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 2 { // the write-ahead log is beside it
		t.Fatal(files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, want 0600 (%v)", filepath.Base(file), info.Mode(), err)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestKeyFiles(t *testing.T) {
	const one, other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=\n"
	path := filepath.Join(t.TempDir(), "portal.db")
	o := Options{Database: path, AdminUser: "admin@example.test", AdminPassword: file(t, "demo admin password\n"), AuditKeyFile: file(t, one), SecretKeyFile: file(t, one)}
	_, stop := start(t, o)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	verify := func(keys, head string) (string, error) {
		var out strings.Builder
		o.AuditKeyFile = keys
		err := o.VerifyAudit(t.Context(), head, &out)
		return out.String(), err
	}
	good := o.AuditKeyFile
	text, err := verify(good, "")
	if err != nil || !strings.Contains(text, "every event is as the portal wrote it") {
		t.Fatalf("%s%v", text, err)
	}
	_, newest, _ := strings.Cut(text, "the newest is ")
	newest, _, _ = strings.Cut(newest, "\n")
	if text, err := verify(good, newest); err != nil || !strings.Contains(text, "up to the published one") {
		t.Errorf("with the right head: %s%v", text, err)
	}
	for name, c := range map[string]struct{ reason, keys, head, want string }{
		"OtherHead": {"A head that another portal published does not fit.", good, "1/abc:def", "the audit is not as the portal wrote it"},
		"LaterHead": {"The published event is missing.", good, "999/abc:def", "the audit is not as the portal wrote it"},
		"NoHead":    {"A head has a sequence and a MAC.", good, "latest", "is not the sequence and the MAC"},
		"OtherKey":  {"Another key checks nothing.", file(t, other), "", "the audit is not as the portal wrote it"},
		"NoKey":     {"A check needs the key.", "", "", "--audit-key-file"},
		"BadKey":    {"A file without a key is named.", file(t, "password"), "", "openssl rand -base64 32"},
	} {
		t.Run(name, func(t *testing.T) {
			if text, err := verify(c.keys, c.head); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s\n%s%v, want %q", c.reason, text, err, c.want)
			}
		})
	}
}

func TestParseKeyDays(t *testing.T) {
	for text, want := range map[string]int{"90": 90, "1": 1, "3650": 3650, "0": 0, "-1": 0, "3651": 0, "90d": 0, "": 0} {
		got, err := ParseKeyDays(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("ParseKeyDays(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
}
