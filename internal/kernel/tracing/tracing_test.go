// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// environment sets these variables and unsets all others of OpenTelemetry.
func environment(t *testing.T, set map[string]string) {
	t.Helper()
	for _, name := range []string{
		"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
		"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_TRACES_SAMPLER", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME",
	} {
		t.Setenv(name, set[name])
	}
}

func TestOffByDefault(t *testing.T) {
	cases := map[string]map[string]string{
		"Nothing":    {},
		"Disabled":   {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
		"NoExporter": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
	}
	for name, set := range cases {
		t.Run(name, func(t *testing.T) {
			environment(t, set)
			traces, err := Start(t.Context(), "test", logr.Discard())
			if traces != nil || err != nil {
				t.Fatalf("traces must be off: %v %v", traces, err)
			}
			if traces.Tracer() != nil || traces.Transport("x", http.DefaultTransport) != http.DefaultTransport || traces.Stop(t.Context()) != nil {
				t.Error("tracing that is off must wrap nothing")
			}
		})
	}
}

func TestUnknownProtocol(t *testing.T) {
	environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
	if _, err := Start(t.Context(), "test", logr.Discard()); err == nil || !strings.Contains(err.Error(), "http/protobuf") {
		t.Errorf("the error must name the supported protocol: %v", err)
	}
}

// TestDelivery sends a pass to a collector, with only the standard variable set.
func TestDelivery(t *testing.T) {
	got := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.URL.Path == "/v1/traces" {
			got <- string(body)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()
	environment(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=story"})
	traces, err := Start(t.Context(), "scim-manager", logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	pass := traces.Reconciler("ScimUser", reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) { return reconcile.Result{}, nil }))
	if _, err := pass.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "ns", Name: "an-id"}}); err != nil {
		t.Fatal(err)
	}
	if err := traces.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case body := <-got:
		for _, want := range []string{"scim-manager", "story", "reconcile ScimUser", "an-id"} {
			if !strings.Contains(body, want) {
				t.Errorf("the collector must get %q", want)
			}
		}
	default:
		t.Error("the collector got nothing")
	}
}

// TestSpanContent follows a pass to a peer: the trace is propagated, a link points back to the
// push, and no span contains a URL.
func TestSpanContent(t *testing.T) {
	environment(t, nil)
	memory := tracetest.NewInMemoryExporter()
	traces, err := New(t.Context(), "test", sdktrace.WithSyncer(memory))
	if err != nil {
		t.Fatal(err)
	}
	var carried string
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		carried = r.Header.Get("Traceparent")
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer peer.Close()
	c := &http.Client{Transport: traces.Transport("portal", http.DefaultTransport)}
	push, span := traces.Tracer().Start(t.Context(), "SCIM")
	parent := Parent(push)
	span.End()
	failed := errors.New("secret: ada@example.test")
	pass := traces.Reconciler("NameClaim", reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
		Link(ctx, parent)
		Link(ctx, "nonsense")
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, peer.URL+"/users?userName=ada@example.test", nil)
		if err != nil {
			return reconcile.Result{}, err
		}
		answer, err := c.Do(r)
		if err != nil {
			return reconcile.Result{}, err
		}
		return reconcile.Result{}, errors.Join(failed, answer.Body.Close())
	}))
	if _, err := pass.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "user-hash"}}); !errors.Is(err, failed) {
		t.Fatal(err)
	}
	spans := memory.GetSpans()
	if len(spans) != 3 || spans[1].Name != "portal GET" || spans[2].Name != "reconcile NameClaim" {
		t.Fatalf("%+v", spans)
	}
	if len(spans[2].Links) != 1 || spans[2].Links[0].SpanContext.TraceID() != span.SpanContext().TraceID() {
		t.Errorf("the pass must point to the push: %+v", spans[2].Links)
	}
	if want := spans[1].SpanContext.TraceID().String(); !strings.Contains(carried, want) {
		t.Errorf("the trace must be propagated: %q", carried)
	}
	for _, s := range spans {
		for _, a := range s.Attributes {
			if text := a.Value.String(); strings.Contains(text, "ada") || strings.Contains(text, "user-hash") {
				t.Errorf("%s names a user: %s=%s", s.Name, a.Key, text)
			}
		}
		if strings.Contains(s.Status.Description, "ada") {
			t.Errorf("%s names a user: %s", s.Name, s.Status.Description)
		}
	}
}

// TestOutsideATrace: requests outside any span, such as a watch, create none.
func TestOutsideATrace(t *testing.T) {
	environment(t, nil)
	memory := tracetest.NewInMemoryExporter()
	traces, err := New(t.Context(), "test", sdktrace.WithSyncer(memory))
	if err != nil {
		t.Fatal(err)
	}
	peer := httptest.NewServer(http.NotFoundHandler())
	defer peer.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, peer.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := traces.Transport("kubernetes", http.DefaultTransport).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if n := len(memory.GetSpans()); n != 0 || Parent(t.Context()) != "" {
		t.Errorf("%d spans", n)
	}
}
