// SPDX-License-Identifier: Apache-2.0

package server

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"lightrun.com/scim-operator/internal/scim"
	"lightrun.com/scim-operator/internal/scim/quirk"
)

// call is one request in progress. A bulk operation is a call with a payload and a nil writer.
type call struct {
	*Server
	ctx    context.Context
	w      http.ResponseWriter
	r      *http.Request
	start  time.Time
	id     string // id of the request, for logs
	log    logr.Logger
	span   trace.Span // nil if traces are off
	config Configuration

	identity    Identity
	base        string // public URL up to and including BasePath
	method      string
	segments    []string // segments of the path below BasePath, unescaped
	query       url.Values
	ifMatch     string
	ifNoneMatch string
	payload     []byte // the body, if it does not come from r
	plainJSON   bool   // respond with application/json

	resource  *endpoint
	operation operation
	reserved  int64 // reserved bytes of the server's memory; see reserve
	status    int
	sent      bool
	counted   bool // the metric has counted this call as one of a second kind of client
}

// locate finds the path below BasePath.
func (c *call) locate() error {
	rest, err := belowBase(c.r.URL.EscapedPath())
	if err != nil {
		return err
	}
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return scim.BadRequest(scim.InvalidSyntax, "The query string is malformed; encode reserved characters with %%XX.")
	}
	c.query = query
	c.segments, err = split(rest)
	return err
}

// belowBase removes the base path. The version may be omitted, which means the only one; another
// version is a 400 invalidVers (RFC 7644 §3.13).
func belowBase(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, unversioned)
	if !ok || rest != "" && rest[0] != '/' {
		return "", scim.NotFound("This path does not exist. The SCIM service is at %s.", BasePath)
	}
	first, below, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	if len(first) < 2 || first[0] != 'v' || strings.Trim(first[1:], "0123456789.") != "" {
		return rest, nil
	}
	if first != version {
		return "", scim.BadRequest(scim.InvalidVers, "SCIM version %q is not supported; use %s.", first, BasePath)
	}
	return below, nil
}

// split splits an escaped path into segments. A trailing slash is ignored.
func split(path string) ([]string, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil, nil
	}
	parts := strings.Split(path, "/")
	for i, p := range parts {
		plain, err := url.PathUnescape(p)
		if err != nil {
			return nil, scim.NotFound("The path is malformed.")
		}
		parts[i] = plain
	}
	parts[len(parts)-1] = withoutSuffix(parts[len(parts)-1])
	return parts, nil
}

// withoutSuffix removes .scim, with which a client may request the format (RFC 7644 §3.8), from an
// endpoint or from an id that this service created. A user-defined object name that ends in .scim
// keeps it.
func withoutSuffix(segment string) string {
	plain, ok := strings.CutSuffix(segment, ".scim")
	if !ok || uuid.Validate(plain) != nil && newRoutes().find([]string{plain}) == nil {
		return segment
	}
	return plain
}

// param returns the first value of a query parameter. Names are case-sensitive, as in RFC 7644.
func (c *call) param(name string) string { return c.query.Get(name) }

// names returns the attribute names in a query parameter. If a client repeats the parameter, as
// many HTTP libraries encode lists, all of its values count.
func (c *call) names(name string) string { return strings.Join(c.query[name], ",") }

// body reads the request's body.
func (c *call) body() ([]byte, error) {
	if c.payload != nil {
		return c.payload, nil
	}
	limit := c.maxBody()
	if c.r.ContentLength > limit {
		return nil, errTooLarge(limit)
	}
	reserved := c.bodySize()
	if err := c.reserve(reserved); err != nil {
		return nil, err
	}
	var in io.Reader = http.MaxBytesReader(c.w, c.r.Body, limit)
	switch encoding := strings.ToLower(c.r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		zipped, err := gzip.NewReader(in)
		if err != nil {
			return nil, scim.BadRequest(scim.InvalidSyntax, "The body is not gzip, but Content-Encoding is gzip.")
		}
		in = io.LimitReader(zipped, limit+1)
	default:
		return nil, scim.Failure(http.StatusUnsupportedMediaType, "Content-Encoding %q is not supported; send the body uncompressed or with gzip.", encoding)
	}
	data, err := io.ReadAll(io.LimitReader(in, reserved+1))
	if err == nil && int64(len(data)) > reserved && reserved < limit {
		if err := c.reserve(limit - reserved); err != nil {
			return nil, err
		}
		var rest []byte
		rest, err = io.ReadAll(in)
		data = append(data, rest...)
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge) || int64(len(data)) > limit:
		return nil, errTooLarge(limit)
	case err != nil:
		return nil, scim.BadRequest(scim.InvalidSyntax, "The body could not be read completely.")
	}
	return data, nil
}

// maxBody returns the maximum size of the body.
func (c *call) maxBody() int64 {
	if c.resource != nil && c.resource.groups {
		return MaxGroupBody
	}
	return MaxBody
}

