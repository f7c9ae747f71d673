// SPDX-License-Identifier: Apache-2.0

package servertest_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/test/conformance"
	"lightrun.com/scim-operator/test/framework/servertest"
)

type oneToken struct{}

func (oneToken) Authenticate(_ context.Context, token string) (server.Identity, error) {
	if token != "good" {
		return server.Identity{}, errors.New("the bearer token is not known")
	}
	return server.Identity{Name: "good"}, nil
}

// TestConformance runs the SCIM conformance suite over an in-memory directory;
// internal/gateway/store does the same over Kubernetes.
func TestConformance(t *testing.T) {
	conformance.Run(t, func(tb testing.TB) conformance.Service {
		m := servertest.New()
		web := httptest.NewServer(server.New(server.Options{
			Users: m.Users(), Groups: m.Groups(), Log: logr.Discard(), Tokens: oneToken{},
			Configuration: func() server.Configuration { return server.Configuration{Known: true, SCIM: true, Groups: true} },
		}))
		tb.Cleanup(web.Close)
		return conformance.Service{BaseURL: web.URL + server.BasePath, Token: "good"}
	})
}
