// SPDX-License-Identifier: Apache-2.0

// Package store keeps the SCIM directory in Kubernetes objects.
//
// Writes go to the API server, and the response is sent when etcd has them. A user is a ScimUser, a
// group is a ScimGroup, the members of groups are in ScimGroupSlices (package groupslice), and the
// right to a name is a NameClaim. The API server creates a NameClaim atomically, so any number of
// replicas can write at the same time. Deleting a user or group over SCIM leaves a tombstone,
// spec.deleted, for the manager to finish.
//
// Reads of one user or group, of a user or group by name, and of a group's members read from the
// API server; if the cache has the user, they read only the version (current.go). All other reads
// use a watch cache (table.go, memberships.go). It contains the SCIM JSON of each object and the
// keys to find it by, and is never older than this replica's own last write.
package store

import (
	"context"
	"fmt"
	"net/http"
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
	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/provider"
)

// Options says where the directory is stored.
type Options struct {
	Config    *rest.Config // QPS and Burst are ignored: the API server's priority and fairness protects it
	Namespace string
	Log       logr.Logger
	Now       func() time.Time // nil means time.Now
}

// Directory is the SCIM directory of one namespace. It is usable once Run has filled its cache.
type Directory struct {
	client    client.WithWatch
	metadata  metadata.ResourceInterface // of users
	namespace string
	log       logr.Logger
	now       func() time.Time
	store     *groupslice.Store

	users   *table[*cachedUser]
	groups  *table[*group]
	slices  *table[*slice]
	pools   *table[pool]
	members *memberships
	config  atomic.Pointer[v1alpha1.IdentityConfiguration]

	ofUsers, ofGroups, ofSlices, ofClaims *source
	ofPools                               *source
	configKnown                           atomic.Bool // after the first list
	lag                                   *prometheus.HistogramVec
}

// New returns a directory. It makes no request to the API server.
func New(o Options) (*Directory, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register kinds: %w", err)
	}
	d := &Directory{
		namespace: o.Namespace, log: o.Log, now: o.Now,
		users: newTable[*cachedUser](), groups: newTable[*group](), slices: newTable[*slice](), pools: newTable[pool](), members: newMemberships(),
		ofUsers: newSource("ScimUser", "scimusers"), ofGroups: newSource("ScimGroup", "scimgroups"), ofSlices: newSource("ScimGroupSlice", "scimgroupslices"),
		ofClaims: newSource("NameClaim", "nameclaims"), ofPools: newSource("AgentPool", "agentpools"),
		lag: newLagHistogram(),
	}
	if d.now == nil {
		d.now = time.Now
	}
	config := rest.CopyConfig(o.Config)
	config.QPS, config.Burst = -1, -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return notServed{next, d.lost} })
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: mapper()})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	m, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client of metadata: %w", err)
	}
	d.client, d.metadata = c, m.Resource(v1alpha1.GroupVersion.WithResource("scimusers")).Namespace(o.Namespace)
	d.store = groupslice.NewStore(observing{c, d}, o.Namespace, groupslice.Options{
		FieldOwner: v1alpha1.FieldManagerWebhook, Clock: d.now, Annotations: request,
	})
	d.slices.stored = d.indexMembers
	d.users.lag.seconds, d.groups.lag.seconds, d.slices.lag.seconds = d.lag.WithLabelValues("ScimUser"), d.lag.WithLabelValues("ScimGroup"), d.lag.WithLabelValues("ScimGroupSlice")
	d.ofClaims.listed() // the cache does not follow claims
	d.probes()
	return d, nil
}

// Run keeps the cache up to date until ctx ends.
func (d *Directory) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	work := []func(context.Context){d.watchUsers, d.watchGroups, d.watchSlices, d.watchPools, d.watchConfiguration}
	for _, s := range append(d.sources(), d.ofPools) {
		work = append(work, s.watchDoubts)
	}
	for _, run := range work {
		group.Go(func() error {
			run(ctx)
			return nil
		})
	}
	return group.Wait()
}

// Synced reports whether the cache was filled once. It stays true if a kind is no longer served;
// then the response to requests is a 503 with the reason.
func (d *Directory) Synced() bool {
	for _, s := range d.sources() {
		if !s.isFilled() {
			return false
		}
	}
	return d.configKnown.Load() && d.ofPools.isKnown()
}

// missing returns a kind that the API server does not serve; empty if there is none.
func (d *Directory) missing() string {
	for _, s := range d.sources() {
		if s.isMissing() {
			return s.kind
		}
	}
	return ""
}

// Users returns the directory's users.
func (d *Directory) Users() server.Users { return users{d} }

// Groups returns the directory's groups.
func (d *Directory) Groups() server.Groups { return groups{d} }

// Sizes returns the numbers of users and groups in the cache.
func (d *Directory) Sizes() (users, groups int) { return d.users.len(), d.groups.len() }

// JWTIssuers returns the issuers that IdentityConfiguration/default trusts now. known is false
// until it has been read.
func (d *Directory) JWTIssuers() (issuers []v1alpha1.JWTIssuer, known bool) {
	c := d.config.Load()
	if c == nil || !d.Synced() {
		return nil, false
	}
	return c.Spec.JWTIssuers, true
}

// Configuration returns the current state of IdentityConfiguration/default. It is unknown until the
// cache is filled.
func (d *Directory) Configuration() server.Configuration {
	c := d.config.Load()
	missing := d.missing()
	if c == nil || missing == "" && !d.Synced() {
		return server.Configuration{Missing: missing}
	}
	out := server.Configuration{
		Missing:            missing,
		RefuseSecondClient: c.Spec.IdentityProvider.OnSecondClient == v1alpha1.SecondClientRefuse,
		BaseURL:            c.Spec.SCIMBaseURL,
	}
	bound := c.Status.Provider // the provider that the portal is bound to; spec.provider is only the wanted one
	if bound != nil {
		out.Provider = provider.ID{Type: string(bound.Type), Name: bound.Name}
	}
	if methods := c.Status.LoginMethods; methods != nil && bound != nil && c.DeletionTimestamp == nil && missing == "" {
		out.Known, out.SCIM, out.Groups = true, methods.SCIM, methods.ProvisionGroups
	}
	return out
}
