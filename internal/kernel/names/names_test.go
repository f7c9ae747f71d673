// SPDX-License-Identifier: Apache-2.0

package names

import (
	"strings"
	"testing"
)

func TestFold(t *testing.T) {
	cases := map[string]struct{ reason, a, b string }{
		"Case":        {"userName is caseExact false (RFC 7643 §4.1.1).", "Ada@Example.Test", "ada@example.test"},
		"Composition": {"A letter in composed and decomposed form is one name.", "jos\u00e9", "jose\u0301"},
		"Width":       {"Full-width letters look like the normal ones.", "\uff41da", "ada"},
		"SharpS":      {"Full case folding, not lower-casing.", "STRASSE", "straße"},
		"Space":       {"Outer white space never distinguishes two names.", " ada ", "ada"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if Fold(tc.a) != Fold(tc.b) {
				t.Errorf("%s Fold(%q) = %q, Fold(%q) = %q", tc.reason, tc.a, Fold(tc.a), tc.b, Fold(tc.b))
			}
		})
	}
	if Fold("ada") == Fold("аda") {
		t.Error("a Cyrillic letter is a different letter, also after folding")
	}
}

func FuzzFoldIsIdempotent(f *testing.F) {
	for _, s := range []string{"Ada", "straße", "ﬁne", "İstanbul", "ϒ", " a", "\u00a0x", "ͅ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := Fold(s)
		if twice := Fold(once); twice != once {
			t.Errorf("Fold(%q) = %q, folded again %q", s, once, twice)
		}
	})
}

func TestValidate(t *testing.T) {
	for _, ok := range []string{"ada", "Ada Lovelace", "ada@example.test", "зоя", "田中", strings.Repeat("x", MaxLength)} {
		if err := Validate(ok); err != nil {
			t.Errorf("Validate(%q) = %v, want nil", ok, err)
		}
	}
	for _, bad := range []string{"", "  ", " ada", "ada\u200b", "a\x00da", "ada\u202e", "\xff", strings.Repeat("x", MaxLength+1), "a\nb"} {
		if Validate(bad) == nil {
			t.Errorf("Validate(%q) = nil, want an error", bad)
		}
	}
}

func TestDigest(t *testing.T) {
	if a, b := Digest("Ada"), Digest("ada"); a != b || len(a) != 64 {
		t.Errorf("Digest: %q and %q, want one of 64 characters", a, b)
	}
}
