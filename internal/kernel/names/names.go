// SPDX-License-Identifier: Apache-2.0

// Package names decides when two names are equal.
//
// User names and pool names are compared regardless of case, width and Unicode composition. A name
// is refused if invisible or control characters could make it look like another. Only this package
// implements the rule: the claim's object name, the portal's unique column and every lookup use
// Fold's result.
package names

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// MaxLength is the maximum length of a user or pool name in characters, before folding.
const MaxLength = 256

// Fold returns the form in which names are compared: NFKC, case folded, NFKC again, outer white
// space removed. It is idempotent. Two names are equal exactly when their folded forms are equal.
func Fold(name string) string {
	if folded, ok := foldASCII(name); ok {
		return folded
	}
	return strings.TrimSpace(norm.NFKC.String(cases.Fold().String(norm.NFKC.String(name))))
}

// foldASCII is Fold for ASCII names, the most common ones, without the Unicode tables.
func foldASCII(name string) (string, bool) {
	for i := range len(name) {
		if name[i] >= utf8.RuneSelf {
			return "", false
		}
	}
	return strings.TrimSpace(strings.ToLower(name)), true
}

// Validate returns why name cannot be a user or pool name, or nil. A name is 1 to MaxLength
// characters of valid UTF-8, without control, format, private-use or unassigned characters and
// without outer white space (RFC 8265's identifier rules, extended to the free-form names that
// providers really send).
func Validate(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return fmt.Errorf("the name is empty")
	case !utf8.ValidString(name):
		return fmt.Errorf("the name is not valid UTF-8")
	case utf8.RuneCountInString(name) > MaxLength:
		return fmt.Errorf("the name is longer than %d characters", MaxLength)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("the name starts or ends with white space")
	}
	for _, r := range name {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs) || !unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Zs) {
			return fmt.Errorf("the name contains the character %U, which is invisible or not assigned", r)
		}
	}
	return nil
}

// Digest returns the lower-case hexadecimal SHA-256 of the folded name: 64 characters, usable in an
// object's name.
func Digest(name string) string {
	sum := sha256.Sum256([]byte(Fold(name)))
	return hex.EncodeToString(sum[:])
}
