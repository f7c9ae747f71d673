// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"strconv"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/provider"
	"lightrun.com/scim-operator/internal/portal/store"
)

// defaultLimit is the page size of a request without a limit.
const defaultLimit = 100

func (s *server) ListUsers(ctx context.Context, r portalv1.ListUsersRequestObject) (portalv1.ListUsersResponseObject, error) {
	p := r.Params
	page, next, err := s.store.Accounts(ctx, store.AccountFilter{
		UserName: or(p.UserName, ""), Email: or(p.Email, ""), ManagedBy: portalapi.ManagedBy(or(p.ManagedBy, "")), Status: portalapi.Status(or(p.Status, "")),
		PoolID: or(p.PoolID, ""), Search: or(p.Q, ""), Held: or(p.Held, false),
	}, or(p.After, ""), or(p.Limit, defaultLimit))
	if err != nil {
		return nil, err
	}
	return portalv1.ListUsers200JSONResponse{Items: users(page), Next: next}, nil
}

func (s *server) CreateUser(ctx context.Context, r portalv1.CreateUserRequestObject) (portalv1.CreateUserResponseObject, error) {
	b := r.Body
	account, err := s.store.CreateAccount(ctx, actor(ctx), store.NewAccount{
		UserName: b.UserName, DisplayName: b.DisplayName, GivenName: b.GivenName, FamilyName: b.FamilyName, Email: b.Email,
		Password: b.Password, Inactive: !or(b.Active, true), Pools: b.Pools, DirectRoles: b.DirectRoles,
	})
	if err != nil {
		return nil, err
	}
	return portalv1.CreateUser201JSONResponse{UserJSONResponse: userResponse(account)}, nil
}

func (s *server) GetUser(ctx context.Context, r portalv1.GetUserRequestObject) (portalv1.GetUserResponseObject, error) {
	account, err := s.store.Account(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return portalv1.GetUser200JSONResponse{UserJSONResponse: userResponse(account)}, nil
}

func (s *server) UpdateUser(ctx context.Context, r portalv1.UpdateUserRequestObject) (portalv1.UpdateUserResponseObject, error) {
	b := r.Body
	match, err := revision(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	patch := store.AccountPatch{
		UserName: b.UserName, DisplayName: b.DisplayName, GivenName: b.GivenName, FamilyName: b.FamilyName, Email: b.Email,
		Password: b.Password, Pools: b.Pools, DirectRoles: b.DirectRoles, HandedOver: b.HandedOver,
	}
	if b.Status != nil {
		active := *b.Status == portalv1.StatusActive
		patch.Active = &active
	}
	account, err := s.store.UpdateAccount(ctx, actor(ctx), r.ID, match, patch)
	if err != nil {
		return nil, err
	}
	return portalv1.UpdateUser200JSONResponse{UserJSONResponse: userResponse(account)}, nil
}

func (s *server) DeleteUser(ctx context.Context, r portalv1.DeleteUserRequestObject) (portalv1.DeleteUserResponseObject, error) {
	match, err := revision(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return portalv1.DeleteUser204Response{}, s.store.DeleteAccount(ctx, actor(ctx), r.ID, match)
}

func (s *server) EraseUser(ctx context.Context, r portalv1.EraseUserRequestObject) (portalv1.EraseUserResponseObject, error) {
	match, err := revision(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return portalv1.EraseUser204Response{}, s.store.EraseAccount(ctx, actor(ctx), r.ID, match)
}

func (s *server) ListAuditEvents(ctx context.Context, r portalv1.ListAuditEventsRequestObject) (portalv1.ListAuditEventsResponseObject, error) {
	var before int64
	if after := or(r.Params.After, ""); after != "" {
		n, err := strconv.ParseInt(after, 10, 64)
		if err != nil || n < 1 {
			return nil, invalid("after must be the value of next from the previous page")
		}
		before = n
	}
	limit := or(r.Params.Limit, defaultLimit)
	events, err := s.store.AuditEvents(ctx, store.AuditFilter{TargetID: or(r.Params.UserID, ""), Actor: or(r.Params.Actor, ""), Refused: r.Params.Outcome != nil,
		Cause: store.Cause(or(r.Params.Cause, "")), From: or(r.Params.From, time.Time{}), To: or(r.Params.To, time.Time{})}, before, limit+1)
	if err != nil {
		return nil, err
	}
	page := portalv1.ListAuditEvents200JSONResponse{Items: []portalv1.AuditEvent{}}
	if len(events) > limit {
		events = events[:limit]
		page.Next = strconv.FormatInt(events[limit-1].ID, 10)
	}
	for _, e := range events {
		page.Items = append(page.Items, auditEvent(e))
	}
	return page, nil
}

func (s *server) ListAPIKeys(ctx context.Context, _ portalv1.ListAPIKeysRequestObject) (portalv1.ListAPIKeysResponseObject, error) {
	keys, err := s.store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	all := portalv1.ListAPIKeys200JSONResponse{Items: make([]portalv1.APIKey, len(keys))}
	for i := range keys {
		all.Items[i] = apiKey(&keys[i])
	}
	return all, nil
}

func (s *server) CreateAPIKey(ctx context.Context, r portalv1.CreateAPIKeyRequestObject) (portalv1.CreateAPIKeyResponseObject, error) {
	key, secret, err := s.store.CreateKey(ctx, actor(ctx), store.NewKey{
		Name: r.Body.Name, Scope: store.Scope(r.Body.Scope), Expires: or(r.Body.ExpiresAt, time.Time{}),
		Provider: provider.ID{Type: r.Body.ProviderType, Name: r.Body.ProviderName},
	})
	if err != nil {
		return nil, err
	}
	return portalv1.CreateAPIKey201JSONResponse{Key: apiKey(key), Secret: secret}, nil
}

func (s *server) DeleteAPIKey(ctx context.Context, r portalv1.DeleteAPIKeyRequestObject) (portalv1.DeleteAPIKeyResponseObject, error) {
	return portalv1.DeleteAPIKey204Response{}, s.store.DeleteKey(ctx, actor(ctx), r.ID)
}

func (s *server) RotateAPIKey(ctx context.Context, r portalv1.RotateAPIKeyRequestObject) (portalv1.RotateAPIKeyResponseObject, error) {
	key, secret, err := s.store.RotateKey(ctx, actor(ctx), r.ID, time.Duration(r.Body.OverlapSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	return portalv1.RotateAPIKey201JSONResponse{Key: apiKey(key), Secret: secret}, nil
}
