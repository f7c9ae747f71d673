// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/kernel/shell"
	"lightrun.com/scim-operator/internal/operator/pass"
)

// windowEvery is the time between two reads of the namespace, which show whether the restore window
// was opened, changed or closed.
const windowEvery = 5 * time.Second

// restoring works as in ReportOnly while the restore window is open: objects are restored one after
// the other, and an object that is missing meanwhile was not deleted. A warning event reports that
// the window was opened; the condition always names the users that may restore now.
func (p *scope) restoring(ctx context.Context) pass.Outcome {
	users, open, err := p.window(ctx, p.config.Namespace)
	if err != nil || !open {
		return p.Retry(err)
	}
	p.spec.ManagementPolicy = v1alpha1.PolicyReportOnly
	message := windowMessage(p.config.Namespace, users)
	if !conditions.IsTrue(p.config.Status.Conditions, v1alpha1.ConditionRestoreOpen) {
		p.Event(corev1.EventTypeWarning, v1alpha1.ReasonRestoreWindow, "Restore", "%s", message)
	}
	return pass.Warn(conditions.True(v1alpha1.ConditionRestoreOpen, v1alpha1.ReasonRestoreWindow, message))
}

// windowMessage describes the open restore window. users is the annotation's value: names of
// Kubernetes users, separated by commas.
func windowMessage(namespace, users string) string {
	effect := "Nothing is written to the portal until you close the window: " + shell.Scim(namespace, "restore", "close")
	if strings.Trim(users, ", ") == "" {
		return "The restore window is open, but names no Kubernetes user who may restore. " + effect + ". To name users: " + shell.Scim(namespace, "restore", "open")
	}
	return fmt.Sprintf("The restore window is open: the Kubernetes users %s may restore ScimUsers, ScimGroups and ScimGroupSlices. %s", users, effect)
}

// window reads the restore window: the value of its annotation, and whether the window is open.
func (r *Reconciler) window(ctx context.Context, namespace string) (users string, open bool, err error) {
	var ns corev1.Namespace
	if err := r.Live.Get(ctx, types.NamespacedName{Name: namespace}, &ns); err != nil {
		return "", false, fmt.Errorf("read the restore window: %w", err)
	}
	users, open = ns.Annotations[v1alpha1.AnnotationRestore]
	return users, open, nil
}

// followWindow calls changed when the window was opened or closed, and when it names other users.
// It polls, because the manager may only get this one namespace, not watch it.
func (r *Reconciler) followWindow(ctx context.Context, namespace string, changed func()) {
	var lastUsers string
	var lastOpen bool
	ticker := time.NewTicker(windowEvery)
	defer ticker.Stop()
	for {
		users, open, err := r.window(ctx, namespace)
		switch {
		case err != nil && ctx.Err() == nil:
			ctrl.LoggerFrom(ctx).Error(err, "Cannot read the restore window, trying again")
		case err == nil && (open != lastOpen || users != lastUsers):
			lastUsers, lastOpen = users, open
			changed()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
