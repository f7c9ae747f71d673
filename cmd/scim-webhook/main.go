// SPDX-License-Identifier: Apache-2.0

// Command scim-webhook serves SCIM 2.0 at /scim/v2 and stores the users and groups of identity
// providers as Kubernetes objects.
//
// Every replica accepts writes. It serves HTTPS if --tls-cert-dir is a folder with tls.crt and
// tls.key, which are read again when they change, and HTTP otherwise. Tokens are files of digests
// (see internal/gateway/tokens). On SIGTERM it becomes not ready, finishes the current requests
// within 10 seconds, and exits.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"lightrun.com/scim-operator/internal/kernel/tracing"
	"lightrun.com/scim-operator/internal/kernel/version"
)

// options contains the values of the flags.
type options struct {
	listen, healthListen, metricsListen string
	tlsCertDir                          string
	namespace                           string
	tokenDirs                           list
	rate                                float64
	burst                               int
	maxConnections                      int
	timeouts                            timeouts
	trustForwarded                      bool
	log                                 zap.Options
}

// list is a flag that may be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }
func (l *list) Set(v string) error {
	*l = append(*l, v)
	return nil
}

func flags() (*options, error) {
	o := &options{timeouts: defaultTimeouts()}
	f := flag.CommandLine // contains --kubeconfig, which controller-runtime registers
	f.StringVar(&o.listen, "listen", ":8443", "address of the SCIM service")
	f.StringVar(&o.tlsCertDir, "tls-cert-dir", "", "folder with tls.crt and tls.key; plain HTTP without it")
	f.StringVar(&o.healthListen, "health-listen", ":8081", "address of /healthz and /readyz; empty disables it")
	f.StringVar(&o.metricsListen, "metrics-listen", ":8080", "address of /metrics; empty disables it")
	f.StringVar(&o.namespace, "namespace", "", "namespace of the objects; default POD_NAMESPACE, else the service account's")
	f.Var(&o.tokenDirs, "token-dir", "folder with files of token digests; may be given several times")
	f.Float64Var(&o.rate, "rate", 200, "requests per second and token; 0 for no limit")
	f.IntVar(&o.burst, "burst", 400, "burst of requests per token above the rate")
	f.IntVar(&o.maxConnections, "max-connections", 1000, "concurrent connections per address; further ones wait; 0 for no limit")
	f.BoolVar(&o.trustForwarded, "trust-forwarded-headers", false, "take the public URL from X-Forwarded-Proto and X-Forwarded-Host when the IdentityConfiguration has no scimBaseURL")
	show := f.Bool("version", false, "print the version and exit")
	level := f.String("log-level", "info", "debug, info or error; debug shows personal data")
	f.Parse(os.Args[1:]) //nolint:errcheck // ExitOnError
	if *show {
		fmt.Println("scim-webhook", version.String())
		os.Exit(0)
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if err := setLevel(&o.log, *level); err != nil {
		return nil, err
	}
	if len(o.tokenDirs) == 0 {
		return nil, errors.New("--token-dir is missing: without tokens every request is refused")
	}
	if o.namespace == "" {
		o.namespace = defaultNamespace()
	}
	if o.namespace == "" {
		return nil, errors.New("--namespace is missing, and neither POD_NAMESPACE nor a service account sets it")
	}
	return o, nil
}

// defaultNamespace returns the Pod's own namespace.
func defaultNamespace() string {
	if ns := os.Getenv("POD_NAMESPACE"); ns != "" {
		return ns
	}
	data, err := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func main() {
	o, err := flags()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scim-webhook:", err)
		os.Exit(2)
	}
	log := zap.New(zap.UseFlagOptions(&o.log))
	ctrl.SetLogger(log)
	klog.SetLogger(log.WithName("client"))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	err = run(ctx, o, log)
	stop()
	if err != nil {
		log.Error(err, "Ending")
		os.Exit(1)
	}
}

// grace is the maximum time for current requests after the process is asked to stop.
const grace = 10 * time.Second

func run(ctx context.Context, o *options, log logr.Logger) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	traces, err := tracing.Start(ctx, "scim-webhook", log.WithName("traces"))
	if err != nil {
		return err
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return traces.Transport("kubernetes", next) })
	s, err := newService(o, config, traces.Tracer(), log)
	if err != nil {
		return err
	}
	err = s.run(ctx)
	shutdownCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if stopErr := traces.Stop(shutdownCtx); stopErr != nil {
		log.Error(stopErr, "Cannot deliver the last traces")
	}
	return err
}
