// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/conditions"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

// Answer is the decision whether a pass continues. With the zero Answer it continues.
type Answer struct {
	Stop   bool
	Silent bool             // if it stops: there is nothing new to report
	Leaf   *conditions.Leaf // if it stops: the reason, as a leaf of the type Provisioned
}

// SCIMOff reports whether SCIM is off in the portal. Then nothing is written to it. It is false if
// the portal's state is not known.
func SCIMOff(v session.View) bool {
	return v.Block == nil && v.Mirror != nil && v.Mirror.Listed() && !v.Mirror.Configuration().SCIMEnabled
}

// Ready stops a pass while the portal's state is not known. observed is true if the object's status
// is of its newest generation; then the status stays as it is.
func Ready(v session.View, observed bool) Answer {
	stop := func(reason, message string) Answer {
		l := conditions.Unknown(v1alpha1.ConditionProvisioned, reason, message)
		return Answer{Stop: true, Leaf: &l}
	}
	switch {
	case v.Unknown:
		return Answer{Stop: true, Silent: true}
	case v.Block != nil:
		return stop(v.Block.Reason, v.Block.Message)
	case !v.Mirror.Listed():
		if err := v.Mirror.Unreachable(); err != nil && !observed {
			return stop(v1alpha1.ReasonPortalUnreachable, "The portal can't be read: "+err.Error())
		}
		return Answer{Stop: true, Silent: true}
	}
	return Answer{}
}

// Release stops the deletion of an object while the portal's state is not known.
func Release(v session.View) Answer { return Ready(v, false).or(v) }

// or adds a leaf to a silent Answer, so that a deletion that waits for the first listing reports
// why its finalizer stays.
func (a Answer) or(v session.View) Answer {
	if a.Stop && a.Silent && !v.Unknown {
		l := conditions.Unknown(v1alpha1.ConditionProvisioned, v1alpha1.ReasonPortalUnreachable, "The portal's state is not known yet; the object is released as soon as it is")
		return Answer{Stop: true, Leaf: &l}
	}
	return a
}

// KindEnding reports whether the CRD of o's kind is being deleted: then the API server accepts no
// new objects of the kind. It tries to create o by a dry run, so o must be an object that the
// manager may create.
func KindEnding(ctx context.Context, w client.Writer, o client.Object) (bool, error) {
	err := w.Create(ctx, o, client.DryRunAll)
	switch {
	case err == nil, apierrors.IsAlreadyExists(err):
		return false, nil
	case apierrors.IsMethodNotSupported(err), apierrors.IsForbidden(err) && strings.Contains(err.Error(), "custom resource definition is terminating"):
		return true, nil // the status is 405 or 403, depending on the version of Kubernetes; the 403 has no cause that identifies it
	}
	return false, fmt.Errorf("check whether the kind is being deleted: %w", err)
}

// LeaveAsIs reports whether the portal's record of a deleted object must stay unchanged: there is
// no configuration, the portal is bound to another operator, SCIM is off, the policy is ReportOnly,
// or the namespace is being deleted.
func LeaveAsIs(ctx context.Context, live client.Reader, v session.View, namespace string) (bool, error) {
	if b := v.Block; b != nil && (b.Reason == v1alpha1.ReasonNoConfiguration || b.Foreign) {
		return true, nil
	}
	if SCIMOff(v) || (v.Spec != nil && v.Spec.ManagementPolicy == v1alpha1.PolicyReportOnly) {
		return true, nil
	}
	return NamespaceEnding(ctx, live, namespace)
}

// NamespaceEnding reports whether the namespace is being deleted.
func NamespaceEnding(ctx context.Context, live client.Reader, namespace string) (bool, error) {
	var ns corev1.Namespace
	if err := live.Get(ctx, types.NamespacedName{Name: namespace}, &ns); err != nil {
		return false, fmt.Errorf("check whether the namespace is being deleted: %w", err)
	}
	return !ns.DeletionTimestamp.IsZero(), nil
}
