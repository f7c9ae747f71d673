// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"lightrun.com/scim-operator/test/framework/devenv"
)

// wire is a proxy between a program and the API server. Once armed, it stops the next write of one
// resource, either before the API server gets it, or after that and before the program gets the
// response. It reports the write, and holds it until the program has been killed.
type wire struct {
	proxy *httputil.ReverseProxy
	mu    sync.Mutex
	armed *step
}

// step is the write at which a program is killed.
type step struct {
	resource string // plural; a write of any verb
	after    bool   // after the API server has it
	reached  chan string
	dead     chan struct{}
}

// wired puts a wire between each of the programs and the API server. A program uses it from its
// next start on.
func (d *drill) wired(names ...string) {
	d.t.Helper()
	server, err := url.Parse(d.env.Kube.Host)
	if err != nil {
		d.t.Fatal(err)
	}
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(d.env.Kube))
	if err != nil {
		d.t.Fatal(err)
	}
	d.wires, d.env.Kubeconfigs = map[string]*wire{}, map[string]string{}
	for _, name := range names {
		program := devenv.Webhook
		if name == devenv.Manager {
			program = name
		}
		config, err := clientcmd.LoadFromFile(filepath.Join(d.env.Dir, "kubernetes", program+".kubeconfig"))
		if err != nil {
			d.t.Fatal(err)
		}
		token := config.AuthInfos[config.Contexts[config.CurrentContext].AuthInfo].Token
		w := &wire{proxy: &httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(server)
				r.Out.Header.Set("Authorization", "Bearer "+token) // a kubeconfig's token is ignored without TLS
			},
			Transport:     transport,
			FlushInterval: -1,                         // watches
			ErrorLog:      log.New(io.Discard, "", 0), // killed programs cause errors
			ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		}}
		listener := httptest.NewServer(w)
		d.t.Cleanup(func() { _ = listener.Config.Close() }) // listener.Close would wait for the programs' open watches
		for _, c := range config.Clusters {
			c.Server, c.CertificateAuthorityData = listener.URL, nil
		}
		file := filepath.Join(d.t.TempDir(), name+".kubeconfig")
		if err := clientcmd.WriteToFile(*config, file); err != nil {
			d.t.Fatal(err)
		}
		d.wires[name], d.env.Kubeconfigs[name] = w, file
	}
}

// arm sets the step at which the program is killed next. disarm undoes it.
func (w *wire) arm(resource string, after bool) *step {
	s := &step{resource: resource, after: after, reached: make(chan string, 1), dead: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = s
	return s
}

func (w *wire) disarm() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed = nil
}

// due returns the armed step if the request matches it, or nil.
func (w *wire) due(r *http.Request) *step {
	if r.Method == http.MethodGet || r.URL.Query().Has("dryRun") {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.armed
	if s == nil || !strings.Contains(r.URL.Path+"/", "/"+s.resource+"/") {
		return nil
	}
	w.armed = nil
	return s
}

func (w *wire) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	s := w.due(r)
	if s == nil {
		w.proxy.ServeHTTP(rw, r)
		return
	}
	verb := fmt.Sprintf("before %s %s", r.Method, s.resource)
	if s.after {
		verb = fmt.Sprintf("after %s %s", r.Method, s.resource)
		w.proxy.ServeHTTP(httptest.NewRecorder(), r.WithContext(r.Context()))
	}
	s.reached <- verb
	<-s.dead
	panic(http.ErrAbortHandler)
}
