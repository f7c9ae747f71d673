// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"strings"
	"testing"
)

func TestAcceptsAndIsRefined(t *testing.T) {
	okta, acme, globex, entra := ID{Type: Okta}, ID{Okta, "acme"}, ID{Okta, "globex"}, ID{Type: EntraID}
	cases := map[string]struct {
		reason           string
		bound, other     ID
		accepts, refined bool
	}{
		"Same":       {"The provider's own token works.", acme, acme, true, true},
		"SameType":   {"Without names the type decides.", okta, okta, true, true},
		"OtherType":  {"One identity provider at a time.", okta, entra, false, false},
		"OtherName":  {"Two names of one type are two providers.", acme, globex, false, false},
		"Unnamed":    {"A token without a name is for every provider of its type; removing the name would accept the tokens of others.", acme, okta, true, false},
		"NameAdded":  {"A token for a named provider is not for an unnamed one; adding the name refuses no token that worked.", okta, acme, false, true},
		"NoProvider": {"A token without a provider is for none.", okta, ID{}, false, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.bound.Accepts(tc.other); got != tc.accepts {
				t.Errorf("%s %s accepts a token for %q: %v", tc.reason, tc.bound, tc.other, got)
			}
			if got := tc.bound.IsRefined(tc.other); got != tc.refined {
				t.Errorf("%s %s becomes %q without approval: %v", tc.reason, tc.bound, tc.other, got)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]ID{"Okta": {Type: Okta}, "Okta/acme": {Okta, "acme"}, "Other/a/b c": {Other, "a/b c"}} {
		if got, err := Parse(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q is %+v, %q, %v", text, got, got, err)
		}
	}
	for _, text := range []string{"", "okta", "Acme", "/acme", "Okta/" + strings.Repeat("x", MaxName+1)} {
		if got, err := Parse(text); err == nil {
			t.Errorf("%q was parsed as %+v", text, got)
		}
	}
}
