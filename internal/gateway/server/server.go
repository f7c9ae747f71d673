// SPDX-License-Identifier: Apache-2.0

// Package server serves SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865) over HTTP for a directory.
//
// A request passes through a few steps: it gets an id and is logged, counted and traced
// (observe.go), its bearer token is checked (auth.go), its path and method are looked up in one
// table, where the configuration decides if it is served now (route.go), and a handler (users.go,
// groups.go, list.go, bulk.go, discovery.go) returns a reply, which respond.go writes. Handlers do
// not depend on HTTP connections, so that a bulk operation runs the same code as a separate
// request. Storage and consistency belong to the directory (directory.go).
package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"lightrun.com/scim-operator/internal/kernel/provider"
)

// BasePath is the path of the SCIM service on its host.
const BasePath = unversioned + "/" + version

const (
	unversioned = "/scim"
	version     = "v2"
)

// Limits of a request. ServiceProviderConfig contains those for which the RFC defines a field.
const (
	MaxBody       = 1 << 20          // bytes of a request body; more is a 413
	MaxGroupBody  = 16 << 20         // bytes of a request body at /Groups: 100,000 members with display and $ref
	DefaultCount  = 100              // resources on a page when the client doesn't say
	MaxCount      = 1000             // resources on a page at most
	MaxOperations = 1000             // operations of a bulk request
	CursorTimeout = time.Hour        // how long a cursor is valid
	ListTime      = 10 * time.Second // for a filter or an order without an index; longer is a 400 tooMany

	maxGroupValues = 600_000 // JSON values of a request body at /Groups: up to five for each of 100,000 members
)

// Configuration is the state of the installation that the server needs to serve a request.
type Configuration struct {
	// Known is false until the current login methods are known. Until then the response is 503.
	Known bool
	// Missing is a kind that the service needs and the cluster does not serve, such as ScimUser;
	// empty if there is none. Known is false then.
	Missing string
	// SCIM is true if provisioning is on. If it is false, the response is 403.
	SCIM bool
	// Groups is true if groups are accepted. If it is false, the response to a write to /Groups is
	// 403.
	Groups bool
	// Provider is the integrated identity provider. If it is zero, it is unknown, and no token is
	// refused because of its provider.
	Provider provider.ID
	// RefuseSecondClient refuses requests of a second kind of client on a token; otherwise they are
	// only reported.
	RefuseSecondClient bool
	// BaseURL is the public URL, which ends in BasePath. If it is empty, it is derived from each
	// request.
	BaseURL string
}

// Identity identifies the owner of a bearer token.
type Identity struct {
	// Name is the token's label, for logs.
	Name string
	// Provider is the only identity provider that may use the token.
	Provider provider.ID
	// Secret is the same for the token's holder at every replica. It encrypts cursors, and
	// identifies the rate limit and the walks of the holder. It gives no access, so other parts of
	// the service may know it.
	Secret [32]byte
}

// ErrUndecided in an Authenticator's error means that the token cannot be checked now: the client
// gets a 503 and retries.
var ErrUndecided = errors.New("the bearer token can't be checked at the moment")

// Authenticator checks bearer tokens. It is called for each request.
type Authenticator interface {
	// Authenticate returns the identity of the token. The error's text is sent to the client with a
	// 401, unless it is ErrUndecided.
	Authenticate(ctx context.Context, token string) (Identity, error)
}

// Options configure a server. Rate and Burst limit requests per second and token; a Rate of 0 sets
// no limit.
type Options struct {
	Users         Users
	Groups        Groups
	Configuration func() Configuration
	Tokens        Authenticator

	Log      logr.Logger
	Registry prometheus.Registerer // nil if there are no metrics
	Tracer   trace.Tracer          // nil if there are no traces
	Rate     float64
	Burst    int
	// TrustForwarded uses X-Forwarded-Proto and X-Forwarded-Host for scheme and host of absolute
	// URLs.
	TrustForwarded bool
	Now            func() time.Time // nil means time.Now
}

// Server is the SCIM service as an http.Handler.
type Server struct {
	Options
	metrics *metrics
	limits  *limits
	clients *clients
	walks   *walks
	routes  routes
	memory  *semaphore.Weighted // see reserve
	buffers sync.Pool           // of *[]byte, for answers that are streamed
}

// New returns a server.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Server{
		Options: o, metrics: newMetrics(o.Registry), limits: newLimits(o.Rate, o.Burst, o.Now), clients: newClients(), walks: newWalks(), routes: newRoutes(),
		memory: semaphore.NewWeighted(maxHeld),
	}
}

// ServeHTTP handles one request. It never panics, and every error response has a SCIM body.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.begin(w, r)
	defer c.end()
	defer c.unreserve()
	c.send(c.serve())
}

// serve does everything between reading the header of a request and writing the reply.
func (c *call) serve() reply {
	for _, step := range []func() error{c.locate, c.authenticate, c.throttle, c.route, c.admit, c.negotiate} {
		if err := step(); err != nil {
			return c.refuse(err)
		}
	}
	if c.operation.handle == nil { // OPTIONS
		return reply{status: http.StatusNoContent, allow: c.resource.allow()}
	}
	rep, err := c.operation.handle(c)
	if err != nil {
		return c.refuse(err)
	}
	return rep
}
