// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"maps"
	"slices"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func (s *server) ProvisionUser(ctx context.Context, r portalv1.ProvisionUserRequestObject) (portalv1.ProvisionUserResponseObject, error) {
	decided, err := decidedOn(r.Params.IfMatch, r.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	b := r.Body
	w := portalapi.AccountWrite{
		Owner: portalapi.Owner{UID: r.OwnerUID, Name: b.OwnerName, Revision: b.Revision}, IfRevision: decided,
		UserName: b.UserName, DisplayName: b.DisplayName, GivenName: b.GivenName, FamilyName: b.FamilyName, Email: b.Email,
		ExternalID: b.ExternalID, Active: b.Active, Pools: b.Pools, KeepMark: b.KeepMark, Accepted: b.Accepted,
	}
	if b.Adopt != nil {
		w.Adopt = &portalapi.Adopt{ID: b.Adopt.ID, OwnerUID: b.Adopt.OwnerUID, Inherit: b.Adopt.Inherit}
	}
	account, err := s.store.PutAccount(ctx, actor(ctx), w)
	if err != nil {
		return nil, err
	}
	return portalv1.ProvisionUser200JSONResponse{UserJSONResponse: userResponse(account)}, nil
}

func (s *server) ReleaseUser(ctx context.Context, r portalv1.ReleaseUserRequestObject) (portalv1.ReleaseUserResponseObject, error) {
	owner := portalapi.Owner{UID: r.OwnerUID, Name: r.Body.OwnerName, Revision: r.Body.Revision}
	return portalv1.ReleaseUser204Response{}, s.store.ReleaseAccount(ctx, actor(ctx), owner, portalapi.ReleaseMode(r.Body.Mode))
}

func (s *server) ListReleasedUsers(ctx context.Context, r portalv1.ListReleasedUsersRequestObject) (portalv1.ListReleasedUsersResponseObject, error) {
	page, next, err := s.store.Released(ctx, or(r.Params.After, ""), or(r.Params.Limit, defaultLimit))
	if err != nil {
		return nil, err
	}
	wire := portalv1.ListReleasedUsers200JSONResponse{Items: make([]portalv1.ReleasedUser, len(page)), Next: next}
	for i, o := range page {
		wire.Items[i] = portalv1.ReleasedUser{OwnerName: o.Name, Revision: o.Revision}
	}
	return wire, nil
}

func (s *server) ListReleasedPools(ctx context.Context, r portalv1.ListReleasedPoolsRequestObject) (portalv1.ListReleasedPoolsResponseObject, error) {
	page, next, err := s.store.ReleasedPools(ctx, or(r.Params.After, ""), or(r.Params.Limit, defaultLimit))
	if err != nil {
		return nil, err
	}
	wire := portalv1.ListReleasedPools200JSONResponse{Items: make([]portalv1.ReleasedPool, len(page)), Next: next}
	for i, o := range page {
		wire.Items[i] = portalv1.ReleasedPool{OwnerName: o.Name, Pins: pins(o.Pins)}
	}
	return wire, nil
}

func (s *server) MarkWaiting(ctx context.Context, r portalv1.MarkWaitingRequestObject) (portalv1.MarkWaitingResponseObject, error) {
	owner := portalapi.Owner{UID: r.Body.UID, Name: r.Body.Name}
	return portalv1.MarkWaiting204Response{}, s.store.MarkWaiting(ctx, actor(ctx), r.AccountID, owner)
}

func (s *server) MarkHeld(ctx context.Context, r portalv1.MarkHeldRequestObject) (portalv1.MarkHeldResponseObject, error) {
	owner := portalapi.Owner{UID: r.OwnerUID, Revision: r.Body.Revision}
	return portalv1.MarkHeld204Response{}, s.store.MarkAccount(ctx, actor(ctx), owner, markOf(r.Body.Mark))
}

func (s *server) ProvisionPool(ctx context.Context, r portalv1.ProvisionPoolRequestObject) (portalv1.ProvisionPoolResponseObject, error) {
	decided, err := decidedOn(r.Params.IfMatch, r.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	b := r.Body
	w := portalapi.PoolWrite{
		Owner: portalapi.Owner{UID: r.OwnerUID, Name: b.OwnerName, Revision: b.Revision}, IfRevision: decided,
		Default: b.Default, Name: b.Name, Description: b.Description, Roles: b.Roles, Pins: pinsOf(b.Pins), KeepMark: b.KeepMark,
	}
	if b.Adopt != nil {
		w.Adopt = &portalapi.Adopt{ID: b.Adopt.ID, OwnerUID: b.Adopt.OwnerUID, Inherit: b.Adopt.Inherit}
	}
	put, err := s.store.PutPool(ctx, actor(ctx), w)
	if err != nil {
		return nil, err
	}
	return portalv1.ProvisionPool200JSONResponse{PoolJSONResponse: poolResponse(put)}, nil
}

func (s *server) ProvisionMemberships(ctx context.Context, r portalv1.ProvisionMembershipsRequestObject) (portalv1.ProvisionMembershipsResponseObject, error) {
	items := make([]portalapi.MembershipWrite, len(r.Body.Items))
	for i, item := range r.Body.Items {
		items[i] = portalapi.MembershipWrite{AccountID: item.UserID, IfRevision: item.IfRevision, Add: item.In, Request: item.RequestID}
	}
	results, err := s.store.PutMemberships(ctx, actor(ctx), r.OwnerUID, items, seenOf(r.Body.Seen))
	if err != nil {
		return nil, err
	}
	all := portalv1.ProvisionMemberships200JSONResponse{Items: make([]portalv1.MembershipResult, len(results))}
	for i, one := range results {
		all.Items[i] = portalv1.MembershipResult{UserID: one.AccountID, Outcome: portalv1.MembershipOutcome(one.Outcome), Revision: one.Revision}
	}
	return all, nil
}

func (s *server) ReleasePool(ctx context.Context, r portalv1.ReleasePoolRequestObject) (portalv1.ReleasePoolResponseObject, error) {
	return portalv1.ReleasePool204Response{}, s.store.ReleasePool(ctx, actor(ctx), r.OwnerUID, r.Body.Remove)
}

func (s *server) MarkPoolHeld(ctx context.Context, r portalv1.MarkPoolHeldRequestObject) (portalv1.MarkPoolHeldResponseObject, error) {
	owner := portalapi.Owner{UID: r.OwnerUID, Revision: r.Body.Revision}
	return portalv1.MarkPoolHeld204Response{}, s.store.MarkPool(ctx, actor(ctx), owner, markOf(r.Body.Mark))
}

func (s *server) Bind(ctx context.Context, r portalv1.BindRequestObject) (portalv1.BindResponseObject, error) {
	b := r.Body
	id, err := s.store.Bind(ctx, actor(ctx), portalapi.Binding{Replaces: b.Replaces, Cluster: b.Cluster, Namespace: b.Namespace, Name: b.Name, UID: b.UID,
		ProviderType: b.ProviderType, ProviderName: b.ProviderName, SCIMBaseURL: b.SCIMBaseURL})
	if err != nil {
		return nil, err
	}
	return portalv1.Bind200JSONResponse{ID: id}, nil
}

func (s *server) Unbind(ctx context.Context, r portalv1.UnbindRequestObject) (portalv1.UnbindResponseObject, error) {
	return portalv1.Unbind204Response{}, s.store.Unbind(ctx, actor(ctx), r.Params.UID)
}

func (s *server) ProvisionLoginMethods(ctx context.Context, r portalv1.ProvisionLoginMethodsRequestObject) (portalv1.ProvisionLoginMethodsResponseObject, error) {
	var m portalapi.LoginMethods
	switch {
	case r.Body.LoginMethods != nil:
		m = loginMethods(*r.Body.LoginMethods)
	case r.Body.ManagedElsewhere != "":
		return nil, invalid("managedElsewhere needs loginMethods: send the login methods that apply")
	}
	config, err := s.store.PutLoginMethods(ctx, actor(ctx), m, r.Body.ManagedElsewhere)
	if err != nil {
		return nil, err
	}
	return portalv1.ProvisionLoginMethods200JSONResponse{IdentityConfigurationJSONResponse: configurationResponse(config, nil)}, nil
}

func (s *server) ProvisionMigrationPlan(ctx context.Context, r portalv1.ProvisionMigrationPlanRequestObject) (portalv1.ProvisionMigrationPlanResponseObject, error) {
	plan := portalapi.MigrationPlan{ID: r.Body.ID, Request: r.Body.PlanRequest, Lines: make([]portalapi.MigrationLine, len(r.Body.Lines))}
	for i, l := range r.Body.Lines {
		plan.Lines[i] = portalapi.MigrationLine{AccountID: l.UserID, UserName: l.UserName, Outcome: portalapi.MigrationOutcome(l.Outcome), Becomes: portalapi.Status(l.Becomes),
			Message: l.Message, RolesLost: l.RolesLost, RolesGained: l.RolesGained, PoolsLost: l.PoolsLost, PoolsGained: l.PoolsGained}
	}
	return portalv1.ProvisionMigrationPlan204Response{}, s.store.PutMigrationPlan(ctx, actor(ctx), plan, r.Body.First, r.Body.Last)
}

func (s *server) ListSCIMKeys(ctx context.Context, _ portalv1.ListSCIMKeysRequestObject) (portalv1.ListSCIMKeysResponseObject, error) {
	keys, err := s.store.SCIMKeys(ctx)
	if err != nil {
		return nil, err
	}
	all := portalv1.ListSCIMKeys200JSONResponse{Items: make([]portalv1.KeyDigest, len(keys))}
	for i, k := range keys {
		all.Items[i] = portalv1.KeyDigest{ID: k.ID, Name: k.Name, Sha256: k.SHA256, ProviderType: k.Provider.Type, ProviderName: k.Provider.Name, ExpiresAt: moment(k.ExpiresAt), RotateSince: moment(k.RotateSince)}
	}
	return all, nil
}

func (s *server) GetRemovals(ctx context.Context, r portalv1.GetRemovalsRequestObject) (portalv1.GetRemovalsResponseObject, error) {
	counted, err := s.store.Removals(ctx, time.Duration(r.Params.WindowSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	wire := portalv1.GetRemovals200JSONResponse{Removed: counted.Removed, Managed: counted.Managed, Pools: []portalv1.PoolRemovals{}}
	for _, id := range slices.Sorted(maps.Keys(counted.Pools)) {
		p := counted.Pools[id]
		wire.Pools = append(wire.Pools, portalv1.PoolRemovals{ID: id, Removed: p.Removed, Members: p.Members})
	}
	return wire, nil
}

func (s *server) GetAuditHead(ctx context.Context, r portalv1.GetAuditHeadRequestObject) (portalv1.GetAuditHeadResponseObject, error) {
	head, err := s.store.AuditHead(ctx, or(r.Params.Sequence, 0))
	if err != nil {
		return nil, err
	}
	return portalv1.GetAuditHead200JSONResponse{Sequence: head.Sequence, Mac: head.MAC}, nil
}
