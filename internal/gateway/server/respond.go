// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/path"
)

// reply is a response before it is written. At most one of body and stream is set.
type reply struct {
	status   int
	body     []byte
	stream   func(w *chunks)
	etag     string
	location string // absolute; Location on 201, Content-Location otherwise
	allow    string
	after    int // Retry-After in seconds; 0 if there is none
	problem  string
}

// retryError is a temporary error, with the time after which to retry.
type retryError struct {
	err   *scim.Error
	after int // seconds
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

// refuse converts an error to a reply (RFC 7644 §3.12). An error that is not a *scim.Error is not
// the client's fault: it is logged, and the status is 503, so that the client retries.
func (c *call) refuse(err error) reply {
	var (
		method *methodError
		known  *scim.Error
		retry  *retryError
		after  int
	)
	switch {
	case errors.As(err, &method):
		rep := errorReply(scim.Failure(http.StatusMethodNotAllowed, "%s is not allowed here; use %s.", method.method, method.allow))
		rep.allow = method.allow
		return rep
	case errors.As(err, &retry):
		known, after = retry.err, retry.after
	case errors.As(err, &known):
	default:
		if !errors.Is(err, context.Canceled) {
			c.log.Error(err, "Request failed")
		}
		known = scim.Failure(http.StatusServiceUnavailable, "The directory is unreachable or busy. Retry the request: changes that are already done are not repeated.")
	}
	if known.Status == http.StatusServiceUnavailable && after == 0 {
		after = 5
	}
	rep := errorReply(known)
	rep.after = after
	return rep
}

func errorReply(e *scim.Error) reply {
	body, err := json.Marshal(e)
	if err != nil {
		body = []byte(`{"schemas":["` + scim.SchemaError + `"],"status":"500"}`)
	}
	return reply{status: e.Status, body: body, problem: string(e.Type)}
}

// send writes the reply.
func (c *call) send(rep reply) {
	c.status, c.sent = rep.status, true
	h := c.w.Header()
	if rep.body != nil || rep.stream != nil {
		h.Set("Content-Type", "application/scim+json")
		if c.plainJSON {
			h.Set("Content-Type", "application/json")
		}
	}
	set(h, "Etag", rep.etag)
	set(h, "Allow", rep.allow)
	switch {
	case rep.location == "":
	case rep.status == http.StatusCreated:
		h.Set("Location", rep.location)
	default:
		h.Set("Content-Location", rep.location)
	}
	if rep.status == http.StatusUnauthorized {
		h.Set("Www-Authenticate", challenge(c.r))
		h.Set("Connection", "close") // a client without a token keeps no connection
	}
	if rep.after > 0 {
		h.Set("Retry-After", strconv.Itoa(rep.after))
	}
	if rep.status == http.StatusRequestEntityTooLarge {
		h.Set("Connection", "close")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if rep.body != nil {
		h.Set("Content-Length", strconv.Itoa(len(rep.body)))
	}
	if rep.stream != nil && c.method != http.MethodHead {
		c.pour(rep)
		return
	}
	c.w.WriteHeader(rep.status)
	if rep.body != nil && c.method != http.MethodHead {
		_, _ = c.w.Write(rep.body) // the client has disconnected
	}
}

func set(h http.Header, name, value string) {
	if value != "" {
		h.Set(name, value)
	}
}

// pour streams a reply through a buffer from a pool.
func (c *call) pour(rep reply) {
	buf, _ := c.buffers.Get().(*[]byte)
	if buf == nil {
		fresh := make([]byte, 0, chunkSize+8<<10)
		buf = &fresh
	}
	out := &chunks{w: c.w, status: rep.status, buf: (*buf)[:0]}
	rep.stream(out)
	out.end()
	*buf = out.buf
	if cap(*buf) <= 2*chunkSize { // do not keep the buffer of a huge group
		c.buffers.Put(buf)
	}
}

// show is the form in which the resources of one request are written: whole, or with a projection.
type show struct {
	projection path.Projection
	projected  bool // a projection was requested
	links      bool // the response contains groups or members
}

// shown reads attributes and excludedAttributes (RFC 7644 §3.9). It reserves memory for a
// projection of very many members.
func (c *call) shown(attributes, excluded string, k *kind) (show, error) {
	if attributes == "" && excluded == "" {
		return show{links: true}, nil
	}
	p, err := path.ParseProjection(attributes, excluded, k.schema)
	if err != nil {
		return show{}, err
	}
	s := show{projection: p, projected: true, links: !p.Excludes(k.links)}
	if attributes == "" && strings.TrimSpace(excluded) == k.links {
		s.projected = false // what Entra ID requests for groups: the encoded bytes without the links
	}
	if s.projected && s.links && k.links == "members" && c.reserved < projectedGroup {
		err = c.reserve(projectedGroup)
	}
	return s, err
}

// write writes one resource.
func (s show) write(w *chunks, r *Resource, base string) {
	if !s.projected && s.links {
		r.write(w, base)
		return
	}
	w.put(s.append(w.tail(), r, base))
}

// append appends one resource to dst.
func (s show) append(dst []byte, r *Resource, base string) []byte {
	switch {
	case !s.projected && s.links:
		return r.AppendJSON(dst, base)
	case !s.projected:
		return r.appendFixed(dst, base)
	}
	// The whole resource is appended to dst, then its projection, which is then moved to the
	// position of the whole resource.
	whole := r.appendFixed(dst, base)
	if s.links {
		whole = r.AppendJSON(dst, base)
	}
	out := s.projection.AppendJSON(whole, whole[len(dst):])
	n := copy(out[len(dst):], out[len(whole):])
	return out[:len(dst)+n]
}

// marshal is json.Marshal without escaping <, > and &, which are harmless in a JSON response.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode the response: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// one returns a reply with a single resource. A group is streamed, because it may have many
// members.
func (c *call) one(status int, r *Resource, s show) reply {
	location := c.base + r.Type.Endpoint + "/" + r.ID
	if !s.projected && s.links && r.Type.Name == "Group" {
		return reply{status: status, stream: func(w *chunks) { r.write(w, c.base) }, etag: r.Version, location: location}
	}
	body := s.append(make([]byte, 0, len(r.JSON)+512), r, c.base)
	return reply{status: status, body: body, etag: r.Version, location: location}
}

// chunks collects small writes into large ones. A response that fits one chunk is sent with its
// length.
type chunks struct {
	w      http.ResponseWriter
	status int
	begun  bool // the status is sent
	buf    []byte
}

// chunkSize is larger than a page of 100 typical users.
const chunkSize = 128 << 10

// tail returns the buffer to append to; put stores the result of the append.
func (c *chunks) tail() []byte { return c.buf }

func (c *chunks) put(b []byte) {
	c.buf = b
	if len(b) >= chunkSize {
		c.flush()
	}
}

func (c *chunks) flush() {
	if !c.begun {
		c.begun = true
		c.w.WriteHeader(c.status)
	}
	_, _ = c.w.Write(c.buf) // the client has disconnected
	c.buf = c.buf[:0]
}

// end sends the rest.
func (c *chunks) end() {
	if !c.begun {
		c.w.Header().Set("Content-Length", strconv.Itoa(len(c.buf)))
	}
	c.flush()
}
