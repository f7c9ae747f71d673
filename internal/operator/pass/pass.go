// SPDX-License-Identifier: Apache-2.0

package pass

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

// Step does one part of a pass. done ends the pass without an error.
type Step func(context.Context) (done bool, err error)

// Run takes the steps of a pass in their order, up to the first that ends it.
func Run(ctx context.Context, steps ...Step) error {
	for _, s := range steps {
		if done, err := s(ctx); done || err != nil {
			return err
		}
	}
	return nil
}

// AddFinalizer puts a finalizer on, so that what stands in the portal for an object can't outlive it
// unnoticed. On top of the version that was read only: a list of finalizers is written as a whole.
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
