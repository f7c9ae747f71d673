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

// Cursors (RFC 9865) contain everything that the next page needs, so that any replica can serve it
// and none keeps state: where the page before ended, when it was served, and a digest of the query.
// A page continues behind a resource, not at a number, so that nothing that is created or deleted
// meanwhile moves it. What a list is sorted by may be a name or an address, and cursors appear in
// URLs and so in logs: they are encrypted, with a key that only the token's holder shares with the
// replicas. A cursor is worth nothing with another token, and a token that is gone takes its
// cursors with it. A cursor grants nothing; each page is authorised and gated like any other
// request.

// sealed is what a cursor contains.
type sealed struct {
	Source int      `json:"s,omitempty"`
	Key    string   `json:"k"`
	Sort   path.Key `json:"o,omitzero"`
	Count  int      `json:"c"`
	Query  []byte   `json:"q"`
	Time   int64    `json:"t"`
}

// seal makes a cursor, of characters that need no escape in a URL.
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
		return position{}, scim.BadRequest(scim.InvalidCursor, "The cursor belongs to another query; keep path, filter, sorting, attributes and count from page to page.")
	}
	if l.countGiven && l.count != s.Count {
		return position{}, scim.BadRequest(scim.InvalidCount, "The count was %d on the first page; keep it from page to page, or leave it out.", s.Count)
	}
	l.count = s.Count
	return position{behind: true, place: place{s.Source, Mark{s.Sort, s.Key}}}, nil
}

func errForeignCursor() error {
	return scim.BadRequest(scim.InvalidCursor, "The cursor is not one of this service for this token; start again without it.")
}

// cursorCipher encrypts the cursors of the token's holder. Nonces are random, and part of what it
// seals.
func (c *call) cursorCipher() (cipher.AEAD, error) {
	block, err := aes.NewCipher(c.identity.Secret[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// queryDigest stands for what must stay the same from page to page, besides the count, which has an
// error of its own (RFC 9865 §2.1).
func (c *call) queryDigest(l listing) []byte {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		strings.Join(c.segments, "/"), l.filter, l.sortBy, l.sortOrder, l.attributes, l.excluded,
	}, "\x00")))
	return sum[:8]
}
