package api

import (
	"context"
	"time"

	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/openapi"
)

func (s *server) GetIdentityConfiguration(ctx context.Context, _ openapi.GetIdentityConfigurationRequestObject) (openapi.GetIdentityConfigurationResponseObject, error) {
	config, err := s.store.Configuration(ctx)
	if err != nil {
		return nil, err
	}
	return openapi.GetIdentityConfiguration200JSONResponse{IdentityConfigurationJSONResponse: configurationResponse(config, nil)}, nil
}

func (s *server) PutIdentityConfiguration(ctx context.Context, r openapi.PutIdentityConfigurationRequestObject) (openapi.PutIdentityConfigurationResponseObject, error) {
	match, err := revision(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	config, report, err := s.store.SaveLoginMethods(ctx, actor(ctx), loginMethods(r.Body.LoginMethods), match, or(r.Params.DryRun, false))
	if err != nil {
		return nil, err
	}
	return openapi.PutIdentityConfiguration200JSONResponse{IdentityConfigurationJSONResponse: configurationResponse(config, report)}, nil
}

func (s *server) GetMigrationReport(ctx context.Context, _ openapi.GetMigrationReportRequestObject) (openapi.GetMigrationReportResponseObject, error) {
	report, err := s.store.MigrationReport(ctx)
	if err != nil {
		return nil, err
	}
	return openapi.GetMigrationReport200JSONResponse(migrationReport(report)), nil
}

func (s *server) ListChanges(ctx context.Context, r openapi.ListChangesRequestObject) (openapi.ListChangesResponseObject, error) {
	p := r.Params
	if p.Epoch == nil {
		if p.After != nil || p.WaitSeconds != nil {
			return nil, invalid("after and waitSeconds need an epoch; without any of the three the answer is the current end of the feed")
		}
		end, err := s.store.Position(ctx)
		if err != nil {
			return nil, err
		}
		return openapi.ListChanges200JSONResponse{Epoch: end.Epoch, Position: end.Sequence, Items: []openapi.Change{}}, nil
	}
	wait := time.Duration(or(p.WaitSeconds, 0)) * time.Second
	changes, end, err := s.store.Changes(ctx, portal.Position{Epoch: *p.Epoch, Sequence: or(p.After, 0)}, or(p.Limit, defaultLimit), wait)
	if err != nil {
		return nil, err
	}
	page := openapi.ListChanges200JSONResponse{Epoch: end.Epoch, Position: end.Sequence, Items: make([]openapi.Change, len(changes))}
	for i, c := range changes {
		page.Items[i] = change(c)
	}
	return page, nil
}
