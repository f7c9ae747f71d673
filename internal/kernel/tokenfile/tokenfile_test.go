// SPDX-License-Identifier: Apache-2.0

package tokenfile

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/kernel/provider"
)

func TestFormatAndParse(t *testing.T) {
	want := []Entry{
		{Digest: Digest("one"), Name: "okta 2026", Provider: provider.ID{Type: provider.Okta, Name: "Acme & Co"}, Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)},
		{Digest: Digest("two"), Provider: provider.ID{Type: provider.Other}},
	}
	have, err := Parse(Format(want))
	if err != nil {
		t.Fatal(err)
	}
	want[0].Name = "okta-2026"
	byDigest := cmp.Transformer("byDigest", func(all []Entry) map[string]Entry {
		out := map[string]Entry{}
		for _, e := range all {
			out[e.Digest] = e
		}
		return out
	})
	if diff := cmp.Diff(want, have, byDigest); diff != "" {
		t.Error(diff)
	}
	reversed := []Entry{want[1], want[0]}
	if !bytes.Equal(Format(want), Format(reversed)) {
		t.Error("equal sets must produce equal bytes")
	}
}

func TestParseProblems(t *testing.T) {
	digest := "sha256:" + Digest("x")
	for name, line := range map[string]string{
		"PlainToken": "s3cret-token", "ShortDigest": "sha256:abcd", "NotHex": "sha256:" + strings.Repeat("z", 64), "UnknownField": digest + " colour=red",
		"UnknownProvider": digest + " provider=Acme", "BadName": digest + " provider=Okta/%zz", "NoProvider": digest + " name=okta-2026",
		"BadTime": digest + " provider=Okta expires=tomorrow",
	} {
		t.Run(name, func(t *testing.T) {
			entries, err := Parse([]byte("# comment\n\n" + line + "\r\nsha256:" + Digest("good") + " provider=Okta"))
			if err == nil || !strings.Contains(err.Error(), "line 3") {
				t.Errorf("the error must name the line: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Error("the error must not contain the line: it may be a plain token")
			}
			if len(entries) != 1 || entries[0].Digest != Digest("good") {
				t.Errorf("the other lines must count: %v", entries)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("sha256:" + Digest("x") + " name=a provider=Okta expires=2027-01-31T00:00:00Z\n# c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, _ := Parse(data)
		again, err := Parse(Format(entries))
		if err != nil || len(again) != len(entries) {
			t.Errorf("Format's output of parsed entries must parse again: %v", err)
		}
	})
}
