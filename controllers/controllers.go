// SPDX-License-Identifier: Apache-2.0

// Package controllers creates the controllers of one installation, one package per kind, and passes
// the shared state to them: the session with the portal, the indexes of pools and groups, and the
// deprovisioning guard.
package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers/agentpool"
	"lightrun.com/scim-operator/controllers/identityconfiguration"
	"lightrun.com/scim-operator/controllers/nameclaim"
	"lightrun.com/scim-operator/controllers/scimgroup"
	"lightrun.com/scim-operator/controllers/scimuser"
	"lightrun.com/scim-operator/internal/kernel/groupslice"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/tracing"
	"lightrun.com/scim-operator/internal/operator/groupindex"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/poolindex"
	"lightrun.com/scim-operator/internal/operator/portalclient/metered"
	"lightrun.com/scim-operator/internal/operator/portalclient/mirror"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
	"lightrun.com/scim-operator/internal/operator/preview"
	"lightrun.com/scim-operator/internal/operator/removals"
	"lightrun.com/scim-operator/internal/operator/usercounts"
)

// Options describes the installation that the controllers work for.
type Options struct {
	Namespace string        // the one namespace to work in
	Cluster   string        // identity of the cluster in the portal's binding
	Relist    time.Duration // interval in which everything is read from the portal again; 0 means the mirror's default
	Grace     time.Duration // time for which a new NameClaim is kept although its holder does not have the name yet; 0 means the controller's default
	Connect   identityconfiguration.Connect
	// TokenWarning is the time before and after the expiry of a SCIM token in which a condition
	// warns; 0 means the controller's default.
	TokenWarning time.Duration
	// KeysConfirm is the time after which a portal that no longer lists any SCIM key is asked
	// again, before the earlier keys stop working; 0 means the controller's default.
	KeysConfirm time.Duration
	Clock       clock.PassiveClock // nil means the system's clock
	// Slices reads and writes the members of groups without the cache. If it is nil, Setup creates
	// a client.
	Slices client.Client
	// Traces creates a span for each pass; nil turns traces off.
	Traces *tracing.Tracing
	// Metrics registers the metrics of users' states and of portal calls. If it is nil, Setup
	// registers none.
	Metrics prometheus.Registerer
}

// fieldManager is the manager's name in the managed fields of slices.
const fieldManager = "scim-manager"

// Parts contains the controllers of one installation and what they share.
type Parts struct {
	Session       *session.Session
	Users         *scimuser.Reconciler
	Pools         *agentpool.Reconciler
	Groups        *scimgroup.Reconciler
	Index         *groupindex.Index // index of groups and their members
	Configuration *identityconfiguration.Reconciler
	Claims        *nameclaim.Reconciler
	Plans         *preview.Publisher
}

// Assemble creates the controllers. c reads from a cache. The parameter live reads from the API
// server. recorder creates an event recorder.
func Assemble(c client.Client, live client.Reader, recorder func(name string) events.EventRecorder, o Options) Parts {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	var (
		s        = session.New(mirror.Options{Relist: o.Relist})
		groups   = groupindex.New()
		slices   = groupslice.NewStore(o.Slices, o.Namespace, groupslice.Options{FieldOwner: fieldManager, Clock: o.Clock.Now})
		pools    = poolindex.New(c, o.Namespace, groups)
		guard    = &removals.Guard{}
		counter  = usercounts.NewCounter()
		finished = &usercounts.Finished{}
	)
	engine := func(name string) pass.Engine {
		return pass.Engine{Client: c, Live: live, Session: s, Guard: guard, Recorder: recorder(name), Clock: o.Clock}
	}
	return Parts{
		Session: s,
		Users: &scimuser.Reconciler{
			Engine: engine("scimuser"), Pools: pools, Counter: counter, Finished: finished, Groups: groups, Slices: slices,
		},
		Pools: &agentpool.Reconciler{Engine: engine("agentpool"), Pools: pools, Groups: groups},
		Groups: &scimgroup.Reconciler{
			Engine: engine("scimgroup"), Pools: pools, Groups: groups, Slices: slices, Counter: counter, Finished: finished,
		},
		Index: groups,
		Configuration: &identityconfiguration.Reconciler{
			Engine: engine("identityconfiguration"), Counter: counter, Cluster: o.Cluster, Connect: o.Connect, TokenWarning: o.TokenWarning, KeysConfirm: o.KeysConfirm,
		},
		Claims: &nameclaim.Reconciler{Client: c, Live: live, Groups: groups, Clock: o.Clock, Grace: o.Grace},
		Plans:  &preview.Publisher{Objects: live, Namespace: o.Namespace, Session: s},
	}
}

// Setup adds the controllers to mgr.
func Setup(ctx context.Context, mgr ctrl.Manager, o Options) error {
	recorder := func(name string) events.EventRecorder { return mgr.GetEventRecorder(name) }
	calls := metered.NewHistogram()
	if connect := o.Connect; o.Metrics != nil {
		o.Connect = func(spec v1alpha1.Portal, key string) (portalapi.Client, error) {
			c, err := connect(spec, key)
			if err != nil {
				return nil, err
			}
			return metered.New(c, calls), nil
		}
	}
	if o.Slices == nil {
		direct, err := client.New(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
		if err != nil {
			return fmt.Errorf("make a client for slices: %w", err)
		}
		o.Slices = direct
	}
	p := Assemble(mgr.GetClient(), mgr.GetAPIReader(), recorder, o)
	p.Plans.Log = mgr.GetLogger().WithName("migration-plan")
	if err := errors.Join(mgr.Add(p.Session), mgr.Add(p.Plans)); err != nil {
		return err
	}
	if o.Metrics != nil {
		if err := errors.Join(o.Metrics.Register(calls), o.Metrics.Register(Collector(p))); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	if err := p.Index.Follow(ctx, mgr.GetCache()); err != nil {
		return fmt.Errorf("follow groups: %w", err)
	}
	if err := p.Groups.SetupWithManager(mgr, o.Namespace, o.Traces); err != nil {
		return fmt.Errorf("set up the ScimGroup controller: %w", err)
	}
	if err := p.Users.SetupWithManager(ctx, mgr, o.Namespace, o.Traces); err != nil {
		return fmt.Errorf("set up the ScimUser controller: %w", err)
	}
	if err := p.Pools.SetupWithManager(mgr, o.Namespace, o.Traces); err != nil {
		return fmt.Errorf("set up the AgentPool controller: %w", err)
	}
	if err := p.Configuration.SetupWithManager(mgr, o.Namespace, o.Traces); err != nil {
		return fmt.Errorf("set up the IdentityConfiguration controller: %w", err)
	}
	if err := p.Claims.SetupWithManager(ctx, mgr, o.Namespace, o.Traces); err != nil {
		return fmt.Errorf("set up the NameClaim controller: %w", err)
	}
	return nil
}
