// Package rest is portal.Client over the portal's REST API. It tries each call once: the caller
// knows when to try again, and the error says what it needs for that. A refusal is a *portal.Error
// with the portal's code and, if the portal named one, the time to wait. An answer that does not
// parse as the portal's (answer.go) is a *portal.BadAnswerError. Anything else is a transport
// error. The last two may come before or after the effect, which is why every call may be repeated.
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

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/openapi"
)

const (
	// DefaultTimeout bounds one call, beyond what a call waits on purpose.
	DefaultTimeout = 15 * time.Second
	// maxAnswer is the longest answer that is read, in bytes: a page of 1000 users in many pools
	// fits well.
	maxAnswer = 64 << 20
	// longestPause is how long the portal can ask to be left alone. One that asks for more is tried
	// again after that.
	longestPause = 5 * time.Minute
	// pageSize is how many changes are asked for at once.
	pageSize = 1000
)

// Options say where the portal is and who is asking.
type Options struct {
	URL     string                                // of the portal, such as https://portal.example.com; /api/v1 is added
	Key     func(context.Context) (string, error) // the API key, asked for at each call so that it can be rotated
	HTTP    *http.Client                          // nil: http.DefaultTransport without a cookie jar; redirects are never followed
	Timeout time.Duration                         // of one call; 0: DefaultTimeout
	// RequestID names the call to the portal, to join its audit and log with ours; nil or "" leaves
	// it to the portal.
	RequestID func(context.Context) string
	// Leader names this process among those of the operator, of which the portal hears only the one
	// that bound it last; "" for none.
	Leader string
}

// Client is a portal.Client. Its methods may be called at the same time.
type Client struct {
	api     *openapi.Client
	timeout time.Duration
}

var _ portal.Client = (*Client)(nil)

// New returns a client, or an error that says what is wrong with the options. It makes no call.
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
		return nil, errors.New("no API key for the portal is given")
	}
	client := http.Client{}
	if o.HTTP != nil {
		client = *o.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the key goes nowhere else
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	server := strings.TrimSuffix(base.String(), "/") + "/api/v1/"
	api, err := openapi.NewClient(server, openapi.WithHTTPClient(&client), openapi.WithRequestEditorFn(o.sign))
	return &Client{api: api, timeout: o.Timeout}, err
}

func (o Options) sign(ctx context.Context, r *http.Request) error {
	key, err := o.Key(ctx)
	if err != nil {
		return fmt.Errorf("get the portal's API key: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Accept", "application/json")
	if o.Leader != "" {
		r.Header.Set("Operator-Leader", o.Leader)
	}
	if o.RequestID != nil {
		if id := o.RequestID(ctx); id != "" {
			r.Header.Set("X-Request-Id", id)
		}
	}
	return nil
}

// call sends one request within the client's time and reads its answer into out (nil: the contract
// answers 204, without a body).
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
		return fmt.Errorf("%s: read the portal's answer: %w", what, err)
	}
	if err := parse(response, body, out); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// retryAfter reads seconds or an HTTP date (RFC 9110 §10.2.3), at most longestPause; 0 when there
// is none that can be read. A date is measured from the answer's own Date (§6.6.1), so that it
// means the same however our clock stands.
func retryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, longestPause)
	}
	at, err := http.ParseTime(value)
	sent, none := http.ParseTime(h.Get("Date"))
	if err != nil || none != nil {
		return 0
	}
	return min(max(at.Sub(sent), 0), longestPause)
}
