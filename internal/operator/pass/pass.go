// SPDX-License-Identifier: Apache-2.0

// Package pass is the engine that the reconcilers of all kinds share. A pass is one call of
// Reconcile: Run runs a list of steps in order. The package also decides whether a pass may write
// to the portal now (Ready, Release, LeaveAsIs), what a failed call means for the object (Refused),
// which request caused a pass (Request), and when a member count is written (Counts).
package pass

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

// Step does one part of a pass. If done is true, the pass ends without an error.
type Step func(context.Context) (done bool, err error)

// Run runs the steps of a pass in order. It stops after the first step that is done or returns an
// error.
func Run(ctx context.Context, steps ...Step) error {
	for _, s := range steps {
		if done, err := s(ctx); done || err != nil {
			return err
		}
	}
	return nil
}

// AddFinalizer adds a finalizer, so that an object is not deleted before its record in the portal
// is released. It writes at the resourceVersion that was read, because it replaces the whole list
// of finalizers.
func AddFinalizer(ctx context.Context, w client.Writer, o client.Object, finalizer string) error {
	if controllerutil.ContainsFinalizer(o, finalizer) {
		return nil
	}
	before := o.DeepCopyObject().(client.Object)
	controllerutil.AddFinalizer(o, finalizer)
	if err := w.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("add the finalizer: %w", err)
	}
	return nil
}
