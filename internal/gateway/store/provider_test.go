// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/provider"
)

func TestProviderIsTheOneInStatus(t *testing.T) {
	w := newWorld(t)
	d := w.replica(t)
	c := &v1alpha1.IdentityConfiguration{}
	if err := w.Client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: v1alpha1.DefaultName}, c); err != nil {
		t.Fatal(err)
	}
	okta := provider.ID{Type: provider.Okta}
	if got := d.Configuration(); got.Provider != okta || !got.Known || got.RefuseSecondClient {
		t.Errorf("at first: %+v", got)
	}
	before := c.DeepCopy()
	c.Spec.IdentityProvider = v1alpha1.IdentityProvider{Type: v1alpha1.ProviderEntraID, Name: "globex", OnSecondClient: v1alpha1.SecondClientRefuse}
	if err := w.Client.Patch(t.Context(), c, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return d.Configuration().RefuseSecondClient })
	if got := d.Configuration(); got.Provider != okta || !got.Known {
		t.Errorf("the provider of spec must not be in force: %+v", got)
	}
	before = c.DeepCopy()
	c.Status.Provider = &v1alpha1.BoundProvider{Type: v1alpha1.ProviderEntraID, Name: "globex"}
	if err := w.Client.Status().Patch(t.Context(), c, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		return d.Configuration().Provider == (provider.ID{Type: provider.EntraID, Name: "globex"})
	})
	before = c.DeepCopy()
	c.Status.Provider = nil
	if err := w.Client.Status().Patch(t.Context(), c, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return !d.Configuration().Known })
}
