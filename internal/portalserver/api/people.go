package api

import (
	"context"
	"strconv"
	"time"

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/openapi"
	"lightrun.com/scim-operator/internal/portalserver/store"
	"lightrun.com/scim-operator/internal/provider"
)

// defaultLimit is the page size of a request without a limit.
const defaultLimit = 100

func (s *server) ListUsers(ctx context.Context, r openapi.ListUsersRequestObject) (openapi.ListUsersResponseObject, error) {
	p := r.Params
	page, next, err := s.store.Accounts(ctx, store.AccountFilter{
		UserName: or(p.UserName, ""), Email: or(p.Email, ""), ManagedBy: portal.ManagedBy(or(p.ManagedBy, "")), Status: portal.Status(or(p.Status, "")),
		PoolID: or(p.PoolID, ""), Search: or(p.Q, ""), Held: or(p.Held, false),
	}, or(p.After, ""), or(p.Limit, defaultLimit))
	if err != nil {
		return nil, err
	}
	return openapi.ListUsers200JSONResponse{Items: users(page), Next: next}, nil
}

func (s *server) CreateUser(ctx context.Context, r openapi.CreateUserRequestObject) (openapi.CreateUserResponseObject, error) {
	b := r.Body
	account, err := s.store.CreateAccount(ctx, actor(ctx), store.NewAccount{
		UserName: b.UserName, DisplayName: b.DisplayName, GivenName: b.GivenName, FamilyName: b.FamilyName, Email: b.Email,
		Password: b.Password, Inactive: !or(b.Active, true), Pools: b.Pools, DirectRoles: b.DirectRoles,
	})
	if err != nil {
		return nil, err
	}
	return openapi.CreateUser201JSONResponse{UserJSONResponse: userResponse(account)}, nil
}

func (s *server) GetUser(ctx context.Context, r openapi.GetUserRequestObject) (openapi.GetUserResponseObject, error) {
	account, err := s.store.Account(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return openapi.GetUser200JSONResponse{UserJSONResponse: userResponse(account)}, nil
}

func (s *server) UpdateUser(ctx context.Context, r openapi.UpdateUserRequestObject) (openapi.UpdateUserResponseObject, error) {
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
		active := *b.Status == openapi.StatusActive
		patch.Active = &active
	}
	account, err := s.store.UpdateAccount(ctx, actor(ctx), r.ID, match, patch)
	if err != nil {
		return nil, err
	}
	return openapi.UpdateUser200JSONResponse{UserJSONResponse: userResponse(account)}, nil
}

func (s *server) DeleteUser(ctx context.Context, r openapi.DeleteUserRequestObject) (openapi.DeleteUserResponseObject, error) {
	match, err := revision(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return openapi.DeleteUser204Response{}, s.store.DeleteAccount(ctx, actor(ctx), r.ID, match)
}

func (s *server) ListAuditEvents(ctx context.Context, r openapi.ListAuditEventsRequestObject) (openapi.ListAuditEventsResponseObject, error) {
	var before int64
	if after := or(r.Params.After, ""); after != "" {
		n, err := strconv.ParseInt(after, 10, 64)
		if err != nil || n < 1 {
			return nil, invalid("after must be the value of next from the previous page")
		}
		before = n
	}
	limit := or(r.Params.Limit, defaultLimit)
	events, err := s.store.AuditEvents(ctx, store.AuditFilter{TargetID: or(r.Params.UserID, ""), Actor: or(r.Params.Actor, "")}, before, limit+1)
	if err != nil {
		return nil, err
	}
	page := openapi.ListAuditEvents200JSONResponse{Items: []openapi.AuditEvent{}}
	if len(events) > limit {
		events = events[:limit]
		page.Next = strconv.FormatInt(events[limit-1].ID, 10)
	}
	for _, e := range events {
		page.Items = append(page.Items, auditEvent(e))
	}
	return page, nil
}

func (s *server) ListAPIKeys(ctx context.Context, _ openapi.ListAPIKeysRequestObject) (openapi.ListAPIKeysResponseObject, error) {
	keys, err := s.store.Keys(ctx)
	if err != nil {
		return nil, err
	}
	all := openapi.ListAPIKeys200JSONResponse{Items: make([]openapi.APIKey, len(keys))}
	for i := range keys {
		all.Items[i] = apiKey(&keys[i])
	}
	return all, nil
}

func (s *server) CreateAPIKey(ctx context.Context, r openapi.CreateAPIKeyRequestObject) (openapi.CreateAPIKeyResponseObject, error) {
	key, secret, err := s.store.CreateKey(ctx, actor(ctx), store.NewKey{
		Name: r.Body.Name, Scope: store.Scope(r.Body.Scope), Expires: or(r.Body.ExpiresAt, time.Time{}),
		Provider: provider.ID{Type: r.Body.ProviderType, Name: r.Body.ProviderName},
	})
	if err != nil {
		return nil, err
	}
	return openapi.CreateAPIKey201JSONResponse{Key: apiKey(key), Secret: secret}, nil
}

func (s *server) DeleteAPIKey(ctx context.Context, r openapi.DeleteAPIKeyRequestObject) (openapi.DeleteAPIKeyResponseObject, error) {
	return openapi.DeleteAPIKey204Response{}, s.store.DeleteKey(ctx, actor(ctx), r.ID)
}
