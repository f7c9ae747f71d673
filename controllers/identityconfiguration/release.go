// SPDX-License-Identifier: Apache-2.0

package identityconfiguration

import (
	"context"
	"fmt"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
	"lightrun.com/scim-operator/internal/operator/pass"
	"lightrun.com/scim-operator/internal/operator/portalclient/session"
)

// release unbinds the portal after the configuration was deleted, so that another operator can bind
// it. Accounts and pools stay unchanged. While the namespace or the kinds are being deleted,
// nothing is written, so that a reinstallation finds its binding.
//
// There is no finalizer for this, because an uninstallation removes the manager together with the
// object. A binding that is never released stays until the same namespace of the same cluster binds
// again, or a person replaces its operator (kubectl scim bind --replace). It does no harm.
func (r *Reconciler) release(ctx context.Context, namespace string) error {
	r.Session.Close(session.Block{Reason: v1alpha1.ReasonNoConfiguration, Message: "There is no IdentityConfiguration named default: nothing is written to any portal"})
	if r.ownBinding.client == nil {
		return nil
	}
	leave, err := r.ending(ctx, namespace)
	if err != nil {
		return err
	}
	if !leave {
		err := r.ownBinding.client.Unbind(ctx, r.ownBinding.uid)
		if _, failed := portalapi.Failure(err); failed {
			return fmt.Errorf("release the portal: %w", err)
		}
	}
	r.ownBinding, r.connection = ownBinding{}, connection{}
	return nil
}

// ending reports whether the namespace or the kinds are being deleted.
func (r *Reconciler) ending(ctx context.Context, namespace string) (bool, error) {
	if ending, err := pass.NamespaceEnding(ctx, r.Live, namespace); ending || err != nil {
		return ending, err
	}
	return pass.KindsEnding(ctx, r.Client, namespace)
}
