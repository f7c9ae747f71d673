// SPDX-License-Identifier: Apache-2.0

package fakeportal

import (
	"context"
	"time"

	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/portal/store"
)

// maxChanges is the maximum number of changes that one call returns, as over REST.
const maxChanges = 1000

// PutAccount implements portalapi.AccountWriter.
func (p *Portal) PutAccount(ctx context.Context, w portalapi.AccountWrite) (*portalapi.Account, error) {
	return do(ctx, p, Call{Method: "PutAccount", ID: w.Owner.UID, Write: true}, func() (*portalapi.Account, error) {
		a, err := p.Store.PutAccount(ctx, p.operator(ctx), w)
		if err != nil {
			return nil, err
		}
		return &a.Account, nil
	})
}

// ReleaseAccount implements portalapi.AccountWriter.
func (p *Portal) ReleaseAccount(ctx context.Context, owner portalapi.Owner, mode portalapi.ReleaseMode) error {
	return run(ctx, p, Call{Method: "ReleaseAccount", ID: owner.UID, Write: true}, func() error {
		return p.Store.ReleaseAccount(ctx, p.operator(ctx), owner, mode)
	})
}

// MarkWaiting implements portalapi.AccountWriter.
func (p *Portal) MarkWaiting(ctx context.Context, accountID string, owner portalapi.Owner) error {
	return run(ctx, p, Call{Method: "MarkWaiting", ID: accountID, Write: true}, func() error {
		return p.Store.MarkWaiting(ctx, p.operator(ctx), accountID, owner)
	})
}

// MarkAccount implements portalapi.AccountWriter.
func (p *Portal) MarkAccount(ctx context.Context, owner portalapi.Owner, m *portalapi.Mark) error {
	return run(ctx, p, Call{Method: "MarkAccount", ID: owner.UID, Write: true}, func() error {
		return p.Store.MarkAccount(ctx, p.operator(ctx), owner, m)
	})
}

// PutPool implements portalapi.PoolWriter.
func (p *Portal) PutPool(ctx context.Context, w portalapi.PoolWrite) (*portalapi.Pool, error) {
	return do(ctx, p, Call{Method: "PutPool", ID: w.Owner.UID, Write: true}, func() (*portalapi.Pool, error) {
		pool, err := p.Store.PutPool(ctx, p.operator(ctx), w)
		if err != nil {
			return nil, err
		}
		return &pool.Pool, nil
	})
}

// PutMemberships implements portalapi.PoolWriter.
func (p *Portal) PutMemberships(ctx context.Context, ownerUID string, items []portalapi.MembershipWrite, seen []portalapi.GroupRevision) ([]portalapi.MembershipResult, error) {
	return do(ctx, p, Call{Method: "PutMemberships", ID: ownerUID, Write: true}, func() ([]portalapi.MembershipResult, error) {
		return p.Store.PutMemberships(ctx, p.operator(ctx), ownerUID, items, seen)
	})
}

// ReleasePool implements portalapi.PoolWriter.
func (p *Portal) ReleasePool(ctx context.Context, ownerUID string, remove bool) error {
	return run(ctx, p, Call{Method: "ReleasePool", ID: ownerUID, Write: true}, func() error {
		return p.Store.ReleasePool(ctx, p.operator(ctx), ownerUID, remove)
	})
}

// MarkPool implements portalapi.PoolWriter.
func (p *Portal) MarkPool(ctx context.Context, owner portalapi.Owner, m *portalapi.Mark) error {
	return run(ctx, p, Call{Method: "MarkPool", ID: owner.UID, Write: true}, func() error {
		return p.Store.MarkPool(ctx, p.operator(ctx), owner, m)
	})
}

// Accounts implements portal.Reader.
func (p *Portal) Accounts(ctx context.Context, after string, limit int) (page []portalapi.Account, next string, err error) {
	page, err = do(ctx, p, Call{Method: "Accounts"}, func() ([]portalapi.Account, error) {
		found, n, err := p.Store.Accounts(ctx, store.AccountFilter{}, after, limit)
		next = n
		all := make([]portalapi.Account, len(found))
		for i := range found {
			all[i] = found[i].Account
		}
		return all, err
	})
	return page, next, err
}

// Released implements portalapi.Releases.
func (p *Portal) Released(ctx context.Context, after string, limit int) (page []portalapi.ReleasedOwner, next string, err error) {
	page, err = do(ctx, p, Call{Method: "Released"}, func() (found []portalapi.ReleasedOwner, err error) {
		found, next, err = p.Store.Released(ctx, after, limit)
		return found, err
	})
	return page, next, err
}

// ReleasedPools implements portalapi.Releases.
func (p *Portal) ReleasedPools(ctx context.Context, after string, limit int) (page []portalapi.ReleasedPool, next string, err error) {
	page, err = do(ctx, p, Call{Method: "ReleasedPools"}, func() (found []portalapi.ReleasedPool, err error) {
		found, next, err = p.Store.ReleasedPools(ctx, after, limit)
		return found, err
	})
	return page, next, err
}

