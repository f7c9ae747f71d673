// SPDX-License-Identifier: Apache-2.0

package portalapi

import (
	"strings"
	"testing"
)

func TestParseKey(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, raw, want string
	}{
		"Plain":     {"A key is unchanged.", "lr_abc-DEF.123~+/=", "lr_abc-DEF.123~+/="},
		"Newline":   {"A pasted line ends with a newline.", "secret\n", "secret"},
		"Windows":   {"On Windows a line ends with two characters.", "secret\r\n", "secret"},
		"Around":    {"Surrounding white space is not part of the key.", " \t secret \n\n", "secret"},
		"Empty":     {"White space alone is no key.", " \n", ""},
		"TwoLines":  {"Two lines are no key.", "secret\nsecret", ""},
		"Inner":     {"A token contains no space.", "sec ret", ""},
		"Control":   {"A token contains no control character.", "sec\x00ret", ""},
		"ByteOrder": {"An editor's byte order mark is not ASCII.", "\ufeffsecret", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseKey([]byte(tc.raw))
			if got != tc.want || (err == nil) != (tc.want != "") {
				t.Errorf("%s\ngot %q, %v", tc.reason, got, err)
			}
			if err != nil && strings.Contains(err.Error(), "ret") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}
