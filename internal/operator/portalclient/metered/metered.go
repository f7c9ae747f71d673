// SPDX-License-Identifier: Apache-2.0

// Package metered measures the calls to the portal: their number, outcome and duration.
package metered

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// NewHistogram returns the metric that Client records: seconds per call, by method of the port and
// outcome. Outcome is OK, the portal's error code, or NO_ANSWER. Long polls of the change feed are
// counted under Changes and take long.
func NewHistogram() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "scim_portal_call_duration_seconds",
		Help:    "Calls to the Management Portal, by method and outcome (OK, an error code, or NO_ANSWER).",
		Buckets: []float64{.002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"method", "outcome"})
}

// Client is a portal.Client that measures each call.
type Client struct {
	to portalapi.Client
	by prometheus.ObserverVec
}

var _ portalapi.Client = (*Client)(nil)

// New returns a client that records the calls to c in h.
func New(c portalapi.Client, h prometheus.ObserverVec) *Client { return &Client{to: c, by: h} }

// start starts a measurement; the returned function ends it.
func (c *Client) start(method string) func(*error) {
	began := time.Now()
	return func(err *error) {
		outcome := "OK"
		if *err != nil {
			if outcome = string(portalapi.CodeOf(*err)); outcome == "" {
				outcome = "NO_ANSWER"
			}
		}
		c.by.WithLabelValues(method, outcome).Observe(time.Since(began).Seconds())
	}
}

// PutAccount implements portal.Accounts.
func (c *Client) PutAccount(ctx context.Context, w portalapi.AccountWrite) (a *portalapi.Account, err error) {
	defer c.start("PutAccount")(&err)
	return c.to.PutAccount(ctx, w)
}

// ReleaseAccount implements portal.Accounts.
func (c *Client) ReleaseAccount(ctx context.Context, owner portalapi.Owner, mode portalapi.ReleaseMode) (err error) {
	defer c.start("ReleaseAccount")(&err)
	return c.to.ReleaseAccount(ctx, owner, mode)
}

// MarkWaiting implements portal.Accounts.
func (c *Client) MarkWaiting(ctx context.Context, accountID string, owner portalapi.Owner) (err error) {
	defer c.start("MarkWaiting")(&err)
	return c.to.MarkWaiting(ctx, accountID, owner)
}

// MarkHeld implements portal.Accounts.
func (c *Client) MarkHeld(ctx context.Context, owner portalapi.Owner, m *portalapi.Mark) (err error) {
	defer c.start("MarkHeld")(&err)
	return c.to.MarkHeld(ctx, owner, m)
}

// PutPool implements portal.Pools.
func (c *Client) PutPool(ctx context.Context, w portalapi.PoolWrite) (p *portalapi.Pool, err error) {
	defer c.start("PutPool")(&err)
	return c.to.PutPool(ctx, w)
}

// PutMemberships implements portal.Pools.
func (c *Client) PutMemberships(ctx context.Context, ownerUID string, items []portalapi.MembershipWrite) (r []portalapi.MembershipResult, err error) {
	defer c.start("PutMemberships")(&err)
	return c.to.PutMemberships(ctx, ownerUID, items)
}

// ReleasePool implements portal.Pools.
func (c *Client) ReleasePool(ctx context.Context, ownerUID string, remove bool) (err error) {
	defer c.start("ReleasePool")(&err)
	return c.to.ReleasePool(ctx, ownerUID, remove)
}

// MarkPoolHeld implements portal.Pools.
func (c *Client) MarkPoolHeld(ctx context.Context, owner portalapi.Owner, m *portalapi.Mark) (err error) {
	defer c.start("MarkPoolHeld")(&err)
	return c.to.MarkPoolHeld(ctx, owner, m)
}

// Accounts implements portal.Reader.
func (c *Client) Accounts(ctx context.Context, after string, limit int) (page []portalapi.Account, next string, err error) {
	defer c.start("Accounts")(&err)
	return c.to.Accounts(ctx, after, limit)
}

// Pools implements portal.Reader.
func (c *Client) Pools(ctx context.Context) (all []portalapi.Pool, err error) {
	defer c.start("Pools")(&err)
	return c.to.Pools(ctx)
}

// Roles implements portal.Reader.
func (c *Client) Roles(ctx context.Context) (all []portalapi.Role, err error) {
	defer c.start("Roles")(&err)
	return c.to.Roles(ctx)
}

// Position implements portal.Reader.
func (c *Client) Position(ctx context.Context) (p portalapi.Position, err error) {
	defer c.start("Position")(&err)
	return c.to.Position(ctx)
}

// Changes implements portal.Reader.
func (c *Client) Changes(ctx context.Context, from portalapi.Position, wait time.Duration) (changes []portalapi.Change, p portalapi.Position, err error) {
	defer c.start("Changes")(&err)
	return c.to.Changes(ctx, from, wait)
}

// Configuration implements portal.Identity.
func (c *Client) Configuration(ctx context.Context) (config *portalapi.Configuration, err error) {
	defer c.start("Configuration")(&err)
	return c.to.Configuration(ctx)
}

// PutLoginMethods implements portal.Identity.
func (c *Client) PutLoginMethods(ctx context.Context, m portalapi.LoginMethods, managedElsewhere string) (config *portalapi.Configuration, err error) {
	defer c.start("PutLoginMethods")(&err)
	return c.to.PutLoginMethods(ctx, m, managedElsewhere)
}

// Bind implements portal.Identity.
func (c *Client) Bind(ctx context.Context, b portalapi.Binding) (id string, err error) {
	defer c.start("Bind")(&err)
	return c.to.Bind(ctx, b)
}

// Unbind implements portal.Identity.
func (c *Client) Unbind(ctx context.Context, uid string) (err error) {
	defer c.start("Unbind")(&err)
	return c.to.Unbind(ctx, uid)
}

// SCIMKeys implements portal.Identity.
func (c *Client) SCIMKeys(ctx context.Context) (keys []portalapi.KeyDigest, err error) {
	defer c.start("SCIMKeys")(&err)
	return c.to.SCIMKeys(ctx)
}

// Removals implements portal.Audit.
func (c *Client) Removals(ctx context.Context, window time.Duration) (r portalapi.Removals, err error) {
	defer c.start("Removals")(&err)
	return c.to.Removals(ctx, window)
}
