// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// trace starts the span of the request, in the client's trace if it has one. If tracing is off, it
// costs one comparison.
func (c *call) trace() {
	if c.Tracer == nil {
		return
	}
	ctx := propagation.TraceContext{}.Extract(c.ctx, propagation.HeaderCarrier(c.r.Header))
	c.ctx, c.span = c.Tracer.Start(ctx, "SCIM", trace.WithSpanKind(trace.SpanKindServer))
}

// traced ends the span. It records what the log line contains: no path, no query and no body, which
// contain personal data.
func (c *call) traced(operation, resource string) {
	if c.span == nil {
		return
	}
	c.span.SetName("SCIM " + operation + " " + resource)
	c.span.SetAttributes(
		attribute.String("scim.operation", operation), attribute.String("scim.resource", resource), attribute.String("scim.provider", c.config.Provider.Type),
		attribute.String("scim.request_id", c.id), attribute.Int("http.response.status_code", c.status),
	)
	if c.status >= http.StatusInternalServerError {
		c.span.SetStatus(codes.Error, "")
	}
	c.span.End()
}
