// SPDX-License-Identifier: Apache-2.0

package store

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// secretStore opens the database with the keys.
func secretStore(t *testing.T, path, keys string) (*Store, error) {
	t.Helper()
	o := Options{Database: path}
	if keys != "" {
		o.SecretKeys = ring(t, keys)
	}
	s, err := Open(t.Context(), o)
	if err == nil {
		t.Cleanup(func() { _ = s.Close() })
	}
	return s, err
}

const demoClientSecret = "demo-client-secret"

// secretsWork reports whether the client secret and the second factor can be used, and whether the
// database has one of them in clear.
func secretsWork(t *testing.T, s *Store, totp string) (work, clear bool) {
	t.Helper()
	sso, err := s.SSO(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	account, err := s.AccountByName(t.Context(), "boss@example.test")
	if err != nil {
		t.Fatal(err)
	}
	factor, err := s.SecondFactor(t.Context(), account.ID)
	if err != nil || factor == nil {
		t.Fatal(factor, err)
	}
	text := everything(t, s)
	return sso.ClientSecret == demoClientSecret && factor.secret == totp, strings.Contains(text, demoClientSecret) || strings.Contains(text, totp)
}

func TestSecretsAreEncrypted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "portal.db")
	totp := NewTOTPSecret()
	first, err := secretStore(t, path, "")
	if err != nil {
		t.Fatal(err)
	}
	m := portalapi.LoginMethods{SSO: portalapi.SSO{Enabled: true, Type: "OIDC", Issuer: "https://idp.example.test", ClientID: "portal", ClientSecret: demoClientSecret}}
	if _, _, err := first.SaveLoginMethods(t.Context(), SystemActor("test"), m, nil, false); err != nil {
		t.Fatal(err)
	}
	if err := first.EnsureManager(t.Context(), SystemActor("test"), "boss@example.test", demoPassword); err != nil {
		t.Fatal(err)
	}
	boss, err := first.AccountByName(t.Context(), "boss@example.test")
	if err != nil {
		t.Fatal(err)
	}
	addFactor(t, first, boss, totp)
	if work, clear := secretsWork(t, first, totp); !work || !clear {
		t.Fatalf("without keys the secrets work: %v, in clear: %v", work, clear)
	}
	for _, c := range []struct {
		reason, keys string
		refused      bool
	}{
		{"The first start with keys encrypts what is in clear.", "a", false},
		{"The next start reads it.", "a", false},
		{"A start without the keys could not check second factors, so it is refused.", "", true},
		{"So is one with another key.", "b", true},
		{"A rotation puts the new key first; the secrets are encrypted under it.", "ba", false},
		{"Then the former key is not needed.", "b", false},
		{"And it reads nothing any more.", "a", true},
	} {
		s, err := secretStore(t, path, c.keys)
		if c.refused != (err != nil) {
			t.Fatalf("%s: %v", c.reason, err)
		}
		if err != nil {
			continue
		}
		if work, clear := secretsWork(t, s, totp); !work || clear {
			t.Errorf("%s: the secrets work: %v, in clear: %v", c.reason, work, clear)
		}
	}

	t.Log("the same client secret again changes nothing, another one is stored encrypted")
	s, err := secretStore(t, path, "b")
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Configuration(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for secret, changes := range map[string]int64{demoClientSecret: 0, "another-client-secret": 1} {
		m.SSO.ClientSecret = secret
		after, _, err := s.SaveLoginMethods(t.Context(), SystemActor("test"), m, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if secret == demoClientSecret && after.Revision != before.Revision {
			t.Errorf("the same secret: revision %d after %d, want %d changes", after.Revision, before.Revision, changes)
		}
		if got, err := s.SSO(t.Context()); err != nil || got.ClientSecret != secret {
			t.Errorf("the secret is %q, %v; want %q", got.ClientSecret, err, secret)
		}
		m.SSO.ClientSecret = demoClientSecret
		if _, _, err := s.SaveLoginMethods(t.Context(), SystemActor("test"), m, nil, false); err != nil {
			t.Fatal(err)
		}
		if before, err = s.Configuration(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	t.Log("a sealed secret is of no use in another place")
	if _, err := s.write.ExecContext(t.Context(), `UPDATE second_factors SET secret = (SELECT sso_client_secret FROM identity_configuration)`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SecondFactor(t.Context(), boss.ID); err == nil {
		t.Error("the client secret is read as a second factor")
	}
}

// addFactor gives the user a second factor with the secret.
func addFactor(t *testing.T, s *Store, account *Account, secret string) {
	t.Helper()
	token, err := s.StartSession(t.Context(), account, MethodPassword, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	session, err := s.Session(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	key, err := base32Text.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	change := OwnChange{Actor: ActorOf(account, ""), Session: session, Password: demoPassword, TTL: time.Hour}
	if _, _, err := s.AddSecondFactor(t.Context(), change, secret, totpCode(key, totpStep(time.Now()))); err != nil {
		t.Fatal(err)
	}
}

func TestFormSecrets(t *testing.T) {
	s, _ := signInStore(t)
	mine, other := &Session{ID: "mine"}, &Session{ID: "other"}
	sealed, err := s.SealForm(mine, demoClientSecret)
	if err != nil || strings.Contains(sealed, demoClientSecret) {
		t.Fatal(sealed, err)
	}
	if got, err := s.OpenForm(mine, sealed); err != nil || got != demoClientSecret {
		t.Errorf("the form of the session has %q, %v", got, err)
	}
	for reason, text := range map[string]string{"changed": sealed[:len(sealed)-2] + "xx", "in clear": "ZGVtbw", "no text": "!"} {
		if got, err := s.OpenForm(mine, text); err == nil {
			t.Errorf("a field that is %s is read as %q", reason, got)
		}
	}
	if _, err := s.OpenForm(other, sealed); err == nil {
		t.Error("another session reads the field")
	}
}

func TestParseKeyring(t *testing.T) {
	for name, c := range map[string]struct {
		reason, text string
		keys         int // 0: refused
	}{
		"One":       {"One key.", strings.Repeat("A", 43) + "=", 1},
		"Several":   {"The first is in use; comments and empty lines are not keys.", "# new\n" + strings.Repeat("A", 43) + "=\n\n" + strings.Repeat("B", 42) + "A=\n", 2},
		"Empty":     {"A file without a key protects nothing.", "# nothing\n", 0},
		"Short":     {"A key has 32 bytes.", "QUFB", 0},
		"NoBase64":  {"A key is base64.", strings.Repeat("!", 44), 0},
		"Passwords": {"A password is no key.", "correct horse battery staple", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := ParseKeyring(c.text)
			if (err == nil) != (c.keys > 0) || err == nil && len(r.keys) != c.keys {
				t.Errorf("%s\n%v, %v", c.reason, r, err)
			}
			if err != nil && strings.Contains(err.Error(), "horse") {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}
