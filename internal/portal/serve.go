// SPDX-License-Identifier: Apache-2.0

package portal

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"lightrun.com/scim-operator/internal/portal/store"
)

// serve serves the portal, and its metrics if they have an address, until ctx ends.
func (o Options) serve(ctx context.Context, s *store.Store) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	listener, err := o.listen(ctx)
	if err != nil {
		return fmt.Errorf("listen for the portal: %w", err)
	}
	handler, err := o.handler(s, registry, listener.Addr())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	var metrics net.Listener
	if o.MetricsListen != "" {
		if metrics, err = new(net.ListenConfig).Listen(ctx, "tcp", o.MetricsListen); err != nil {
			return errors.Join(fmt.Errorf("listen for the metrics: %w", err), listener.Close())
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	o.Log.Info("Serving the portal", "scheme", o.scheme(), "address", listener.Addr().String())
	serveUntil(ctx, group, listener, handler)
	if metrics != nil {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
		o.Log.Info("Serving the metrics", "metricsAddress", metrics.Addr().String())
		serveUntil(ctx, group, metrics, mux)
	}
	group.Go(func() error { return o.tidy(ctx, s) })
	return group.Wait()
}

func (o Options) scheme() string {
	if o.TLSCertDir != "" {
		return "https"
	}
	return "http"
}

// listen opens the portal's address, with TLS 1.2 or later if there is a certificate.
func (o Options) listen(ctx context.Context) (net.Listener, error) {
	var cert *certificate
	if o.TLSCertDir != "" {
		cert = &certificate{dir: o.TLSCertDir, now: time.Now, failed: func(err error) {
			o.Log.Error(err, "Cannot read the new certificate. The portal keeps the old one")
		}}
		if _, err := cert.get(nil); err != nil {
			return nil, err
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.Listen)
	if err != nil || cert == nil {
		return listener, err
	}
	return tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get, NextProtos: []string{"http/1.1"}}), nil
}

// serveUntil serves the listener in the group until ctx ends, and then finishes the current
// requests.
func serveUntil(ctx context.Context, group *errgroup.Group, listener net.Listener, handler http.Handler) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second, // a reader of the feed waits up to 30 seconds
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx }, // ends the feed's readers at a stop
	}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", listener.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceful)
		defer cancel()
		return server.Shutdown(stop)
	})
}

// recheck is the time after which the files of a certificate are compared with it again.
const recheck = 10 * time.Second

// certificate is the certificate in a folder. A renewed one is used without a restart; while the
// new files cannot be read, the old one is.
type certificate struct {
	dir    string
	now    func() time.Time
	failed func(error)

	mu      sync.Mutex
	current *tls.Certificate
	version string // of the files that were read last
	checked time.Time
}

// get has the form of tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && c.now().Sub(c.checked) < recheck {
		return c.current, nil
	}
	c.checked = c.now()
	version, err := c.files()
	if err == nil && version == c.version {
		return c.current, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(filepath.Join(c.dir, "tls.crt"), filepath.Join(c.dir, "tls.key"))
	}
	if err != nil {
		err = fmt.Errorf("read the certificate: %w", err)
		if c.current == nil {
			return nil, err
		}
		c.failed(err)
		return c.current, nil
	}
	c.current, c.version = &pair, version
	return c.current, nil
}

// files describes the state of both files: their times and sizes.
func (c *certificate) files() (string, error) {
	version := ""
	for _, name := range []string{"tls.crt", "tls.key"} {
		info, err := os.Stat(filepath.Join(c.dir, name))
		if err != nil {
			return "", err
		}
		version += fmt.Sprint(info.ModTime().UnixNano(), " ", info.Size(), " ")
	}
	return version, nil
}
