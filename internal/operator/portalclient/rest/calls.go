// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"net/http"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
)

// PutAccount implements portalapi.AccountWriter.
func (c *Client) PutAccount(ctx context.Context, w portalapi.AccountWrite) (*portalapi.Account, error) {
	body := portalv1.UserProvision{
		OwnerName: w.Owner.Name, Revision: w.Owner.Revision, UserName: w.UserName, DisplayName: w.DisplayName, GivenName: w.GivenName,
		FamilyName: w.FamilyName, Email: w.Email, ExternalID: w.ExternalID, Active: w.Active, Pools: list(w.Pools), KeepMark: w.KeepMark, Accepted: w.Accepted,
	}
	if w.Adopt != nil {
		body.Adopt = &portalv1.Adopt{ID: w.Adopt.ID, OwnerUID: w.Adopt.OwnerUID, Inherit: w.Adopt.Inherit}
	}
	var wire portalv1.User
	err := c.call(ctx, "put account", 0, &wire, func(ctx context.Context) (*http.Response, error) {
		return c.api.ProvisionUser(ctx, w.Owner.UID, &portalv1.ProvisionUserParams{IfMatch: ifMatch(w.IfRevision), IfNoneMatch: ifNoneMatch(w.IfRevision)}, body)
	})
	if err != nil {
		return nil, err
	}
	return account(&wire), nil
}

// ReleaseAccount implements portalapi.AccountWriter.
func (c *Client) ReleaseAccount(ctx context.Context, owner portalapi.Owner, mode portalapi.ReleaseMode) error {
	body := portalv1.UserRelease{Mode: portalv1.ReleaseMode(mode), OwnerName: owner.Name, Revision: owner.Revision}
	return c.call(ctx, "release account", 0, nil, func(ctx context.Context) (*http.Response, error) {
		return c.api.ReleaseUser(ctx, owner.UID, body)
	})
}

// MarkWaiting implements portalapi.AccountWriter.
func (c *Client) MarkWaiting(ctx context.Context, accountID string, owner portalapi.Owner) error {
	return c.call(ctx, "mark account as waited for", 0, nil, func(ctx context.Context) (*http.Response, error) {
		return c.api.MarkWaiting(ctx, accountID, portalv1.WaitingMark{UID: owner.UID, Name: owner.Name})
	})
}

// MarkAccount implements portalapi.AccountWriter.
func (c *Client) MarkAccount(ctx context.Context, owner portalapi.Owner, m *portalapi.Mark) error {
	return c.call(ctx, "mark account as held", 0, nil, func(ctx context.Context) (*http.Response, error) {
		return c.api.MarkHeld(ctx, owner.UID, portalv1.HeldMark{Revision: owner.Revision, Mark: markOf(m)})
	})
}

// PutPool implements portalapi.PoolWriter.
func (c *Client) PutPool(ctx context.Context, w portalapi.PoolWrite) (*portalapi.Pool, error) {
	body := portalv1.PoolProvision{OwnerName: w.Owner.Name, Revision: w.Owner.Revision, Default: w.Default, Name: w.Name, Description: w.Description, Roles: list(w.Roles), Pins: pinsOf(w.Pins), KeepMark: w.KeepMark}
	if w.Adopt != nil {
		body.Adopt = &portalv1.Adopt{ID: w.Adopt.ID, OwnerUID: w.Adopt.OwnerUID, Inherit: w.Adopt.Inherit}
	}
	var wire portalv1.Pool
	err := c.call(ctx, "put pool", 0, &wire, func(ctx context.Context) (*http.Response, error) {
		return c.api.ProvisionPool(ctx, w.Owner.UID, &portalv1.ProvisionPoolParams{IfMatch: ifMatch(w.IfRevision), IfNoneMatch: ifNoneMatch(w.IfRevision)}, body)
	})
	if err != nil {
		return nil, err
	}
	return pool(&wire), nil
}

