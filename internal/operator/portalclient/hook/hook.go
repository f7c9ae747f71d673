// SPDX-License-Identifier: Apache-2.0

// Package hook runs code around every call of a portal client, such as metrics and the breaker.
// Only this package forwards all methods of the port.
package hook

import (
	"context"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// Hook runs around one call. method is the name of the port's method. A Hook calls call and returns
// its error, or returns an error of its own without calling it.
type Hook func(ctx context.Context, method string, call func() error) error

// Client is a portalapi.Client that calls a hook around each call of another one.
type Client struct {
	to     portalapi.Client
	around Hook
}

var _ portalapi.Client = (*Client)(nil)

// New returns a client that runs the hook around each call to c.
func New(c portalapi.Client, around Hook) *Client { return &Client{to: c, around: around} }

// PutAccount implements portalapi.AccountWriter.
func (c *Client) PutAccount(ctx context.Context, w portalapi.AccountWrite) (a *portalapi.Account, err error) {
	err = c.around(ctx, "PutAccount", func() error { a, err = c.to.PutAccount(ctx, w); return err })
	return a, err
}

// ReleaseAccount implements portalapi.AccountWriter.
func (c *Client) ReleaseAccount(ctx context.Context, owner portalapi.Owner, mode portalapi.ReleaseMode) error {
	return c.around(ctx, "ReleaseAccount", func() error { return c.to.ReleaseAccount(ctx, owner, mode) })
}

// MarkWaiting implements portalapi.AccountWriter.
func (c *Client) MarkWaiting(ctx context.Context, accountID string, owner portalapi.Owner) error {
	return c.around(ctx, "MarkWaiting", func() error { return c.to.MarkWaiting(ctx, accountID, owner) })
}

// MarkAccount implements portalapi.AccountWriter.
func (c *Client) MarkAccount(ctx context.Context, owner portalapi.Owner, m *portalapi.Mark) error {
	return c.around(ctx, "MarkAccount", func() error { return c.to.MarkAccount(ctx, owner, m) })
}

// PutPool implements portalapi.PoolWriter.
func (c *Client) PutPool(ctx context.Context, w portalapi.PoolWrite) (p *portalapi.Pool, err error) {
	err = c.around(ctx, "PutPool", func() error { p, err = c.to.PutPool(ctx, w); return err })
	return p, err
}

// PutMemberships implements portalapi.PoolWriter.
func (c *Client) PutMemberships(ctx context.Context, ownerUID string, items []portalapi.MembershipWrite, seen []portalapi.GroupRevision) (r []portalapi.MembershipResult, err error) {
	err = c.around(ctx, "PutMemberships", func() error { r, err = c.to.PutMemberships(ctx, ownerUID, items, seen); return err })
	return r, err
}

// ReleasePool implements portalapi.PoolWriter.
func (c *Client) ReleasePool(ctx context.Context, ownerUID string, remove bool) error {
	return c.around(ctx, "ReleasePool", func() error { return c.to.ReleasePool(ctx, ownerUID, remove) })
}

// MarkPool implements portalapi.PoolWriter.
func (c *Client) MarkPool(ctx context.Context, owner portalapi.Owner, m *portalapi.Mark) error {
	return c.around(ctx, "MarkPool", func() error { return c.to.MarkPool(ctx, owner, m) })
}

// Accounts implements portalapi.Reader.
func (c *Client) Accounts(ctx context.Context, after string, limit int) (page []portalapi.Account, next string, err error) {
	err = c.around(ctx, "Accounts", func() error { page, next, err = c.to.Accounts(ctx, after, limit); return err })
	return page, next, err
}

// Released implements portalapi.Releases.
func (c *Client) Released(ctx context.Context, after string, limit int) (page []portalapi.ReleasedOwner, next string, err error) {
	err = c.around(ctx, "Released", func() error { page, next, err = c.to.Released(ctx, after, limit); return err })
	return page, next, err
}

// ReleasedPools implements portalapi.Releases.
func (c *Client) ReleasedPools(ctx context.Context, after string, limit int) (page []portalapi.ReleasedPool, next string, err error) {
	err = c.around(ctx, "ReleasedPools", func() error { page, next, err = c.to.ReleasedPools(ctx, after, limit); return err })
	return page, next, err
}

// Pools implements portalapi.Reader.
func (c *Client) Pools(ctx context.Context) (all []portalapi.Pool, err error) {
	err = c.around(ctx, "Pools", func() error { all, err = c.to.Pools(ctx); return err })
	return all, err
}

// Roles implements portalapi.Reader.
func (c *Client) Roles(ctx context.Context) (all []portalapi.Role, err error) {
	err = c.around(ctx, "Roles", func() error { all, err = c.to.Roles(ctx); return err })
	return all, err
}

// Position implements portalapi.Reader.
func (c *Client) Position(ctx context.Context) (p portalapi.Position, err error) {
	err = c.around(ctx, "Position", func() error { p, err = c.to.Position(ctx); return err })
	return p, err
}

// Changes implements portalapi.Reader.
func (c *Client) Changes(ctx context.Context, from portalapi.Position, wait time.Duration) (changes []portalapi.Change, p portalapi.Position, err error) {
	err = c.around(ctx, "Changes", func() error { changes, p, err = c.to.Changes(ctx, from, wait); return err })
	return changes, p, err
}

// Configuration implements portalapi.Identity.
func (c *Client) Configuration(ctx context.Context) (config *portalapi.Configuration, err error) {
	err = c.around(ctx, "Configuration", func() error { config, err = c.to.Configuration(ctx); return err })
	return config, err
}

// PutLoginMethods implements portalapi.Identity.
func (c *Client) PutLoginMethods(ctx context.Context, m portalapi.LoginMethods, managedElsewhere string) (config *portalapi.Configuration, err error) {
	err = c.around(ctx, "PutLoginMethods", func() error { config, err = c.to.PutLoginMethods(ctx, m, managedElsewhere); return err })
	return config, err
}

// Bind implements portalapi.Identity.
func (c *Client) Bind(ctx context.Context, b portalapi.Binding) (id string, err error) {
	err = c.around(ctx, "Bind", func() error { id, err = c.to.Bind(ctx, b); return err })
	return id, err
}

// Unbind implements portalapi.Identity.
func (c *Client) Unbind(ctx context.Context, uid string) error {
	return c.around(ctx, "Unbind", func() error { return c.to.Unbind(ctx, uid) })
}

// SCIMKeys implements portalapi.Identity.
func (c *Client) SCIMKeys(ctx context.Context) (keys []portalapi.KeyDigest, err error) {
	err = c.around(ctx, "SCIMKeys", func() error { keys, err = c.to.SCIMKeys(ctx); return err })
	return keys, err
}

// PutMigrationPlan implements portalapi.Migration.
func (c *Client) PutMigrationPlan(ctx context.Context, plan portalapi.MigrationPlan) error {
	return c.around(ctx, "PutMigrationPlan", func() error { return c.to.PutMigrationPlan(ctx, plan) })
}

// Removals implements portalapi.Audit.
func (c *Client) Removals(ctx context.Context, window time.Duration) (r portalapi.Removals, err error) {
	err = c.around(ctx, "Removals", func() error { r, err = c.to.Removals(ctx, window); return err })
	return r, err
}

// AuditHead implements portalapi.Audit.
func (c *Client) AuditHead(ctx context.Context, sequence int64) (h portalapi.AuditHead, err error) {
	err = c.around(ctx, "AuditHead", func() error { h, err = c.to.AuditHead(ctx, sequence); return err })
	return h, err
}
