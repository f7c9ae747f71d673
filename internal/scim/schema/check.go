// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"net/url"
	"strings"

	"lightrun.com/scim-operator/internal/kernel/names"
)

// The checks return the problem of a string in words that follow "Attribute x: ", or "".

func checkName(s string) string {
	if err := names.Validate(s); err != nil {
		return err.Error()
	}
	return ""
}

// checkURI accepts absolute and relative references (RFC 7643 §2.3.7).
func checkURI(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "a URL contains no spaces or control characters"
	}
	if _, err := url.Parse(s); err != nil {
		return "the value is not a URL"
	}
	return ""
}

// checkLanguage accepts the characters of languages, lists of languages and locales, en_US
// included; it does not check whether the language exists.
func checkLanguage(s string) string {
	return onlyASCII(s, "-_*,;=. ", "a language is written like en-US")
}

// checkTimezone accepts the characters of time zone names; it does not check whether the zone
// exists.
func checkTimezone(s string) string {
	return onlyASCII(s, "-_+/:.(), &", "a time zone is written like Europe/Paris")
}

func onlyASCII(s, others, problem string) string {
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(others, c) >= 0 {
			continue
		}
		return problem
	}
	return ""
}
