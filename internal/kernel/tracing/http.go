// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"fmt"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
)

// Transport creates a span for each request to a peer, such as kubernetes or portal, and propagates
// the trace. If tracing is off, it returns next. Requests outside any span, such as watches, get
// none.
func (t *Tracing) Transport(peer string, next http.RoundTripper) http.RoundTripper {
	if t == nil {
		return next
	}
	return &transport{next: next, tracer: t.Tracer(), peer: peer}
}

type transport struct {
	next   http.RoundTripper
	tracer trace.Tracer
	peer   string
}

// RoundTrip implements http.RoundTripper. The span has the method and the status, but no URL:
// queries and claim names contain personal data.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !trace.SpanContextFromContext(r.Context()).IsValid() {
		return t.next.RoundTrip(r)
	}
	ctx, span := t.tracer.Start(r.Context(), t.peer+" "+r.Method, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(r.Method), attribute.String("peer.service", t.peer)))
	defer span.End()
	r = r.Clone(ctx)
	propagator().Inject(ctx, propagation.HeaderCarrier(r.Header))
	answer, err := t.next.RoundTrip(r)
	if err != nil {
		span.SetStatus(codes.Error, fmt.Sprintf("no answer: %T", err)) // its text contains the URL
		return nil, err
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(answer.StatusCode))
	if answer.StatusCode >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
	return answer, nil
}
