// SPDX-License-Identifier: Apache-2.0

// Package tokenfile reads and writes the file that lists the bearer tokens that SCIM clients may
// use.
//
// Tokens are stored as SHA-256 digests in files, which are mounted Secrets in a cluster; a plain
// token is never stored. A file has one token per line, and several are valid at once, so that you
// rotate a token by adding the new one, changing the provider and then removing the old one:
//
//	# comment
//	sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 name=okta-2026 provider=Okta expires=2027-01-31T00:00:00Z
//
// provider says which identity provider may use the token. A type means any provider of that type.
// A type and a name, as in Okta/acme, mean that one; special characters of the name are written as
// in a URL (%20 for a space). A line without a provider is refused. name is for logs and metrics;
// expires is when the token becomes invalid.
// Both are optional. `printf %s "$TOKEN" | sha256sum` prints the digest of a token.
package tokenfile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"lightrun.com/scim-operator/internal/kernel/provider"
)

// Entry is one token that is accepted.
type Entry struct {
	// Digest is the lower-case hexadecimal SHA-256 of the token.
	Digest string
	// Name identifies the token in logs, metrics and error messages. Format trims it and
	// replaces each other white-space or control character by a hyphen.
	Name string
	// Provider says which identity provider may use the token (provider.ID.Accepts).
	Provider provider.ID
	// Expires is when the token becomes invalid; zero if never.
	Expires time.Time
}

const prefix = "sha256:"

// Digest returns the lower-case hexadecimal SHA-256 of a token.
func Digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Format writes entries as a file that Parse reads, sorted by digest, so that equal sets produce
// equal bytes.
func Format(entries []Entry) []byte {
	sorted := slices.SortedFunc(slices.Values(entries), func(a, b Entry) int { return cmp.Compare(a.Digest, b.Digest) })
	var b bytes.Buffer
	for _, e := range sorted {
		b.WriteString(prefix + e.Digest)
		if name := oneWord(e.Name); name != "" {
			b.WriteString(" name=" + name)
		}
		b.WriteString(" provider=" + e.Provider.Type)
		if name := e.Provider.Name; name != "" {
			b.WriteString("/" + url.PathEscape(name))
		}
		if !e.Expires.IsZero() {
			b.WriteString(" expires=" + e.Expires.UTC().Format(time.RFC3339))
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func oneWord(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) {
			return '-'
		}
		return r
	}, strings.TrimSpace(s))
}

// Parse reads a file of tokens. It returns every valid entry, and an error that names each invalid
// line. The error contains only the number of the line and the name of the wrong field, because the
// line may be a plain token that was pasted by mistake.
func Parse(data []byte) ([]Entry, error) {
	var entries []Entry
	var problems []error
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, err := parseLine(line)
		if err != nil {
			problems = append(problems, fmt.Errorf("line %d: %w", i+1, err))
			continue
		}
		entries = append(entries, e)
	}
	return entries, errors.Join(problems...)
}

func parseLine(line string) (Entry, error) {
	fields := strings.Fields(line)
	digest, ok := strings.CutPrefix(fields[0], prefix)
	raw, err := hex.DecodeString(digest)
	if !ok || err != nil || len(raw) != sha256.Size {
		return Entry{}, errors.New("a token line starts with sha256: and 64 hexadecimal digits; never put a plain token here")
	}
	e := Entry{Digest: strings.ToLower(digest)}
	for _, field := range fields[1:] {
		if err := e.set(field); err != nil {
			return Entry{}, err
		}
	}
	if e.Provider == (provider.ID{}) {
		return Entry{}, errors.New("the token names no identity provider; add provider=Okta, provider=EntraID or provider=Other to the line")
	}
	return e, nil
}

func (e *Entry) set(field string) error {
	key, value, _ := strings.Cut(field, "=")
	switch key {
	case "name":
		e.Name = value
	case "provider":
		text, err := url.PathUnescape(value)
		if err == nil {
			e.Provider, err = provider.Parse(text)
		}
		if err != nil {
			return errors.New("provider must be Okta, EntraID or Other, optionally followed by a slash and a name of at most 128 bytes, written as in a URL: Okta/acme")
		}
	case "expires":
		when, err := time.Parse(time.RFC3339, value)
		if err != nil {
			return errors.New("expires is a time like 2027-01-31T00:00:00Z")
		}
		e.Expires = when
	default:
		return errors.New("after the digest only name=, provider= and expires= are known")
	}
	return nil
}
