// SPDX-License-Identifier: Apache-2.0

package devoidc

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadUsers(t *testing.T) {
	users, err := ReadUsers(strings.NewReader(`[{"userName":"ada@example.test","password":"pw","givenName":"Ada","familyName":"Example"}]`))
	if err != nil {
		t.Fatal(err)
	}
	want := User{Subject: "ada@example.test", UserName: "ada@example.test", Password: "pw", Email: "ada@example.test", Name: "Ada Example", GivenName: "Ada", FamilyName: "Example"}
	if diff := cmp.Diff(want, users[0].withDefaults()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestBadUsers(t *testing.T) {
	cases := map[string]struct{ text, want string }{
		"NotAList":     {`{}`, "JSON array"},
		"UnknownField": {`[{"username":"ada","pasword":"x"}]`, "pasword"},
		"NoPassword":   {`[{"userName":"ada"}]`, "user 1 has no userName or no password"},
		"Twice":        {`[{"userName":"ada","password":"x"},{"userName":"Ada","password":"y"}]`, "listed twice"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadUsers(strings.NewReader(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("ReadUsers(%s) = %v, want %q", tc.text, err, tc.want)
			}
		})
	}
}

func TestParseUser(t *testing.T) {
	got, err := ParseUser("ada:pw:ada@example.test")
	if want := (User{UserName: "ada", Password: "pw", Email: "ada@example.test"}); err != nil || got != want {
		t.Errorf("ParseUser = %+v, %v", got, err)
	}
	if _, err := ParseUser("ada"); err == nil {
		t.Error("a user without password is accepted")
	}
}

func TestIncompleteConfig(t *testing.T) {
	good := Config{Issuer: "http://127.0.0.1:8099", ClientID: "portal", ClientSecret: "s", RedirectURIs: []string{"http://127.0.0.1:8090/sso/callback"}}
	cases := map[string]struct {
		edit func(*Config)
		want string
	}{
		"Issuer":      {func(c *Config) { c.Issuer = "127.0.0.1:8099" }, "issuer"},
		"Secret":      {func(c *Config) { c.ClientSecret = "" }, "an id and a secret"},
		"RedirectURI": {func(c *Config) { c.RedirectURIs = nil }, "redirect URI"},
		"User":        {func(c *Config) { c.Users = []User{{UserName: "ada"}} }, "user 1"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := good
			tc.edit(&c)
			if _, err := New(c); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("New() = %v, want %q", err, tc.want)
			}
		})
	}
}
