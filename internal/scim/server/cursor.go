package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"lightrun.com/scim-operator/internal/scim"
)

// Cursors (RFC 9865) hold everything that the next page needs, so that any replica can serve it and none keeps state: where the page before
// ended, when it was served, and a digest of the query. They are signed with a key that only the token's holder shares with the replicas: a
// cursor is worth nothing with another token, and a token that is gone takes its cursors with it. A cursor grants nothing; each page is
// authorised and gated like any other request.

// position is where a page ended: in which source, after which key, or, when sorted, after how many.
type position struct {
	source int
	key    string
	offset int
	sorted bool
	cursor bool
}

// sealed is a position as the cursor holds it.
type sealed struct {
	Source int    `json:"s,omitempty"`
	Key    string `json:"k,omitempty"`
	Offset int    `json:"o,omitempty"`
	Count  int    `json:"c"`
	Query  []byte `json:"q"`
	Time   int64  `json:"t"`
}

// apply sets where the i-th query starts; before is the total of the queries before it.
func (p position) apply(q *Query, i, before int) {
	switch {
	case !p.cursor || p.sorted:
		q.Offset = max(p.offset-before, 0)
	case i < p.source:
		q.Count = 0
	case i == p.source:
		q.After = p.key
	}
}

// position is where a request starts. A page after the first takes the count of the first when the request names none.
func (c *call) position(l *listing) (position, error) {
	switch {
	case l.cursor == nil:
		return position{offset: l.start - 1}, nil
	case *l.cursor == "":
		return position{cursor: true, sorted: l.sortBy != ""}, nil
	}
	return c.open(l)
}

const tagSize = 16

// seal makes a cursor, of characters that need no escape in a URL.
func (c *call) seal(l listing, p position) string {
	s := sealed{Source: p.source, Key: p.key, Query: c.queryDigest(l), Time: c.Now().Unix(), Count: l.count}
	if l.sortBy != "" {
		s.Source, s.Key, s.Offset = 0, "", p.offset
	}
	body, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings and numbers marshal
	}
	return base64.RawURLEncoding.EncodeToString(append(c.sign(body), body...))
}

func (c *call) open(l *listing) (position, error) {
	raw, err := base64.RawURLEncoding.DecodeString(*l.cursor)
	if err != nil || len(raw) < tagSize || !hmac.Equal(c.sign(raw[tagSize:]), raw[:tagSize]) {
		return position{}, scim.BadRequest(scim.InvalidCursor, "The cursor is not one of this service for this token; start again without it.")
	}
	var s sealed
	if err := json.Unmarshal(raw[tagSize:], &s); err != nil {
		return position{}, scim.BadRequest(scim.InvalidCursor, "The cursor is malformed; start again without it.")
	}
	if c.Now().Sub(time.Unix(s.Time, 0)) > CursorTimeout {
		return position{}, scim.BadRequest(scim.ExpiredCursor, "The cursor is older than %s; start again without it.", CursorTimeout)
	}
	if !hmac.Equal(s.Query, c.queryDigest(*l)) {
		return position{}, scim.BadRequest(scim.InvalidCursor, "The cursor belongs to another query; keep path, filter, sorting, attributes and count from page to page.")
	}
	if l.countGiven && l.count != s.Count {
		return position{}, scim.BadRequest(scim.InvalidCount, "The count was %d on the first page; keep it from page to page, or leave it out.", s.Count)
	}
	l.count = s.Count
	return position{cursor: true, source: s.Source, key: s.Key, offset: s.Offset, sorted: l.sortBy != ""}, nil
}

func (c *call) sign(body []byte) []byte {
	mac := hmac.New(sha256.New, c.identity.Secret[:])
	mac.Write(body)
	return mac.Sum(nil)[:tagSize]
}

// queryDigest stands for what must stay the same from page to page, besides the count, which has an error of its own (RFC 9865 §2.1).
func (c *call) queryDigest(l listing) []byte {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		strings.Join(c.segments, "/"), l.filter, l.sortBy, l.sortOrder, l.attributes, l.excluded,
	}, "\x00")))
	return sum[:8]
}
