// SPDX-License-Identifier: Apache-2.0

// Command manager runs the controllers: it updates the Management Portal from the ScimUsers,
// AgentPools and the IdentityConfiguration of one namespace.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap/zapcore"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	restclient "k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/controllers"
	"lightrun.com/scim-operator/controllers/identityconfiguration"
	"lightrun.com/scim-operator/controllers/scimuser"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/tracing"
	"lightrun.com/scim-operator/internal/kernel/version"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/connect"
)

type options struct {
	namespace   string
	clusterID   string
	healthAddr  string
	metricsAddr string
	pprofAddr   string
	elect       bool
	lease       time.Duration
	relist      time.Duration
	warning     time.Duration
	level       zapcore.Level
	version     bool
}

func main() {
	if err := run(ctrl.SetupSignalHandler(), os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	o := options{level: zapcore.InfoLevel}
	f := flag.NewFlagSet("manager", flag.ContinueOnError)
	config.RegisterFlags(f) // --kubeconfig
	f.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"), "namespace to work in (env POD_NAMESPACE)")
	f.StringVar(&o.clusterID, "cluster-id", "", "identity of this cluster in the portal's binding; default: the UID of the namespace kube-system")
	f.StringVar(&o.healthAddr, "health-listen", ":8081", "address of /healthz and /readyz; 0 disables it")
	f.StringVar(&o.metricsAddr, "metrics-listen", ":8080", "address of /metrics; 0 disables it")
	f.StringVar(&o.pprofAddr, "pprof-listen", "", "address of /debug/pprof, for profiles of memory and processor time; empty disables it")
	f.BoolVar(&o.elect, "leader-elect", true, "let only one of several managers be active")
	f.DurationVar(&o.lease, "leader-elect-lease-duration", 15*time.Second, "how long the others wait for a leader that does not renew its lease, at least 3s; the leader itself stops after two thirds of it")
	f.DurationVar(&o.relist, "portal-relist", 10*time.Minute, "how often everything is read from the portal again, to find edits that are not in its change feed")
	f.DurationVar(&o.warning, "token-warning", identityconfiguration.DefaultTokenWarning, "how long before a SCIM token expires, and after, the IdentityConfiguration warns of it")
	f.Func("log-level", "debug, info or error (default info)", o.level.Set)
	f.BoolVar(&o.version, "version", false, "print the version and exit")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.version {
		return o, nil
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q; see --help", f.Arg(0))
	}
	if o.namespace == "" {
		return o, errors.New("--namespace is not set: name the namespace to work in, or set POD_NAMESPACE")
	}
	if o.lease < minLease {
		return o, fmt.Errorf("--leader-elect-lease-duration is %s: a leader can't renew so often; give %s or more", o.lease, minLease)
	}
	return o, nil
}

// minLease is long enough for several attempts of a leader to renew.
const minLease = 3 * time.Second

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.version {
		fmt.Println("manager", version.String())
		return nil
	}
	ctrl.SetLogger(zap.New(zap.Level(o.level)).WithName("manager"))
	traces, err := tracing.Start(ctx, "scim-manager", ctrl.Log.WithName("traces"))
	if err != nil {
		return err
	}
	mgr, err := newManager(o, traces)
	if err != nil {
		return err
	}
	if o.clusterID == "" {
		if o.clusterID, err = clusterID(ctx, mgr.GetAPIReader()); err != nil {
			return err
		}
	}
	if err := controllers.Setup(ctx, mgr, controllers.Options{
		Namespace: o.namespace, Cluster: o.clusterID, Relist: o.relist, TokenWarning: o.warning, Metrics: metrics.Registry, Connect: connectBy(mgr, o.namespace, traces, uuid.NewString()), Traces: traces,
	}); err != nil {
		return err
	}
	ctrl.Log.Info("Starting", "namespace", o.namespace)
	err = mgr.Start(ctx)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if stopped := traces.Stop(late); stopped != nil {
		ctrl.Log.Error(stopped, "Cannot deliver the last traces")
	}
	return err
}

// grace is the maximum time for the delivery of the last traces.
const grace = 5 * time.Second

func newManager(o options, traces *tracing.Tracing) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	cluster, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("find the Kubernetes API server: %w", err)
	}
	cluster.Wrap(func(next http.RoundTripper) http.RoundTripper { return traces.Transport("kubernetes", next) })
	cluster.QPS = -1 // the API server's priority and fairness protects it
	renew, retry := o.lease*2/3, o.lease*2/15
	mgr, err := ctrl.NewManager(cluster, ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       server.Options{BindAddress: o.metricsAddr},
		HealthProbeBindAddress:        o.healthAddr,
		PprofBindAddress:              o.pprofAddr,
		LeaderElection:                o.elect,
		LeaderElectionID:              "scim-manager.iam.lightrun.com",
		LeaderElectionNamespace:       o.namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &o.lease,
		RenewDeadline:                 &renew,
		RetryPeriod:                   &retry,
		MapperProvider:                controllers.Mapper,
		Cache:                         controllers.CacheOptions(o.namespace),
		NewClient: func(config *restclient.Config, opts client.Options) (client.Client, error) {
			c, err := client.New(config, opts)
			if err != nil {
				return nil, err
			}
			return client.WithFieldOwner(c, v1alpha1.FieldManagerController), nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	for _, add := range []func(string, healthz.Checker) error{mgr.AddHealthzCheck, mgr.AddReadyzCheck} {
		if err := add("ping", healthz.Ping); err != nil {
			return nil, err
		}
	}
	return mgr, nil
}

// clusterID returns an id of the cluster that never changes.
func clusterID(ctx context.Context, r client.Reader) (string, error) {
	var ns corev1.Namespace
	if err := r.Get(ctx, types.NamespacedName{Name: "kube-system"}, &ns); err != nil {
		return "", fmt.Errorf("read the namespace kube-system to tell this cluster from others (or set --cluster-id): %w", err)
	}
	return string(ns.UID), nil
}

// connectBy returns the function that makes the portal's client. leader identifies this process
// among all managers.
func connectBy(mgr ctrl.Manager, namespace string, traces *tracing.Tracing, leader string) identityconfiguration.Connect {
	o := connect.Options{
		Idle: 2 * scimuser.Workers, RequestID: pass.RequestID, Leader: leader, Namespace: namespace,
		Transport: func(next http.RoundTripper) http.RoundTripper { return traces.Transport("portal", next) },
	}
	if mgr != nil {
		o.Cached, o.Live, o.Writer = mgr.GetClient(), mgr.GetAPIReader(), mgr.GetClient()
	}
	return func(p v1alpha1.Portal, key string) (portalapi.Client, error) { return connect.Client(p, key, o) }
}
