// Package api is the portal's REST face: the OpenAPI document of internal/portal/openapi, served over the service in
// internal/portalserver/store. It holds no rule of its own. The document decides what a request may look like and which
// key scopes open an operation; an operation without scopes in the document does not start.
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
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lightrun.com/scim-operator/internal/portal/openapi"
	"lightrun.com/scim-operator/internal/portalserver/store"
)

// Base is where the API is served.
const Base = "/api/v1"

// MaxBody is the longest request body, in bytes.
const MaxBody = 1 << 20

// Options say what the API stands on.
type Options struct {
	Store    *store.Store
	Log      logr.Logger
	Registry *prometheus.Registry // nil: a new one
}

// New returns the handler of /api/v1, /healthz, /readyz and /metrics. It fails if the document is not in order.
func New(o Options) (http.Handler, error) {
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	document, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	if err != nil {
		return nil, fmt.Errorf("load the API's document: %w", err)
	}
	mux := http.NewServeMux()
	g := &gate{store: o.Store, document: document, mux: mux}
	strict := openapi.NewStrictHandlerWithOptions(&server{store: o.Store}, nil, openapi.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  malformed,
		ResponseErrorHandlerFunc: failed,
	})
	openapi.HandlerWithOptions(strict, openapi.StdHTTPServerOptions{BaseURL: Base, BaseRouter: g, ErrorHandlerFunc: malformed})
	if g.err != nil {
		return nil, g.err
	}
	mux.HandleFunc("GET "+Base+"/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(openapi.Document)
	})
	mux.HandleFunc(Base+"/", g.unknown)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", ready(o.Store))
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{}))
	return observe(mux, o.Log, newMetrics(o.Registry)), nil
}

// ready answers whether the database can be read within two seconds.
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

var _ openapi.StrictServerInterface = (*server)(nil)

type contextKey int

const (
	actorKey contextKey = iota
	observationKey
)

// actor is who the gate let in.
func actor(ctx context.Context) store.Actor {
	a, _ := ctx.Value(actorKey).(store.Actor)
	return a
}

var errNoBody = errors.New("the request has no body")
