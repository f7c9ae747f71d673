// Package tracing turns OpenTelemetry traces on where the standard environment variables say where
// they go, and is nothing otherwise: without an endpoint there is no tracer, no wrapper around any
// client and no span.
//
//	OTEL_EXPORTER_OTLP_ENDPOINT         http://collector:4318 turns traces on (or …_TRACES_ENDPOINT)
//	OTEL_EXPORTER_OTLP_PROTOCOL         http/protobuf, the only one
//	OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS, …  as the specification has them
//	OTEL_SDK_DISABLED=true              turns them off again
//
// Spans are made here and by the SCIM server, each with a few attributes of its own. The ready-made
// instrumentation of HTTP is not used: it records URLs, which hold filters with e-mail addresses,
// and addresses of clients.
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

// scope names the instrumentation in each span.
const scope = "lightrun.com/scim-operator"

// Tracing makes spans. A nil Tracing is off, and so is everything that its methods return.
type Tracing struct {
	provider *sdktrace.TracerProvider
}

// Start turns traces on for a service of that name, if the environment says so; it is nil
// otherwise. The error says which variable is wrong. What the exporter can't deliver is logged and
// dropped: traces never hold a request up.
func Start(ctx context.Context, service string, log logr.Logger) (*Tracing, error) {
	on, err := wanted()
	if !on || err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("make the exporter of traces that OTEL_EXPORTER_OTLP_ENDPOINT asks for: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Error(err, "Delivering traces") }))
	t, err := New(ctx, service, sdktrace.WithBatcher(exporter))
	if err != nil {
		return nil, errors.Join(err, exporter.Shutdown(ctx))
	}
	log.Info("Traces are on")
	return t, nil
}

// New is tracing of a service with the given exporters, whatever the environment says of endpoints.
func New(ctx context.Context, service string, exporters ...sdktrace.TracerProviderOption) (*Tracing, error) {
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(semconv.ServiceName(service)), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return &Tracing{provider: sdktrace.NewTracerProvider(append(exporters, sdktrace.WithResource(about))...)}, nil
}

// wanted says whether the environment asks for traces.
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
		return false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q; only http/protobuf is spoken, usually on port 4318", p)
	}
	return true, nil
}

// Tracer makes spans; nil when traces are off.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer(scope)
}

// Stop delivers what is left, as long as ctx lasts.
func (t *Tracing) Stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// propagator carries traces across processes as W3C Trace Context.
func propagator() propagation.TextMapPropagator { return propagation.TraceContext{} }
