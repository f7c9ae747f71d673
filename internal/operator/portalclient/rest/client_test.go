// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// client returns a client of a server that handles every request with handler.
func client(t *testing.T, o Options, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	o.URL = server.URL + "/"
	if o.Key == nil {
		o.Key = func(context.Context) (string, error) { return "demo-key", nil }
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRefusals(t *testing.T) {
	tests := map[string]struct {
		reason string
		answer http.HandlerFunc
		want   portalapi.Error
	}{
		"Portal": {
			reason: "The caller gets the portal's message and the time to wait.",
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json; charset=utf-8")
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusTooManyRequests)
				_, _ = w.Write([]byte(`{"code":"RATE_LIMITED","message":"slow down"}`))
			},
			want: portalapi.Error{Status: 429, Code: portalapi.CodeRateLimited, Message: "slow down", RetryAfter: 7 * time.Second},
		},
		"NewCode": {
			reason: "A code that this version does not know is a refusal too.",
			answer: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusConflict)
				_, _ = w.Write([]byte(`{"code":"TENANT_FROZEN","message":"wait"}`))
			},
			want: portalapi.Error{Status: 409, Code: "TENANT_FROZEN", Message: "wait"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := client(t, Options{}, test.answer).Pools(t.Context())
			var got *portalapi.Error
			if !errors.As(err, &got) {
				t.Fatalf("%s: got %v", test.reason, err)
			}
			if diff := cmp.Diff(test.want, *got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.reason, diff)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	sent := time.Date(1999, 11, 24, 12, 0, 0, 0, time.UTC) // by the portal's clock, which differs from ours
	for value, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "-1": 0, "soon": 0, "86400": longestPause, "99999999999999999999": longestPause,
		sent.Add(time.Minute).Format(http.TimeFormat):    time.Minute,
		sent.Add(-time.Minute).Format(http.TimeFormat):   0,
		sent.Add(24 * time.Hour).Format(http.TimeFormat): longestPause,
	} {
		header := http.Header{"Retry-After": {value}, "Date": {sent.Format(http.TimeFormat)}}
		if got := retryAfter(header); got != want {
			t.Errorf("retryAfter(%q) = %v, want %v", value, got, want)
		}
	}
	if got := retryAfter(http.Header{"Retry-After": {sent.Format(http.TimeFormat)}}); got != 0 {
		t.Errorf("without a Date header, the date gives %v", got)
	}
}

func TestRequestsAreSignedAndNamed(t *testing.T) {
	keys := []string{"first-key", "rotated-key"}
	seen := make(chan http.Header, 2)
	c := client(t, Options{
		Key: func(context.Context) (string, error) {
			key := keys[0]
			keys = keys[1:]
			return key, nil
		},
		RequestID: func(context.Context) string { return "demo-7" },
	}, func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"items":[]}`))
	})
	for _, key := range []string{"first-key", "rotated-key"} {
		if _, err := c.Roles(t.Context()); err != nil {
			t.Fatal(err)
		}
		header := <-seen
		if header.Get("Authorization") != "Bearer "+key || header.Get("X-Request-Id") != "demo-7" {
			t.Errorf("sent %v", header)
		}
	}
}

func TestTransportErrors(t *testing.T) {
	t.Run("timeout", func(t *testing.T) {
		done := make(chan struct{})
		defer close(done)
		c := client(t, Options{Timeout: 20 * time.Millisecond}, func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-done:
			case <-r.Context().Done():
			}
		})
		_, err := c.Pools(t.Context())
		if !errors.Is(err, context.DeadlineExceeded) || portalapi.CodeOf(err) != "" {
			t.Errorf("got %v, want a deadline and no refusal", err)
		}
	})
	t.Run("truncated response", func(t *testing.T) {
		c := client(t, Options{}, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"items":[`))
		})
		if _, err := c.Pools(t.Context()); err == nil || portalapi.CodeOf(err) != "" {
			t.Errorf("got %v, want a transport error", err)
		}
	})
	t.Run("unavailable key", func(t *testing.T) {
		lost := errors.New("no such secret")
		c := client(t, Options{Key: func(context.Context) (string, error) { return "", lost }}, func(http.ResponseWriter, *http.Request) {
			t.Error("a request was sent without a key")
		})
		if _, err := c.Pools(t.Context()); !errors.Is(err, lost) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no error contains the key", func(t *testing.T) {
		c := client(t, Options{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		if _, err := c.Pools(t.Context()); err == nil || strings.Contains(err.Error(), "demo-key") {
			t.Errorf("got %v", err)
		}
	})
}

func TestBadOptions(t *testing.T) {
	key := func(context.Context) (string, error) { return "k", nil }
	for name, o := range map[string]Options{
		"no URL":       {Key: key},
		"relative URL": {Key: key, URL: "portal.example.test"},
		"other scheme": {Key: key, URL: "ftp://portal.example.test"},
		"credentials":  {Key: key, URL: "https://demo:demo@portal.example.test"},
		"query":        {Key: key, URL: "https://portal.example.test?x=1"},
		"no key":       {URL: "https://portal.example.test"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