// bodySize returns the size of the body, and MaxBody if it is not known.
func (c *call) bodySize() int64 {
	if c.r.ContentLength < 0 || c.r.Header.Get("Content-Encoding") != "" {
		return MaxBody
	}
	return c.r.ContentLength
}

func errTooLarge(limit int64) error {
	return scim.Failure(http.StatusRequestEntityTooLarge, "The body is larger than %d bytes; split the request.", limit)
}

// object reads the body as a JSON object.
func (c *call) object() (scim.Object, error) {
	data, err := c.body()
	if err != nil {
		return nil, err
	}
	var limits scim.Limits
	if c.maxBody() == MaxGroupBody {
		limits.Values = maxGroupValues
	}
	return scim.DecodeJSON(data, limits)
}

// fired counts quirks, and records which kind of client they indicate. An error means that the call
// is refused.
func (c *call) fired(names []quirk.Name) error {
	for _, n := range names {
		c.metrics.quirk(string(n))
	}
	return c.note(clientByDialect(names))
}

// negotiate checks the media types of the request and of the response (RFC 7644 §3.1, §3.8).
func (c *call) negotiate() error {
	accept := c.r.Header.Values("Accept")
	plain, scimOK := acceptable(accept)
	if !plain && !scimOK {
		return scim.Failure(http.StatusNotAcceptable, "Accept excludes application/scim+json and application/json; the service supports only these.")
	}
	c.plainJSON = !scimOK
	if !c.operation.takesBody {
		return nil
	}
	given := c.r.Header.Get("Content-Type")
	if given == "" {
		return nil
	}
	media, params, err := mime.ParseMediaType(given)
	if err != nil || media != "application/scim+json" && media != "application/json" {
		return scim.Failure(http.StatusUnsupportedMediaType, "Content-Type %q is not supported; send application/scim+json.", given)
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return scim.Failure(http.StatusUnsupportedMediaType, "The character set %q is not supported; send UTF-8.", charset)
	}
	return nil
}

// acceptable reports whether Accept allows application/json and application/scim+json. A missing
// header allows both.
func acceptable(headers []string) (plain, scimOK bool) {
	if strings.TrimSpace(strings.Join(headers, "")) == "" {
		return true, true
	}
	for _, part := range strings.Split(strings.Join(headers, ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil || strings.Trim(params["q"], "0.") == "" && params["q"] != "" {
			continue
		}
		switch media {
		case "*/*", "application/*":
			return true, true
		case "application/json":
			plain = true
		case "application/scim+json":
			scimOK = true
		}
	}
	return plain, scimOK
}

// baseURL returns the public URL of the service: the configured one, or the one of this request.
func (c *call) baseURL() string {
	if c.config.BaseURL != "" {
		return strings.TrimSuffix(c.config.BaseURL, "/")
	}
	scheme, host := "http", c.r.Host
	if c.r.TLS != nil {
		scheme = "https"
	}
	if c.TrustForwarded {
		if p := first(c.r.Header.Get("X-Forwarded-Proto")); p == "http" || p == "https" {
			scheme = p
		}
		if h := first(c.r.Header.Get("X-Forwarded-Host")); validHost(h) {
			host = h
		}
	}
	if !validHost(host) {
		host = "localhost"
	}
	return fmt.Sprintf("%s://%s%s", scheme, host, BasePath)
}

func first(list string) string {
	one, _, _ := strings.Cut(list, ",")
	return strings.TrimSpace(one)
}

// validHost refuses characters that a host can't contain, so that they get neither into URLs nor
// into JSON.
func validHost(h string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789-._:[]~"
	return h != "" && len(h) <= 300 && strings.Trim(strings.ToLower(h), allowed) == ""
}

// The memory of concurrent requests is limited by one budget: a request reserves the maximum size
// of its body and returns it after the response. A decoded hostile body of MaxBody takes about 30
// times its size, so the budget corresponds to a GiB in the worst case and to a small part of that
// in practice. A larger body, of a group, takes less for its size, as its values are limited too.
const (
	maxHeld = 32 * MaxBody
	// projectedGroup is the reservation for a group with a projection of its members: they are
	// decoded for it, while otherwise their bytes are streamed.
	projectedGroup = 8 * MaxBody
	// reserveWait is the time that a request waits for its reservation.
	reserveWait = 5 * time.Second
)

// reserve takes n bytes from the budget until the call ends, or returns a 503.
func (c *call) reserve(n int64) error {
	ctx, cancel := context.WithTimeout(c.ctx, reserveWait)
	defer cancel()
	if err := c.memory.Acquire(ctx, n); err != nil {
		return &retryError{after: 5, err: scim.Failure(http.StatusServiceUnavailable,
			"Too many large requests are in progress. Nothing was changed; retry the request.")}
	}
	c.reserved += n
	return nil
}

// unreserve returns the reserved bytes to the budget.
func (c *call) unreserve() {
	c.memory.Release(c.reserved)
	c.reserved = 0
}
