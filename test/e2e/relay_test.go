// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	portalv1 "lightrun.com/scim-operator/api/portal/v1"
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/test/framework/devenv"
	"lightrun.com/scim-operator/test/framework/devenv/process"
)

// call is a write that a manager sent to the portal.
type call struct {
	name    string // method, path and the start of the hash of the body without what is incidental
	body    string
	forward func() (status int, body string) // sends it to the portal
}

// relay is a proxy between the manager and the portal that hands every write to a test.
type relay struct {
	portal string
	mu     sync.Mutex
	write  func(call) // nil forwards all writes
}

// on makes f decide about each write. If f returns and has not forwarded a
// write, the connection is closed without a response.
func (r *relay) on(f func(call)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write = f
}

// newRelay puts a relay between the managers and the portal until the test ends.
func newRelay(w *world) *relay {
	w.t.Helper()
	r := &relay{portal: w.env.Values.PortalURL}
	server := httptest.NewServer(r)
	w.portalAt(server.URL)
	w.t.Cleanup(func() {
		w.portalAt(r.portal)
		server.CloseClientConnections()
		server.Close()
	})
	return r
}

// portalAt sets the portal's URL for the managers.
func (w *world) portalAt(url string) {
	w.t.Helper()
	ctx := context.WithoutCancel(w.t.Context()) // also during the cleanup
	var found v1alpha1.IdentityConfiguration
	if err := w.env.Client.Get(ctx, client.ObjectKey{Namespace: devenv.Namespace, Name: v1alpha1.DefaultName}, &found); err != nil {
		w.t.Fatal(err)
	}
	changed := found.DeepCopy()
	changed.Spec.Portal.URL = url
	if err := w.env.Client.Patch(ctx, changed, client.MergeFrom(&found)); err != nil {
		w.t.Fatal(err)
	}
}

func (r *relay) ServeHTTP(rw http.ResponseWriter, asked *http.Request) {
	body, err := io.ReadAll(asked.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.mu.Lock()
	write := r.write
	r.mu.Unlock()
	ctx := asked.Context()
	if asked.Method == http.MethodGet || write == nil {
		if answer := r.pass(ctx, asked, body); answer != nil {
			answer.to(rw)
			return
		}
		panic(http.ErrAbortHandler)
	}
	var got *reply
	write(call{
		name: fmt.Sprintf("%s %s %x", asked.Method, asked.URL.Path, sha256.Sum256(incidental.ReplaceAll(body, nil)))[:len(asked.Method)+len(asked.URL.Path)+10], body: string(body),
		forward: func() (int, string) {
			if got = r.pass(context.WithoutCancel(ctx), asked, body); got == nil { // without ctx's end: the manager that sent it may be killed meanwhile
				return 0, ""
			}
			return got.status, string(got.body)
		},
	})
	if got == nil {
		panic(http.ErrAbortHandler)
	}
	got.to(rw)
}

// incidental matches what may differ when another manager repeats a write: the id of the SCIM
// request that caused a change of membership, because only the manager that saw the request knows
// it; and revisions of groups, because they depend on how much of a group the manager has seen.
var incidental = regexp.MustCompile(`,"requestId":"[^"]*"|,"seen":\[[^\]]*\]|,"revision":[0-9]+\}`)

// reply is the portal's response.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (a *reply) to(rw http.ResponseWriter) {
	for name, values := range a.header {
		rw.Header()[name] = values
	}
	rw.WriteHeader(a.status)
	_, _ = rw.Write(a.body)
}

// pass forwards the request. It returns nil if the portal did not respond.
func (r *relay) pass(ctx context.Context, asked *http.Request, body []byte) *reply {
	request, err := http.NewRequestWithContext(ctx, asked.Method, r.portal+asked.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil
	}
	request.Header = asked.Header.Clone()
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil
	}
	return &reply{response.StatusCode, response.Header, content}
}

// withoutManager stops the environment's own manager until the test ends.
func withoutManager(w *world) {
	w.t.Helper()
	if err := w.env.Halt(devenv.Manager); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := w.env.Restart(context.Background(), devenv.Manager); err != nil {
			w.t.Error(err)
		}
	})
}

// newManager starts a manager in addition to the environment's. It is
// killed when the test ends, if it still runs.
func newManager(w *world, args ...string) *process.Process {
	w.t.Helper()
	m, err := startManager(w, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(m.Kill)
	return m
}

func startManager(w *world, args ...string) (*process.Process, error) {
	return process.Start(process.Spec{
		Name: devenv.Manager, Path: filepath.Join(sharedSuite.programs, devenv.Manager), Log: filepath.Join(w.env.Dir, "logs", devenv.Manager+".log"),
		Args: append([]string{
			"--kubeconfig=" + filepath.Join(w.env.Dir, "kubernetes", devenv.Manager+".kubeconfig"),
			"--namespace=" + devenv.Namespace, "--health-listen=0", "--metrics-listen=0", "--log-level=debug",
		}, args...),
	})
}

// immortal is a manager that is restarted whenever it dies, as a kubelet does.
type immortal struct {
	mu      sync.Mutex
	running *process.Process
	starts  int
}

func newImmortal(w *world, args ...string) *immortal {
	m := &immortal{}
	ctx, cancel := context.WithCancel(context.Background())
	m.running = newManager(w, args...)
	var supervised sync.WaitGroup
	supervised.Go(func() {
		for {
			select {
			case <-m.now().Done():
			case <-ctx.Done():
				return
			}
			if ctx.Err() != nil {
				return
			}
			next, err := startManager(w, args...)
			if err != nil {
				w.t.Error(err)
				return
			}
			m.mu.Lock()
			m.running, m.starts = next, m.starts+1
			m.mu.Unlock()
		}
	})
	w.t.Cleanup(func() {
		cancel()
		supervised.Wait()
		m.now().Kill()
	})
	return m
}

// now returns the running process, or the last one.
func (m *immortal) now() *process.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running
}

// history returns the successful changes of a user or pool from the portal's audit (the newest
// 100), oldest first: the action and the new values of the fields that the tests check.
func (w *world) history(t *testing.T, id string) []string {
	t.Helper()
	limit := 100
	got, err := w.env.API.ListAuditEventsWithResponse(t.Context(), auditOf(id, limit))
	if err != nil || got.JSON200 == nil {
		t.Fatal(errors.Join(err, fmt.Errorf("read the audit: %s", got.Body)))
	}
	var out []string
	for _, e := range got.JSON200.Items {
		if e.Outcome != "Done" {
			continue
		}
		words := []string{e.Action}
		for _, c := range e.Changes {
			switch c.Field {
			case "userName", "status", "managedBy", "pools", "directRoles":
				words = append(words, fmt.Sprintf("%s=%s", c.Field, strings.ReplaceAll(c.To, w.tag, "·")))
			}
		}
		out = append([]string{strings.Join(words, " ")}, out...)
	}
	return out
}

func auditOf(user string, limit int) *portalv1.ListAuditEventsParams {
	return &portalv1.ListAuditEventsParams{UserID: &user, Limit: &limit}
}
