package api

import (
	"context"

	"lightrun.com/scim-operator/internal/portal/openapi"
	"lightrun.com/scim-operator/internal/portalserver/store"
)

func (s *server) ListPools(ctx context.Context, _ openapi.ListPoolsRequestObject) (openapi.ListPoolsResponseObject, error) {
	pools, err := s.store.Pools(ctx)
	if err != nil {
		return nil, err
	}
	all := openapi.ListPools200JSONResponse{Items: make([]openapi.Pool, len(pools))}
	for i := range pools {
		all.Items[i] = pool(&pools[i])
	}
	return all, nil
}

func (s *server) CreatePool(ctx context.Context, r openapi.CreatePoolRequestObject) (openapi.CreatePoolResponseObject, error) {
	made, err := s.store.CreatePool(ctx, actor(ctx), store.NewPool{Name: r.Body.Name, Description: r.Body.Description, Roles: r.Body.Roles})
	if err != nil {
		return nil, err
	}
	return openapi.CreatePool201JSONResponse{PoolJSONResponse: poolResponse(made)}, nil
}

func (s *server) GetPool(ctx context.Context, r openapi.GetPoolRequestObject) (openapi.GetPoolResponseObject, error) {
	found, err := s.store.Pool(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return openapi.GetPool200JSONResponse{PoolJSONResponse: poolResponse(found)}, nil
}

func (s *server) UpdatePool(ctx context.Context, r openapi.UpdatePoolRequestObject) (openapi.UpdatePoolResponseObject, error) {
	match, err := revision(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	updated, err := s.store.UpdatePool(ctx, actor(ctx), r.ID, match, store.PoolPatch{Name: r.Body.Name, Description: r.Body.Description, Roles: r.Body.Roles, HandedOver: r.Body.HandedOver})
	if err != nil {
		return nil, err
	}
	return openapi.UpdatePool200JSONResponse{PoolJSONResponse: poolResponse(updated)}, nil
}

func (s *server) DeletePool(ctx context.Context, r openapi.DeletePoolRequestObject) (openapi.DeletePoolResponseObject, error) {
	match, err := revision(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	return openapi.DeletePool204Response{}, s.store.DeletePool(ctx, actor(ctx), r.ID, match)
}

func (s *server) ListRoles(ctx context.Context, _ openapi.ListRolesRequestObject) (openapi.ListRolesResponseObject, error) {
	roles, err := s.store.Roles(ctx)
	if err != nil {
		return nil, err
	}
	all := openapi.ListRoles200JSONResponse{Items: make([]openapi.Role, len(roles))}
	for i, r := range roles {
		all.Items[i] = openapi.Role{Name: r.Name, Description: r.Description, Grantable: r.Grantable}
	}
	return all, nil
}
