// SPDX-License-Identifier: Apache-2.0

package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	"go.opentelemetry.io/otel/trace"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Reconciler creates a span for each reconcile of an object of the kind. If tracing is off, it
// returns next.
func (t *Tracing) Reconciler(kind string, next reconcile.Reconciler) reconcile.Reconciler {
	if t == nil {
		return next
	}
	tracer := t.Tracer()
	return reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
		ctx, span := tracer.Start(ctx, "reconcile "+kind, trace.WithAttributes(
			semconv.K8SNamespaceName(r.Namespace), attribute.String("k8s.object.kind", kind), attribute.String("k8s.object.name", objectName(kind, r.Name))))
		defer span.End()
		result, err := next.Reconcile(ctx, r)
		if err != nil {
			span.SetStatus(codes.Error, "see the manager's log")
		}
		return result, err
	})
}

// objectName omits names that are derived from a user's name.
func objectName(kind, name string) string {
	if kind == "NameClaim" {
		return ""
	}
	return name
}
