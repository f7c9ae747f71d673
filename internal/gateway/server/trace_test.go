// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"lightrun.com/scim-operator/internal/gateway/server"
	"lightrun.com/scim-operator/test/framework/servertest"
)

// TestTraces: each request has a span with the operation and without personal data. If the request
// has a Traceparent, the span is in the client's trace.
func TestTraces(t *testing.T) {
	memory := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(memory))
	s := newService(t, func(s *service) { s.options.Tracer = provider.Tracer("test") })
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	id := s.user("zoe@example.test")
	s.do("GET", "/scim/v2/Users?filter=userName+eq+%22zoe@example.test%22", nil, "Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01").is(200)
	s.do("GET", "/scim/v2/Users/"+id, nil).is(200)
	s.do("GET", "/scim/v2/Users", nil, "Authorization", "Bearer zoe@example.test").is(401)
	spans := memory.GetSpans()
	var names []string
	for _, span := range spans {
		names = append(names, span.Name)
		for _, a := range span.Attributes {
			if text := a.Value.String(); strings.Contains(text, "zoe") || strings.Contains(text, id) {
				t.Errorf("%s names a user: %s=%s", span.Name, a.Key, text)
			}
		}
	}
	if have := strings.Join(names, ", "); have != "SCIM create User, SCIM list User, SCIM get User, SCIM none None" {
		t.Fatalf("the spans are %s", have)
	}
	if have := spans[1].SpanContext.TraceID().String(); have != traceID {
		t.Errorf("the request must be in the client's trace, not in %s", have)
	}
}

// BenchmarkTraces measures a request with and without a tracer.
func BenchmarkTraces(b *testing.B) {
	on := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample())).Tracer("bench")
	for name, tracer := range map[string]trace.Tracer{"Off": nil, "On": on} {
		b.Run(name, func(b *testing.B) {
			memory := servertest.New()
			s := server.New(server.Options{
				Users: memory.Users(), Groups: memory.Groups(), Log: logr.Discard(), Tracer: tracer,
				Configuration: func() server.Configuration { return server.Configuration{Known: true, SCIM: true, BaseURL: base} },
				Tokens:        tokenList{"good": {Name: "good"}},
			})
			r := httptest.NewRequest(http.MethodGet, "/scim/v2/Users?count=0", nil)
			r.Header.Set("Authorization", "Bearer good")
			r.Header.Set("X-Request-Id", "bench")
			b.ReportAllocs()
			for b.Loop() {
				s.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
