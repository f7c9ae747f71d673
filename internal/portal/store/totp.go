// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // authenticator apps know no other: RFC 6238 uses it as HMAC
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"time"
)

const (
	// totpPeriod is the time for which a code is valid.
	totpPeriod = 30 * time.Second
	// totpSkew is the number of periods by which the clock of the user's device may be wrong.
	totpSkew = 1
	// totpSecretSize is the size of a secret, in bytes (RFC 4226 §4, R6).
	totpSecretSize = 20
	// totpNameSize is the number of characters of the user name in a QR code.
	totpNameSize = 64
)

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewTOTPSecret returns a random secret in the form that users can type.
func NewTOTPSecret() string {
	var b [totpSecretSize]byte
	_, _ = rand.Read(b[:]) // crypto/rand never returns an error
	return base32Text.EncodeToString(b[:])
}

// TOTPURL returns the text of the QR code that authenticator apps read (the Key Uri Format of
// Google Authenticator). Apps only show the user name, and a QR code is bounded, so it is clipped.
func TOTPURL(issuer, userName, secret string) string {
	if name := []rune(userName); len(name) > totpNameSize {
		userName = string(name[:totpNameSize]) + "…"
	}
	// Some apps show a + as it is, so a space is %20.
	query := "secret=" + secret + "&issuer=" + url.PathEscape(issuer)
	return "otpauth://totp/" + url.PathEscape(issuer) + ":" + url.PathEscape(userName) + "?" + query
}

func validTOTPSecret(secret string) bool {
	key, err := base32Text.DecodeString(secret)
	return err == nil && len(key) == totpSecretSize && len(secret) == base32Text.EncodedLen(totpSecretSize)
}

func totpStep(at time.Time) int64 { return at.Unix() / int64(totpPeriod.Seconds()) }

// totpCode returns the code of a step: HOTP with SHA-1 and six digits (RFC 4226 §5.3, RFC 6238 §4).
func totpCode(key []byte, step int64) string {
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, step) // a hash never returns an error
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[offset:])&0x7fffffff%1_000_000)
}

// acceptTOTP returns the step of the code if it is valid at the time and newer than the step last.
func acceptTOTP(secret, code string, at time.Time, last int64) (step int64, ok bool) {
	key, err := base32Text.DecodeString(secret)
	if err != nil {
		return 0, false
	}
	now := totpStep(at)
	for s := now - totpSkew; s <= now+totpSkew; s++ {
		if subtle.ConstantTimeCompare([]byte(totpCode(key, s)), []byte(code)) == 1 && s > last {
			step, ok = s, true
		}
	}
	return step, ok
}
