// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lightrun.com/scim-operator/internal/kernel/requestid"
	"lightrun.com/scim-operator/internal/portal/store"
)

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), store.Options{Database: store.Memory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func get(t *testing.T, h http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestProbesAndMetrics(t *testing.T) {
	s := open(t)
	registry := prometheus.NewRegistry()
	h, err := New(Options{Store: s, Log: logr.Discard(), Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if w := get(t, h, path); w.Code != http.StatusOK {
			t.Errorf("%s responds with %d", path, w.Code)
		}
	}
	get(t, h, "/api/v1/users/some-id")
	metrics := get(t, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), "/metrics").Body.String()
	for _, want := range []string{
		`portal_http_requests_total{route="GET /api/v1/users/{id}",status="401"} 1`,
		`portal_http_refusals_total{code="UNAUTHENTICATED"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if w := get(t, h, "/healthz"); w.Code != http.StatusOK {
		t.Errorf("without its database the process is not alive: %d", w.Code)
	}
	if w := get(t, h, "/readyz"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("without its database the portal is ready: %d", w.Code)
	}
}

func TestInternalErrorsRevealNothing(t *testing.T) {
	var logged strings.Builder
	log := funcr.New(func(prefix, args string) { logged.WriteString(prefix + args + "\n") }, funcr.Options{})
	s := open(t)
	h, err := New(Options{Store: s, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w := get(t, h, "/api/v1/users", "Authorization", "Bearer demo-secret-key-0123456789", requestid.Header, "demo-9")
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "demo-9") || strings.Contains(w.Body.String(), "sql") {
		t.Errorf("the response is %d %s", w.Code, w.Body)
	}
	if !strings.Contains(logged.String(), "demo-9") || strings.Contains(logged.String(), "demo-secret-key") {
		t.Errorf("logged %s", logged.String())
	}
}

func TestPanic(t *testing.T) {
	h := observe(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errors.New("demo")) }), logr.Discard(), newMetrics(prometheus.NewRegistry()))
	if w := get(t, h, "/"); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "INTERNAL") {
		t.Errorf("the response is %d %s", w.Code, w.Body)
	}
}

// TestAgentPool checks what an agent gets with the key of its pool, and that neither kind of key
// does the work of the other.
func TestAgentPool(t *testing.T) {
	s, ctx, boss := open(t), t.Context(), store.SystemActor("test")
	h, err := New(Options{Store: s, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	const manage = "demo-manage-key-0123456789"
	if err := s.EnsureKey(ctx, boss, store.NewKey{Name: "manage", Scope: store.ScopeManage}, manage); err != nil {
		t.Fatal(err)
	}
	pool, err := s.CreatePool(ctx, boss, store.NewPool{Name: "Team"})
	if err != nil {
		t.Fatal(err)
	}
	first, old, err := s.RotatePoolKey(ctx, boss, pool.ID, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, current, err := s.RotatePoolKey(ctx, boss, pool.ID, first.ID, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		reason, path, key string
		status            int
		want, not         string
	}{
		"active":              {"The active key has no end.", "/api/v1/agent/pool", current, http.StatusOK, `"name":"Team"`, "endsAt"},
		"deprecated":          {"An agent learns when its key ends.", "/api/v1/agent/pool", old, http.StatusOK, `"endsAt":"20`, "\x00"},
		"unknown":             {"The message names the remedy.", "/api/v1/agent/pool", "lra_unknown", http.StatusUnauthorized, "unknown pool key", "\x00"},
		"API key":             {"An API key joins no pool, whatever its scope.", "/api/v1/agent/pool", manage, http.StatusForbidden, "FORBIDDEN", "Team"},
		"pool key elsewhere":  {"A pool key reads nothing else.", "/api/v1/users", current, http.StatusUnauthorized, "unknown API key", "\x00"},
		"no key":              {"A key is needed.", "/api/v1/agent/pool", "", http.StatusUnauthorized, "UNAUTHENTICATED", "\x00"},
		"pool key for pools":  {"Nor other pools.", "/api/v1/pools", old, http.StatusUnauthorized, "unknown API key", "Team"},
		"pool key in changes": {"Nor changes.", "/api/v1/changes", current, http.StatusUnauthorized, "unknown API key", "\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			w := get(t, h, c.path, "Authorization", "Bearer "+c.key)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) || strings.Contains(w.Body.String(), c.not) {
				t.Errorf("%s\nthe response is %d %s, want %d with %s", c.reason, w.Code, w.Body, c.status, c.want)
			}
		})
	}
}
