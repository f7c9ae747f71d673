// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/portal/store"
)

func (s *server) ListPools(ctx context.Context, _ portalv1.ListPoolsRequestObject) (portalv1.ListPoolsResponseObject, error) {
	pools, err := s.store.Pools(ctx)
	if err != nil {
		return nil, err
	}
	all := portalv1.ListPools200JSONResponse{Items: make([]portalv1.Pool, len(pools))}
	for i := range pools {
		all.Items[i] = pool(&pools[i])
	}
	return all, nil
}

func (s *server) CreatePool(ctx context.Context, r portalv1.CreatePoolRequestObject) (portalv1.CreatePoolResponseObject, error) {
	made, err := s.store.CreatePool(ctx, actor(ctx), store.NewPool{Name: r.Body.Name, Description: r.Body.Description, Roles: r.Body.Roles})
	if err != nil {
		return nil, err
	}
	return portalv1.CreatePool201JSONResponse{PoolJSONResponse: poolResponse(made)}, nil
}

func (s *server) GetPool(ctx context.Context, r portalv1.GetPoolRequestObject) (portalv1.GetPoolResponseObject, error) {
	found, err := s.store.Pool(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return portalv1.GetPool200JSONResponse{PoolJSONResponse: poolResponse(found)}, nil
}

func (s *server) UpdatePool(ctx context.Context, r portalv1.UpdatePoolRequestObject) (portalv1.UpdatePoolResponseObject, error) {
	match, err := revision(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	updated, err := s.store.UpdatePool(ctx, actor(ctx), r.ID, match, store.PoolPatch{Name: r.Body.Name, Description: r.Body.Description, Roles: r.Body.Roles, HandedOver: r.Body.HandedOver})
	if err != nil {
		return nil, err
	}
	return portalv1.UpdatePool200JSONResponse{PoolJSONResponse: poolResponse(updated)}, nil
}

func (s *server) DeletePool(ctx context.Context, r portalv1.DeletePoolRequestObject) (portalv1.DeletePoolResponseObject, error) {
	match, err := revision(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return portalv1.DeletePool204Response{}, s.store.DeletePool(ctx, actor(ctx), r.ID, match)
}

// GetAgentPool returns the pool of the agent's key.
func (s *server) GetAgentPool(ctx context.Context, _ portalv1.GetAgentPoolRequestObject) (portalv1.GetAgentPoolResponseObject, error) {
	a, _ := ctx.Value(agentKey).(agent)
	found := portalv1.GetAgentPool200JSONResponse{ID: a.pool.ID, Name: a.pool.Name}
	if !a.key.Active() {
		found.EndsAt = &a.key.EndsAt
	}
	return found, nil
}

func (s *server) ListRoles(ctx context.Context, _ portalv1.ListRolesRequestObject) (portalv1.ListRolesResponseObject, error) {
	roles, err := s.store.Roles(ctx)
	if err != nil {
		return nil, err
	}
	all := portalv1.ListRoles200JSONResponse{Items: make([]portalv1.Role, len(roles))}
	for i, r := range roles {
		all.Items[i] = portalv1.Role{Name: r.Name, Description: r.Description, Grantable: r.Grantable}
	}
	return all, nil
}
