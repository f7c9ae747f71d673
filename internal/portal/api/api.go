// SPDX-License-Identifier: Apache-2.0

// Package api is the portal's REST server: it serves the OpenAPI document of api/portal/v1 on top
// of the service in internal/portal/store. It contains no business rule. The document defines the
// form of requests and the key scopes that allow an operation. The server does not start if an
// operation has no scopes in the document.
package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/internal/portal/store"
)

// Base is the path prefix of the API.
const Base = "/api/v1"

// MaxBody is the maximum length of a request body, in bytes.
const MaxBody = 1 << 20

// Options configure the API.
type Options struct {
	Store    *store.Store
	Log      logr.Logger
	Registry *prometheus.Registry // gets the API's metrics; nil keeps none
}

// New returns the handler of /api/v1, /healthz and /readyz. It returns an error if the document is
// invalid.
func New(o Options) (http.Handler, error) {
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	document, err := openapi3.NewLoader().LoadFromData(portalv1.Document)
	if err != nil {
		return nil, fmt.Errorf("load the API's document: %w", err)
	}
	mux := http.NewServeMux()
	g := &gate{store: o.Store, document: document, mux: mux}
	strict := portalv1.NewStrictHandlerWithOptions(&server{store: o.Store}, nil, portalv1.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  malformed,
		ResponseErrorHandlerFunc: failed,
	})
	portalv1.HandlerWithOptions(strict, portalv1.StdHTTPServerOptions{BaseURL: Base, BaseRouter: g, ErrorHandlerFunc: malformed})
	if g.err != nil {
		return nil, g.err
	}
	mux.HandleFunc("GET "+Base+"/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(portalv1.Document)
	})
	mux.HandleFunc(Base+"/", g.unknown)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", ready(o.Store))
	return observe(mux, o.Log, newMetrics(o.Registry)), nil
}

// ready reports whether the database can be read within two seconds.
func ready(s *store.Store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := s.Ping(ctx); err != nil {
			http.Error(w, "the database cannot be read", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	}
}

// server implements the generated interface over the store.
type server struct{ store *store.Store }

var _ portalv1.StrictServerInterface = (*server)(nil)

type contextKey int

const (
	actorKey contextKey = iota
	agentKey
	observationKey
)

// actor returns the authenticated caller.
func actor(ctx context.Context) store.Actor {
	a, _ := ctx.Value(actorKey).(store.Actor)
	return a
}

var errNoBody = errors.New("the request has no body")
