package api

import (
	"context"
	"maps"
	"slices"
	"time"

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/openapi"
)

func (s *server) ProvisionUser(ctx context.Context, r openapi.ProvisionUserRequestObject) (openapi.ProvisionUserResponseObject, error) {
	decided, err := decidedOn(r.Params.IfMatch, r.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	b := r.Body
	w := portal.AccountWrite{
		Owner: portal.Owner{UID: r.OwnerUID, Name: b.OwnerName, Revision: b.Revision}, IfRevision: decided,
		UserName: b.UserName, DisplayName: b.DisplayName, GivenName: b.GivenName, FamilyName: b.FamilyName, Email: b.Email,
		ExternalID: b.ExternalID, Active: b.Active, Pools: b.Pools, KeepMark: b.KeepMark,
	}
	if b.Adopt != nil {
		w.Adopt = &portal.Adopt{ID: b.Adopt.ID, OwnerUID: b.Adopt.OwnerUID, Inherit: b.Adopt.Inherit}
	}
	account, err := s.store.PutAccount(ctx, actor(ctx), w)
	if err != nil {
		return nil, err
	}
	return openapi.ProvisionUser200JSONResponse{UserJSONResponse: userResponse(account)}, nil
}

func (s *server) ReleaseUser(ctx context.Context, r openapi.ReleaseUserRequestObject) (openapi.ReleaseUserResponseObject, error) {
	owner := portal.Owner{UID: r.OwnerUID, Revision: r.Body.Revision}
	return openapi.ReleaseUser204Response{}, s.store.ReleaseAccount(ctx, actor(ctx), owner, portal.ReleaseMode(r.Body.Mode))
}

func (s *server) MarkWaiting(ctx context.Context, r openapi.MarkWaitingRequestObject) (openapi.MarkWaitingResponseObject, error) {
	owner := portal.Owner{UID: r.Body.UID, Name: r.Body.Name}
	return openapi.MarkWaiting204Response{}, s.store.MarkWaiting(ctx, actor(ctx), r.AccountID, owner)
}

func (s *server) MarkHeld(ctx context.Context, r openapi.MarkHeldRequestObject) (openapi.MarkHeldResponseObject, error) {
	owner := portal.Owner{UID: r.OwnerUID, Revision: r.Body.Revision}
	return openapi.MarkHeld204Response{}, s.store.MarkHeld(ctx, actor(ctx), owner, markOf(r.Body.Mark))
}

func (s *server) ProvisionPool(ctx context.Context, r openapi.ProvisionPoolRequestObject) (openapi.ProvisionPoolResponseObject, error) {
	decided, err := decidedOn(r.Params.IfMatch, r.Params.IfNoneMatch)
	if err != nil {
		return nil, err
	}
	b := r.Body
	w := portal.PoolWrite{
		Owner: portal.Owner{UID: r.OwnerUID, Name: b.OwnerName, Revision: b.Revision}, IfRevision: decided,
		Default: b.Default, Name: b.Name, Description: b.Description, Roles: b.Roles, Pins: pinsOf(b.Pins), KeepMark: b.KeepMark,
	}
	if b.Adopt != nil {
		w.Adopt = &portal.Adopt{ID: b.Adopt.ID, OwnerUID: b.Adopt.OwnerUID, Members: b.Adopt.Members, Inherit: b.Adopt.Inherit}
	}
	put, err := s.store.PutPool(ctx, actor(ctx), w)
	if err != nil {
		return nil, err
	}
	return openapi.ProvisionPool200JSONResponse{PoolJSONResponse: poolResponse(put)}, nil
}

func (s *server) ProvisionMemberships(ctx context.Context, r openapi.ProvisionMembershipsRequestObject) (openapi.ProvisionMembershipsResponseObject, error) {
	items := make([]portal.MembershipWrite, len(r.Body.Items))
	for i, item := range r.Body.Items {
		items[i] = portal.MembershipWrite{AccountID: item.UserID, IfRevision: item.IfRevision, In: item.In, Request: item.RequestID}
	}
	results, err := s.store.PutMemberships(ctx, actor(ctx), r.OwnerUID, items)
	if err != nil {
		return nil, err
	}
	all := openapi.ProvisionMemberships200JSONResponse{Items: make([]openapi.MembershipResult, len(results))}
	for i, one := range results {
		all.Items[i] = openapi.MembershipResult{UserID: one.AccountID, Outcome: openapi.MembershipOutcome(one.Outcome), Revision: one.Revision}
	}
	return all, nil
}

func (s *server) ReleasePool(ctx context.Context, r openapi.ReleasePoolRequestObject) (openapi.ReleasePoolResponseObject, error) {
	return openapi.ReleasePool204Response{}, s.store.ReleasePool(ctx, actor(ctx), r.OwnerUID, r.Body.Remove)
}

func (s *server) MarkPoolHeld(ctx context.Context, r openapi.MarkPoolHeldRequestObject) (openapi.MarkPoolHeldResponseObject, error) {
	owner := portal.Owner{UID: r.OwnerUID, Revision: r.Body.Revision}
	return openapi.MarkPoolHeld204Response{}, s.store.MarkPoolHeld(ctx, actor(ctx), owner, markOf(r.Body.Mark))
}

func (s *server) Bind(ctx context.Context, r openapi.BindRequestObject) (openapi.BindResponseObject, error) {
	b := r.Body
	id, err := s.store.Bind(ctx, actor(ctx), portal.Binding{Replaces: b.Replaces, Cluster: b.Cluster, Namespace: b.Namespace, Name: b.Name, UID: b.UID,
		ProviderType: b.ProviderType, ProviderName: b.ProviderName, SCIMBaseURL: b.SCIMBaseURL})
	if err != nil {
		return nil, err
	}
	return openapi.Bind200JSONResponse{ID: id}, nil
}

func (s *server) Unbind(ctx context.Context, r openapi.UnbindRequestObject) (openapi.UnbindResponseObject, error) {
	return openapi.Unbind204Response{}, s.store.Unbind(ctx, actor(ctx), r.Params.UID)
}

func (s *server) ProvisionLoginMethods(ctx context.Context, r openapi.ProvisionLoginMethodsRequestObject) (openapi.ProvisionLoginMethodsResponseObject, error) {
	var m portal.LoginMethods
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
	return openapi.ProvisionLoginMethods200JSONResponse{IdentityConfigurationJSONResponse: configurationResponse(config, nil)}, nil
}

func (s *server) ListSCIMKeys(ctx context.Context, _ openapi.ListSCIMKeysRequestObject) (openapi.ListSCIMKeysResponseObject, error) {
	keys, err := s.store.SCIMKeys(ctx)
	if err != nil {
		return nil, err
	}
	all := openapi.ListSCIMKeys200JSONResponse{Items: make([]openapi.KeyDigest, len(keys))}
	for i, k := range keys {
		all.Items[i] = openapi.KeyDigest{ID: k.ID, Name: k.Name, Sha256: k.SHA256, ProviderType: k.Provider.Type, ProviderName: k.Provider.Name, ExpiresAt: moment(k.ExpiresAt)}
	}
	return all, nil
}

func (s *server) GetRemovals(ctx context.Context, r openapi.GetRemovalsRequestObject) (openapi.GetRemovalsResponseObject, error) {
	counted, err := s.store.Removals(ctx, time.Duration(r.Params.WindowSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	wire := openapi.GetRemovals200JSONResponse{Removed: counted.Removed, Managed: counted.Managed, Pools: []openapi.PoolRemovals{}}
	for _, id := range slices.Sorted(maps.Keys(counted.Pools)) {
		p := counted.Pools[id]
		wire.Pools = append(wire.Pools, openapi.PoolRemovals{ID: id, Removed: p.Removed, Members: p.Members})
	}
	return wire, nil
}
