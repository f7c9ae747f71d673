package portal

import (
	"bytes"
	"errors"
	"fmt"
)

// ParseKey reads an API key as files and Secrets store it. White space around it, such as the
// newline that an editor or a pasted line leaves, is not part of the key. Whatever else cannot be
// sent in an Authorization header is an error, which does not quote the key.
func ParseKey(raw []byte) (string, error) {
	key := bytes.TrimSpace(raw)
	if len(key) == 0 {
		return "", errors.New("the API key is empty")
	}
	for i, b := range key {
		if b <= ' ' || b > '~' {
			return "", fmt.Errorf("the API key is malformed: byte %d is white space, a control character or not ASCII; store the key alone, on one line", i+1)
		}
	}
	return string(key), nil
}