// PutMemberships implements portalapi.PoolWriter.
func (c *Client) PutMemberships(ctx context.Context, ownerUID string, items []portalapi.MembershipWrite, seen []portalapi.GroupRevision) ([]portalapi.MembershipResult, error) {
	body := portalv1.MembershipsProvision{Items: make([]portalv1.MembershipItem, len(items))}
	for i, item := range items {
		body.Items[i] = portalv1.MembershipItem{UserID: item.AccountID, IfRevision: item.IfRevision, In: item.Add, RequestID: item.Request}
	}
	for _, g := range seen {
		body.Seen = append(body.Seen, portalv1.GroupRevision{Group: g.Group, Revision: g.Revision})
	}
	var wire portalv1.MembershipResults
	err := c.call(ctx, "put memberships", 0, &wire, func(ctx context.Context) (*http.Response, error) {
		return c.api.ProvisionMemberships(ctx, ownerUID, body)
	})
	if err != nil {
		return nil, err
	}
	results := make([]portalapi.MembershipResult, len(wire.Items))
	for i, r := range wire.Items {
		results[i] = portalapi.MembershipResult{AccountID: r.UserID, Outcome: portalapi.MembershipOutcome(r.Outcome), Revision: r.Revision}
	}
	return results, nil
}

// ReleasePool implements portalapi.PoolWriter.
func (c *Client) ReleasePool(ctx context.Context, ownerUID string, remove bool) error {
	return c.call(ctx, "release pool", 0, nil, func(ctx context.Context) (*http.Response, error) {
		return c.api.ReleasePool(ctx, ownerUID, portalv1.PoolRelease{Remove: remove})
	})
}

// MarkPool implements portalapi.PoolWriter.
func (c *Client) MarkPool(ctx context.Context, owner portalapi.Owner, m *portalapi.Mark) error {
	return c.call(ctx, "mark pool as held", 0, nil, func(ctx context.Context) (*http.Response, error) {
		return c.api.MarkPoolHeld(ctx, owner.UID, portalv1.HeldMark{Revision: owner.Revision, Mark: markOf(m)})
	})
}

// Accounts implements portal.Reader.
func (c *Client) Accounts(ctx context.Context, after string, limit int) ([]portalapi.Account, string, error) {
	params := &portalv1.ListUsersParams{Limit: &limit}
	if after != "" {
		params.After = &after
	}
	var wire portalv1.UserPage
	err := c.call(ctx, "list accounts", 0, &wire, func(ctx context.Context) (*http.Response, error) { return c.api.ListUsers(ctx, params) })
	if err != nil {
		return nil, "", err
	}
	page := make([]portalapi.Account, len(wire.Items))
	for i := range wire.Items {
		page[i] = *account(&wire.Items[i])
	}
	return page, wire.Next, nil
}

// Released implements portalapi.Releases.
func (c *Client) Released(ctx context.Context, after string, limit int) ([]portalapi.ReleasedOwner, string, error) {
	params := &portalv1.ListReleasedUsersParams{Limit: &limit}
	if after != "" {
		params.After = &after
	}
	var wire portalv1.ReleasedUserPage
	err := c.call(ctx, "list released users", 0, &wire, func(ctx context.Context) (*http.Response, error) { return c.api.ListReleasedUsers(ctx, params) })
	if err != nil {
		return nil, "", err
	}
	page := make([]portalapi.ReleasedOwner, len(wire.Items))
	for i, o := range wire.Items {
		page[i] = portalapi.ReleasedOwner{Name: o.OwnerName, Revision: o.Revision}
	}
	return page, wire.Next, nil
}

// ReleasedPools implements portalapi.Releases.
func (c *Client) ReleasedPools(ctx context.Context, after string, limit int) ([]portalapi.ReleasedPool, string, error) {
	params := &portalv1.ListReleasedPoolsParams{Limit: &limit}
	if after != "" {
		params.After = &after
	}
	var wire portalv1.ReleasedPoolPage
	err := c.call(ctx, "list released pools", 0, &wire, func(ctx context.Context) (*http.Response, error) { return c.api.ListReleasedPools(ctx, params) })
	if err != nil {
		return nil, "", err
	}
	page := make([]portalapi.ReleasedPool, len(wire.Items))
	for i, o := range wire.Items {
		page[i] = portalapi.ReleasedPool{Name: o.OwnerName, Pins: pins(o.Pins)}
	}
	return page, wire.Next, nil
}

