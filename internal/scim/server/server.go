// Package server speaks SCIM 2.0 (RFC 7643, RFC 7644, RFC 9865) over HTTP on behalf of a directory.
//
// A request passes through few steps, each in a file of its own: it gets an id and is logged and
// counted (observe.go), its bearer token is checked (auth.go), its path and method are looked up in
// one table (route.go), the configuration is asked whether SCIM is on (gate.go), and a handler
// (users.go, groups.go, list.go, bulk.go, discovery.go) turns it into a reply, which respond.go
// writes. Handlers know nothing of HTTP connections, so that a bulk operation is served by the same
// code as a request of its own. What is stored, and how it stays consistent, is the directory's
// concern (directory.go).
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

	"lightrun.com/scim-operator/internal/provider"
)

// BasePath is where the SCIM service stands on its host.
const BasePath = unversioned + "/" + version

const (
	unversioned = "/scim"
	version     = "v2"
)

// Limits of a request, announced in ServiceProviderConfig where the RFC has a place for them.
const (
	MaxBody       = 1 << 20 // bytes of a request body; more is a 413
	DefaultCount  = 100     // resources on a page when the client doesn't say
	MaxCount      = 1000    // resources on a page at most
	MaxOperations = 1000    // operations of a bulk request
	CursorTimeout = time.Hour
	ListTime      = 10 * time.Second // for finding what a filter or an order that no index serves asks for; longer is a 400 tooMany
)

// Configuration is what the server must know of the installation to serve a request.
type Configuration struct {
	// Known is false until the login methods in force are known; requests are answered with 503.
	Known bool
	// Missing is a kind without which nothing can be served and that the cluster does not serve,
	// such as ScimUser; empty for none. Known is false then.
	Missing string
	// SCIM says that provisioning is on; off is a 403.
	SCIM bool
	// Groups says that pushed groups are taken; off is a 403 for writes to /Groups.
	Groups bool
	// Provider is the identity provider that is integrated. The zero ID is not known; then no token
	// is refused because of it.
	Provider provider.ID
	// RefuseSecondClient refuses requests of a second kind of client on a token, which are reported
	// otherwise.
	RefuseSecondClient bool
	// BaseURL is the public URL that ends in BasePath; empty to take it from each request.
	BaseURL string
}

// Identity is who a bearer token belongs to.
type Identity struct {
	// Name is the token's label, for logs.
	Name string
	// Provider is the only identity provider that may use the token.
	Provider provider.ID
	// Secret is the same for the token's holder at every replica: it encrypts cursors and names the
	// rate limit and the walks. A cursor grants nothing, so it is no harm if others who serve know
	// it.
	Secret [32]byte
}

// ErrUndecided in an Authenticator's error says that nothing can be said about the token now: the
// client is asked to repeat, with a 503.
var ErrUndecided = errors.New("the bearer token can't be checked at the moment")

// Authenticator checks bearer tokens. It is called for each request.
type Authenticator interface {
	// Authenticate says whose token it is. The error's text is shown to the client with a 401,
	// unless it is ErrUndecided.
	Authenticate(ctx context.Context, token string) (Identity, error)
}

// Options is what a server needs. Rate and Burst bound requests per second and token; a Rate of 0
// sets no bound.
type Options struct {
	Users         Users
	Groups        Groups
	Configuration func() Configuration
	Tokens        Authenticator

	Log      logr.Logger
	Registry prometheus.Registerer // nil for no metrics
	Tracer   trace.Tracer          // nil for no traces
	Rate     float64
	Burst    int
	// TrustForwarded takes scheme and host of absolute URLs from X-Forwarded-Proto and
	// X-Forwarded-Host.
	TrustForwarded bool
	Now            func() time.Time // nil for time.Now
}

// Server is the SCIM service as an http.Handler.
type Server struct {
	Options
	metrics *metrics
	limits  *limits
	clients *clients
	walks   *walks
	routes  routes
	memory  *semaphore.Weighted // see budget.go
	buffers sync.Pool           // of *[]byte, for answers that are streamed
}

// New makes a server.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Server{
		Options: o, metrics: newMetrics(o.Registry), limits: newLimits(o.Rate, o.Burst, o.Now), clients: newClients(), walks: newWalks(), routes: newRoutes(),
		memory: semaphore.NewWeighted(maxHeld),
	}
}

// ServeHTTP answers one request. It never panics and always answers errors with a SCIM body.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := s.begin(w, r)
	defer c.end()
	defer c.letGo()
	c.send(c.serve())
}

// serve is all that happens between reading the head of a request and writing the reply.
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
