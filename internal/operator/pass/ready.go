// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
)

// SCIMOff reports whether the portal is known to have SCIM off: then nothing is written.
func (p *Pass) SCIMOff() bool {
	v := p.View
	return v.Block == nil && v.Mirror != nil && v.Mirror.Listed() && !v.Mirror.Configuration().SCIMEnabled
}

// Ready ends the pass while the portal's state is not known. observed says that the object's status
// is of its newest generation and so remains valid.
func (p *Pass) Ready(observed bool) Outcome {
	switch v := p.View; {
	case v.Unknown:
		return Quiet(0)
	case v.Block != nil:
		return Stop(conditions.Unknown(p.Condition, v.Block.Reason, v.Block.Message))
	case !v.Mirror.Listed():
		if err := v.Mirror.Unreachable(); err != nil && !observed {
			return Stop(conditions.Unknown(p.Condition, v1alpha1.ReasonPortalUnreachable, "The portal can't be read: "+err.Error()))
		}
		return Quiet(0)
	}
	return Next()
}

// Releasable ends the pass over a deleted object while the portal's state is not known. It reports
// that it waits for the first listing: people see that the object stays.
func (p *Pass) Releasable() Outcome {
	o := p.Ready(false)
	if o.quiet && !p.View.Unknown {
		return Stop(conditions.Unknown(p.Condition, v1alpha1.ReasonPortalUnreachable, "The portal's state is not known yet; the object is released as soon as it is"))
	}
	return o
}

// Deprovisionable ends the pass over a tombstone while nothing may be decided about it: the
// namespace is being deleted, or the portal's state is not known.
func (p *Pass) Deprovisionable(ctx context.Context) Outcome {
	switch ending, err := NamespaceEnding(ctx, p.engine.Live, p.Object.GetNamespace()); {
	case err != nil:
		return p.Retry(err)
	case p.View.Unknown, ending:
		return Quiet(0)
	}
	return p.Releasable()
}

// KindsEnding reports whether our kinds are being deleted from the cluster: the API server takes no
// new objects of them then, and nothing is created. AgentPool represents all.
func KindsEnding(ctx context.Context, w client.Writer, namespace string) (bool, error) {
	o := &v1alpha1.AgentPool{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.DefaultName}}
	err := w.Create(ctx, o, client.DryRunAll)
	switch {
	case err == nil, apierrors.IsAlreadyExists(err):
		return false, nil
	case apierrors.IsMethodNotSupported(err), apierrors.IsForbidden(err) && strings.Contains(err.Error(), "custom resource definition is terminating"):
		return true, nil // the status is 405 or 403, depending on the version of Kubernetes; the 403 has no cause that identifies it
	}
	return false, fmt.Errorf("check whether the kinds are being deleted: %w", err)
}

// LeaveAsIs reports whether the portal's record of a deleted object must stay unchanged: there is
// no configuration, the portal is bound to another operator, SCIM is off, the policy is ReportOnly,
// or the namespace is being deleted.
func (p *Pass) LeaveAsIs(ctx context.Context) (bool, error) {
	if b := p.View.Block; b != nil && (b.Reason == v1alpha1.ReasonNoConfiguration || b.Foreign) {
		return true, nil
	}
	if p.SCIMOff() || (p.View.Spec != nil && p.View.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly) {
		return true, nil
	}
	return NamespaceEnding(ctx, p.engine.Live, p.Object.GetNamespace())
}

// NamespaceEnding reports whether the namespace is being deleted.
func NamespaceEnding(ctx context.Context, live client.Reader, namespace string) (bool, error) {
	var ns corev1.Namespace
	if err := live.Get(ctx, types.NamespacedName{Name: namespace}, &ns); err != nil {
		return false, fmt.Errorf("check whether the namespace is being deleted: %w", err)
	}
	return !ns.DeletionTimestamp.IsZero(), nil
}
