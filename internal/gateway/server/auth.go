// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/scim"
)

// authenticate checks the bearer token (RFC 6750, RFC 7644 §2). It reads tokens only from the
// header, never from the query.
func (c *call) authenticate() error {
	token := bearer(c.r)
	if token == "" {
		return scim.Failure(http.StatusUnauthorized, "A bearer token is missing. Send the header Authorization: Bearer, with an API key of the portal that has the scope scim.")
	}
	identity, err := c.Tokens.Authenticate(c.ctx, token)
	if errors.Is(err, ErrUndecided) {
		c.log.Error(err, "Cannot check the token")
		return &retryError{after: 5, err: scim.Failure(http.StatusServiceUnavailable, "The bearer token can't be checked at the moment. Nothing was changed; retry the request.")}
	}
	if err != nil {
		return scim.Failure(http.StatusUnauthorized, "%s.", sentence(err.Error()))
	}
	c.identity = identity
	if bound := c.config.Provider; bound != (provider.ID{}) && !bound.Accepts(identity.Provider) {
		return scim.Failure(http.StatusForbidden, "This token is for %s, but %s is integrated. Only one identity provider can be integrated at a time, and the first keeps working until an administrator replaces it. Nothing was changed.", identity.Provider, bound)
	}
	return c.note(clientOf(c.r.UserAgent()))
}

// bearer returns the bearer token of a request, or "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// challenge returns the WWW-Authenticate of a 401 (RFC 6750 §3). A request with a token gets the
// error code, a request without one gets none.
func challenge(r *http.Request) string {
	if bearer(r) == "" {
		return `Bearer realm="scim"`
	}
	return `Bearer realm="scim", error="invalid_token"`
}

// sentence starts s with a capital letter.
func sentence(s string) string {
	if s == "" {
		return "The bearer token is refused"
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// throttle applies the rate limit of the token.
func (c *call) throttle() error {
	wait := c.limits.take(c.identity.Secret)
	if wait == 0 {
		return nil
	}
	return &retryError{
		err:   scim.Failure(http.StatusTooManyRequests, "Too many requests with this token. Wait for the time in Retry-After."),
		after: wait,
	}
}

// limits contains one token bucket for each bearer token that was accepted.
type limits struct {
	rate    rate.Limit
	burst   int
	now     func() time.Time
	mu      sync.Mutex
	buckets map[[32]byte]*rate.Limiter
}

// maxBuckets is the maximum number of buckets, which limits the memory. Above it, all counts
// restart.
const maxBuckets = 10_000

func newLimits(perSecond float64, burst int, now func() time.Time) *limits {
	return &limits{rate: rate.Limit(perSecond), burst: max(burst, 1), now: now, buckets: map[[32]byte]*rate.Limiter{}}
}

// take takes one request from the bucket and returns 0. If the bucket is empty, it returns the
// number of whole seconds until there is a request in it.
func (l *limits) take(key [32]byte) (seconds int) {
	if l.rate <= 0 {
		return 0
	}
	now := l.now()
	reservation := l.bucket(key).ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	if delay <= 0 {
		return 0
	}
	reservation.CancelAt(now)
	return int(math.Ceil(delay.Seconds()))
}

// charge takes n more requests from the bucket, which may become negative: the next requests wait
// until it is refilled.
func (l *limits) charge(key [32]byte, n int) {
	if l.rate <= 0 {
		return
	}
	now := l.now()
	bucket := l.bucket(key)
	for range n {
		bucket.ReserveN(now, 1)
	}
}

func (l *limits) bucket(key [32]byte) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	if !ok {
		if len(l.buckets) >= maxBuckets {
			clear(l.buckets)
		}
		b = rate.NewLimiter(l.rate, l.burst)
		l.buckets[key] = b
	}
	return b
}
