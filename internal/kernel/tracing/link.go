// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const header = "traceparent"

// Parent returns the traceparent (W3C Trace Context §3.2) of ctx's span, so that another trace can
// link to it. It is empty if the span is not recorded.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagator().Inject(ctx, carrier)
	return carrier[header]
}

// Link links the span of ctx to the span with the traceparent parent. It ignores an invalid parent.
func Link(ctx context.Context, parent string) {
	if parent == "" {
		return
	}
	remote := propagator().Extract(context.Background(), propagation.MapCarrier{header: parent})
	if there := trace.SpanContextFromContext(remote); there.IsValid() {
		trace.SpanFromContext(ctx).AddLink(trace.Link{SpanContext: there})
	}
}
