// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"time"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

func (s *server) GetIdentityConfiguration(ctx context.Context, _ portalv1.GetIdentityConfigurationRequestObject) (portalv1.GetIdentityConfigurationResponseObject, error) {
	config, err := s.store.Configuration(ctx)
	if err != nil {
		return nil, err
	}
	return portalv1.GetIdentityConfiguration200JSONResponse{IdentityConfigurationJSONResponse: configurationResponse(config, nil)}, nil
}

func (s *server) PutIdentityConfiguration(ctx context.Context, r portalv1.PutIdentityConfigurationRequestObject) (portalv1.PutIdentityConfigurationResponseObject, error) {
	match, err := revision(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	config, report, err := s.store.SaveLoginMethods(ctx, actor(ctx), loginMethods(r.Body.LoginMethods), match, or(r.Params.DryRun, false))
	if err != nil {
		return nil, err
	}
	return portalv1.PutIdentityConfiguration200JSONResponse{IdentityConfigurationJSONResponse: configurationResponse(config, report)}, nil
}

func (s *server) GetMigrationReport(ctx context.Context, _ portalv1.GetMigrationReportRequestObject) (portalv1.GetMigrationReportResponseObject, error) {
	report, err := s.store.MigrationReport(ctx)
	if err != nil {
		return nil, err
	}
	return portalv1.GetMigrationReport200JSONResponse(migrationReport(report)), nil
}

func (s *server) ListChanges(ctx context.Context, r portalv1.ListChangesRequestObject) (portalv1.ListChangesResponseObject, error) {
	p := r.Params
	if p.Epoch == nil {
		if p.After != nil || p.WaitSeconds != nil {
			return nil, invalid("after and waitSeconds need an epoch; without any of the three the response is the current end of the feed")
		}
		end, err := s.store.Position(ctx)
		if err != nil {
			return nil, err
		}
		return portalv1.ListChanges200JSONResponse{Epoch: end.Epoch, Position: end.Sequence, Items: []portalv1.Change{}}, nil
	}
	wait := time.Duration(or(p.WaitSeconds, 0)) * time.Second
	changes, end, err := s.store.Changes(ctx, portalapi.Position{Epoch: *p.Epoch, Sequence: or(p.After, 0)}, or(p.Limit, defaultLimit), wait)
	if err != nil {
		return nil, err
	}
	page := portalv1.ListChanges200JSONResponse{Epoch: end.Epoch, Position: end.Sequence, Items: make([]portalv1.Change, len(changes))}
	for i, c := range changes {
		page.Items[i] = change(c)
	}
	return page, nil
}
