// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/internal/gateway/store"
	"lightrun.com/scim-operator/internal/gateway/tokens"
)

// rescan is the interval at which token files are read even without a notification of a change.
const rescan = 30 * time.Second

// service is the process: a directory of users and groups, the tokens, and the servers.
type service struct {
	options   *options
	log       logr.Logger
	directory *store.Directory
	tokens    *tokens.Set
	scim      http.Handler
	registry  *prometheus.Registry
	stopping  atomic.Bool
}

func newService(o *options, config *rest.Config, tracer trace.Tracer, log logr.Logger) (*service, error) {
	d, err := store.New(store.Options{
		Config: config, Namespace: o.namespace, Log: log.WithName("directory"),
	})
	if err != nil {
		return nil, err
	}
	s := &service{options: o, log: log, directory: d, tokens: tokens.NewSet(o.tokenDirs...), registry: prometheus.NewRegistry()}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.registry.MustRegister(store.Collector(d), tokens.Collector(s.tokens))
	bearer := newBearer(s.tokens, d.JWTIssuers)
	s.registry.MustRegister(bearer.jwt)
	s.scim = server.New(server.Options{
		Users: d.Users(), Groups: d.Groups(), Configuration: d.Configuration, Tokens: bearer,
		Log: log.WithName("scim"), Registry: s.registry, Tracer: tracer, Rate: o.rate, Burst: o.burst, TrustForwarded: o.trustForwarded,
	})
	return s, nil
}

// run serves until ctx ends or a server fails. Then it finishes the current requests. The health
// server answers until they are finished, so that /readyz can say that the process is stopping.
func (s *service) run(ctx context.Context) error {
	// Without the tokens the first requests would get a wrong 401. Watch reports unreadable files.
	_ = s.tokens.Load()
	ctx, stopWork := context.WithCancel(ctx)
	defer stopWork()
	// The directory and the health server outlive the requests.
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	directoryDone, healthDone := make(chan error, 1), make(chan error, 1)
	go func() { directoryDone <- s.directory.Run(background) }()
	go func() {
		healthDone <- s.serve(background, listener{"health", s.options.healthListen, s.health(), ""})
		stopWork() // if it failed
	}()

	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error { return s.tokens.Watch(workCtx, s.log.WithName("tokens"), rescan) })
	for _, l := range []listener{
		{"SCIM", s.options.listen, s.scim, s.options.tlsCertDir},
		{"metrics", s.options.metricsListen, s.metrics(), ""},
	} {
		work.Go(func() error { return s.serve(workCtx, l) })
	}
	work.Go(func() error {
		<-workCtx.Done()
		s.stopping.Store(true)
		return nil
	})
	err := work.Wait()
	stop()
	return errors.Join(err, <-healthDone, <-directoryDone)
}

// listener is one address with its handler.
type listener struct {
	name, address string
	handler       http.Handler
	certDir       string
}

// timeouts contains the timeouts for a client: to send the header of a request, to send the whole
// request, to receive the response, and to send the next request.
type timeouts struct{ readHeader, read, write, idle time.Duration }

// defaultTimeouts returns timeouts that close the connection of a client that does not continue.
// The time to write includes the work of a request; a push of a large group takes the longest.
func defaultTimeouts() timeouts {
	return timeouts{readHeader: 10 * time.Second, read: 30 * time.Second, write: 2 * time.Minute, idle: 2 * time.Minute}
}

// serve serves one address until ctx ends, and then finishes the current requests. Without an
// address it only waits for the end of ctx.
func (s *service) serve(ctx context.Context, l listener) error {
	if l.address == "" {
		<-ctx.Done()
		return nil
	}
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.address)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", l.name, err)
	}
	if s.options.maxConnections > 0 {
		socket = netutil.LimitListener(socket, s.options.maxConnections)
	}
	t := s.options.timeouts
	server := &http.Server{
		Handler:           l.handler,
		ReadHeaderTimeout: t.readHeader, ReadTimeout: t.read, WriteTimeout: t.write, IdleTimeout: t.idle,
		MaxHeaderBytes: 64 << 10,
	}
	if l.certDir != "" {
		if socket, err = s.secure(ctx, socket, l.certDir); err != nil {
			return err
		}
	}
	s.log.Info("Listening", "for", l.name, "address", socket.Addr().String())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(socket) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", l.name, err)
	case <-ctx.Done():
	}
	shutdownCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(shutdownCtx); err != nil {
		return errors.Join(fmt.Errorf("requests for %s were cancelled: %w", l.name, err), server.Close())
	}
	return nil
}

// secure serves TLS 1.2 or later (RFC 7644 §7.2) with a certificate that is read again when its
// file changes.
func (s *service) secure(ctx context.Context, socket net.Listener, dir string) (net.Listener, error) {
	watcher, err := certwatcher.New(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("read the certificate: %w", err)
	}
	go func() {
		if err := watcher.Start(ctx); err != nil {
			s.log.Error(err, "Cannot watch the certificate; a new one needs a restart")
		}
	}()
	return tls.NewListener(socket, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: watcher.GetCertificate, NextProtos: []string{"http/1.1"}}), nil
}

// health serves /healthz while the process runs and /readyz while it can serve requests.
func (s *service) health() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case s.stopping.Load():
			http.Error(w, "stopping", http.StatusServiceUnavailable)
		case !s.directory.Synced():
			http.Error(w, "the cache is not synced yet", http.StatusServiceUnavailable)
		default:
			fmt.Fprintln(w, "ok")
		}
	})
	return mux
}

func (s *service) metrics() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	return mux
}

func setLevel(o *zap.Options, level string) error {
	switch level {
	case "debug":
		o.Level = zapcore.DebugLevel
	case "info":
		o.Level = zapcore.InfoLevel
	case "error":
		o.Level = zapcore.ErrorLevel
	default:
		return fmt.Errorf("--log-level must be debug, info or error, not %q", level)
	}
	return nil
}
