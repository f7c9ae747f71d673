// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// The cost of one password: argon2id with 19 MiB, two passes and one lane, as OWASP recommends for
// servers.
const (
	argonMemory  = 19 * 1024
	argonPasses  = 2
	argonLanes   = 1
	argonKeySize = 32

	// decoy is a hash that matches no password: checking it takes as long as checking a real one.
	decoy = "$argon2id$v=19$m=19456,t=2,p=1$bm8gc2FsdCBhdCBhbGwgIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

	minPassword = 12
	maxPassword = 256
)

// newPassword hashes a password that a user chose. An empty password has no hash.
func newPassword(password string) (string, error) {
	n := utf8.RuneCountInString(password)
	switch {
	case n == 0:
		return "", nil
	case n < minPassword || n > maxPassword:
		return "", refuse(portalapi.CodeInvalid, "a password has %d to %d characters; use a few words that you can remember", minPassword, maxPassword)
	}
	return hashPassword(password)
}

// hashPassword returns the PHC string of the password's hash with a new salt.
func hashPassword(password string) (string, error) {
	var salt [16]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return "", err
	}
	key := argon2.IDKey([]byte(password), salt[:], argonPasses, argonMemory, argonLanes, argonKeySize)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonPasses, argonLanes, encode(salt[:]), encode(key)), nil
}

// passwordFits reports whether the password matches the hash.
func passwordFits(hash, password string) bool {
	var version, memory, passes, lanes int
	var rest string
	if _, err := fmt.Sscanf(hash, "$argon2id$v=%d$m=%d,t=%d,p=%d$%s", &version, &memory, &passes, &lanes, &rest); err != nil || version != argon2.Version {
		return false
	}
	var salt, key []byte
	for i := range rest {
		if rest[i] != '$' {
			continue
		}
		var saltErr, keyErr error
		salt, saltErr = base64.RawStdEncoding.DecodeString(rest[:i])
		key, keyErr = base64.RawStdEncoding.DecodeString(rest[i+1:])
		if saltErr != nil || keyErr != nil {
			return false
		}
	}
	if len(key) == 0 {
		return false
	}
	got := argon2.IDKey([]byte(password), salt, uint32(passes), uint32(memory), uint8(lanes), uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1
}
