// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"lightrun.com/scim-operator/internal/gateway/store"
)

// watchPause delays the events of a replica's watches, so that its cache stays behind.
type watchPause struct {
	mu      sync.Mutex
	resumed chan struct{} // closed while events pass
}

func newWatchPause() *watchPause {
	p := &watchPause{resumed: make(chan struct{})}
	close(p.resumed)
	return p
}

func (p *watchPause) pause() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resumed = make(chan struct{})
}

func (p *watchPause) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.resumed:
	default:
		close(p.resumed)
	}
}

func (p *watchPause) passed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resumed
}

type pausedBody struct {
	io.ReadCloser
	pause *watchPause
}

func (b pausedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	<-b.pause.passed()
	return n, err
}

// replicaBehind returns a directory whose watches can be paused.
func (w world) replicaBehind(t *testing.T) (*store.Directory, *watchPause) {
	p := newWatchPause()
	d := w.replica(t, func(c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				response, err := next.RoundTrip(r)
				if err == nil && r.URL.Query().Get("watch") != "" {
					response.Body = pausedBody{response.Body, p}
				}
				return response, err
			})
		})
	})
	t.Cleanup(p.resume)
	return d, p
}

// between calls act once, just before a replica's first request that matches.
func between(matches func(*http.Request) bool, act func()) func(*rest.Config) {
	var once sync.Once
	return func(c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				if matches(r) {
					once.Do(act)
				}
				return next.RoundTrip(r)
			})
		})
	}
}

// patches reports whether a request patches an object of a kind.
func patches(kind string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/"+kind+"/")
	}
}

// deletes reports whether a request deletes an object of a kind.
func deletes(kind string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/"+kind+"/")
	}
}

// creates reports whether a request creates an object of a kind.
func creates(kind string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/"+kind)
	}
}
