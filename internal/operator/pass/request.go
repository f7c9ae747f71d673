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
	"lightrun.com/scim-operator/internal/kernel/requestid"
	"lightrun.com/scim-operator/internal/kernel/tracing"
)

// Request names what a pass does about o, for the portal's audit, events and the log: if pushed, by
// the SCIM request that last wrote o, and otherwise by the pass itself. The id counts only while it
// has the object's own revision: a later write that names no request, a person's deletion and the
// healing of drift are no push's doing.
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
	return requestid.With(ctx, id), id
}

// revisionOf is the revision of the webhook's last write to o, if o is of a kind that it writes.
func revisionOf(o client.Object) (revision int64, ok bool) {
	switch o := o.(type) {
	case *v1alpha1.ScimUser:
		return o.Spec.Revision, true
	case *v1alpha1.ScimGroup:
		return o.Spec.Revision, true
	}
	return 0, false
}

// RequestID is the id that ctx carries, or else the pass's own, which its log lines have as
// reconcileID.
func RequestID(ctx context.Context) string {
	if id := requestid.From(ctx); id != "" {
		return id
	}
	return string(controller.ReconcileIDFromContext(ctx))
}

// Settled says whether the present generation of o was applied once: what is written later does not
// follow from a push.
func Settled(o client.Object, have []metav1.Condition) bool {
	c := conditions.Find(have, v1alpha1.ConditionProvisioned)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == o.GetGeneration()
}
