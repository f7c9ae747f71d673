// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// keySize is the size of a key in a keyring, in bytes.
const keySize = 32

// Keyring contains the keys of a key file. The first one is in use. The others are former ones,
// under which the database still has something.
type Keyring struct{ keys []ringKey }

type ringKey struct {
	id    string // a digest, to find the key again
	bytes []byte
}

// ParseKeyring reads a key file: one key a line, 32 bytes in base64. Errors do not quote the file.
func ParseKeyring(text string) (*Keyring, error) {
	var r Keyring
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(b) != keySize {
			return nil, fmt.Errorf("line %d is not %d bytes in base64; make a key with: openssl rand -base64 %d", i+1, keySize, keySize)
		}
		sum := sha256.Sum256(append([]byte("portal key id\x00"), b...))
		r.keys = append(r.keys, ringKey{id: hex.EncodeToString(sum[:4]), bytes: b})
	}
	if len(r.keys) == 0 {
		return nil, errors.New("the file has no key; make one with: openssl rand -base64 32")
	}
	return &r, nil
}

// current returns the key in use.
func (r *Keyring) current() ringKey { return r.keys[0] }

// find returns the key with the id.
func (r *Keyring) find(id string) (ringKey, bool) {
	if r == nil {
		return ringKey{}, false
	}
	for _, k := range r.keys {
		if k.id == id {
			return k, true
		}
	}
	return ringKey{}, false
}
