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

// gate stands in a replica's watches and holds back what they bring, so that its cache stays
// behind.
type gate struct {
	mu   sync.Mutex
	held chan struct{} // closed when nothing is held back
}

func newGate() *gate {
	g := &gate{held: make(chan struct{})}
	close(g.held)
	return g
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.held:
	default:
		close(g.held)
	}
}

func (g *gate) passed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

type gated struct {
	io.ReadCloser
	gate *gate
}

func (b gated) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	<-b.gate.passed()
	return n, err
}

// replicaBehind is a directory whose watches can be held back.
func (w world) replicaBehind(t *testing.T) (*store.Directory, *gate) {
	g := newGate()
	d := w.replica(t, func(c *rest.Config) {
		c.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				response, err := next.RoundTrip(r)
				if err == nil && r.URL.Query().Get("watch") != "" {
					response.Body = gated{response.Body, g}
				}
				return response, err
			})
		})
	})
	t.Cleanup(g.open)
	return d, g
}

// between runs act once, just before a replica's first request that matches.
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

// patches says whether a request patches an object of a kind.
func patches(kind string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "/"+kind+"/")
	}
}

// deletes says whether a request deletes an object of a kind.
func deletes(kind string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/"+kind+"/")
	}
}

// creates says whether a request creates an object of a kind.
func creates(kind string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/"+kind)
	}
}
