// SPDX-License-Identifier: Apache-2.0

package provision

import (
	"lightrun.com/scim-operator/api/v1alpha1"
	"lightrun.com/scim-operator/internal/kernel/portalapi"
)

// WantBinding returns the binding of the operator in this cluster and the provider that c declares.
func WantBinding(c *v1alpha1.IdentityConfiguration, cluster string) portalapi.Binding {
	return portalapi.Binding{
		Cluster: cluster, Namespace: c.Namespace, Name: c.Name, UID: string(c.UID),
		ProviderType: string(c.Spec.IdentityProvider.Type), ProviderName: c.Spec.IdentityProvider.Name,
		SCIMBaseURL: c.Spec.SCIMBaseURL,
	}
}