// Pools implements portal.Reader.
func (p *Portal) Pools(ctx context.Context) ([]portalapi.Pool, error) {
	return do(ctx, p, Call{Method: "Pools"}, func() ([]portalapi.Pool, error) {
		found, err := p.Store.Pools(ctx)
		all := make([]portalapi.Pool, len(found))
		for i := range found {
			all[i] = found[i].Pool
		}
		return all, err
	})
}

// Roles implements portal.Reader.
func (p *Portal) Roles(ctx context.Context) ([]portalapi.Role, error) {
	return do(ctx, p, Call{Method: "Roles"}, func() ([]portalapi.Role, error) { return p.Store.Roles(ctx) })
}

// Position implements portal.Reader.
func (p *Portal) Position(ctx context.Context) (portalapi.Position, error) {
	return do(ctx, p, Call{Method: "Position"}, func() (portalapi.Position, error) { return p.Store.Position(ctx) })
}

// Changes implements portal.Reader.
func (p *Portal) Changes(ctx context.Context, from portalapi.Position, wait time.Duration) (changes []portalapi.Change, end portalapi.Position, err error) {
	end = from
	changes, err = do(ctx, p, Call{Method: "Changes"}, func() ([]portalapi.Change, error) {
		if from == (portalapi.Position{}) {
			if from, err = p.Store.Position(ctx); err != nil {
				return nil, err
			}
		}
		found, behind, err := p.Store.Changes(ctx, from, maxChanges, min(wait, 30*time.Second))
		if err != nil {
			return nil, err
		}
		end = behind
		all := make([]portalapi.Change, len(found))
		for i, c := range found {
			all[i] = portalapi.Change{Sequence: c.Sequence, Kind: c.Kind, ID: c.ID, Gone: c.Gone}
			if c.Account != nil {
				all[i].Account = &c.Account.Account
			}
			if c.Pool != nil {
				all[i].Pool = &c.Pool.Pool
			}
			if c.Configuration != nil {
				all[i].Configuration = &c.Configuration.Configuration
			}
		}
		return all, nil
	})
	return changes, end, err
}

// Configuration implements portal.Identity.
func (p *Portal) Configuration(ctx context.Context) (*portalapi.Configuration, error) {
	return do(ctx, p, Call{Method: "Configuration"}, func() (*portalapi.Configuration, error) {
		c, err := p.Store.Configuration(ctx)
		if err != nil {
			return nil, err
		}
		return &c.Configuration, nil
	})
}

// PutLoginMethods implements portal.Identity.
func (p *Portal) PutLoginMethods(ctx context.Context, m portalapi.LoginMethods, managedElsewhere string) (*portalapi.Configuration, error) {
	return do(ctx, p, Call{Method: "PutLoginMethods", Write: true}, func() (*portalapi.Configuration, error) {
		c, err := p.Store.PutLoginMethods(ctx, p.operator(ctx), m, managedElsewhere)
		if err != nil {
			return nil, err
		}
		return &c.Configuration, nil
	})
}

// PutMigrationPlan implements portal.Migration.
func (p *Portal) PutMigrationPlan(ctx context.Context, plan portalapi.MigrationPlan) error {
	_, err := do(ctx, p, Call{Method: "PutMigrationPlan", Write: true}, func() (struct{}, error) {
		return struct{}{}, p.Store.PutMigrationPlan(ctx, p.operator(ctx), plan, true, true)
	})
	return err
}

// Bind implements portal.Identity.
func (p *Portal) Bind(ctx context.Context, b portalapi.Binding) (string, error) {
	return do(ctx, p, Call{Method: "Bind", ID: b.UID, Write: true}, func() (string, error) { return p.Store.Bind(ctx, p.operator(ctx), b) })
}

// Unbind implements portal.Identity.
func (p *Portal) Unbind(ctx context.Context, uid string) error {
	return run(ctx, p, Call{Method: "Unbind", ID: uid, Write: true}, func() error { return p.Store.Unbind(ctx, p.operator(ctx), uid) })
}

// SCIMKeys implements portal.Identity.
func (p *Portal) SCIMKeys(ctx context.Context) ([]portalapi.KeyDigest, error) {
	return do(ctx, p, Call{Method: "SCIMKeys"}, func() ([]portalapi.KeyDigest, error) { return p.Store.SCIMKeys(ctx) })
}

// Removals implements portal.Audit.
func (p *Portal) Removals(ctx context.Context, window time.Duration) (portalapi.Removals, error) {
	return do(ctx, p, Call{Method: "Removals"}, func() (portalapi.Removals, error) { return p.Store.Removals(ctx, window) })
}

// AuditHead implements portal.Audit.
func (p *Portal) AuditHead(ctx context.Context, sequence int64) (portalapi.AuditHead, error) {
	return do(ctx, p, Call{Method: "AuditHead"}, func() (portalapi.AuditHead, error) { return p.Store.AuditHead(ctx, sequence) })
}
