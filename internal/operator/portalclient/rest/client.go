// SPDX-License-Identifier: Apache-2.0

// Package rest is a portalapi.Client for the portal's REST API. It does not retry a request: the
// caller decides when to retry, and the error contains what the caller needs for that. A refusal is
// a *portalapi.Error with the portal's code and its Retry-After, if any. A response that does not
// parse as the portal's (answer.go) is a *portalapi.InvalidResponseError. All other errors are
// transport errors, or errors of Options.Key, after which no request was sent. After a response
// that does not parse and after a transport error the portal may or may not have carried out the
// call, which is why every call may be repeated.
package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

const (
	// DefaultTimeout limits one call. The wait of a long poll (Changes) is added to it.
	DefaultTimeout = 15 * time.Second
	// maxAnswer is the maximum length of a response in bytes; a page of 1000 users in many pools is
	// well below it.
	maxAnswer = 64 << 20
	// longestPause is the maximum pause, also if the portal's Retry-After is longer.
	longestPause = 5 * time.Minute
	// pageSize is the maximum number of changes in one response.
	pageSize = 1000
)

// Options configure the client.
type Options struct {
	URL     string                                // base URL of the portal, such as https://portal.example.com; /api/v1 is added
	Key     func(context.Context) (string, error) // returns the API key; called for each request, so that the key can be rotated
	HTTP    *http.Client                          // nil: http.DefaultTransport without a cookie jar; redirects are never followed
	Timeout time.Duration                         // per call; 0: DefaultTimeout
	// RequestID returns the request id to send, which connects the portal's audit log and log with
	// the operator's. If RequestID is nil or returns "", the portal uses the trace id of the
	// request or generates an id.
	RequestID func(context.Context) string
	// Leader identifies this process among the processes of the operator. After a process called
	// Bind, the portal refuses writes of accounts, pools and the migration plan by any other
	// process (STALE_LEADER). It is "" for a client that only reads.
	Leader string
}

// Client is a portalapi.Client. Its methods are safe for concurrent use.
type Client struct {
	api     *portalv1.Client
	timeout time.Duration
}

var _ portalapi.Client = (*Client)(nil)

// New returns a client, or an error for invalid options. It sends no request.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the portal's URL: %w", err)
	case base.Scheme != "https" && base.Scheme != "http" || base.Host == "":
		return nil, fmt.Errorf("the portal's URL %q must be absolute, such as https://portal.example.com", o.URL)
	case base.RawQuery != "" || base.Fragment != "" || base.User != nil:
		return nil, fmt.Errorf("the portal's URL must have no query, fragment or credentials")
	case o.Key == nil:
		return nil, errors.New("no API key for the portal")
	}
	client := http.Client{}
	if o.HTTP != nil {
		client = *o.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the key is sent to no other host
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	server := strings.TrimSuffix(base.String(), "/") + "/api/v1/"
	api, err := portalv1.NewClient(server, portalv1.WithHTTPClient(&client), portalv1.WithRequestEditorFn(o.setHeaders))
	if err != nil {
		return nil, fmt.Errorf("create the portal's client: %w", err)
	}
	return &Client{api: api, timeout: o.Timeout}, nil
}

func (o Options) setHeaders(ctx context.Context, r *http.Request) error {
	key, err := o.Key(ctx)
	if err != nil {
		return fmt.Errorf("get the portal's API key: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Accept", "application/json")
	if o.Leader != "" {
		r.Header.Set("Operator-Leader", o.Leader)
	}
	if by := portalapi.DecidedBy(ctx); by != "" {
		r.Header.Set("Decided-By", url.PathEscape(by))
	}
	if cause := portalapi.CauseOf(ctx); cause != "" {
		r.Header.Set("Cause", string(cause))
	}
	if o.RequestID != nil {
		if id := o.RequestID(ctx); id != "" {
			r.Header.Set("X-Request-Id", id)
		}
	}
	return nil
}

// call sends one request, limited to the client's timeout plus extra, and decodes the response into
// out. out is nil if the contract's response is 204.
func (c *Client) call(ctx context.Context, what string, extra time.Duration, out any, send func(context.Context) (*http.Response, error)) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout+extra)
	defer cancel()
	response, err := send(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(http.MaxBytesReader(nil, response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: read the portal's response: %w", what, err)
	}
	if err := parse(response, body, out); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// retryAfter parses seconds or an HTTP date (RFC 9110 §10.2.3). The result is at most longestPause,
// and 0 if there is no valid value. A date is compared with the Date of the response (§6.6.1), so
// that the clocks need not agree.
func retryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	seconds, err := strconv.ParseUint(value, 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		return longestPause
	}
	if err == nil {
		return min(time.Duration(seconds)*time.Second, longestPause)
	}
	at, err := http.ParseTime(value)
	sent, sentErr := http.ParseTime(h.Get("Date"))
	if err != nil || sentErr != nil {
		return 0
	}
	return min(max(at.Sub(sent), 0), longestPause)
}
