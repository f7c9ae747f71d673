// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/operator/pass"
)

// windowEvery is how often the namespace is read for a restore window that was opened or closed.
const windowEvery = 5 * time.Second

// restoring works as in ReportOnly while the restore window is open, and warns: objects are
// restored one after the other, and an object that is missing meanwhile was not deleted.
func (p *scope) restoring(ctx context.Context) pass.Outcome {
	users, open, err := p.window(ctx, p.config.Namespace)
	if err != nil || !open {
		return p.Retry(err)
	}
	p.spec.ManagementPolicy = v1alpha1.PolicyReportOnly
	message := fmt.Sprintf("The restore window is open for %s: users and groups can be restored, and nothing is written to the portal. Close it with kubectl scim restore close", users)
	if !conditions.IsTrue(p.config.Status.Conditions, v1alpha1.ConditionRestoreOpen) {
		p.Event(corev1.EventTypeWarning, v1alpha1.ReasonRestoreWindow, "Restore", "%s", message)
	}
	return pass.Warn(conditions.True(v1alpha1.ConditionRestoreOpen, v1alpha1.ReasonRestoreWindow, message))
}

// window returns the users that may restore while the restore window is open.
func (r *Reconciler) window(ctx context.Context, namespace string) (users string, open bool, err error) {
	var ns corev1.Namespace
	if err := r.Live.Get(ctx, types.NamespacedName{Name: namespace}, &ns); err != nil {
		return "", false, fmt.Errorf("read the restore window: %w", err)
	}
	users, open = ns.Annotations[v1alpha1.AnnotationRestore]
	return users, open, nil
}

// followWindow calls changed when the window was opened or closed. Reading one namespace by name is
// all that the manager may; it can't watch it.
func (r *Reconciler) followWindow(ctx context.Context, namespace string, changed func()) {
	var before string
	var was bool
	ticker := time.NewTicker(windowEvery)
	defer ticker.Stop()
	for {
		users, open, err := r.window(ctx, namespace)
		switch {
		case err != nil && ctx.Err() == nil:
			ctrl.LoggerFrom(ctx).Error(err, "Cannot read the restore window, trying again")
		case err == nil && (open != was || users != before):
			before, was = users, open
			changed()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
