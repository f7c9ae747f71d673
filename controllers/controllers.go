// Package controllers wires the controllers of one installation together: one package per kind, which share the session
// to the portal, the book of pools and the deprovisioning guard.
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
	"lightrun.com/scim-operator/controllers/guard"
	"lightrun.com/scim-operator/controllers/identityconfiguration"
	"lightrun.com/scim-operator/controllers/membership"
	"lightrun.com/scim-operator/controllers/nameclaim"
	"lightrun.com/scim-operator/controllers/scimuser"
	"lightrun.com/scim-operator/internal/access"
	"lightrun.com/scim-operator/internal/portal"
	"lightrun.com/scim-operator/internal/portal/metered"
	"lightrun.com/scim-operator/internal/portal/mirror"
	"lightrun.com/scim-operator/internal/portal/session"
	"lightrun.com/scim-operator/internal/tracing"
)

// Options say which installation the controllers work for.
type Options struct {
	Namespace string        // the one namespace to work in
	Cluster   string        // identity of the cluster in the portal's binding
	Relist    time.Duration // how often everything is read from the portal again; 0: the mirror's default
	Grace     time.Duration // how long a new claim may be ahead of its holder; 0: the controller's default
	Connect   identityconfiguration.Connect
	// TokenWarning is how long before a SCIM token expires people are warned, and how long after; 0: the controller's default.
	TokenWarning time.Duration
	Clock        clock.PassiveClock // nil: the machine's
	// Attributes are a person's SCIM attributes in canonical form, for filters.
	Attributes func(*v1alpha1.ScimUserSpec) access.Attributes
	// Traces makes spans of passes; nil for none.
	Traces *tracing.Tracing
	// Metrics takes the collectors of people's states and of the portal's calls; nil: none.
	Metrics prometheus.Registerer
}

// Parts are the controllers of one installation, wired to one session, one book of pools and one guard.
type Parts struct {
	Session       *session.Session
	Users         *scimuser.Reconciler
	Pools         *agentpool.Reconciler
	Configuration *identityconfiguration.Reconciler
	Claims        *nameclaim.Reconciler
}

// Assemble wires the controllers. c reads from a cache, live from the API server; recorder makes a recorder of events.
func Assemble(c client.Client, live client.Reader, recorder func(name string) events.EventRecorder, o Options) Parts {
	var (
		s        = session.New(mirror.Options{Relist: o.Relist})
		groups   = groupindex.New()
		book     = membership.NewBook(c, o.Namespace, groups)
		removals = &guard.Guard{}
		tally    = scimuser.NewTally()
	)
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	return Parts{
		Session: s,
		Users: &scimuser.Reconciler{
			Client: c, Live: live, Session: s, Book: book, Guard: removals, Tally: tally, Clock: o.Clock,
			Recorder:   recorder("scimuser"),
			Attributes: func(u *v1alpha1.ScimUser) access.Attributes { return o.Attributes(&u.Spec) },
		},
		Pools: &agentpool.Reconciler{
			Client: c, Live: live, Session: s, Book: book, Guard: removals, Clock: o.Clock,
			Recorder: recorder("agentpool"),
		},
		Configuration: &identityconfiguration.Reconciler{
			Client: c, Live: live, Session: s, Tally: tally, Clock: o.Clock, Cluster: o.Cluster,
			Recorder: recorder("identityconfiguration"),
			Connect:  o.Connect, TokenWarning: o.TokenWarning,
		},
		Claims: &nameclaim.Reconciler{Client: c, Live: live, Session: s, Clock: o.Clock, Grace: o.Grace},
	}
}

// Setup adds the controllers to mgr.
func Setup(ctx context.Context, mgr ctrl.Manager, o Options) error {
	recorder := func(name string) events.EventRecorder { return mgr.GetEventRecorder(name) }
	calls := metered.NewHistogram()
	if connect := o.Connect; o.Metrics != nil {
		o.Connect = func(spec v1alpha1.Portal, key string) (portal.Client, error) {
			c, err := connect(spec, key)
			if err != nil {
				return nil, err
			}
			return metered.New(c, calls), nil
		}
	}
	p := Assemble(mgr.GetClient(), mgr.GetAPIReader(), recorder, o)
	if err := mgr.Add(p.Session); err != nil {
		return err
	}
	if o.Metrics != nil {
		if err := errors.Join(o.Metrics.Register(calls), o.Metrics.Register(Collector(p))); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
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
	if err := p.Claims.SetupWithManager(ctx, mgr, o.Traces); err != nil {
		return fmt.Errorf("set up the NameClaim controller: %w", err)
	}
	return nil
}