// Pools implements portal.Reader.
func (c *Client) Pools(ctx context.Context) ([]portalapi.Pool, error) {
	var wire portalv1.PoolList
	if err := c.call(ctx, "list pools", 0, &wire, func(ctx context.Context) (*http.Response, error) { return c.api.ListPools(ctx) }); err != nil {
		return nil, err
	}
	all := make([]portalapi.Pool, len(wire.Items))
	for i := range wire.Items {
		all[i] = *pool(&wire.Items[i])
	}
	return all, nil
}

// Roles implements portal.Reader.
func (c *Client) Roles(ctx context.Context) ([]portalapi.Role, error) {
	var wire portalv1.RoleList
	if err := c.call(ctx, "list roles", 0, &wire, func(ctx context.Context) (*http.Response, error) { return c.api.ListRoles(ctx) }); err != nil {
		return nil, err
	}
	all := make([]portalapi.Role, len(wire.Items))
	for i, r := range wire.Items {
		all[i] = portalapi.Role{Name: r.Name, Description: r.Description, Grantable: r.Grantable}
	}
	return all, nil
}

// Position implements portal.Reader.
func (c *Client) Position(ctx context.Context) (portalapi.Position, error) {
	_, end, err := c.changes(ctx, &portalv1.ListChangesParams{}, 0)
	return end, err
}

// Changes implements portal.Reader.
func (c *Client) Changes(ctx context.Context, p portalapi.Position, wait time.Duration) ([]portalapi.Change, portalapi.Position, error) {
	if p == (portalapi.Position{}) {
		end, err := c.Position(ctx)
		if err != nil {
			return nil, p, err
		}
		p = end
	}
	seconds := int(min(max(wait, 0), 30*time.Second).Round(time.Second) / time.Second)
	limit := pageSize
	changes, end, err := c.changes(ctx, &portalv1.ListChangesParams{Epoch: &p.Epoch, After: &p.Sequence, Limit: &limit, WaitSeconds: &seconds},
		time.Duration(seconds)*time.Second)
	if err != nil {
		return nil, p, err
	}
	return changes, end, nil
}

func (c *Client) changes(ctx context.Context, params *portalv1.ListChangesParams, wait time.Duration) ([]portalapi.Change, portalapi.Position, error) {
	var wire portalv1.ChangePage
	err := c.call(ctx, "follow changes", wait, &wire, func(ctx context.Context) (*http.Response, error) { return c.api.ListChanges(ctx, params) })
	if err != nil {
		return nil, portalapi.Position{}, err
	}
	all := make([]portalapi.Change, len(wire.Items))
	for i := range wire.Items {
		all[i] = change(&wire.Items[i])
	}
	return all, portalapi.Position{Epoch: wire.Epoch, Sequence: wire.Position}, nil
}

// Configuration implements portal.Identity.
func (c *Client) Configuration(ctx context.Context) (*portalapi.Configuration, error) {
	var wire portalv1.IdentityConfiguration
	err := c.call(ctx, "read identity configuration", 0, &wire, func(ctx context.Context) (*http.Response, error) {
		return c.api.GetIdentityConfiguration(ctx)
	})
	if err != nil {
		return nil, err
	}
	return configuration(&wire), nil
}

// PutLoginMethods implements portal.Identity.
func (c *Client) PutLoginMethods(ctx context.Context, m portalapi.LoginMethods, managedElsewhere string) (*portalapi.Configuration, error) {
	body := portalv1.LoginMethodsProvision{ManagedElsewhere: managedElsewhere}
	if managedElsewhere != "" {
		methods := loginMethods(m)
		body.LoginMethods = &methods
	}
	var wire portalv1.IdentityConfiguration
	err := c.call(ctx, "put login methods", 0, &wire, func(ctx context.Context) (*http.Response, error) {
		return c.api.ProvisionLoginMethods(ctx, body)
	})
	if err != nil {
		return nil, err
	}
	return configuration(&wire), nil
}

// Bind implements portal.Identity.
func (c *Client) Bind(ctx context.Context, b portalapi.Binding) (string, error) {
	var wire portalv1.BindingID
	err := c.call(ctx, "bind the portal", 0, &wire, func(ctx context.Context) (*http.Response, error) {
		return c.api.Bind(ctx, portalv1.Binding{Replaces: b.Replaces, Cluster: b.Cluster, Namespace: b.Namespace, Name: b.Name, UID: b.UID,
			ProviderType: b.ProviderType, ProviderName: b.ProviderName, SCIMBaseURL: b.SCIMBaseURL})
	})
	return wire.ID, err
}

