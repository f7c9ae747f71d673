package tracing

import (
	"context"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

const header = "traceparent"

// Parent is the traceparent (W3C Trace Context §3.2) of the span that ctx is in, for others to link
// to; empty when it is not recorded.
func Parent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	propagator().Inject(ctx, carrier)
	return carrier[header]
}

// Link has the span that ctx is in point to the one that left parent behind. A parent that is none
// is passed over.
func Link(ctx context.Context, parent string) {
	if parent == "" {
		return
	}
	remote := propagator().Extract(context.Background(), propagation.MapCarrier{header: parent})
	if there := trace.SpanContextFromContext(remote); there.IsValid() {
		trace.SpanFromContext(ctx).AddLink(trace.Link{SpanContext: there})
	}
}
