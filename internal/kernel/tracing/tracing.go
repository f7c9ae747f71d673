// SPDX-License-Identifier: Apache-2.0

// Package tracing turns OpenTelemetry traces on if the standard environment variables set an
// endpoint. Without one there is no tracer, no wrapper around any client and no span.
//
//	OTEL_EXPORTER_OTLP_ENDPOINT   http://collector:4318 turns traces on (or …_TRACES_ENDPOINT)
//	OTEL_EXPORTER_OTLP_PROTOCOL   only http/protobuf is supported
//	OTEL_SDK_DISABLED=true        turns traces off again
//
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS and
// others have the meaning of the specification.
//
// The spans are created here and by the SCIM server, each with a few attributes. The standard HTTP
// instrumentation is not used: it records URLs, which contain filters with e-mail addresses, and
// the addresses of clients.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
)

// scope is the instrumentation name of each span.
const scope = "lightrun.com/scim-operator"

// Tracing creates spans. A nil *Tracing is off: its methods change nothing.
type Tracing struct {
	provider *sdktrace.TracerProvider
}

// Start turns traces on for the named service, if the environment sets an endpoint; otherwise it
// returns nil. The error names the wrong variable. Spans that the exporter can't deliver are logged
// and dropped: traces never delay a request.
func Start(ctx context.Context, service string, log logr.Logger) (*Tracing, error) {
	on, err := wanted()
	if !on || err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("create the trace exporter for OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Error(err, "Cannot deliver traces") }))
	t, err := New(ctx, service, sdktrace.WithBatcher(exporter))
	if err != nil {
		return nil, errors.Join(err, exporter.Shutdown(ctx))
	}
	log.Info("Tracing is on")
	return t, nil
}

// New returns tracing for a service with the given exporters, regardless of the endpoints in the
// environment.
func New(ctx context.Context, service string, exporters ...sdktrace.TracerProviderOption) (*Tracing, error) {
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(semconv.ServiceName(service)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return &Tracing{provider: sdktrace.NewTracerProvider(append(exporters, sdktrace.WithResource(about))...)}, nil
}

// wanted reports whether the environment turns traces on.
func wanted() (bool, error) {
	set := func(names ...string) string {
		for _, n := range names {
			if v := strings.TrimSpace(os.Getenv(n)); v != "" {
				return v
			}
		}
		return ""
	}
	if strings.EqualFold(set("OTEL_SDK_DISABLED"), "true") || strings.EqualFold(set("OTEL_TRACES_EXPORTER"), "none") ||
		set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") == "" {
		return false, nil
	}
	if p := set("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); p != "" && p != "http/protobuf" {
		return false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q; only http/protobuf is supported, usually on port 4318", p)
	}
	return true, nil
}

// Tracer returns the tracer. It is nil if traces are off.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer(scope)
}

// Stop delivers the remaining spans, until ctx ends.
func (t *Tracing) Stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// propagator propagates traces across processes as W3C Trace Context.
func propagator() propagation.TextMapPropagator { return propagation.TraceContext{} }

const header = "traceparent"

// Parent returns the traceparent (W3C Trace Context §3.2) of ctx's span, for others to link to;
// empty when it is not recorded.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagator().Inject(ctx, carrier)
	return carrier[header]
}

// Link links the span of ctx to the one with the traceparent parent. An invalid parent is ignored.
func Link(ctx context.Context, parent string) {
	if parent == "" {
		return
	}
	remote := propagator().Extract(context.Background(), propagation.MapCarrier{header: parent})
	if there := trace.SpanContextFromContext(remote); there.IsValid() {
		trace.SpanFromContext(ctx).AddLink(trace.Link{SpanContext: there})
	}
}
