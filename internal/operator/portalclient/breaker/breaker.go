// SPDX-License-Identifier: Apache-2.0

// Package breaker is a circuit breaker for the portal client. It stops calls to a portal that
// fails, and to one that asked for a pause with Retry-After. It wraps the calls that passes over
// single users and pools make:
//
//   - closed: calls are sent. Five failures in a row, or one response with Retry-After, open it
//   - open: calls return *OpenError immediately, without a request, until the pause is over
//   - half-open: one call is sent as a probe. Any response, also a refusal, closes the breaker; a
//     failure opens it for a longer time
//
// Reading the state and following the feed bypass it: they have a single caller with its own
// pauses, which calls Reset when the portal responds again.
package breaker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/portalclient/hook"
)

const (
	tolerated  = 5                // failures in a row that do not yet open the breaker
	firstPause = time.Second      // doubled after each failed probe
	lastPause  = 30 * time.Second // the longest pause without Retry-After
)

// OpenError means that no request was sent to the portal.
type OpenError struct {
	Until time.Time // when to try again
	Cause error     // the failure that opened the breaker
}

// Error implements error: it has the failure that opened the breaker.
func (e *OpenError) Error() string { return fmt.Sprintf("portal not called after %v", e.Cause) }

// Client is a portalapi.Client that fails fast while the portal fails. It is safe for concurrent
// use.
type Client struct {
	portalapi.Client

	mu       sync.Mutex
	failures int // in a row
	pause    time.Duration
	until    time.Time // the breaker is open until then; zero if it is closed
	probing  bool
	cause    error
}

// New returns a closed breaker around c.
func New(c portalapi.Client) *Client {
	b := &Client{}
	b.Client = hook.New(c, b.around)
	return b
}

// bypasses reports whether calls of the method are always sent: calls that read, except Removals,
// which passes over pools make, and calls for the identity configuration.
func bypasses(method string) bool {
	switch method {
	case "Accounts", "Released", "ReleasedPools", "Pools", "Roles", "Position", "Changes", "Configuration", "PutLoginMethods", "Bind", "Unbind", "SCIMKeys", "AuditHead":
		return true
	}
	return false
}

// Reset closes the breaker after a successful call that bypassed it.
func (c *Client) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close()
}

// Open reports whether the breaker is open.
func (c *Client) Open() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.until.IsZero()
}

// around makes one call, unless the breaker is open.
func (c *Client) around(_ context.Context, method string, call func() error) error {
	if bypasses(method) {
		return call()
	}
	if err := c.enter(); err != nil {
		return err
	}
	err := call()
	c.leave(err)
	return err
}

// enter admits a call, or returns *OpenError.
func (c *Client) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until.IsZero() {
		return nil
	}
	now := time.Now()
	if now.Before(c.until) {
		return &OpenError{Until: c.until, Cause: c.cause}
	}
	if c.probing {
		return &OpenError{Until: now.Add(firstPause), Cause: c.cause}
	}
	c.probing = true
	return nil
}

// leave updates the breaker with a call's outcome.
func (c *Client) leave(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probing = false
	pause, failed := portalapi.Failure(err)
	switch {
	case errors.Is(err, context.Canceled): // the caller cancelled: this says nothing about the portal
	case !failed:
		c.close()
	default:
		c.failures++
		c.cause = err
		if pause > 0 {
			c.until = later(c.until, time.Now().Add(pause))
		} else if c.failures >= tolerated {
			c.pause = min(max(2*c.pause, firstPause), lastPause)
			c.until = later(c.until, time.Now().Add(c.pause))
		}
	}
}

func (c *Client) close() {
	c.failures, c.pause, c.until, c.cause = 0, 0, time.Time{}, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
