// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/kernel/requestid"
	"lightrun.com/scim-operator/internal/kernel/tracing"
)

// Request returns the id under which the portal's audit log, events and the log record what a pass
// does about o, and a context with that id. If pushed is true, it is the id of the SCIM request
// that last wrote o, provided that o still has the revision of that request. Otherwise it is the id
// of the pass: no SCIM request caused a person's deletion or the repair of a change in the portal.
func Request(ctx context.Context, o client.Object, pushed bool) (context.Context, string) {
	id := ""
	if revision, ok := revisionOf(o); ok && pushed && o.GetDeletionTimestamp() == nil {
		id = requestid.Stamped(o.GetAnnotations()[v1alpha1.AnnotationRequest], revision)
	}
	if id == "" {
		return ctx, RequestID(ctx)
	}
	tracing.Link(ctx, o.GetAnnotations()[v1alpha1.AnnotationTrace])
	ctx = ctrl.LoggerInto(ctx, ctrl.LoggerFrom(ctx).WithValues("requestId", id))
	return portalapi.WithCause(requestid.With(ctx, id), portalapi.CauseProvider), id
}

// revisionOf returns the revision of the webhook's last write to o, if o is of a kind that it
// writes.
func revisionOf(o client.Object) (revision int64, ok bool) {
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		return o.Spec.Revision, true
	case *v1alpha1.ScimGroup:
		return o.Spec.Revision, true
	}
	return 0, false
}

// RequestID returns the id in ctx, or else the id of the pass, which its log lines have as
// reconcileID.
func RequestID(ctx context.Context) string {
	if id := requestid.From(ctx); id != "" {
		return id
	}
	return string(controller.ReconcileIDFromContext(ctx))
}

// Settled reports whether the current generation of o was applied. Later writes to the portal then
// have another cause than the SCIM request that wrote o.
func Settled(o client.Object, have []metav1.Condition) bool {
	c := conditions.Find(have, v1alpha1.ConditionProvisioned)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == o.GetGeneration()
}
