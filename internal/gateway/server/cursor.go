// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/path"
)

// A cursor (RFC 9865) contains everything that the next page needs: where the previous page ended,
// when it was served, and a digest of the query. So any replica can serve the next page, and no
// replica keeps state. A page continues after a resource, not at a number, so that resources that
// are created or deleted in between do not move it. The sort value may be a name or an address, and
// cursors appear in URLs and thus in logs: they are encrypted with a key that the token's holder
// and the replicas share. A cursor does not work with another token, and expires with its token. A
// cursor grants no access; each page is authorized like any other request.

// sealed is the content of a cursor.
type sealed struct {
	Source int      `json:"s,omitempty"`
	Key    string   `json:"k"`
	Sort   path.Key `json:"o,omitzero"`
	Count  int      `json:"c"`
	Query  []byte   `json:"q"`
	Time   int64    `json:"t"`
}

// seal returns an encrypted cursor, of characters that need no escape in a URL.
func (c *call) seal(l listing, p place) (string, error) {
	body, err := json.Marshal(sealed{
		Source: p.source, Key: p.Key, Sort: p.Sort, Query: c.queryDigest(l), Time: c.Now().Unix(), Count: l.count,
	})
	if err != nil {
		return "", err
	}
	aead, err := c.cursorCipher()
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nil, nil, body, nil)), nil
}

func (c *call) open(l *listing) (position, error) {
	aead, err := c.cursorCipher()
	if err != nil {
		return position{}, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(*l.cursor)
	if err != nil || len(raw) < aead.Overhead() {
		return position{}, errForeignCursor()
	}
	body, err := aead.Open(nil, nil, raw, nil)
	if err != nil {
		return position{}, errForeignCursor()
	}
	var s sealed
	if err := json.Unmarshal(body, &s); err != nil {
		return position{}, scim.BadRequest(scim.InvalidCursor, "The cursor is malformed; start again without it.")
	}
	if c.Now().Sub(time.Unix(s.Time, 0)) > CursorTimeout {
		return position{}, scim.BadRequest(scim.ExpiredCursor, "The cursor is older than %s; start again without it.", CursorTimeout)
	}
	if !bytes.Equal(s.Query, c.queryDigest(*l)) {
		return position{}, scim.BadRequest(scim.InvalidCursor, "The cursor belongs to another query; keep path, filter, sorting, attributes and count the same on all pages.")
	}
	if l.countGiven && l.count != s.Count {
		return position{}, scim.BadRequest(scim.InvalidCount, "The count was %d on the first page; keep it the same on all pages, or omit it.", s.Count)
	}
	l.count = s.Count
	return position{behind: true, place: place{s.Source, Mark{s.Sort, s.Key}}}, nil
}

func errForeignCursor() error {
	return scim.BadRequest(scim.InvalidCursor, "The cursor was not issued by this service for this token; start again without it.")
}

// cursorCipher encrypts the cursors of the token's holder. Nonces are random and part of the sealed
// data.
func (c *call) cursorCipher() (cipher.AEAD, error) {
	block, err := aes.NewCipher(c.identity.Secret[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// queryDigest identifies everything that must stay the same on all pages, except the count, which
// has its own error (RFC 9865 §2.1).
func (c *call) queryDigest(l listing) []byte {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		strings.Join(c.segments, "/"), l.filter, l.sortBy, l.sortOrder, l.attributes, l.excluded,
	}, "\x00")))
	return sum[:8]
}