// Unbind implements portal.Identity.
func (c *Client) Unbind(ctx context.Context, uid string) error {
	return c.call(ctx, "unbind the portal", 0, nil, func(ctx context.Context) (*http.Response, error) {
		return c.api.Unbind(ctx, &portalv1.UnbindParams{UID: uid})
	})
}

// SCIMKeys implements portal.Identity.
func (c *Client) SCIMKeys(ctx context.Context) ([]portalapi.KeyDigest, error) {
	var wire portalv1.KeyDigestList
	if err := c.call(ctx, "list SCIM keys", 0, &wire, func(ctx context.Context) (*http.Response, error) { return c.api.ListSCIMKeys(ctx) }); err != nil {
		return nil, err
	}
	all := make([]portalapi.KeyDigest, len(wire.Items))
	for i, k := range wire.Items {
		all[i] = portalapi.KeyDigest{ID: k.ID, Name: k.Name, SHA256: k.Sha256, Provider: provider.ID{Type: k.ProviderType, Name: k.ProviderName}}
		if k.ExpiresAt != nil {
			all[i].ExpiresAt = *k.ExpiresAt
		}
		if k.RotateSince != nil {
			all[i].RotateSince = *k.RotateSince
		}
	}
	return all, nil
}

// PutMigrationPlan implements portal.Migration. It sends the plan in parts.
func (c *Client) PutMigrationPlan(ctx context.Context, plan portalapi.MigrationPlan) error {
	for from := 0; ; from += portalapi.MaxPlanPart {
		to := min(from+portalapi.MaxPlanPart, len(plan.Lines))
		part := portalv1.MigrationPlanPart{ID: plan.ID, PlanRequest: plan.Request, First: from == 0, Last: to == len(plan.Lines),
			Lines: make([]portalv1.MigrationLine, to-from)}
		for i, l := range plan.Lines[from:to] {
			part.Lines[i] = portalv1.MigrationLine{UserID: l.AccountID, UserName: l.UserName, Outcome: portalv1.MigrationOutcome(l.Outcome), Becomes: string(l.Becomes),
				Message: l.Message, RolesLost: list(l.RolesLost), RolesGained: list(l.RolesGained), PoolsLost: list(l.PoolsLost), PoolsGained: list(l.PoolsGained)}
		}
		err := c.call(ctx, "put the migration plan", 0, nil, func(ctx context.Context) (*http.Response, error) {
			return c.api.ProvisionMigrationPlan(ctx, part)
		})
		if err != nil || part.Last {
			return err
		}
	}
}

// Removals implements portal.Audit. The window is rounded up to whole seconds.
func (c *Client) Removals(ctx context.Context, window time.Duration) (portalapi.Removals, error) {
	seconds := int64((window + time.Second - 1) / time.Second)
	var wire portalv1.Removals
	err := c.call(ctx, "count removals", 0, &wire, func(ctx context.Context) (*http.Response, error) {
		return c.api.GetRemovals(ctx, &portalv1.GetRemovalsParams{WindowSeconds: seconds})
	})
	if err != nil {
		return portalapi.Removals{}, err
	}
	r := portalapi.Removals{Removed: wire.Removed, Managed: wire.Managed, Pools: make(map[string]portalapi.PoolRemovals, len(wire.Pools))}
	for _, p := range wire.Pools {
		r.Pools[p.ID] = portalapi.PoolRemovals{Removed: p.Removed, Members: p.Members}
	}
	return r, nil
}

// AuditHead implements portal.Audit.
func (c *Client) AuditHead(ctx context.Context, sequence int64) (portalapi.AuditHead, error) {
	params := &portalv1.GetAuditHeadParams{}
	if sequence != 0 {
		params.Sequence = &sequence
	}
	var wire portalv1.AuditHead
	err := c.call(ctx, "read the audit's head", 0, &wire, func(ctx context.Context) (*http.Response, error) { return c.api.GetAuditHead(ctx, params) })
	return portalapi.AuditHead{Sequence: wire.Sequence, MAC: wire.Mac}, err
}
