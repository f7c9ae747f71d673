// Package directory keeps the SCIM directory in Kubernetes objects.
//
// Writes go to the API server and are answered when etcd has them. A person is a ScimUser, a group an AgentPool that is visible over SCIM, and the
// right to a name a NameClaim, whose creation the API server makes atomic: that is why any number of replicas can write at the same
// time. Membership is a fact about each person (spec.pools), so that a group of 100,000 is never one object.
//
// Reads of one user, and of a user by name, ask the API server: for the object's version alone when the cache knows the rest (standing.go).
// Everything else is served from a watch cache (table.go) that holds, for each object, its JSON as SCIM shows it and the keys to find it by, and that
// is never older than this replica's own last write.
package directory

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/provider"
	"lightrun.com/scim-operator/internal/scim/server"
)

// Options says where the directory is kept.
type Options struct {
	Config    *rest.Config // QPS and Burst are ignored: the API server's priority and fairness protects it
	Namespace string
	Log       logr.Logger
	// Replica names this process in the lock of a group's membership; unique among replicas and restarts.
	Replica string
	Now     func() time.Time // nil for time.Now
}

// Directory is the SCIM directory of one namespace. It serves when Run has filled its cache.
type Directory struct {
	client    client.WithWatch
	metadata  metadata.ResourceInterface // of people
	namespace string
	log       logr.Logger
	replica   string
	now       func() time.Time

	people *table[*person]
	pools  *table[*pool]
	config atomic.Pointer[v1alpha1.IdentityConfiguration]
	synced [3]atomic.Bool // one for each watch
	locks  *locks
	lag    *prometheus.HistogramVec
}

// New makes a directory. It doesn't speak to the API server yet.
func New(o Options) (*Directory, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	config := rest.CopyConfig(o.Config)
	config.QPS, config.Burst = -1, -1
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: mapper()})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	m, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of metadata: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d := &Directory{
		client: c, metadata: m.Resource(v1alpha1.GroupVersion.WithResource("scimusers")).Namespace(o.Namespace), namespace: o.Namespace, log: o.Log, replica: o.Replica, now: o.Now,
		people: newTable[*person](), pools: newTable[*pool](), locks: newLocks(),
		lag: newLagHistogram(),
	}
	d.people.lag.seconds, d.pools.lag.seconds = d.lag.WithLabelValues("ScimUser"), d.lag.WithLabelValues("AgentPool")
	return d, nil
}

// Run keeps the cache up to date until ctx ends.
func (d *Directory) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, watch := range []func(context.Context){d.watchPeople, d.watchPools, d.watchConfiguration} {
		group.Go(func() error {
			watch(ctx)
			return nil
		})
	}
	return group.Wait()
}

// Synced says whether the cache is filled, so that requests can be served.
func (d *Directory) Synced() bool {
	for i := range d.synced {
		if !d.synced[i].Load() {
			return false
		}
	}
	return true
}

// Users is the directory's people.
func (d *Directory) Users() server.Users { return users{d} }

// Groups is the directory's groups.
func (d *Directory) Groups() server.Groups { return groups{d} }

// Sizes is how many people and pools the cache holds.
func (d *Directory) Sizes() (people, pools int) { return d.people.len(), d.pools.len() }

// JWTIssuers are those that the IdentityConfiguration named default trusts now. known is false while it has not been read.
func (d *Directory) JWTIssuers() (issuers []v1alpha1.JWTIssuer, known bool) {
	c := d.config.Load()
	if c == nil || !d.Synced() {
		return nil, false
	}
	return c.Spec.JWTIssuers, true
}

// Configuration is what the IdentityConfiguration named default says now. It is not known before the cache is filled.
func (d *Directory) Configuration() server.Configuration {
	c := d.config.Load()
	if c == nil || !d.Synced() {
		return server.Configuration{}
	}
	out := server.Configuration{
		RefuseSecondClient: c.Spec.IdentityProvider.OnSecondClient == v1alpha1.SecondClientRefuse,
		BaseURL:            c.Spec.SCIMBaseURL,
	}
	bound := c.Status.Provider // what the portal is integrated with; spec says what somebody wishes
	if bound != nil {
		out.Provider = provider.ID{Type: string(bound.Type), Name: bound.Name}
	}
	if methods := c.Status.LoginMethods; methods != nil && bound != nil && c.DeletionTimestamp == nil {
		out.Known, out.SCIM, out.Groups = true, methods.SCIM, methods.ProvisionGroups
	}
	return out
}
