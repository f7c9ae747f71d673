// SPDX-License-Identifier: Apache-2.0

package portalapi

import (
	"bytes"
	"errors"
	"fmt"
)

// ParseKey parses an API key as files and Secrets contain it. Surrounding white space, such as a
// trailing newline, is not part of the key. A key that cannot be sent in an Authorization header is
// an error, which does not quote the key.
func ParseKey(raw []byte) (string, error) {
	key := bytes.TrimSpace(raw)
	if len(key) == 0 {
		return "", errors.New("the API key is empty")
	}
	for i, b := range key {
		if b <= ' ' || b > '~' {
			return "", fmt.Errorf("the API key is malformed: byte %d is white space, a control character or not ASCII; store only the key, on one line", i+1)
		}
	}
	return string(key), nil
}
