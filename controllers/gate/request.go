package gate

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/conditions"
	"lightrun.com/scim-operator/internal/requestid"
	"lightrun.com/scim-operator/internal/tracing"
)

// Request names what a pass does about o, for the portal's audit, events and the log: by the SCIM request that deletes o, or, if pushed,
// by the one that last changed it, and otherwise by the pass itself. A person's deletion and the healing of drift are no push's doing.
func Request(ctx context.Context, o client.Object, pushed bool) (context.Context, string) {
	var id string
	switch {
	case o.GetDeletionTimestamp() != nil:
		id = o.GetAnnotations()[v1alpha1.AnnotationDeletion]
	case pushed:
		id = o.GetAnnotations()[v1alpha1.AnnotationRequest]
	}
	if !requestid.Usable(id) { // annotations are anybody's to write
		return ctx, RequestID(ctx)
	}
	if o.GetDeletionTimestamp() == nil {
		tracing.Link(ctx, o.GetAnnotations()[v1alpha1.AnnotationTrace])
	}
	ctx = ctrl.LoggerInto(ctx, ctrl.LoggerFrom(ctx).WithValues("requestId", id))
	return requestid.With(ctx, id), id
}

// RequestID is the id that ctx carries, or else the pass's own, which its log lines bear as reconcileID.
func RequestID(ctx context.Context) string {
	if id := requestid.From(ctx); id != "" {
		return id
	}
	return string(controller.ReconcileIDFromContext(ctx))
}

// Settled says whether what o asks for was brought about once: what is written later is no consequence of a push.
func Settled(o client.Object, have []metav1.Condition) bool {
	c := conditions.Find(have, v1alpha1.ConditionProvisioned)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == o.GetGeneration()
}

// Note is an event's note that names the request.
func Note(note, request string) string {
	if request == "" {
		return note
	}
	return note + " (request " + request + ")"
}
