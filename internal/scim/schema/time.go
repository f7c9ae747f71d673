// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"strings"
	"time"
)

// ParseTime parses an xsd:dateTime (RFC 7643 §2.3.5). Without a zone it is UTC.
func ParseTime(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil && !strings.Contains(s, ",") {
		return t, true
	}
	t, err := time.Parse("2006-01-02T15:04:05.999999999", s)
	return t, err == nil && !strings.Contains(s, ",")
}
